"""Datasets over blocks of files of other programs, told as they come: mapped, or copied.

What a file holds is learned from the first one that can be read; until then it is what was
announced. A dataset over files that are not there reads as fill, and its files are missed.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

import h5py
import numpy as np
from h5py import h5d

from nexus_writer_service.hdf5.detector_files import Ready, is_there
from nexus_writer_service.hdf5.external import Clock, Stack
from nexus_writer_service.hdf5.failures import FAILURES
from nexus_writer_service.hdf5.place import Place
from nexus_writer_service.hdf5.selections import Spaces
from nexus_writer_service.hdf5.storage import Recipes
from nexus_writer_service.hdf5.stream import Stream
from nexus_writer_service.hdf5.virtual import create_virtual
from nexus_writer_service.model.description import FileBlock, Shape
from nexus_writer_service.model.tree import LocatedStack, StreamDataset, VirtualSource

_PAUSE: Final = 20.0
"""A dataset is made anew at the earliest after this many times what it took the last time."""
_MOST_NAMED: Final = 20
_MOST_AHEAD: Final = 1000
"""Entries that are looked for behind those that are needed by now: some microseconds each."""
_COPIED_AT_ONCE: Final = 8 << 20
"""Bytes that are copied at once."""

_Learned = tuple[np.dtype[Any], Shape]


class Located(Stack):
    """A stack whose blocks are told one by one."""

    def __init__(self, place: Place, node: LocatedStack, clock: Clock) -> None:
        self.length = 0
        self.nbytes = 0
        self.place = place
        self._node = node
        self._clock = clock
        self._not_before = -math.inf
        self._blocks: deque[tuple[int, FileBlock]] = deque()
        self._unseen: dict[tuple[str, str], int] = {}
        """Entries that each dataset of a file must have, until it was seen to have them."""
        self._present: dict[tuple[str, str], int] = {}
        """Entries that each one was seen to have: a file is opened for more of them only."""
        self._learned: _Learned | None = None
        self._due = False

    @property
    def waiting(self) -> bool:
        """Whether blocks are not mapped yet."""
        return self._due

    def locate(self, start: int, blocks: Sequence[FileBlock]) -> int:
        """Take note of the points from ``start`` on; returns ``length``."""
        for block in blocks:
            self._add(start, block)
            start += block.points
        self.length = max(self.length, start)
        self._due = True
        return self.length

    def extend(self, frames: int) -> int:
        """Look whether the files are there by now; all points are mapped already."""
        self._learn()
        return self.length

    def _add(self, row: int, block: FileBlock) -> None:
        known = (block.path, block.data_path)
        stop = block.index + _entries(block)
        if stop > self._present.get(known, 0):
            self._unseen[known] = max(self._unseen.get(known, 0), stop)
        if self._blocks:
            start, last = self._blocks[-1]
            follows = last.index + _entries(last) == block.index and start + last.points == row
            if follows and (last.path, last.data_path, last.each) == (*known, block.each):
                points = last.points + block.points
                grown = FileBlock(block.path, block.data_path, last.index, points, block.each)
                self._blocks[-1] = (start, grown)
                return
        self._blocks.append((row, block))

    def _learn(self) -> None:
        """Ask the files what they hold, as far as that is not known."""
        for (path, data_path), entries in list(self._unseen.items()):
            found = _look(path, data_path, entries)
            if found is None:
                continue
            dtype, shape, ready = found
            if self._learned is None:
                self._learned = dtype, shape
                self._due = True
            if shape and ready >= entries:
                self._present[path, data_path] = ready
                del self._unseen[path, data_path]

    def missing_files(self) -> tuple[str, ...]:
        """Files that are not there, or do not hold their points yet."""
        self._learn()
        return tuple(dict.fromkeys(path for path, _ in self._unseen))

    def external_files(self) -> tuple[str, ...]:
        """Files that the dataset refers to; of very many the first and the last ones."""
        paths = list(dict.fromkeys(block.path for _, block in self._blocks))
        if len(paths) <= _MOST_NAMED:
            return tuple(paths)
        last: deque[str] = deque(paths, maxlen=_MOST_NAMED // 2)
        return (*paths[: _MOST_NAMED // 2], *last)

    def write(self, spaces: Spaces) -> None:
        """Make the dataset anew, unless that is too costly to be done again so soon."""
        begin = self._clock()
        if begin < self._not_before and not self.settled:
            return
        if self._learned is None:
            self._learn()
        self.place.replace(self._make())
        self._due = False
        end = self._clock()
        self._not_before = end + _PAUSE * (end - begin)

    def give_up(self, problem: str) -> None:
        """Leave the dataset as it is."""
        self.problem = problem
        self._due = False

    def _make(self) -> Any:
        dtype, shape = self._node.dtype, (0, *self._node.sample)
        if self._learned is not None:
            dtype, shape = self._learned
        each = self._blocks[0][1].each
        rest = shape[1:] if self._learned or each == 1 else self._node.sample[1:]
        sample = (each, *rest) if each > 1 else rest
        return create_virtual(
            self.place.group,
            dtype,
            (self.length, *sample),
            self._sources(rest),
            fill=self._node.fill if self._learned is None else fill_of(dtype),
            growing=True,
        )

    def _sources(self, rest: Shape) -> Iterator[VirtualSource]:
        whole = tuple((0, length) for length in rest)
        for row, block in self._blocks:
            entries = _entries(block)
            many = block.each > 1
            yield VirtualSource(
                file=self.place.reference(block.path),
                path=block.data_path,
                shape=(block.points, block.each, *rest) if many else (block.points, *rest),
                selection=((block.index, entries), *whole),
                source_shape=(block.index + entries, *rest),
                start=(row, *(0,) * (len(rest) + many)),
            )


class LocatedCopy(Located):
    """Blocks whose values are copied once their files hold them, some megabytes at a time."""

    def __init__(self, place: Place, node: LocatedStack, clock: Clock, recipes: Recipes) -> None:
        super().__init__(place, node, clock)
        self._recipes = recipes
        self._copy: Stream | None = None
        self._held_up = False
        """A file that is missing keeps those behind it from being copied."""

    @property
    def waiting(self) -> bool:
        """Whether there may be something to copy."""
        return self._due or (self.settled and self._held_up)

    def external_files(self) -> tuple[str, ...]:
        """None: the values are here."""
        return ()

    def _learn(self) -> None:
        before = len(self._unseen)
        super()._learn()
        self._due = self._due or len(self._unseen) < before

    def write(self, spaces: Spaces) -> None:
        """Copy what can be read by now."""
        self._due = False
        self._learn()
        self._due = False
        self._held_up = False
        if self._learned is None:
            return
        for row, block in self._blocks:
            stream = self._stream(block)
            while row + block.points > stream.length:
                if self._copy_block(row, block, spaces):
                    continue
                if not self.settled:
                    self._held_up = True  # in order; only at the end is what is missing passed over
                    return
                stream.leave_out(max(row, stream.length) + 1 - stream.length)
                stream.write(spaces)

    def _stream(self, block: FileBlock) -> Stream:
        """The dataset for the copies, which takes the place of the empty one."""
        if self._copy is None:
            dtype, shape = self._learned or (self._node.dtype, ())
            sample = (block.each, *shape[1:]) if block.each > 1 else shape[1:]
            node = StreamDataset(self._node.channel, dtype, sample, fill=fill_of(dtype))
            dataset = self._recipes.create(self.place.group, node)
            self.place.replace(dataset)
            self._copy = Stream(self.place.path, dataset, node, 0, self._recipes.held)
        return self._copy

    def _copy_block(self, row: int, block: FileBlock, spaces: Spaces) -> bool:
        """Copy the next points of a block, as far as their file has them; tells whether it has."""
        stream = self._stream(block)
        if _look(block.path, block.data_path, 0) is None:
            return False
        with h5py.File(block.path, "r", locking=False) as file:
            dataset = file[block.data_path]
            ready = Ready(dataset)
            end = min(block.index + _entries(block), len(dataset))
            begin = max(0, stream.length - row)
            here = block.index + begin * block.each
            reached = (ready.run(here, end, ready=True) - block.index) // block.each
            nbytes = max(1, dataset.nbytes // max(1, len(dataset))) * block.each
            step = max(1, _COPIED_AT_ONCE // nbytes)
            for first in range(begin, reached, step):
                stop = min(first + step, reached)
                index = block.index + first * block.each
                values = dataset[index : index + (stop - first) * block.each]
                if block.each > 1:
                    values = values.reshape(-1, block.each, *values.shape[1:])
                stream.append(row + first, [values])
                stream.write(spaces)
            return reached > begin


def create_located(group: Any, node: LocatedStack) -> Any:
    """An empty dataset for a node, not linked anywhere yet."""
    shape = (0, *(max(length, 0) for length in node.sample))
    return create_virtual(group, node.dtype, shape, (), fill=node.fill, growing=True)


def is_virtual(dataset: Any) -> bool:
    """Whether a dataset (low-level identifier) is a virtual one."""
    return bool(dataset.get_create_plist().get_layout() == h5d.VIRTUAL)


def _entries(block: FileBlock) -> int:
    return block.points * block.each


def fill_of(dtype: np.dtype[Any]) -> float | int | None:
    """What stands for values that are not there; None where HDF5's own default does."""
    if dtype.kind == "f":
        return float("nan")
    return 0 if dtype.kind in "iu" else None


def _look(path: str, data_path: str, entries: int) -> tuple[np.dtype[Any], Shape, int] | None:
    """Type and shape of a dataset in another program's file; None while it cannot be read.

    Behind them how many entries it has, if those that are asked for are among them, else none. They
    come in order: with the last one of these all are there.
    """
    if not is_there(path):
        return None
    try:
        with h5py.File(path, "r", locking=False) as file:
            dataset = file[data_path]
            length = len(dataset) if dataset.shape else 0
            there = min(entries, length)
            ready = Ready(dataset)
            found = there and ready.run(there - 1, min(length, there + _MOST_AHEAD), ready=True)
            return dataset.dtype, dataset.shape, found if found >= there else 0
    except (*FAILURES, AttributeError):
        return None
