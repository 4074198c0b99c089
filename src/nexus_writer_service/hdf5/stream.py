"""A dataset that grows with the points of a channel.

Points wait in memory for the next commit and are then written at once. Only a dataset with much
waiting is written earlier.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.failures import FAILURES
from nexus_writer_service.hdf5.held import HeldBytes
from nexus_writer_service.hdf5.selections import Spaces, boxes
from nexus_writer_service.hdf5.storage import scan_axes
from nexus_writer_service.hdf5.tail import Tail
from nexus_writer_service.hdf5.values import Array, memory_type, stored_dtype
from nexus_writer_service.model.description import Shape
from nexus_writer_service.model.tree import Filters, StreamDataset

_EARLY_BYTES: Final = 128 << 10, 4 << 20
"""Waiting bytes above which whole chunks are written before a commit: two chunks, within these."""
_EARLY_COMPRESSED: Final = 512 << 10
"""The least of them for compressed datasets, whose chunks are written one by one in any case."""
_FAST_BYTES: Final = 64 << 10
"""Bytes that come between two commits, from which on a dataset grows fast."""
_FAST_CHUNKS: Final = 2
"""Likewise, the chunks that they fill."""
_MOST_BYTES: Final = 32 << 20
"""Waiting bytes above which all points are, also into chunks that are not full."""
_ALONE: Final = 1 << 17
"""Bytes of points that are written as they came: to join them with others would cost more."""


class Growing(ABC):
    """A dataset of an open file that grows."""

    length: int
    """Points, or frames, including those that wait for the next commits."""
    nbytes: int
    """Memory held by what waits."""
    settled: bool = False
    """Nothing more will come."""
    problem: str = ""
    """Why HDF5 does not take any more of it, if so."""
    notice: str = ""
    """What went otherwise than asked for, until somebody looked."""

    @property
    @abstractmethod
    def waiting(self) -> bool:
        """Whether the next commits have something to write, or to show what was written early."""

    @abstractmethod
    def write(self, spaces: Spaces) -> None:
        """Bring what waits into HDF5."""

    def write_fast(self, spaces: Spaces) -> None:
        """Bring what waits into HDF5, but for what is cheaper to write with the next commit."""
        self.write(spaces)

    @abstractmethod
    def give_up(self, problem: str) -> None:
        """Let what waits go: HDF5 will not take it at any later time either."""

    def release(self) -> None:  # noqa: B027 - most keep nothing
        """Let go of memory that is kept only to go on faster."""


class Stream(Growing):
    """One stream dataset of an open file.

    Args:
        path: of the dataset, for messages.
        dataset: its low-level identifier.
        node: what it was made from.
        length: points that are in it.
        held: counts the memory of the ends of compressed datasets.
        shape: of the dataset, if it is known: to ask HDF5 takes longer than all else here.
    """

    def __init__(
        self,
        path: str,
        dataset: Any,
        node: StreamDataset,
        length: int,
        held: HeldBytes | None = None,
        shape: Shape | None = None,
    ) -> None:
        self.path = path
        self.length = length
        self.nbytes = 0
        self._dataset = dataset
        self._dtype = stored_dtype(node.dtype)
        self._memory_type = memory_type(self._dtype)
        self._sample = node.sample
        self._inner = scan_axes(node)[1:]
        self._shape: Shape = dataset.shape if shape is None else shape
        self._early = True
        self._early_bytes = self._least = _EARLY_BYTES[0]
        self._whole = 0
        """Points of a chunk, once somebody asked."""
        self._waiting: list[tuple[int, Array]] = []
        self._came_after = length
        """Points that had come at the last commit."""
        self._came = 0
        """Bytes that have come since."""
        filtered = node.filters != Filters() and not self._inner
        self._compressed_rows = dataset.get_create_plist().get_chunk()[0] if filtered else 1
        self._tail = Tail.of(dataset, node, self._memory_type, held or HeldBytes())
        if self._tail is not None:
            self._early_bytes = self._least = _EARLY_COMPRESSED

    @property
    def waiting(self) -> bool:
        """Whether the next commit has something to write, or to show what was written early."""
        return bool(self._waiting) or self.length != self._came_after

    def append(self, start: int, batches: Sequence[Array]) -> None:
        """Take points ``start ..``; those that are there already are skipped.

        Raises:
            DatasetError: wrong dtype or shape; none of the points is taken.
        """
        fitting = [self._fitting(batch) for batch in batches]
        for batch in fitting:
            stop = start + len(batch)
            if len(batch) and stop > self.length:
                new = batch[max(0, self.length - start) :]
                self._waiting.append((stop - len(new), new))
                self.nbytes += new.nbytes
                self._came += new.nbytes
                self.length = stop
            start = stop
        if self.nbytes > self._early_bytes and self._early and self._waiting:
            self._write_early()

    def replace(self, start: int, batches: Sequence[Array]) -> None:
        """Take points in place of those that are there from ``start`` on.

        Raises:
            DatasetError: wrong dtype or shape, or the dataset is compressed; none is taken.
        """
        if self._tail is not None:
            raise DatasetError(f"{self.path}: points of a compressed dataset cannot be replaced")
        for batch in [self._fitting(batch) for batch in batches]:
            self._waiting.append((start, batch))
            self.nbytes += batch.nbytes
            start += len(batch)
        self.length = max(self.length, start)

    def takes(self, node: StreamDataset) -> bool:
        """Whether the dataset takes what a node describes as it is; learns which lengths vary."""
        if stored_dtype(node.dtype) != self._dtype:
            return False
        self._sample = node.sample
        return True

    def found(self, length: int) -> None:
        """Learn that the dataset has this many points."""
        self.length = self._came_after = length
        self._shape = self._dataset.shape

    def leave_out(self, count: int) -> None:
        """Let the next points be fill."""
        self.length += count
        self._waiting.append((self.length, np.empty((0, *self._sample), self._dtype)))

    def write_fast(self, spaces: Spaces) -> None:
        """Write all waiting points, or only whole chunks of a compressed dataset that grows fast.

        A chunk that is not full would be compressed once more with each commit. What is left waits
        for the next one, and no longer: by then its chunk is full, or points come slowly.
        """
        rows = self._compressed_rows
        many = self.length - self._came_after >= _FAST_CHUNKS * rows
        fast = rows > 1 and many and self._came >= _FAST_BYTES
        if fast and not self.settled:
            self._came_after, self._came = self.length, 0
            self._write_up_to(self.length // rows * rows)
            self._early = True
        else:
            self.write(spaces)

    def write(self, spaces: Spaces) -> None:
        """Write all waiting points."""
        self._came_after, self._came = self.length, 0
        for start, points in _joined(self._waiting):
            self._put(start, points, spaces)
        if self._tail is not None:
            self._tail.store()
        self._waiting = []
        self.nbytes = 0
        self._early = True

    def give_up(self, problem: str) -> None:
        """Drop all waiting points."""
        self.problem = problem
        self._waiting = []
        self.nbytes = 0

    def release(self) -> None:
        """Let go of the end of the dataset, which can be read again."""
        if self._tail is not None:
            self._tail.release()

    def _fitting(self, batch: Array) -> Array:
        sample = batch.shape[1:]
        if not batch.ndim or not (sample == self._sample or self._varies_to(sample)):
            raise DatasetError(
                f"{self.path}: points of shape {sample} do not fit samples of shape "
                f"{self._sample} (-1 is any length): the channel was announced with another shape"
            )
        plain = batch.dtype == self._dtype and batch.dtype.kind != "O" and batch.flags.c_contiguous
        return batch if plain else self._converted(batch)

    def _varies_to(self, sample: Shape) -> bool:
        return len(sample) == len(self._sample) and all(
            wanted in (-1, length) for wanted, length in zip(self._sample, sample, strict=True)
        )

    def _converted(self, batch: Array) -> Array:
        text = self._dtype.kind == "O"
        if text and batch.dtype.kind in "UTO":
            values = batch.astype(object)
            if all(isinstance(item, str) for item in values.flat):
                return values.astype(self._dtype)
        elif not text and np.can_cast(batch.dtype, self._dtype, "equiv"):
            return np.require(batch, self._dtype, "C")
        raise DatasetError(
            f"{self.path}: points of type {batch.dtype} do not fit a dataset of type "
            f"{'text' if text else self._dtype}: the channel was announced with another type"
        )

    def _write_early(self) -> None:
        """Write whole chunks, and all if that leaves too much, and let go of their memory."""
        if not self._whole:
            chunk = self._dataset.get_create_plist().get_chunk()
            self._whole = chunk[0] * math.prod(self._inner)
            two = 2 * math.prod(chunk) * self._dtype.itemsize
            self._early_bytes = min(max(self._least, two), _EARLY_BYTES[1])
            if self.nbytes <= self._early_bytes:
                return
        stop = self.length // self._whole * self._whole
        if stop <= self._waiting[0][0]:
            if self.nbytes <= _MOST_BYTES:
                return
            stop = self.length
        try:
            self._write_up_to(stop)
            if self.nbytes > _MOST_BYTES:
                self._write_up_to(self.length)
        except FAILURES:
            # The points still wait. The commit writes them again and tells what is wrong.
            self._early = False

    def _write_up_to(self, stop: int) -> None:
        spaces = Spaces()
        ready, later = [], []
        for start, points in self._waiting:
            cut = min(max(0, stop - start), len(points))
            if cut or (not len(points) and start <= stop):  # those without points make room
                ready.append((start, points[:cut]))
            if cut < len(points) or start > stop:
                later.append((start + cut, points[cut:]))
        for start, points in _joined(ready):
            self._put(start, points, spaces)
        self._waiting = later
        self.nbytes = sum(points.nbytes for _, points in later)

    def _put(self, start: int, points: Array, spaces: Spaces) -> None:
        stop = start + len(points)
        sample = points.shape[1:]
        self._grow(stop, sample)
        if not points.size:
            return
        if self._tail is not None:
            self._tail.take(start, points)
            return
        corner = (0,) * len(sample)
        done = 0
        for first, counts in boxes(start, stop, self._inner):
            count = math.prod(counts)
            part = points if count == len(points) else points[done : done + count]
            self._dataset.write(
                spaces.in_memory((*counts, *sample)),
                spaces.in_file(self._shape, (*first, *corner), (*counts, *sample)),
                part,
                self._memory_type,
            )
            done += count

    def _grow(self, stop: int, sample: Shape) -> None:
        """Make room for points up to ``stop`` of shape ``sample``."""
        old = self._shape
        inner = self._inner
        slow = -(-stop // math.prod(inner)) if inner else stop
        after = old[1 + len(inner) :]
        if slow <= old[0] and all(map(int.__le__, sample, after)):
            return
        shape = (max(slow, old[0]), *inner, *map(max, sample, after))
        self._dataset.set_extent(shape)
        self._shape = shape


def _joined(parts: list[tuple[int, Array]]) -> Iterator[tuple[int, Array]]:
    """Neighbours of one sample shape as one array, but for large ones."""
    run: list[Array] = []
    start = stop = 0
    for first, points in parts:
        small = points.nbytes < _ALONE
        if run and (first != stop or not small or points.shape[1:] != run[0].shape[1:]):
            yield start, _one(run)
            run = []
        if not small:
            yield first, points
            continue
        if not run:
            start = first
        run.append(points)
        stop = first + len(points)
    if run:
        yield start, _one(run)


def _one(run: list[Array]) -> Array:
    return run[0] if len(run) == 1 else np.concatenate(run)
