"""How much room is left, asked in a thread of its own because a stalled disk may never answer."""

import logging
import os
import threading
from collections.abc import Callable

from nexus_writer_service.errors import DiskSpaceError

_log = logging.getLogger(__name__)

MEGABYTE = 1 << 20
_PERIOD = 3.0
"""Seconds between two looks at the same directory."""
_PATIENCE = 0.1
"""Seconds that a scan waits for a first answer; none in time counts as "enough"."""


def free_bytes(directory: str) -> int:
    """Bytes that this user may still write in the nearest existing parent of ``directory``.

    Raises:
        OSError: the file system does not tell.
    """
    while not os.path.exists(directory):
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        directory = parent
    facts = os.statvfs(directory)
    return facts.f_frsize * facts.f_bavail


class DiskWatch:
    """Looks at the free space of directories while scans are written into them.

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
        self._free: dict[str, int | None] = {}
        self._wake = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def check(self, path: str) -> str:
        """A warning about the disk that holds ``path``, empty when there is room.

        The answer is at most some seconds old; the first one is waited for a moment.

        Raises:
            DiskSpaceError: there is less room than required.
        """
        directory = os.path.dirname(path)
        with self._wake:
            if directory not in self._free:
                self._free[directory] = None
                self._start()
                self._wake.notify_all()
                self._wake.wait_for(lambda: self._free.get(directory) is not None, _PATIENCE)
            free = self._free.get(directory)
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

    def forget(self, path: str) -> None:
        """Look no longer at the directory of ``path``."""
        with self._wake:
            self._free.pop(os.path.dirname(path), None)

    def stop(self) -> None:
        """End the thread (at its next turn)."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="disk-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._wake:
                directories = [one for one, free in self._free.items() if free is None]
                if not directories:
                    self._wake.wait(_PERIOD)
                    directories = list(self._free)
                if self._stopped:
                    return
            for directory in directories:
                self._look(directory)

    def _look(self, directory: str) -> None:
        try:
            free = self._ask(directory)
        except OSError as error:
            _log.warning("cannot tell the free disk space of %s: %s", directory, error)
            free = max(self._required, self._recommended)
        with self._wake:
            if directory in self._free:
                self._free[directory] = free
            self._wake.notify_all()
