"""A file whose commits are atomic, as the file object of h5py's ``fileobj`` driver.

HDF5 writes where and when it likes; between two commits nothing of it may show. So:

I1. Bytes below the committed end change only while a complete record in the journal says how.
I2. Nothing committed refers to bytes beyond the committed end, so these are written at any time:
    large blocks at once, small ones together, and all before the record.
I3. The file never shrinks before it is closed, and is long enough before anything refers to it.
I4. ``write`` and ``truncate`` never fail: HDF5 does not survive that. What the disk does not take
    stays in memory, and the next commit tells.

A kill at any moment leaves the file as of a commit, or ``recovery`` makes it so from the journal.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any, Final

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.disk import MOST_PIECES, Disk
from nexus_writer_service.hdf5.extents import Extents
from nexus_writer_service.hdf5.journal import MOST, Journal
from nexus_writer_service.hdf5.lease import Lease
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.protection import Protection
from nexus_writer_service.hdf5.record import HEAD, Record, seals_of

_RETRY: Final = 0.005
_SMALL: Final = 128 << 10
"""Bytes of a new block below which it waits for others: HDF5 writes metadata in blocks of some
hundred bytes, small chunks one by one; each would cost a call of the system, and another thread of
Python in between."""
_MOST_SMALL: Final = 1 << 20
"""Bytes of such blocks that wait."""


class JournaledFile:
    """An open file; one thread. The journal and the descriptor are its own from here on.

    Args:
        descriptor: the only one of this process for the file, or no lease is ever granted.
        journal: with nothing in it.
        options: how it is kept safe.
        disk: how files are changed.
        clock: seconds since some moment.
    """

    def __init__(
        self,
        descriptor: int,
        journal: Journal,
        *,
        options: FileOptions | None = None,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descriptor = descriptor
        self._journal = journal
        self._options = options or FileOptions()
        self._sync = self._options.durability == "power"
        self._disk = disk or Disk()
        self._clock = clock
        self._lease = Lease(descriptor, wanted=self._options.leases)
        self._protection = Protection(descriptor, journal, self._disk)
        self._size = os.fstat(descriptor).st_size
        """Of the file on the disk."""
        self._committed = self._size
        """Where the last commit ends."""
        self._guarded = self._size
        """Bytes below belong to a commit that readers may see."""
        self._end = self._size
        """Where HDF5 believes that the file ends."""
        self._position = 0
        self._changed = Extents()
        """Below ``_guarded``, not committed."""
        self._new = Extents()
        """Beyond, not on the disk yet."""
        self._refused = False
        """The disk did not take new bytes: it is asked again at the next commit."""
        self._pending = Extents()
        """Committed, in the journal, not in the file."""
        self._pending_since: float | None = None
        self._head = b""
        """How the file begins on the disk, as we left it."""
        self._look_at_head()
        journal.reserve()
        if self._sync:
            self._disk.sync_folder(journal.path)

    # ------------------------------------------------------------------- what HDF5 calls

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; returns its address."""
        if whence == os.SEEK_SET:
            self._position = offset
        else:
            self._position = offset + (self._end if whence == os.SEEK_END else self._position)
        return self._position

    def tell(self) -> int:
        """Address of the place."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer of bytes; zero beyond the end."""
        address = self._position
        size = len(buffer)
        self._position = address + size
        done = os.preadv(self._descriptor, [buffer], address)
        if done < size:
            view = memoryview(buffer)
            while done < size:
                count = os.preadv(self._descriptor, [view[done:]], address + done)
                if not count:
                    view[done:] = bytes(size - done)
                    break
                done += count
        if self._pending:
            self._pending.patch(memoryview(buffer), address)
        if address + size > self._guarded and self._new:
            self._new.patch(memoryview(buffer), address)
        if self._changed:
            self._changed.patch(memoryview(buffer), address)
        return size

    def read(self, size: int = -1) -> bytes:
        """Bytes from here; to the end by default."""
        buffer = bytearray(max(0, self._end - self._position) if size < 0 else size)
        self.readinto(buffer)
        return bytes(buffer)

    def write(self, data: Any) -> int:
        """Take bytes."""
        address = self._position
        size = len(data)
        self._position = stop = address + size
        self._end = max(self._end, stop)
        guarded = self._guarded
        if stop <= guarded:
            self._changed.put(address, bytes(data))
        elif 0 < guarded <= address:  # nearly always
            if size < _SMALL and self._new.nbytes < _MOST_SMALL:
                self._new.put(address, bytes(data))
            else:
                self._write_new(address, data)
        else:
            # A new file shows nothing before its first commit, so that a kill leaves it empty.
            below = guarded - address if guarded else size
            view = memoryview(data)
            self._changed.put(address, bytes(view[:below]))
            if below < size:
                self._write_new(address + below, view[below:])
        return size

    def _write_new(self, address: int, data: Any) -> None:
        large = len(data) >= _SMALL
        if (large or self._new.nbytes >= _MOST_SMALL) and not self._refused:
            try:
                self._bring_new()  # before the large one, which may cover some of them
                if large:
                    self._disk.write("data", self._descriptor, [data], address)
                    self._size = max(self._size, address + len(data))
                    return
            except OSError:
                self._refused = True
                self._size = os.fstat(self._descriptor).st_size
        self._new.put(address, bytes(data))

    def _bring_new(self) -> None:
        self._refused = bool(self._new)  # until all is on the disk
        for address, pieces in self._new.pieces(MOST_PIECES):
            self._disk.write("data", self._descriptor, pieces, address)
            self._size = max(self._size, address + sum(map(len, pieces)))
        self._new.clear()
        self._refused = False

    def truncate(self, size: int | None = None) -> int:
        """Say where the file ends."""
        self._end = self._position if size is None else size
        self._changed.cut(self._end)
        self._new.cut(self._end)
        return self._end

    def flush(self) -> None:
        """Do nothing: HDF5 calls it at moments when the file is not whole."""

    # ------------------------------------------------------------------------- commits

    @property
    def stranded_bytes(self) -> int:
        """Memory held by new bytes that the disk did not take."""
        return self._new.nbytes if self._refused else 0

    def commit(self) -> None:
        """Make what HDF5 has just flushed the state that counts.

        Raises:
            OSError: the disk does not take it. The last commit still counts, nothing is lost, and
                the next commit tries again.
            FileError: somebody else wrote the file.
        """
        if self._changed or self._end != self._committed:
            self._check_head()
            self._make_room()
            if self._sync:
                self._disk.sync(self._descriptor)
            if self._pending_since is None:
                self._journal.rewind()  # all in it is in the file, and synchronized if need be
            if self._changed:
                self._record()
            self._committed = self._end
            if self._pending_since is None:
                self._guarded = self._committed
            else:  # what readers see until it is applied stays as it is, also beyond the new end
                self._guarded = max(self._guarded, self._committed)
        self.poll()

    def _make_room(self) -> None:
        """Bring the file to its length, with all bytes beyond the committed end."""
        self._bring_new()
        self._size = os.fstat(self._descriptor).st_size
        if self._committed:  # a file without a commit must stay empty until its first record
            self._lengthen(self._end)

    def _lengthen(self, size: int) -> None:
        if self._size < size:
            self._disk.truncate(self._descriptor, size)
            self._size = size

    def _record(self) -> None:
        runs = self._changed.runs()
        known: tuple[bytes, tuple[bytes, ...]] = (b"", ())
        if self._pending_since is None:
            known = self._head, seals_of(runs, self._descriptor)
        record = Record(0, self._committed, self._end, tuple(runs), *known)
        self._journal.append(record, sync=self._sync)
        for address, data in runs:
            self._pending.put(address, data)
        self._changed.clear()
        if self._pending_since is None:
            self._pending_since = self._clock()

    @property
    def pending(self) -> bool:
        """Whether there are commits that do not show yet."""
        return self._pending_since is not None

    def poll(self) -> None:
        """Let the commits show that wait for readers to leave, if these did or stay too long.

        Raises:
            OSError: the disk does not take them. They stay committed.
            FileError: somebody else wrote the file. They stay in the journal.
        """
        if self._pending_since is None:
            return
        late = self._clock() - self._pending_since >= self._options.reader_patience
        full = self._journal.nbytes > MOST
        with self._lease.taken() as readers_are_out:
            if readers_are_out or late or full:
                self._apply()

    def _apply(self) -> None:
        self._check_head()
        self._lengthen(self._committed)
        try:
            for address, data in self._pending:
                self._disk.write("apply", self._descriptor, [data], address)
            if not self._sync:
                self._journal.clear()
            # Else the record stays until the next commit has synchronized the file: to replay it
            # again does no harm.
        except OSError:
            self._look_at_head()
            raise
        self._pending.clear()
        self._pending_since = None
        if not self._changed:  # else what HDF5 wrote up to there would be in two places
            self._guarded = self._committed
        self._look_at_head()

    def _check_head(self) -> None:
        if os.pread(self._descriptor, len(self._head), 0) != self._head:
            raise FileError(
                f"another program wrote into the file of {self._journal.path}, without regard to "
                "locks: it may be damaged. Nothing more is committed to it; commits that it does "
                "not show yet are kept in that journal. Stop that program and check the file"
            )

    def _look_at_head(self) -> None:
        """Remember what we wrote, to notice if another does."""
        self._head = os.pread(self._descriptor, min(HEAD, self._guarded), 0)

    def protect(self) -> None:
        """Take the permission to write off the file until it is closed, if that is wanted."""
        if self._options.protect:
            self._protection.take(sync=self._sync)

    def close(self) -> None:
        """Let all commits show, give back what was not committed, and remove the journal.

        Call after HDF5 has closed the file. Waits for readers to leave, for as long as they can
        keep a commit from showing (``FileOptions.reader_patience``); loses no commit.

        Raises:
            OSError: the disk does not take the commits; they stay in the journal.
            FileError: somebody else wrote the file; they stay in the journal.
        """
        try:
            self.poll()
            while self._pending_since is not None:
                time.sleep(_RETRY)
                self.poll()
            self._check_head()
            if os.fstat(self._descriptor).st_size != self._committed:
                self._disk.truncate(self._descriptor, self._committed)
            if self._sync:
                self._disk.sync(self._descriptor)
        except (OSError, FileError):
            self._protection.give_back()
            self._journal.leave()
            raise
        else:
            if not self._protection.give_back():
                self._journal.leave()  # it knows the permissions
                return
            self._journal.remove()
            if self._sync:
                self._disk.sync_folder(self._journal.path)
        finally:
            os.close(self._descriptor)

    def abandon(self) -> None:
        """Close without a change: HDF5 does not take the file, or the disk its first commit.

        A commit that the disk did not take stays in the journal.
        """
        given_back = self._protection.give_back()
        os.close(self._descriptor)
        with contextlib.suppress(OSError):
            if self.pending or not given_back:  # half of it may be in the file
                self._journal.leave()
            else:
                self._journal.remove()
