"""The end of a dataset whose chunks we compress, not HDF5.

HDF5 compresses a chunk that grows anew whenever it is brought into the file. Here its points are
kept in memory and compressed with ISA-L, and the chunk is stored by direct chunk write, as any
other HDF5 program would have written it.

Points are kept in the order of the stored bytes: on their way into the file they are moved once.
"""

import itertools
import math
from typing import Any, Final, Self

import numpy as np
from h5py import h5d, h5z

from nexus_writer_service.hdf5.deflate import Deflater
from nexus_writer_service.hdf5.held import HeldBytes
from nexus_writer_service.hdf5.storage import written_directly
from nexus_writer_service.hdf5.values import Array, read_rows
from nexus_writer_service.model.tree import StreamDataset

_FILTERS: Final = ([h5z.FILTER_DEFLATE], [h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE])
_NONE: Final = -1
_HALVES: Final = 4
"""Bytes of the numbers that are moved by halves."""
_MOST_HALF: Final = 0xFFFF


class Tail:
    """Writes the chunks of one dataset, and holds the points of those that are not full.

    Args:
        dataset: low-level identifier; see ``of`` for what it must be like.
        held: counts the memory.
        shuffle: bytes of equal significance stand together first [H5Z_FILTER_SHUFFLE].
        level: of gzip.
    """

    def __init__(self, dataset: Any, held: HeldBytes, *, shuffle: bool, level: int) -> None:
        properties = dataset.get_create_plist()
        self._dataset = dataset
        self._rows, *self._widths = properties.get_chunk()
        self._sample = dataset.shape[1:]
        self._itemsize = dataset.dtype.itemsize
        steps = list(zip(self._sample, self._widths, strict=True))
        self._counts = [-(-length // width) for length, width in steps]
        self._corners = list(itertools.product(*(range(0, n, width) for n, width in steps)))
        self._padded = [n * width for n, width in zip(self._counts, self._widths, strict=True)]
        self._shuffle = shuffle
        planes = self._itemsize if shuffle else 1
        self._deflaters = [Deflater(level, planes) for _ in self._corners]
        fill = np.zeros(1, dataset.dtype)
        if properties.fill_value_defined() != h5d.FILL_VALUE_UNDEFINED:
            properties.get_fill_value(fill)
        self._fill = fill.view(np.uint8)
        self._memory = held
        self._room: memoryview | None = None
        """The chunks that hold the next points, for all of the sample, as they are compressed."""
        self._points: Array = self._fill
        """The same bytes, by point, then chunk and place in it for each axis of the sample, byte of
        the number."""
        self._first = _NONE
        """The first point of the room."""
        self._held = 0
        """Points in the room."""
        self._used = 0
        """Points behind which the room is fill."""
        self._changed = False

    @classmethod
    def of(
        cls, dataset: Any, node: StreamDataset, memory_type: Any, held: HeldBytes
    ) -> Self | None:
        """The tail of a dataset; None for one whose chunks HDF5 writes.

        Args:
            dataset: its low-level identifier.
            node: what it was made from.
            memory_type: of its points in memory, which must be what is stored.
            held: counts the memory.
        """
        if node.filters.gzip is None:
            return None
        properties = dataset.get_create_plist()
        filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
        if (
            [one[0] for one in filters] not in _FILTERS
            or not written_directly(node, properties.get_chunk())
            or dataset.shape[1:] != node.sample
            or not dataset.get_type().equal(memory_type)
        ):
            return None
        return cls(dataset, held, shuffle=len(filters) > 1, level=filters[-1][2][0])

    def take(self, start: int, points: Array) -> None:
        """Take points ``start ..``, for which the dataset has room; full chunks are written."""
        rows = self._rows
        done = 0
        while done < len(points):
            first = start // rows * rows
            count = min(len(points) - done, first + rows - start)
            if first != self._first:
                self._go_to(first, start)
            self._put(start - first, points[done : done + count])
            start += count
            done += count
            if self._held == rows:
                self.store()
                self._first = _NONE

    def store(self) -> None:
        """Bring the points of chunks that are not full into the file."""
        if self._changed:
            self._write()
            if self._memory.nbytes > self._memory.most:
                self.release()
        self._changed = False

    def release(self) -> None:
        """Let go of all memory: what is stored can be read again."""
        if self._room is not None:
            self._memory.nbytes -= len(self._room)
            self._room, self._points, self._first = None, self._fill, _NONE
        self._changed = False

    def _go_to(self, first: int, start: int) -> None:
        """Make room for the chunks from ``first`` on, with the points before ``start``."""
        if self._first != _NONE and first > self._first:
            self.store()
        # Otherwise a write is repeated, and what was taken will come once more.
        if self._room is None:
            self._make_room()
        self._first, self._held, self._changed = first, 0, False
        if first < start:  # what an earlier writer, or a write that is repeated, left
            self._put(0, read_rows(self._dataset, first, start))

    def _make_room(self) -> None:
        counts, rows, widths, axes = self._counts, self._rows, self._widths, len(self._widths)
        size = self._rows * math.prod(self._padded) * self._itemsize
        room = np.empty(size, np.uint8)
        if self._shuffle:
            ordered = room.reshape(*counts, self._itemsize, rows, *widths)
            ordered = np.moveaxis(ordered, axes, -1)
        else:
            ordered = room.reshape(*counts, rows, *widths, self._itemsize)
        by_axis = [one for axis in range(axes) for one in (axis, axes + 1 + axis)]
        self._points = ordered.transpose(axes, *by_axis, 2 * axes + 1)
        self._room = room.data
        self._used = rows
        self._memory.nbytes += size

    def _put(self, offset: int, points: Array) -> None:
        count = len(points)
        raw = points.view(np.uint8).reshape(count, *self._sample, self._itemsize)
        if self._padded != [*self._sample]:
            wide = np.empty((count, *self._padded, self._itemsize), np.uint8)
            wide[...] = self._fill
            wide[(slice(None), *map(slice, self._sample))] = raw
            raw = wide
        if offset > self._held:
            self._points[self._held : offset] = self._fill  # points that were left out
        stop = offset + count
        _place(self._points[offset:stop], raw.reshape(count, *self._points.shape[1:]))
        self._held = max(self._held, stop)
        self._used = max(self._used, stop)
        self._changed = True

    def _write(self) -> None:
        """Write the chunks in the room."""
        assert self._room is not None  # noqa: S101 - for mypy
        if self._used > self._held:
            self._points[self._held : self._used] = self._fill
            self._used = self._held
        room, size = self._room, len(self._room) // len(self._corners)
        whole = self._held == self._rows
        for index, corner in enumerate(self._corners):
            chunk = room[index * size : (index + 1) * size]
            deflater = self._deflaters[index]
            data = deflater.whole(chunk) if whole else deflater.part(chunk)
            self._dataset.write_direct_chunk((self._first, *corner), data)


def _place(places: Array, values: Array) -> None:
    """Copy bytes, of which those of a number are the last axis, to where they belong.

    NumPy moves whole numbers many times faster than single bytes that do not lie together.
    """
    if values.shape[-1] != _HALVES or places.strides[-1] == 1 or not values.flags.c_contiguous:
        places[...] = values
        return
    numbers = values.view("<u4")[..., 0]
    half = numbers.astype("<u2")
    places[..., 0] = half.astype(np.uint8)
    places[..., 1] = (half >> 8).astype(np.uint8)
    if numbers.max() > _MOST_HALF:
        half = (numbers >> 16).astype("<u2")
        places[..., 2] = half.astype(np.uint8)
        places[..., 3] = (half >> 8).astype(np.uint8)
    else:
        places[..., 2:] = 0
