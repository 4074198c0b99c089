"""Datasets over TIFF and NumPy files that are told point by point: mapped as raw data, or copied.

HDF5 maps the bytes of other files (external storage) where these hold their numbers plainly. Where
they do not, or are too many, and are not to be copied, texts refer to them.
"""

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

import numpy as np

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.detector_files import fabio_pictures, is_there
from nexus_writer_service.hdf5.external import MOST_RAW_FRAMES, Clock, create_raw
from nexus_writer_service.hdf5.located import Located, fill_of
from nexus_writer_service.hdf5.picture_files import OddPictureError, Page, plain_pages, read_plain
from nexus_writer_service.hdf5.place import Place
from nexus_writer_service.hdf5.selections import Spaces
from nexus_writer_service.hdf5.storage import Recipes
from nexus_writer_service.hdf5.stream import Stream
from nexus_writer_service.hdf5.values import TEXT, Array
from nexus_writer_service.model.description import FileBlock, Shape
from nexus_writer_service.model.tree import LocatedStack, StreamDataset

_COPIED_AT_ONCE: Final = 64 << 20
"""Bytes that one commit copies: other scans of the process wait meanwhile."""
_REFERENCE_CHUNK: Final = 1024


class Pictures(Located):
    """Points that are in pictures, each of one or several of them.

    They show up to the first one whose file is not there; once settled, missing ones read as zero,
    or as fill where they are copied. Without any file, texts tell where they should be.
    """

    def __init__(self, place: Place, node: LocatedStack, clock: Clock, recipes: Recipes) -> None:
        super().__init__(place, node, clock)
        self._recipes = recipes
        self._kind: tuple[np.dtype[Any], Shape] | None = None
        """Type and shape of a picture, once one was seen."""
        self._awaited: dict[str, int] = {}
        """Pictures that each file must have, until it was seen to have them."""
        self._there: dict[str, int] = {}
        """Pictures that each file was seen to have."""
        self._pages: dict[str, list[Page]] = {}
        """Where the pictures of files that were seen are, if they are to be mapped."""
        self._newest: tuple[str, list[Page]] = ("", [])
        """The file that was copied from last, and where its pictures are."""
        self._odd: set[str] = set()
        """Files that are copied with fabio."""
        self._bad: set[str] = set()
        """Files that cannot be copied."""
        self._refusal = ""
        """Why texts take the place of the pictures."""
        self._stream: Stream | None = None
        """Of copies, or texts."""
        self._held_up = False
        self._entries = 0

    @property
    def waiting(self) -> bool:
        """Whether there may be something to show."""
        return self._due or (self.settled and self._held_up)

    def locate(self, start: int, blocks: Sequence[FileBlock]) -> int:
        """Take note of the points from ``start`` on; returns ``length``.

        Raises:
            DatasetError: they are not in pictures.
        """
        if not all(block.pictures for block in blocks):
            raise DatasetError(f"{self.place.path} began in files of pictures: HDF5 files are left")
        return super().locate(start, blocks)

    def _add(self, row: int, block: FileBlock) -> None:
        self._blocks.append((row, block))
        self._entries += len(block.pictures)
        for path, number in block.pictures:
            if number >= self._there.get(path, 0):
                self._awaited[path] = max(self._awaited.get(path, 0), number + 1)
        if self._entries > MOST_RAW_FRAMES and not self._node.copied:
            self._refuse(f"HDF5 maps at most {MOST_RAW_FRAMES} pictures as raw data")

    def missing_files(self) -> tuple[str, ...]:
        """Files that are not there, or do not hold their pictures yet."""
        self._learn()
        return (*self._awaited, *self._bad)

    def external_files(self) -> tuple[str, ...]:
        """Files that the dataset refers to; none if it has copies."""
        return () if self._node.copied else super().external_files()

    # ---------------------------------------------------------------------------- the files

    def _learn(self) -> None:
        for path, count in list(self._awaited.items()):
            if not is_there(path):
                continue
            if not self._refusal and not self._seen(path, count):
                continue
            del self._awaited[path]
            self._due = True

    def _seen(self, path: str, count: int) -> bool:
        """Look into a file; tells whether it has its pictures."""
        try:
            kinds = self._kinds(path)
            if not kinds:
                return False
            self._there[path] = len(kinds)
            self._kind = self._kind or kinds[0]
            if any(kind != self._kind for kind in kinds):
                dtype, shape = self._kind
                text = f"{path}: its pictures are not all of type {dtype} and shape {shape}"
                raise DatasetError(text)
        except DatasetError as error:
            if self._node.copied:
                self._give_up_file(path, str(error))
            else:
                self._refuse(str(error))
            return True
        return len(kinds) >= count

    def _kinds(self, path: str) -> list[tuple[np.dtype[Any], Shape]]:
        """Types and shapes of the pictures in a file.

        Raises:
            DatasetError: they can neither be mapped nor, if that was asked for, be copied.
        """
        copied = self._node.copied
        try:
            pages = plain_pages(path)
        except OddPictureError:
            if not copied:
                raise
            self._odd.add(path)
            return [(one.dtype, one.shape) for one in fabio_pictures(path)]
        if not copied:
            self._pages[path] = pages
            return [(page.dtype, page.shape) for page in pages]
        return [(page.dtype.newbyteorder("="), page.shape) for page in pages]

    def _refuse(self, reason: str) -> None:
        """Refer to the files from the first one on."""
        if not self._refusal:
            self._refusal = reason
            self.notice = f"{self.place.path}: {reason}; it holds references to the files instead"
            self._due = True
            self._pages = {}

    def _give_up_file(self, path: str, reason: str) -> None:
        """Leave the points of a file out of the copies: those of others are kept."""
        if not self._bad:
            self.notice = f"{self.place.path}: {reason}; such pictures are left out"
        self._bad.add(path)

    # ---------------------------------------------------------------------------- the dataset

    def write(self, spaces: Spaces) -> None:
        """Show what can be read by now, unless that is too costly to be done again so soon."""
        begin = self._clock()
        mapped = not self._node.copied
        if mapped and not self._refusal and begin < self._not_before and not self.settled:
            return
        self._learn()
        self._due = False
        if self._refusal or (self.settled and self._kind is None):
            self._held_up = False
            self._refer(spaces)
        elif self._kind is None:
            self._held_up = True
        elif mapped:
            self._map(self._kind)
            end = self._clock()
            self._not_before = end + 20 * (end - begin)
        else:
            self._copy_rows(self._kind, spaces)

    def _is_awaited(self, block: FileBlock) -> bool:
        return any(
            path in self._awaited and number >= self._there.get(path, 0)
            for path, number in block.pictures
        )

    def _sample(self, shape: Shape) -> Shape:
        each = len(self._blocks[0][1].pictures)
        return (each, *shape) if each > 1 else shape

    def _map(self, kind: tuple[np.dtype[Any], Shape]) -> None:
        dtype, shape = kind
        sample = self._sample(shape)
        size = math.prod(sample) * dtype.itemsize
        places: list[tuple[str, int, int]] = []
        rows = 0
        self._held_up = False
        for row, block in self._blocks:
            if self._is_awaited(block) and not self.settled:
                self._held_up = True
                break
            if row > rows:
                places.append(("/dev/null", 0, (row - rows) * size))
            places += [self._place(one, number, size, block) for one, number in block.pictures]
            rows = row + 1
        group = self.place.group
        self.place.replace(create_raw(group, dtype, (rows, *sample), places))

    def _place(self, path: str, number: int, size: int, block: FileBlock) -> tuple[str, int, int]:
        size //= len(block.pictures)
        if number >= self._there.get(path, 0):
            return "/dev/null", 0, size
        return path, self._pages[path][number].offset, size

    def _copy_rows(self, kind: tuple[np.dtype[Any], Shape], spaces: Spaces) -> None:
        sample = self._sample(kind[1])
        stream = self._begun(kind[0], sample, fill_of(kind[0]))
        self._held_up = False
        copied = 0
        while self._blocks:
            row, block = self._blocks[0]
            awaited = self._is_awaited(block)
            if awaited and not self.settled:
                self._held_up = True
                return
            if copied > _COPIED_AT_ONCE:
                self._due = True
                return
            values = None if awaited else self._values(block, sample)
            if values is None:
                stream.leave_out(row + 1 - stream.length)
            else:
                stream.append(row, [values])
                copied += values.nbytes
            stream.write(spaces)
            self._blocks.popleft()

    def _values(self, block: FileBlock, sample: Shape) -> Array | None:
        """The values of a point; None when they cannot be read, though they could be before."""
        found = []
        shape = sample[1:] if len(block.pictures) > 1 else sample
        for path, number in block.pictures:
            if path in self._bad:
                return None
            try:
                found.append(self._read(path, number).reshape(shape))
            except (OSError, LookupError, ValueError, DatasetError) as error:
                self._give_up_file(path, f"{path} can be read no longer: {error}")
                return None
        return np.array(found).reshape(1, *sample)

    def _read(self, path: str, number: int) -> Array:
        if path not in self._odd:
            if self._newest[0] != path or len(self._newest[1]) <= number:
                self._newest = path, plain_pages(path)
            return read_plain(path, self._newest[1][number])
        (picture,) = islice(fabio_pictures(path), number, number + 1)
        return picture

    def _refer(self, spaces: Spaces) -> None:
        """Texts have as many axes as pictures, so that what was said of these holds."""
        axes = len(self._kind[1]) if self._kind else len(self._node.sample)
        each = len(self._blocks[0][1].pictures)
        axes -= self._kind is None and each > 1
        sample = self._sample((1,) * max(0, axes))
        stream = self._begun(TEXT, sample, None)
        for row, block in self._blocks:
            if row < stream.length:
                continue
            texts = np.array([_reference(self.place, *one) for one in block.pictures], object)
            stream.append(row, [texts.reshape(1, *sample)])
        stream.write(spaces)

    def _begun(self, dtype: np.dtype[Any], sample: Shape, fill: float | None) -> Stream:
        if self._stream is None:
            chunks = (_REFERENCE_CHUNK, *sample) if dtype is TEXT else ()
            node = StreamDataset(self._node.channel, dtype, sample, chunks=chunks, fill=fill)
            dataset = self._recipes.create(self.place.group, node)
            self.place.replace(dataset)
            self._stream = Stream(self.place.path, dataset, node, 0)
        return self._stream


def _reference(place: Place, path: str, number: int) -> str:
    return f"{path}::{number}" if number else path
