"""How much room is left, and whether this user may write: asked without ever waiting long."""

import logging
import os
from collections.abc import Callable

from nexus_writer_service.errors import DiskSpaceError
from nexus_writer_service.service.lookout import Lookout

_log = logging.getLogger(__name__)

MEGABYTE = 1 << 20
_PATIENCE = 0.1
"""Seconds that a scan waits for a first answer; none in time counts as "enough"."""


def free_bytes(directory: str) -> int:
    """Bytes that this user may still write in the nearest existing parent of ``directory``.

    Raises:
        OSError: the file system does not tell.
    """
    facts = os.statvfs(_existing(directory))
    return facts.f_frsize * facts.f_bavail


def writable(path: str) -> bool:
    """Whether this user may write a file, or make it and the directories that it needs.

    A file of ours that is only readable counts as writable: a writer takes the permission off its
    files while it writes them.
    """
    directory = _existing(os.path.dirname(path))
    if not os.access(directory, os.W_OK | os.X_OK):
        return False
    try:
        return os.access(path, os.W_OK) or os.stat(path).st_uid == os.geteuid()
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _existing(directory: str) -> str:
    """The directory or its nearest parent that exists."""
    while not os.path.exists(directory):
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        directory = parent
    return directory


class DiskWatch:
    """Looks at the directories into which scans are written.

    Args:
        required: bytes below which no scan is accepted; 0 or less switches the check off.
        recommended: bytes below which people are warned; 0 or less switches the check off.
        ask: tells the free bytes; replaced by a slow one in tests.
    """

    def __init__(
        self,
        required: int = 200 * MEGABYTE,
        recommended: int = 1024 * MEGABYTE,
        ask: Callable[[str], int] = free_bytes,
    ) -> None:
        self._required = required
        self._recommended = recommended
        self._ask = ask
        self._free = Lookout(self._look, "disk-watch")
        # In another thread: a file system may be slow to tell one and not the other.
        self._rights = Lookout(writable, "rights-watch")

    def check(self, path: str, patience: float = _PATIENCE) -> str:
        """A warning about the disk that holds ``path``, empty when there is room.

        The answer is at most some seconds old; the first one is waited for ``patience`` seconds.

        Raises:
            DiskSpaceError: there is less room than required.
        """
        directory = os.path.dirname(path)
        free = self._free.answer(directory, patience)
        if free is None:
            return ""
        if self._required > 0 and free < self._required:
            raise DiskSpaceError(
                f"Free disk space below {self._required // MEGABYTE} MB in {directory}: "
                "make room, or save elsewhere"
            )
        if self._recommended > 0 and free < self._recommended:
            return f"Free disk space below {self._recommended // MEGABYTE} MB in {directory}"
        return ""

    def writable(self, path: str, patience: float) -> bool:
        """Whether this user may write the file ``path``, as ``check`` answers; True if unknown."""
        return self._rights.answer(path, patience) is not False

    def stop(self) -> None:
        """End the threads (at their next turn)."""
        self._free.stop()
        self._rights.stop()

    def _look(self, directory: str) -> int:
        try:
            return self._ask(directory)
        except OSError as error:
            _log.warning("cannot tell the free disk space of %s: %s", directory, error)
            return max(self._required, self._recommended)
