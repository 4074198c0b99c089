"""Chunks of gzip-compressed datasets, compressed by ourselves.

HDF5 compresses a chunk that grows at every commit, with zlib: a chunk that fills in a minute, 240
times. ISA-L does it at a tenth of the cost. The points of a chunk that is not full stay in memory
for that; reading them back would cost a decompression each time.

Cheaper ways to show such a chunk were tried and are no good. Stored as it is, with a filter mask,
it is misread: HDF5 2.0 does not tell a changed mask to others who have the dataset open in the
process, and keeps the old one when the chunk keeps its size. Stored as it is in the form of the
filters (their level 0), each scan leaves a hole of up to a chunk in the file for every dataset.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Final, Self

import numpy as np
from h5py import h5d, h5z

from nexus_writer_service.hdf5.deflate import deflated
from nexus_writer_service.hdf5.storage import scan_axes
from nexus_writer_service.hdf5.values import Array, read_rows
from nexus_writer_service.model.tree import StreamDataset

_MOST_BYTES: Final = 16 << 20
"""Memory that the end of one dataset may take; HDF5 compresses those with larger chunks."""
_FILTERS: Final = ([h5z.FILTER_DEFLATE], [h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE])


class Tail:
    """Writes the chunks of one dataset, and holds the points of those that are not full.

    Args:
        dataset: low-level identifier; see ``of`` for what it must be like.
        level: of gzip.
    """

    def __init__(self, dataset: Any, *, shuffle: bool, level: int) -> None:
        properties = dataset.get_create_plist()
        self._dataset = dataset
        self._chunk = properties.get_chunk()
        self._shuffle = shuffle
        self._level = level
        self._fill = np.zeros((), dataset.dtype)
        if properties.fill_value_defined() != h5d.FILL_VALUE_UNDEFINED:
            properties.get_fill_value(self._fill)
        self._first = 0
        self._points: Array | None = None
        """Room for as many points as a chunk has."""
        self._held = 0
        self._changed = False

    @classmethod
    def of(cls, dataset: Any, node: StreamDataset, memory_type: Any) -> Self | None:
        """The tail of a dataset; None for one whose chunks HDF5 writes.

        Args:
            dataset: its low-level identifier.
            node: what it was made from.
            memory_type: of its points in memory, which must be what is stored.
        """
        if node.filters.gzip is None:
            return None
        properties = dataset.get_create_plist()
        filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
        if (
            [one[0] for one in filters] not in _FILTERS
            or len(scan_axes(node)) != 1
            or any(length < 1 for length in node.sample)
            or not dataset.get_type().equal(memory_type)
            or properties.get_chunk()[0] * math.prod(node.sample) * dataset.dtype.itemsize
            > _MOST_BYTES
        ):
            return None
        return cls(dataset, shuffle=len(filters) > 1, level=filters[-1][2][0])

    def take(self, start: int, points: Array) -> None:
        """Take points ``start ..``, for which the dataset has room; full chunks are written."""
        rows = self._chunk[0]
        while len(points):
            first = start // rows * rows
            if self._points is not None and first != self._first:
                self._leave(first)
            if self._points is None and start == first and len(points) >= rows:
                self._write(start, points[:rows])
                start, points = start + rows, points[rows:]
                continue
            room = min(len(points), first + rows - start)
            self._put(first, start, points[:room])
            start, points = start + room, points[room:]
            if self._held == rows:
                self._finish()

    def store(self) -> None:
        """Bring the points of chunks that are not full into the file."""
        if self._points is not None and self._changed:
            self._write(self._first, self._points)
        self._changed = False

    def _finish(self) -> None:
        """Write the chunks that are not full, and let go of their points."""
        self.store()
        self._points = None

    def _leave(self, first: int) -> None:
        """Other chunks come next: later ones after a gap, earlier ones when a write is repeated."""
        if first > self._first:
            self._finish()
        self._points = None
        self._changed = False

    def _put(self, first: int, start: int, points: Array) -> None:
        if self._points is None:
            shape = (self._chunk[0], *points.shape[1:])
            self._points = np.full(shape, self._fill, dtype=self._dataset.dtype)
            self._first, self._held = first, 0
            if first < start:  # what an earlier writer, or a write that is repeated, left
                self._points[: start - first] = read_rows(self._dataset, first, start)
        held = start - first + len(points)
        self._points[start - first : held] = points
        self._held = max(self._held, held)
        self._changed = True

    def _write(self, first: int, points: Array) -> None:
        """Write the chunks from point ``first`` on; points of one chunk's length."""
        for corner, block in self._blocks(points):
            data = deflated(block, shuffle=self._shuffle, level=self._level)
            self._dataset.write_direct_chunk((first, *corner), data)

    def _blocks(self, points: Array) -> Iterator[tuple[tuple[int, ...], Array]]:
        """The chunks of points, one long, by corner of the sample; fill beyond the edges."""
        steps = self._chunk[1:]
        lows = (range(0, n, step) for n, step in zip(points.shape[1:], steps, strict=True))
        for corner in itertools.product(*lows):
            where = (slice(low, low + step) for low, step in zip(corner, steps, strict=True))
            block = points[(slice(None), *where)]
            if block.shape != self._chunk:
                full = np.full(self._chunk, self._fill, dtype=points.dtype)
                full[tuple(slice(n) for n in block.shape)] = block
                block = full
            yield corner, np.ascontiguousarray(block)
