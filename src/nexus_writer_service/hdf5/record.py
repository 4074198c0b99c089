"""One commit as it stands in a journal, and whether a file is the one that it is about.

A record counts once it is complete, which its checksum tells. It fits a file whose bytes are those
that the writer left: at the places that are to change, and at the beginning, where HDF5 keeps the
superblock. Inode, name or times are not asked for: they change when a folder is moved, and stay
when a file is overwritten.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from nexus_writer_service.hdf5.disk import Bytes
from nexus_writer_service.hdf5.extents import Extents

try:
    from isal.isal_zlib import crc32  # ten times faster
except ImportError:  # no package for this platform
    from zlib import crc32

MAGIC: Final = b"NXJRNL03"
HEAD: Final = 512
"""Bytes at the beginning of a file by which it is known: the superblock and some more."""
_SEAL: Final = 256
"""Bytes at the beginning of a run by which it is known, at most."""
_HEADER: Final = struct.Struct("<8sIQQQQQII")
"""Magic, checksum of all the rest, number, end before, end after, runs, their bytes, bytes of the
head, seals."""
_Rest = tuple[int, int, int, int]
"""The last four of the header."""


@dataclass(frozen=True)
class Record:
    """One commit: what it changes below the end of the file, and where the file ends then."""

    number: int
    before: int
    """Where the file ended; bytes beyond are in the file already."""
    after: int
    """Where the file ends."""
    runs: tuple[tuple[int, Bytes], ...]
    """Addresses and bytes, sorted and without overlaps."""
    head: bytes = b""
    """How the file began: 512 bytes, or as many as counted."""
    seals: tuple[bytes, ...] = ()
    """How each run began in the file; empty, like ``head``, behind a record that is not in the
    file yet."""


def seals_of(runs: Sequence[tuple[int, Bytes]], descriptor: int) -> tuple[bytes, ...]:
    """How each run begins in an open file now."""
    pread = os.pread
    seals = []
    for address, data in runs:
        size = min(len(data), _SEAL)
        seals.append(pread(descriptor, size, address).ljust(size, b"\0"))
    return tuple(seals)


def encode(record: Record) -> list[Bytes]:
    """The bytes of a record, in pieces: header, table, head and seals in one; then the runs."""
    pieces = [data for _, data in record.runs]
    flat: list[int] = []
    for address, data in record.runs:
        flat += (address, len(data))
    body = b"".join((struct.pack(f"<{len(flat)}Q", *flat), record.head, *record.seals))
    nbytes = sum(flat[1::2])
    rest = (len(pieces), nbytes, len(record.head), len(record.seals))
    checksum = crc32(body, crc32(_header(record, 0, rest)))
    for piece in pieces:
        checksum = crc32(piece, checksum)
    return [_header(record, checksum, rest) + body, *pieces]


def _header(record: Record, checksum: int, rest: _Rest) -> bytes:
    return _HEADER.pack(MAGIC, checksum, record.number, record.before, record.after, *rest)


def decode(data: Bytes) -> Iterator[Record]:
    """The complete records at the beginning of a journal, with consecutive numbers."""
    rest = memoryview(data)
    number: int | None = None
    while found := _first_record(rest):
        record, size = found
        if number is not None and record.number != number + 1:
            return
        yield record
        number = record.number
        rest = rest[size:]


def _first_record(data: memoryview) -> tuple[Record, int] | None:
    """A record and its length in bytes; None where there is none, or not all of it."""
    if len(data) < _HEADER.size or bytes(data[: len(MAGIC)]) != MAGIC:
        return None
    _, checksum, number, before, after, *rest = _HEADER.unpack_from(data)
    count, length, head, seals_count = rest
    table = _HEADER.size + 16 * count
    if table + head + length > len(data):
        return None
    places = list(struct.iter_unpack("<QQ", data[_HEADER.size : table]))
    sizes = [min(nbytes, _SEAL) for _, nbytes in places[:seals_count]]
    size = table + head + sum(sizes) + length
    record = Record(number, before, after, ())
    checked = crc32(_header(record, 0, (count, length, head, seals_count)))
    if size > len(data) or crc32(data[_HEADER.size : size], checked) != checksum:
        return None
    start = table + head
    seals, start = _cut(data, start, sizes)
    runs, start = _cut(data, start, [nbytes for _, nbytes in places])
    record = Record(
        number,
        before,
        after,
        tuple(zip((address for address, _ in places), runs, strict=True)),
        bytes(data[table : table + head]),
        tuple(seals),
    )
    return (record, size) if start == size and _makes_sense(record) else None


def _cut(data: memoryview, start: int, sizes: Sequence[int]) -> tuple[list[bytes], int]:
    pieces = []
    for size in sizes:
        pieces.append(bytes(data[start : start + size]))
        start += size
    return pieces, start


def _makes_sense(record: Record) -> bool:
    ends = [(address, address + len(data)) for address, data in record.runs]
    return all(one[1] <= other[0] for one, other in pairwise(ends)) and (
        not ends or ends[-1][1] <= max(record.before, record.after)
    )


def fit(records: Sequence[Record], descriptor: int) -> bool:
    """Whether records, of which the first is sealed, tell how an open file goes on.

    They do when it is the one that their writer left: with none of them in it, all, or some, or
    also a part of one.
    """
    size = os.fstat(descriptor).st_size
    if any(record.before and size < max(record.before, record.after) for record in records):
        return False
    first = records[0]
    was = [(0, first.head)]
    was += [(address, seal) for (address, _), seal in zip(first.runs, first.seals, strict=False)]
    states = [was]
    written = Extents()
    for record in records:
        for address, data in record.runs:
            written.put(address, data)
        states.append([(address, _patched(seal, address, written)) for address, seal in was])
    for known in zip(*states, strict=True):
        address, seal = known[0]
        found = os.pread(descriptor, len(seal), address).ljust(len(seal), b"\0")
        if not _is_mixed_of(found, [seal for _, seal in known]):
            return False
    return True


def _patched(seal: bytes, address: int, written: Extents) -> bytes:
    buffer = bytearray(seal)
    written.patch(memoryview(buffer), address)
    return bytes(buffer)


def _is_mixed_of(found: bytes, known: Sequence[bytes]) -> bool:
    """Whether each byte is one of those at its place: a write may have been cut anywhere."""
    return found in known or all(
        byte in choice for byte, *choice in zip(found, *known, strict=True)
    )
