"""What HDF5 and the operating system complain about, as errors of this package.

h5py raises OSError, RuntimeError, ValueError, TypeError or KeyError for the same cause, depending
on where inside HDF5 it shows; the number of the system's error is often only in the text.
"""

import errno
import os
import re
from typing import Final

from nexus_writer_service.errors import (
    DatasetError,
    DiskSpaceError,
    FileAccessError,
    FileError,
    FileLockedError,
)

FAILURES: Final = (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError)
"""Everything that h5py raises when HDF5, or a value, refuses."""

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_LOCKED: Final = {errno.EAGAIN, errno.EWOULDBLOCK}
_LONGEST_CAUSE = 300


class RefusedError(DatasetError):
    """A node cannot be written, with a message that names the path, the cause and the cure."""


def system_error(error: BaseException) -> int | None:
    """Number of the operating system's error behind ``error``; None when there is none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = re.search(r"errno = (\d+)", str(error))
    return int(match[1]) if match else None


def cause(error: BaseException) -> str:
    """One line that says why."""
    number = system_error(error)
    if number is not None:
        return os.strerror(number)
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_CAUSE else text[: _LONGEST_CAUSE - 3] + "..."


def cure(error: BaseException) -> str:
    """What a person can do about it."""
    number = system_error(error)
    if number in _NO_ROOM:
        return "free disk space, or raise the quota or file size limit"
    if number in _REFUSED:
        return "give the user of the writer the right to write there"
    if number in _LOCKED:
        return "close it in the other program"
    if number is not None:
        return "check the disk and its mount"
    if "signature not found" in str(error):
        return "it is not an HDF5 file: move it away or choose another file name"
    if "truncated file" in str(error):
        return "it is damaged: move it away or choose another file name"
    if "message is too large" in str(error):
        return "an attribute holds 64 KiB at most: make it a dataset"
    return "check the name, type and shape of what is to be written"


def file_error(error: BaseException, path: str, action: str) -> FileError:
    """The error of this package for one that came out of HDF5 or the operating system.

    Args:
        error: what was raised.
        path: file it is about.
        action: what failed, as in "cannot <action> <path>".
    """
    number = system_error(error)
    text = f"cannot {action} {path}: {cause(error)}; {cure(error)}"
    if number in _NO_ROOM:
        return DiskSpaceError(text)
    if number in _REFUSED:
        return FileAccessError(text)
    if number in _LOCKED:
        return FileLockedError(text)
    return FileError(text)
