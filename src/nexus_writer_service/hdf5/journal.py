"""The journal beside a file: changes that are committed and may not be in the file yet.

It begins with a preamble, which says what a recovery must give back, and goes on with records
(``record.py``) that follow each other with consecutive numbers; what lies behind the last of them
is left from earlier and means nothing. Its first megabytes are reserved, so that small commits do
not fail on a full disk.

The journal's lock is the claim of the one writer; the kernel lets go of it when the process dies.
"""

import contextlib
import os
import struct
import time
from _thread import start_new_thread
from dataclasses import replace
from itertools import count, islice
from typing import Final, Self
from zlib import crc32

from nexus_writer_service.hdf5.claim import claim_journal
from nexus_writer_service.hdf5.disk import MOST_PIECES, Disk
from nexus_writer_service.hdf5.record import MAGIC, Record, decode, encode

_PREAMBLE: Final = struct.Struct("<8sII")
"""Magic, checksum of the rest, permission bits of the file before it was protected."""
_PREAMBLE_MAGIC: Final = b"NXJPRE01"
START: Final = 512
"""Where the first record is: in another sector than the preamble."""
_RESERVE: Final = 4 << 20
"""Bytes reserved on the disk: the changes of a commit of a thousand datasets are about half."""
MOST: Final = 64 << 20
"""Bytes above which readers cannot keep commits in the journal, and to which it shrinks."""
_NO_RECORD: Final = bytes(len(MAGIC))


def journal_path(path: str) -> str:
    """Where the journal of a file is; the same for all symbolic links to the file."""
    folder, name = os.path.split(os.path.realpath(path))
    return os.path.join(folder, f".{name}.nxj")


class Journal:
    """The journal of a file that is being written or recovered, with its lock.

    Raises of all methods: OSError.
    """

    def __init__(self, path: str, descriptor: int, disk: Disk) -> None:
        self.path = path
        self.descriptor = descriptor
        self.nbytes = 0
        """Length of the records that count."""
        self._size = 0
        """Up to where it was written."""
        self._disk = disk
        self._number = time.time_ns()  # beyond all numbers that earlier writers left behind

    @classmethod
    def acquire(cls, path: str, disk: Disk, *, locks: bool = True) -> Self:
        """The journal of the file at ``path``, made when missing; with whatever is in it.

        Args:
            path: of the file.
            disk: how files are changed.
            locks: whether to lock it; without, nothing keeps a second writer out.

        Raises:
            FileLockedError: another process or this one is writing the file.
            OSError: it cannot be made or opened.
        """
        place = journal_path(path)
        while True:
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                if locks:
                    claim_journal(descriptor, path)
                # Who closes a file removes its journal: the lock may be on one that is gone.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), os.stat(place)):
                        return cls(place, descriptor, disk)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def reserve(self) -> None:
        """Make room for small commits, if the disk has it."""
        with contextlib.suppress(OSError):
            self._disk.reserve(self.descriptor, START + _RESERVE)

    # -------------------------------------------------------------------------- preamble

    @property
    def mode(self) -> int | None:
        """Permission bits that the file had before its writer protected it, if it did."""
        data = os.pread(self.descriptor, _PREAMBLE.size, 0)
        if len(data) < _PREAMBLE.size:
            return None
        magic, checksum, mode = _PREAMBLE.unpack(data)
        whole = magic == _PREAMBLE_MAGIC and checksum == crc32(data[-4:])
        return int(mode) if whole else None

    def remember_mode(self, mode: int) -> None:
        """Keep the permission bits of the file for a recovery."""
        checksum = crc32(mode.to_bytes(4, "little"))
        self._disk.write(
            "preamble",
            self.descriptor,
            [_PREAMBLE.pack(_PREAMBLE_MAGIC, checksum, mode)],
            0,
        )

    # --------------------------------------------------------------------------- records

    def records(self) -> list[Record]:
        """What an earlier writer left."""
        size = os.fstat(self.descriptor).st_size
        return list(decode(_read(self.descriptor, START, size)))

    def append(self, record: Record, *, sync: bool = False) -> None:
        """Write a record behind those that count; when that fails, it is as if never tried.

        Args:
            record: its number is that of this journal, whatever it says.
            sync: make it outlast a loss of power.
        """
        pieces = iter(encode(replace(record, number=self._number + 1)))
        address = START + self.nbytes
        try:
            while part := list(islice(pieces, MOST_PIECES)):
                self._disk.write("journal", self.descriptor, part, address)
                address += sum(map(len, part))
            if sync:
                self._disk.sync(self.descriptor)
        except OSError:
            self._void(sync=sync)
            raise
        self.nbytes = address - START
        self._size = max(self._size, self.nbytes)
        self._number += 1

    def _void(self, *, sync: bool) -> None:
        """Let nothing count behind the records that do.

        What failed may have been written all the same, and must not be believed once HDF5 has
        gone on from there.
        """
        try:
            self._disk.write("clear", self.descriptor, [_NO_RECORD], START + self.nbytes)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.truncate(self.descriptor, START + self.nbytes)
        if sync:
            with contextlib.suppress(OSError):
                self._disk.sync(self.descriptor)

    def rewind(self) -> None:
        """No record is needed any more; the next one takes the place of the first."""
        self.nbytes = 0
        if self._size > MOST:
            self._disk.truncate(self.descriptor, START + _RESERVE)
            self._size = 0

    def clear(self) -> None:
        """Make the records void, also for a recovery."""
        self._disk.write("clear", self.descriptor, [_NO_RECORD], START)
        self.nbytes = 0

    # ------------------------------------------------------------------------------- end

    def set_aside(self) -> str:
        """Give it a name that nothing has; returns the new path. Then ``leave`` it."""
        for number in count(1):
            other = f"{self.path}.refused-{number}"
            try:
                os.close(os.open(other, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            except FileExistsError:
                continue
            os.replace(self.path, other)
            return other
        raise AssertionError("no number is free")

    def remove(self) -> None:
        """Remove it and let go of the lock."""
        try:
            self._disk.unlink(self.path)
        except OSError:
            os.close(self.descriptor)
            raise
        _close_aside(self.descriptor)

    def leave(self) -> None:
        """Let go of the lock; the records stay for a recovery."""
        os.close(self.descriptor)


def _close_aside(descriptor: int) -> None:
    """Close a file that has no name any more: the disk takes milliseconds to free its blocks."""
    try:
        start_new_thread(os.close, (descriptor,))  # ``Thread`` would wait until it runs
    except RuntimeError:  # the interpreter is ending
        os.close(descriptor)


def _read(descriptor: int, start: int, stop: int) -> bytes:
    parts = []
    while start < stop and (part := os.pread(descriptor, stop - start, start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)
