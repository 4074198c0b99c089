"""The journal beside a file: changes that are committed and may not be in the file yet.

A record holds all bytes that one commit changes below the end that the file had before. It counts
once it is complete, which its checksum tells. Records follow each other with consecutive numbers;
what lies behind the last of them is left from earlier and means nothing.

The journal's lock is the claim of the one writer; the kernel lets go of it when the process dies.
"""

import contextlib
import errno
import fcntl
import os
import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Final, Self
from zlib import crc32

from nexus_writer_service.errors import FileLockedError
from nexus_writer_service.hdf5.disk import Disk

NO_LOCKS: Final = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""File systems without locks: go on without."""

_MAGIC: Final = b"NXJRNL02"
_HEADER: Final = struct.Struct("<8sIQQQQQQ")
"""Magic, checksum of all the rest, number, inode, end before, end after, extents, their bytes."""
_EXTENT: Final = struct.Struct("<QQ")
_MOST_PIECES: Final = 1000
_NO_RECORD: Final = bytes(len(_MAGIC))


@dataclass(frozen=True)
class Record:
    """One commit: what it changes below the end of the file, and where the file ends then."""

    number: int
    inode: int
    """Of the file that it belongs to."""
    before: int
    """Where the file ended; bytes beyond are in the file already."""
    after: int
    """Where the file ends."""
    extents: tuple[tuple[int, bytes], ...]
    """Addresses and bytes, sorted and without overlaps."""


def journal_path(path: str) -> str:
    """Where the journal of a file is; the same for all symbolic links to the file."""
    folder, name = os.path.split(os.path.realpath(path))
    return os.path.join(folder, f".{name}.nxj")


def encode(record: Record) -> list[bytes]:
    """The bytes of a record, in pieces: header, table of extents, then their bytes."""
    pieces = [data for _, data in record.extents]
    table = b"".join(_EXTENT.pack(address, len(data)) for address, data in record.extents)
    length = sum(map(len, pieces))
    head = _head(record, 0, len(pieces), length)
    checksum = crc32(table, crc32(head))
    for piece in pieces:
        checksum = crc32(piece, checksum)
    return [_head(record, checksum, len(pieces), length), table, *pieces]


def _head(record: Record, checksum: int, count: int, length: int) -> bytes:
    return _HEADER.pack(
        _MAGIC,
        checksum,
        record.number,
        record.inode,
        record.before,
        record.after,
        count,
        length,
    )


def decode(data: bytes) -> Iterator[Record]:
    """The complete records at the beginning of a journal."""
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
    if len(data) < _HEADER.size or bytes(data[: len(_MAGIC)]) != _MAGIC:
        return None
    _, checksum, number, inode, before, after, count, length = _HEADER.unpack_from(data)
    table = _HEADER.size + count * _EXTENT.size
    size = table + length
    if size > len(data):
        return None
    head = _head(Record(number, inode, before, after, ()), 0, count, length)
    if crc32(data[_HEADER.size : size], crc32(head)) != checksum:
        return None
    extents = []
    start = table
    for address, nbytes in _EXTENT.iter_unpack(data[_HEADER.size : table]):
        extents.append((address, bytes(data[start : start + nbytes])))
        start += nbytes
    record = Record(number, inode, before, after, tuple(extents))
    return (record, size) if start == size and _makes_sense(record) else None


def _makes_sense(record: Record) -> bool:
    ends = [(address, address + len(data)) for address, data in record.extents]
    return all(one[1] <= other[0] for one, other in pairwise(ends)) and (
        not ends or ends[-1][1] <= max(record.before, record.after)
    )


class Journal:
    """The journal of a file that is being written or recovered, with its lock.

    Raises of all methods: OSError.
    """

    def __init__(self, path: str, descriptor: int, disk: Disk) -> None:
        self.path = path
        self.descriptor = descriptor
        self.nbytes = 0
        """Length of the records that count."""
        self._disk = disk
        self._number = time.time_ns()  # beyond all numbers that earlier writers left behind

    @classmethod
    def acquire(cls, path: str, disk: Disk) -> Self:
        """The journal of the file at ``path``, made when missing; with whatever is in it.

        Raises:
            FileLockedError: another process or this one is writing the file.
            OSError: it cannot be made or opened.
        """
        place = journal_path(path)
        while True:
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                _lock(descriptor, path)
                # Who closes a file removes its journal: the lock may be on one that is gone.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), os.stat(place)):
                        return cls(place, descriptor, disk)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def records(self) -> list[Record]:
        """What an earlier writer left."""
        size = os.fstat(self.descriptor).st_size
        return list(decode(_read(self.descriptor, size)))

    def append(self, record: Record) -> None:
        """Write a record behind those that count; when that fails, it is as if never tried."""
        address = self.nbytes
        pieces = iter(encode(record))
        try:
            while part := list(islice(pieces, _MOST_PIECES)):
                self._disk.write("journal", self.descriptor, part, address)
                address += sum(map(len, part))
        except OSError:
            with contextlib.suppress(OSError):  # an incomplete record does not count anyway
                self._disk.truncate(self.descriptor, self.nbytes)
            raise
        self.nbytes = address
        self._number = record.number

    @property
    def next_number(self) -> int:
        """Number for the next record."""
        return self._number + 1

    def rewind(self) -> None:
        """No record counts any more; the next one takes the place of the first."""
        self.nbytes = 0

    def clear(self) -> None:
        """Make the records void, also for a recovery."""
        self._disk.write("clear", self.descriptor, [_NO_RECORD], 0)
        self.nbytes = 0

    def trim(self, most: int) -> None:
        """Give back the room of a journal that was longer than ``most`` once."""
        if os.fstat(self.descriptor).st_size > most:
            self._disk.truncate(self.descriptor, 0)

    def set_aside(self) -> str:
        """Rename a journal that does not belong to the file; returns the new path."""
        other = f"{self.path}.refused"
        os.replace(self.path, other)
        os.close(self.descriptor)
        return other

    def remove(self) -> None:
        """Remove it and let go of the lock."""
        try:
            self._disk.unlink(self.path)
        finally:
            os.close(self.descriptor)

    def leave(self) -> None:
        """Let go of the lock; the records stay for a recovery."""
        os.close(self.descriptor)


def _read(descriptor: int, size: int) -> bytes:
    parts = []
    done = 0
    while done < size and (part := os.pread(descriptor, size - done, done)):
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        if holder(descriptor) == os.getpid():
            raise FileLockedError(
                f"cannot open {path}: this process has it open for writing; close it there"
            ) from error
        raise FileLockedError(
            f"cannot open {path}: another NeXus writer is writing it; only one writer can serve a "
            "session, so stop the other one"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def holder(descriptor: int) -> int | None:
    """Process that holds an exclusive lock on an open file, as far as this host knows."""
    inode = os.fstat(descriptor).st_ino
    with contextlib.suppress(OSError):  # no /proc: only the pid is missing
        locks = Path("/proc/locks").read_text(encoding="ascii")
        if match := re.search(rf"FLOCK +ADVISORY +WRITE +(\d+) \w+:\w+:{inode} ", locks):
            return int(match[1])
    return None
