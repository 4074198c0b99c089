"""Who may write a file: one writer of ours, and nobody else.

Three locks, of which the kernel lets go when their process dies. On the file a *shared* one of the
kind that HDF5 takes: plain readers open freely, and HDF5 itself refuses to open the file for
writing in another process. On the journal an *exclusive* one, the claim of the one writer; no
reader ever touches a journal. And an exclusive one on a byte far beyond the end of the file, for
writers that know it by another name (a hard link, a file renamed while it is written). Not on NFS:
there all kinds of locks are one, and it would be refused while a reader is in the file.
"""

import contextlib
import errno
import fcntl
import os
import re
import struct
from pathlib import Path
from typing import Final

from nexus_writer_service.errors import FileLockedError

_NO_LOCKS: Final = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""File systems without locks: go on without."""
_FAR_BYTE: Final = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1 << 62, 1, 0)
"""A struct flock [fcntl(2)]: one byte far beyond the end of any file, for writing."""
_ONE_KIND_OF_LOCK: Final = ("nfs", "nfs4")


def lock_shared(descriptor: int, path: str) -> None:
    """Keep others from opening a file to write it.

    Raises:
        FileLockedError: somebody has it open for writing.
        OSError: it cannot be locked.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = holder(descriptor)
        who = f"process {pid}" if pid else "another process"
        raise FileLockedError(
            f"cannot open {path}: {who} has it open for writing; "
            "close it there, or save to another file"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def claim_journal(descriptor: int, path: str) -> None:
    """Be the only writer of the file at ``path``.

    Args:
        descriptor: of its journal.
        path: for messages.

    Raises:
        FileLockedError: another writer is, or this process already.
        OSError: it cannot be locked.
    """
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
        if error.errno not in _NO_LOCKS:
            raise


def claim_file(descriptor: int, path: str) -> None:
    """Be the only writer of a file, whatever its name is.

    Args:
        descriptor: of the file.
        path: for messages.

    Raises:
        FileLockedError: another writer is, or this process already.
        OSError: it cannot be locked.
    """
    if _file_system(descriptor) in _ONE_KIND_OF_LOCK:
        return
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FAR_BYTE)
    except BlockingIOError as error:
        raise FileLockedError(
            f"cannot open {path}: another NeXus writer is writing the file, under another name; "
            "use one name only, or stop the other one"
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


def holder(descriptor: int) -> int | None:
    """Process that holds an exclusive lock on an open file, as far as this host knows."""
    inode = os.fstat(descriptor).st_ino
    with contextlib.suppress(OSError):  # no /proc: only the pid is missing
        locks = Path("/proc/locks").read_text(encoding="ascii")
        if match := re.search(rf"FLOCK +ADVISORY +WRITE +(\d+) \w+:\w+:{inode} ", locks):
            return int(match[1])
    return None
