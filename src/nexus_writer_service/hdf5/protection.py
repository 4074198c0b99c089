"""Taking the permission to write off a file while it is written.

Our own descriptor keeps its right. Programs that would open the file with mode ``w``, which
truncates before it looks at any lock, or without looking at locks, are refused by the system; those
of root are not. The journal remembers what to give back, should the writer die.
"""

import contextlib
import os
import stat
from typing import Final

from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.journal import Journal

_WRITE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class Protection:
    """Of one open file. Nothing fails because a file cannot be protected.

    Args:
        descriptor: of the file.
        journal: its journal.
        disk: how files are changed.
    """

    def __init__(self, descriptor: int, journal: Journal, disk: Disk) -> None:
        self._descriptor = descriptor
        self._journal = journal
        self._disk = disk
        self._mode: int | None = None

    def take(self, *, sync: bool) -> None:
        """Protect the file if it is ours.

        Args:
            sync: let a loss of power not forget what to give back.
        """
        with contextlib.suppress(OSError):
            status = os.fstat(self._descriptor)
            mode = stat.S_IMODE(status.st_mode)
            if status.st_uid != os.geteuid() or not mode & _WRITE:
                return
            self._journal.remember_mode(mode)
            if sync:
                self._disk.sync(self._journal.descriptor)
                self._disk.sync_folder(self._journal.path)
            self._mode = mode
            self._disk.chmod(self._descriptor, mode & ~_WRITE)

    def give_back(self) -> bool:
        """Give the file its permissions again; False when it is refused: a recovery has to."""
        if self._mode is None:
            return True
        with contextlib.suppress(OSError):
            self._disk.chmod(self._descriptor, self._mode)
        return stat.S_IMODE(os.fstat(self._descriptor).st_mode) == self._mode


def give_back(journal: Journal, path: str) -> bool:
    """Give a file the permissions that a dead writer took off; whether it did lack them.

    Args:
        journal: of the file.
        path: of the file.
    """
    with contextlib.suppress(OSError):  # only the owner may; others could write it before
        mode = journal.mode
        if mode is not None and stat.S_IMODE(os.stat(path).st_mode) == mode & ~_WRITE:
            os.chmod(path, mode)
            return True
    return False
