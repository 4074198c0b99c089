"""Image stacks: datasets over the files that detector servers write.

A virtual or raw dataset refers to the files. HDF5 cannot add references to a dataset that exists,
so it is made anew as frames come. That takes time for each file, so a long one is made anew less
often: it takes at most a twentieth of the time, and is complete once the stack is settled.
"""

import math
import os
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from h5py import h5d, h5p, h5s

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.detector_files import (
    is_there,
    lacking,
    pixels,
    raw_places,
    runs,
    unreadable,
)
from nexus_writer_service.hdf5.held import HeldBytes
from nexus_writer_service.hdf5.place import Place
from nexus_writer_service.hdf5.resume import points_in
from nexus_writer_service.hdf5.selections import Spaces, boxes
from nexus_writer_service.hdf5.storage import scan_axes
from nexus_writer_service.hdf5.stream import Growing, Stream
from nexus_writer_service.hdf5.values import file_type
from nexus_writer_service.hdf5.virtual import create_virtual
from nexus_writer_service.model.description import Shape
from nexus_writer_service.model.tree import ImageStack, StreamDataset, VirtualSource

_PAUSE: Final = 20.0
"""A dataset is made anew at the earliest after this many times what it took the last time."""
MOST_RAW_FRAMES: Final = 2500
"""HDF5 keeps 24 bytes for each piece of raw data in an object header message of 64 KiB at most."""
_MOST_NAMED: Final = 20
"""Files that are named of a stack: the first ones and the last ones tell what the others are."""
_MOST_COPIED: Final = 64 << 20
"""Bytes of pixels that may wait because the disk does not take them, or that are copied at once:
other scans of the process wait meanwhile."""
_MOST_LOOKED_INTO: Final = 1000
"""Files of a stack that are opened to see whether they have their frames, besides the newest; of
others it is only seen that they exist, since each takes a while at the end of the scan."""
_MOST_RUNS: Final = 100
"""Files that are looked into at once for raw data."""

Clock = Callable[[], float]
"""Seconds since some moment; never goes back."""


class RawRefusedError(DatasetError):
    """The files cannot be mapped as raw data; references to the frames can take their place."""

    def __init__(self, stack: "RawStack", reason: str) -> None:
        super().__init__(reason)
        self.stack = stack


class Stack(Growing):
    """An image stack of an open file. Frames only ever grow in number."""

    announced: "Announced"

    @abstractmethod
    def extend(self, frames: int) -> int:
        """Take note that there are ``frames`` frames by now; returns ``length``."""

    def skip(self) -> tuple[int, int] | None:
        """Wait no longer for the next frame and those with it in a file, so that later ones follow.

        Returns:
            The first frame that is given up, and the next that is not; None when none is awaited.
        """
        return None

    def missing_files(self) -> tuple[str, ...]:
        """Files of the frames so far that are not there."""
        return self.announced.missing()

    def external_files(self) -> tuple[str, ...]:
        """Files that the dataset refers to for the frames so far."""
        return self.announced.paths(self.length)


