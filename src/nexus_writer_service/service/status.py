"""What faces (command line, Tango, web) may know: immutable snapshots on a board.

Writers put snapshots up, faces read them: neither ever waits for the other, for HDF5 or for Redis.
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Verdict

T = TypeVar("T")

_MOST_FOLDERS = 1000
"""Folders that are remembered."""
PURGE_AFTER = timedelta(minutes=5)
"""How long a scan that is over stays on the board [seed 000]."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A scan writer came into a state."""

    state: ScanState
    time: datetime
    """When; with a time zone."""
    reason: str
    """Why, for people."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Points of one subscan that are written."""

    subscan: str
    """Name of its top master; empty where the scan does not say."""
    fewest: int
    """Of the channel that has the fewest; 0 when one has none yet."""
    most: int
    """Of the channel that has the most."""


@dataclass(frozen=True, slots=True)
class ScanStatus:
    """A scan writer at one moment."""

    key: ScanKey
    name: str
    session: str
    state: ScanState
    reason: str
    """Why it is in this state, for people."""
    started: datetime
    """When the writer learned of the scan."""
    ended: datetime | None = None
    file: str | None = None
    entries: tuple[str, ...] = ()
    fault: str | None = None
    """What is being lost while the rest goes on being written; None when all is well."""
    halted: str | None = None
    """Why nothing of the scan reaches the file at the moment; None while it does."""
    progress: tuple[Progress, ...] = ()
    """Of each subscan, in their order."""
    acquired: tuple[str | None, str | None] = (None, None)
    """When the acquisition began and ended, as it says itself: ISO 8601."""
    nbytes: int = 0
    warnings: tuple[str, ...] = ()
    verdict: Verdict | None = None
    """Known when the scan is over."""
    states: tuple[StateChange, ...] = ()
    """All states so far, in order, with the present one."""
    over: bool = False
    """The writer has let go of the file."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the entries are, ``/data/file.h5::/4.1``."""
        return tuple(f"{self.file}::/{entry}" for entry in self.entries)

    @property
    def fewest_points(self) -> int:
        """Points written of the channel that has the fewest."""
        return min((one.fewest for one in self.progress), default=0)

    @property
    def most_points(self) -> int:
        """Points written of the channel that has the most."""
        return max((one.most for one in self.progress), default=0)


class StatusBoard:
    """The newest snapshot of each scan, in the order in which the scans were announced.

    To put a snapshot up, to find one by name and to see what is running costs the same however many
    scans there are: these are done for each question of BLISS, and thousands of short scans can be
    on the board.
    """

    def __init__(self) -> None:
        self._scans: dict[ScanKey, ScanStatus] = {}
        self._folders: dict[str, None] = {}
        self._named: dict[str, dict[ScanKey, None]] = {}
        """Keys of the scans of each name, in order of announcement."""
        self._running: dict[ScanKey, None] = {}
        self._ended: dict[ScanKey, datetime] = {}
        """When scans ended, in order of their ends."""
        self._changed = threading.Condition()
        self.changes = 0
        """Grows with each change."""

    def put(self, status: ScanStatus) -> None:
        """Replace the snapshot of a scan."""
        key = status.key
        with self._changed:
            self._scans[key] = status
            self._named.setdefault(status.name, {})[key] = None
            if not status.state.final:
                self._running[key] = None
                self._ended.pop(key, None)
            else:
                self._running.pop(key, None)
                if status.ended is not None:
                    self._ended.setdefault(key, status.ended)
            self.remember(status.file)
            self.touch()

    def remember(self, file: str | None) -> None:
        """Note that a scan is, or was, saved in this file."""
        if file and os.path.isabs(file):
            folder = os.path.dirname(file)
            with self._changed:
                self._folders.pop(folder, None)
                self._folders[folder] = None
                if len(self._folders) > _MOST_FOLDERS:
                    del self._folders[next(iter(self._folders))]

    @property
    def folders(self) -> list[str]:
        """The folders in which scans were saved, also purged ones; the newest last."""
        with self._changed:
            return list(self._folders)

    def touch(self) -> None:
        """Let who waits here look again."""
        with self._changed:
            self.changes += 1
            self._changed.notify_all()

    def get(self, key: ScanKey) -> ScanStatus | None:
        """The newest snapshot of a scan."""
        with self._changed:
            return self._scans.get(key)

    def find(self, name: str) -> ScanStatus | None:
        """The scan of this name, or with this key.

        Of several, which are in different files, the newest that is not over, else the newest.
        """
        with self._changed:
            keys = self._named.get(name, {})
            running = (key for key in reversed(keys) if key in self._running)
            key = next(running, None) or next(reversed(keys), ScanKey(name))
            return self._scans.get(key)

    def wait_for(self, condition: Callable[[], T], timeout: float) -> T:
        """The first truthy value of ``condition``, asked again with each change; else the last one.

        Args:
            condition: may look at the board.
            timeout: seconds.
        """
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def purge(self, before: datetime) -> set[ScanKey]:
        """Take scans off the board that ended before this moment; returns their keys."""
        with self._changed:
            old = set(itertools.takewhile(lambda key: self._ended[key] < before, self._ended))
            for key in old:
                del self._ended[key]
                name = self._scans.pop(key).name
                del self._named[name][key]
                if not self._named[name]:
                    del self._named[name]
            if old:
                self.touch()
        return old

    def __iter__(self) -> Iterator[ScanStatus]:
        with self._changed:
            scans = list(self._scans.values())
        return iter(scans)

    def running(self) -> list[ScanStatus]:
        """The scans that are not over, in order of announcement."""
        with self._changed:
            return [self._scans[key] for key in self._running]
