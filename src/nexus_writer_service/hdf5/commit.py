"""The one place where a file is opened, committed and closed.

Today a commit is an HDF5 flush: what was written before is in the file for every reader that opens
it afterwards. A kill during the flush can still damage the file; a driver that makes commits atomic
replaces this module and nothing else.

HDF5's own locking is off, because its exclusive lock would refuse every plain reader. Instead the
writer holds two locks. A shared one of the kind that HDF5 takes: readers with default locking open
freely, and HDF5 itself refuses to open the file for writing in another process. And a claim, which
no reader knows of: the second writer of ours is refused.
"""

import contextlib
import errno
import fcntl
import os
import re
import struct
from pathlib import Path
from typing import Any, Final, Self

import h5py
from h5py import h5f, h5g, h5i

from nexus_writer_service.errors import DiskSpaceError, FileError, FileLockedError
from nexus_writer_service.hdf5.failures import FAILURES, file_error

_MARGIN: Final = 8 << 20
"""Bytes that a commit may need beside the points: indexes, headers, chunks that are not full."""
_CLAIMED: Final = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1 << 62, 1, 0)
"""A struct flock [fcntl(2)]: one byte far beyond the end of any file, for writing."""
_ONE_KIND_OF_LOCK: Final = ("nfs", "nfs4")
"""File systems where a claim would be refused while a reader is in the file."""
_NO_LOCKS: Final = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""File systems without locks: go on without."""


class CommittedFile:
    """An HDF5 file open for writing, and the lock that keeps other writers out."""

    def __init__(self, path: str, file: h5py.File, lock: int) -> None:
        self.path = path
        self._file = file
        self._lock = lock
        self._failed = False
        self.root: Any = h5g.open(file.id, b"/")

    @classmethod
    def open(cls, path: str) -> Self:
        """Open to append; creates the file and its directories when missing.

        Raises:
            FileAccessError: no right to create or change it.
            FileLockedError: another process has it open for writing, or this one already.
            DiskSpaceError: no room to create it.
            FileError: it is not an HDF5 file, or damaged.
        """
        lock = -1
        _refuse_if_open_here(path)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            _lock_shared(lock, path)
            _claim(lock, path)
            # An empty file is one whose writer died before its first commit: nothing to lose.
            mode = "r+" if os.fstat(lock).st_size else "w"
            file = h5py.File(path, mode, locking=False)
            if mode == "w":
                file.flush()  # readers find an HDF5 file from here on
        except FileError:
            os.close(lock)
            raise
        except FAILURES as error:
            if lock >= 0:
                os.close(lock)
            raise file_error(error, path, "open") from error
        return cls(path, file, lock)

    def check_room(self, nbytes: int) -> None:
        """See whether the disk takes ``nbytes`` more, with a margin for what HDF5 adds.

        Look before HDF5 does: it does not survive a disk that fills up.

        Raises:
            DiskSpaceError: it does not.
        """
        try:
            disk = os.statvfs(os.path.dirname(self.path))
        except OSError as error:
            raise file_error(error, self.path, "commit") from error
        free = disk.f_frsize * disk.f_bavail
        if free < nbytes + _MARGIN:
            raise DiskSpaceError(
                f"cannot commit {self.path}: {free >> 20} MiB are free on its disk, "
                f"{(nbytes + _MARGIN) >> 20} MiB are needed; free disk space"
            )

    def commit(self) -> None:
        """Bring everything written so far into the file.

        Raises:
            DiskSpaceError: no room.
            FileError: another failure of the disk; or a commit failed before. HDF5 may lose what it
                could not write, even when there is room again, so no later commit of this file
                succeeds: open it again and compare with the source.
        """
        try:
            h5f.flush(self._file.id, h5f.SCOPE_LOCAL)
        except FAILURES as error:
            self._failed = True
            raise file_error(error, self.path, "commit") from error
        if self._failed:
            raise _points_may_be_missing(self.path)

    def close(self) -> None:
        """Commit and close.

        Raises:
            DiskSpaceError: no room. The file then stays open inside HDF5 until the process ends,
                since HDF5 crashes when it closes a file that it cannot write.
            FileError: as for ``commit``.
        """
        try:
            h5f.flush(self._file.id, h5f.SCOPE_LOCAL)
        except FAILURES as error:
            for open_id in h5f.get_obj_ids(self._file.id, h5f.OBJ_ALL):
                h5i.inc_ref(open_id)
            raise file_error(error, self.path, "commit") from error
        else:
            failed = self._failed
            self._file.close()
        finally:
            os.close(self._lock)
        if failed:
            raise _points_may_be_missing(self.path)


def _points_may_be_missing(path: str) -> FileError:
    return FileError(
        f"points may be missing in {path}: a commit failed before, when HDF5 could not write to "
        "the disk; compare the file with what was published"
    )


def _refuse_if_open_here(path: str) -> None:
    """HDF5 shares an open file within a process, and with it what a failed commit left behind."""
    for file in h5f.get_obj_ids(h5f.OBJ_ALL, h5f.OBJ_FILE):
        if file.get_intent() & h5f.ACC_RDWR and os.fsdecode(h5f.get_name(file)) == path:
            raise FileLockedError(
                f"cannot open {path}: this process has it open for writing; close it there, or "
                "start the writer again if a full disk kept HDF5 from closing it"
            )


def _lock_shared(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileLockedError(
            f"cannot open {path}: {_holder(descriptor)} has it open for writing; "
            "close it there, or save to another file"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _claim(descriptor: int, path: str) -> None:
    """Be the only one of our writers; the kernel lets go of the claim when the process dies."""
    if _file_system(descriptor) in _ONE_KIND_OF_LOCK:
        return
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _CLAIMED)
    except BlockingIOError as error:
        raise FileLockedError(
            f"cannot open {path}: another NeXus writer is writing it; only one writer can serve a "
            "session, so stop the other one"
        ) from error
    except OSError as error:
        if error.errno not in {*_NO_LOCKS, errno.EINVAL}:
            raise


def _file_system(descriptor: int) -> str:
    """Type of the file system that holds an open file; empty where it cannot be told."""
    device = os.fstat(descriptor).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            mount, _, what = line.partition(" - ")
            if mount.split()[2] == wanted:
                return what.split()[0]
    return ""


def _holder(descriptor: int) -> str:
    """Who holds an exclusive lock, as far as this host knows."""
    inode = os.fstat(descriptor).st_ino
    with contextlib.suppress(OSError):  # no /proc: only the pid is missing
        locks = Path("/proc/locks").read_text(encoding="ascii")
        if match := re.search(rf"FLOCK +ADVISORY +WRITE +(\d+) \w+:\w+:{inode} ", locks):
            return f"process {match[1]}"
    return "another process"
