"""Where the numbers are in TIFF and NumPy files, for those that hold them plainly.

TIFF 6.0 and BigTIFF: the directory of each page says where its strips are. NumPy: the header says
it all. What is not complete yet is not an error but "not yet".
"""

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.values import Array
from nexus_writer_service.model.description import Shape

_MOST_PAGES: Final = 100_000
_MOST_VALUES: Final = 1 << 20
"""Values of one entry of a directory: more make no sense."""
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _SAMPLES = 256, 257, 258, 259, 273, 277
_COUNTS, _PLANAR, _TILES, _FORMAT = 279, 284, 322, 339
_NUMBERS: Final = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of entries that are of interest."""
_KINDS: Final = {1: "u", 2: "i", 3: "f"}


@dataclass(frozen=True, slots=True)
class Page:
    """One array of numbers in a file."""

    offset: int
    """Of its first byte."""
    dtype: np.dtype[Any]
    """With the byte order that it has in the file."""
    shape: Shape

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


class OddPictureError(DatasetError):
    """The file does not hold its numbers plainly, one after the other."""


def plain_pages(path: str) -> list[Page]:
    """The arrays of a TIFF or NumPy file, in order; none while it is not complete.

    Raises:
        OddPictureError: it is of another kind, compressed, in tiles, in pieces, or odd.
    """
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            magic = file.read(8)
            if len(magic) < 8 or not any(magic):
                return []
            if magic.startswith(b"\x93NUMPY"):
                found = [_numpy_page(file)]
            elif magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                found = list(_tiff_pages(file, magic))
            else:
                raise OddPictureError(f"{path} is neither a TIFF nor a NumPy file")
    except OddPictureError as error:
        raise OddPictureError(
            f"{path}: {error}" if path not in str(error) else str(error)
        ) from error
    except (OSError, struct.error, EOFError):
        return []  # it ends within what it speaks of, or is not there: it is still being written
    return found if all(page.offset + page.nbytes <= size for page in found) else []


def read_plain(path: str, page: Page) -> Array:
    """The numbers of a page, in this machine's byte order.

    Raises:
        OSError: the file cannot be read.
    """
    stored = np.fromfile(path, page.dtype, math.prod(page.shape), offset=page.offset)
    return stored.reshape(page.shape).astype(page.dtype.newbyteorder("="), copy=False)


def _numpy_page(file: BinaryIO) -> Page:
    file.seek(0)
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
    except ValueError as error:
        if "EOF" in str(error):
            raise EOFError from error
        raise OddPictureError(f"not a NumPy file that is understood: {error}") from error
    if dtype.kind not in "biufc":
        raise OddPictureError(f"it holds {dtype}, which are no numbers")
    if fortran and len(shape) > 1:
        raise OddPictureError("its array is in Fortran's order")
    return Page(file.tell(), dtype, shape)


def _tiff_pages(file: BinaryIO, magic: bytes) -> Iterator[Page]:
    order = "<" if magic.startswith(b"I") else ">"
    big = b"+" in magic[2:4]
    if big:
        (place,) = struct.unpack(order + "Q", _exactly(file, 8, 8))
    else:
        (place,) = struct.unpack(order + "I", magic[4:8])
    if not place:
        raise EOFError  # the directory is written last
    seen: set[int] = set()
    while place:
        if place in seen or len(seen) >= _MOST_PAGES:
            raise OddPictureError("its pages have no end")
        seen.add(place)
        entries, place = _directory(file, place, order, big=big)
        yield _page(entries, order)


def _directory(
    file: BinaryIO, place: int, order: str, *, big: bool
) -> tuple[dict[int, tuple[int, ...]], int]:
    """The entries of a page that are whole numbers, and where the next page's are."""
    count_format, entry_format, next_format = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    step = struct.calcsize(order + entry_format)
    (count,) = struct.unpack(order + count_format, _exactly(file, place, 8 if big else 2))
    if count > _MOST_VALUES:
        raise OddPictureError("its directory makes no sense")
    place += 8 if big else 2
    block = _exactly(file, place, count * step)
    found: dict[int, tuple[int, ...]] = {}
    for tag, kind, number, inline in struct.iter_unpack(order + entry_format, block):
        letter = _NUMBERS.get(kind)
        if letter is None or tag not in _WANTED:
            continue
        if number > _MOST_VALUES:
            raise OddPictureError("its directory makes no sense")
        size = number * struct.calcsize("=" + letter)
        values = inline[:size]
        if size > len(inline):
            (where,) = struct.unpack(order + next_format, inline)
            values = _exactly(file, where, size)
        found[tag] = struct.unpack(f"{order}{number}{letter}", values)
    following = _exactly(file, place + len(block), 8 if big else 4)
    return found, struct.unpack(order + next_format, following)[0]


_WANTED: Final = (
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _SAMPLES),
    *(_COUNTS, _PLANAR, _TILES, _FORMAT),
)


def _page(entries: dict[int, tuple[int, ...]], order: str) -> Page:
    def one(tag: int, default: int) -> int:
        values = set(entries.get(tag, (default,)))
        if len(values) != 1:
            raise OddPictureError("its samples are not of one type")
        return values.pop()

    if one(_COMPRESSION, 1) != 1:
        raise OddPictureError("it is compressed")
    if _TILES in entries or _STRIPS not in entries or _COUNTS not in entries:
        raise OddPictureError("it is not made of strips")
    samples, bits, kind = one(_SAMPLES, 1), one(_BITS, 1), _KINDS.get(one(_FORMAT, 1))
    if kind is None or bits not in (8, 16, 32, 64) or (kind == "f" and bits == 8):
        raise OddPictureError(f"its samples of {bits} bits are no numbers as machines have them")
    if samples > 1 and one(_PLANAR, 1) != 1:
        raise OddPictureError("its samples are apart")
    height, width = one(_HEIGHT, 0), one(_WIDTH, 0)
    shape = (height, width, samples) if samples > 1 else (height, width)
    page = Page(entries[_STRIPS][0], np.dtype(f"{order}{kind}{bits // 8}"), shape)
    place = page.offset
    for offset, count in zip(entries[_STRIPS], entries[_COUNTS], strict=False):
        if offset != place:
            raise OddPictureError("it is in pieces")
        place += count
    if place - page.offset != page.nbytes or not page.nbytes:
        raise OddPictureError("its size is not that of its strips")
    return page


def _exactly(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    found = file.read(size)
    if len(found) < size:
        raise EOFError
    return found
