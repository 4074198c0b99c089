"""What faces (command line, Tango, web) may know: immutable snapshots on a board.

Writers put snapshots up, faces read them: neither ever waits for the other, for HDF5 or for Redis.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class StateChange:
    """A scan writer came into a state."""

    state: ScanState
    time: datetime
    """When; with a time zone."""
    reason: str
    """Why, for people."""


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
    fewest_points: int = 0
    most_points: int = 0
    """Points written, over the channels that have any."""
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


class StatusBoard:
    """The newest snapshot of each scan, in the order in which the scans were announced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scans: dict[ScanKey, ScanStatus] = {}

    def put(self, status: ScanStatus) -> None:
        """Replace the snapshot of a scan."""
        with self._lock:
            self._scans[status.key] = status

    def get(self, key: ScanKey) -> ScanStatus | None:
        """The newest snapshot of a scan."""
        with self._lock:
            return self._scans.get(key)

    def purge(self, before: datetime) -> set[ScanKey]:
        """Take scans off the board that ended before this moment; returns their keys."""
        with self._lock:
            old = {
                key
                for key, status in self._scans.items()
                if status.ended is not None and status.ended < before
            }
            for key in old:
                del self._scans[key]
        return old

    def __iter__(self) -> Iterator[ScanStatus]:
        with self._lock:
            scans = list(self._scans.values())
        return iter(scans)

    def running(self) -> list[ScanStatus]:
        """The scans that are not over."""
        return [status for status in self if not status.state.final]