class Announced:
    """The detector files of the frames announced so far."""

    def __init__(self, node: ImageStack) -> None:
        self.files = node.files
        self._rank = len(node.sample)
        self.frames = 0
        self._unseen: dict[str, int] = {}
        """Frames that a file must have, until it was seen to have them."""
        self._looked_into = 0

    def extend(self, frames: int) -> None:
        """There are ``frames`` frames by now."""
        for run in runs(self.files, self.frames, frames):
            self._unseen[run.path] = run.index + run.count
        self.frames = max(self.frames, frames)

    def missing(self) -> tuple[str, ...]:
        """Files that are not there, or do not have their frames."""
        found: dict[str, None] = {}
        newest = next(reversed(self._unseen), "")
        for path, frames in list(self._unseen.items()):
            if not is_there(path):
                lost: tuple[str, ...] = (path,)
            elif path == newest or self._looked_into < _MOST_LOOKED_INTO:
                lost = lacking(self.files, path, frames, self._rank)
                self._looked_into += not lost
            else:
                lost = ()
            if not lost:
                del self._unseen[path]
            found |= dict.fromkeys(lost)
        return tuple(found)

    def paths(self, frames: int) -> tuple[str, ...]:
        """Files of the first ``frames`` frames; of very many the first and the last ones."""
        first: list[str] = []
        last: deque[str] = deque(maxlen=_MOST_NAMED // 2)
        newest = ""
        for run in runs(self.files, 0, frames):
            if run.path != newest:
                newest = run.path
                (first if len(first) < _MOST_NAMED // 2 else last).append(newest)
        return (*first, *last)


class RemadeStack(Stack):
    """A dataset that is made anew to grow."""

    def __init__(self, place: Place, node: ImageStack, length: int, clock: Clock) -> None:
        self.length = length
        self.nbytes = 0
        self.place = place
        self.node = node
        self.announced = Announced(node)
        self.announced.extend(length)
        self._made = length
        self._clock = clock
        self._not_before = -math.inf

    @property
    def waiting(self) -> bool:
        """Whether frames are not mapped yet."""
        return self._made < self.length

    def write(self, spaces: Spaces) -> None:
        """Make the dataset anew, unless that is too costly to be done again so soon."""
        begin = self._clock()
        if begin < self._not_before and not self.settled:
            return
        self.place.replace(self._make(self.place.group))
        self._made = self.length
        end = self._clock()
        self._not_before = end + _PAUSE * (end - begin)

    def give_up(self, problem: str) -> None:
        """Leave the dataset as it is."""
        self.problem = problem
        self._made = self.length

    def _shape(self) -> Shape:
        scan = scan_axes(self.node)
        row = math.prod(scan[1:])
        return (max(scan[0] if len(scan) > 1 else 0, -(-self.length // row)), *scan[1:])

    @abstractmethod
    def _make(self, group: Any) -> Any:
        """The dataset with all frames so far, not linked anywhere yet."""


class VirtualStack(RemadeStack):
    """Frames mapped from HDF5 files, which need not exist: what is missing reads as fill."""

    def extend(self, frames: int) -> int:
        """Map all of them, whether their files are there or not."""
        self.announced.extend(frames)
        self.length = max(self.length, frames)
        return self.length

    def _make(self, group: Any) -> Any:
        return create_virtual(
            group,
            self.node.dtype,
            (*self._shape(), *self.node.sample),
            self._sources(),
            fill=self.node.fill,
            growing=True,
        )

    def _sources(self) -> Iterator[VirtualSource]:
        files, sample = self.node.files, self.node.sample
        inner = scan_axes(self.node)[1:]
        whole = tuple((0, length) for length in sample)
        for run in runs(files, 0, self.length):
            first = 0
            for corner, counts in boxes(run.frame, run.frame + run.count, inner):
                count = math.prod(counts)
                yield VirtualSource(
                    file=self.place.reference(run.path),
                    path=files.data_path,
                    shape=(*counts, *sample),
                    selection=((first, count), *whole),
                    source_shape=(run.count, *sample),
                    start=(*corner, *(0,) * len(sample)),
                )
                first += count


class RawStack(RemadeStack):
    """Frames mapped from the bytes of EDF files (HDF5 external storage, absolute paths).

    HDF5 cannot leave pieces of such a dataset out: what is missing at the end of a grid reads zero.
    """

    def __init__(self, place: Place, node: ImageStack, clock: Clock) -> None:
        super().__init__(place, node, 0, clock)
        self._places: list[tuple[str, int]] = []

    def extend(self, frames: int) -> int:
        """Map up to the first frame that cannot be read yet.

        Raises:
            RawRefusedError: the files, or so many of them, cannot be mapped.
        """
        self.announced.extend(frames)
        if frames > MOST_RAW_FRAMES:
            raise RawRefusedError(self, f"HDF5 maps at most {MOST_RAW_FRAMES} frames as raw data")
        try:
            ahead = runs(self.node.files, self.length, self.announced.frames)
            for run in islice(ahead, _MOST_RUNS):
                found = list(raw_places(run, self.node.sample, self.node.dtype))
                self._places += [(run.path, place) for place in found]
                if len(found) < run.count:
                    break
        except DatasetError as error:
            raise RawRefusedError(self, str(error)) from error
        self.length = len(self._places)
        return self.length

    def skip(self) -> tuple[int, int] | None:
        """Frames that are given up read zero."""
        run = next(runs(self.node.files, self.length, self.announced.frames), None)
        if run is None:
            return None
        self._places += [("/dev/null", 0)] * run.count
        self.length += run.count
        return run.frame, run.frame + run.count

    def _make(self, group: Any) -> Any:
        size = math.prod(self.node.sample) * self.node.dtype.itemsize
        places = [(path, place, size) for path, place in self._places]
        return create_raw(group, self.node.dtype, (*self._shape(), *self.node.sample), places)


def create_raw(
    group: Any, dtype: np.dtype[Any], shape: Shape, places: Iterable[tuple[str, int, int]]
) -> Any:
    """A dataset over bytes of other files, not linked anywhere yet.

    Args:
        group: low-level identifier of any group of the file.
        dtype: of the values, with the byte order that they have there.
        shape: of the dataset; what no place is given for reads as zero.
        places: file, offset and size in bytes of each piece, in order.
    """
    missing = math.prod(shape) * dtype.itemsize
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    for path, place, size in places:
        properties.set_external(os.fsencode(path), place, size)
        missing -= size
    if missing:
        properties.set_external(b"/dev/null", 0, missing)
    return h5d.create(group, None, file_type(dtype), h5s.create_simple(shape), properties)


class ReferenceStack(Stream, Stack):
    """Texts ``path::index``, one for each frame."""

    def __init__(self, place: Place, node: ImageStack, dataset: Any, texts: StreamDataset) -> None:
        super().__init__(place.path, dataset, texts, points_in(dataset, texts))
        self.announced = Announced(node)
        self.announced.extend(self.length)
        self._place = place

    def extend(self, frames: int) -> int:
        """Refer to all of them, whether their files are there or not."""
        texts = [
            f"{self._place.reference(run.path)}::{run.index + number}"
            for run in runs(self.announced.files, self.length, frames)
            for number in range(run.count)
        ]
        self.announced.extend(frames)
        self.append(self.length, [np.array(texts, dtype=object)])
        return self.length


class CopiedStack(Stream, Stack):
    """The pixels themselves, as soon as they can be read."""

    def __init__(
        self, path: str, node: ImageStack, dataset: Any, copies: StreamDataset, held: HeldBytes
    ) -> None:
        super().__init__(path, dataset, copies, points_in(dataset, copies), held)
        self.announced = Announced(node)
        self.announced.extend(self.length)
        self._node = node

    def external_files(self) -> tuple[str, ...]:
        """None: the pixels are here."""
        return ()

    def extend(self, frames: int) -> int:
        """Copy up to the first frame that cannot be read yet, but not too much at once."""
        self.announced.extend(frames)
        node = self._node
        copied = 0
        for run in runs(node.files, self.length, self.announced.frames):
            for block in pixels(run, node.files, node.sample, node.dtype):
                self.append(self.length, [block])
                copied += block.nbytes
                if max(copied, self.nbytes) > _MOST_COPIED:
                    return self.length
            if self.length < run.frame + run.count:
                break
        return self.length

    def skip(self) -> tuple[int, int] | None:
        """Frames that are given up read as fill."""
        run = next(runs(self._node.files, self.length, self.announced.frames), None)
        if run is None:
            return None
        count = unreadable(run, self._node.files, self._node.sample)
        self.leave_out(count)
        return run.frame, run.frame + count
