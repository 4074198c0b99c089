"""What a session does, in a few numbers: for control systems, archivers and pages that watch."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from nexus_writer_service.model.states import ScanState
from nexus_writer_service.service.status import ScanStatus

_WINDOW = 5.0
"""Seconds over which rates are averaged."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers at one moment."""

    active_scans: int = 0
    """Scans that are not over."""
    points_per_second: float = 0.0
    """Points of scans (of the longest channel of each), averaged over some seconds."""
    nbytes: int = 0
    """Bytes of points written since the start."""
    last_error: str = ""
    """The newest reason why something was not saved, with its time; empty: nothing so far."""


class Tally:
    """Makes the numbers out of the board, looked at again and again. For one thread."""

    def __init__(self) -> None:
        self._bytes: dict[str, int] = {}
        self._points: dict[str, int] = {}
        self._errors: dict[str, str] = {}
        self._nbytes = 0
        self._total_points = 0
        self._history: deque[tuple[float, int]] = deque()
        self._last_error = ""

    def update(self, scans: Iterable[ScanStatus], now: datetime, seconds: float) -> Figures:
        """The numbers now.

        Args:
            scans: the newest snapshots.
            now: the time of day, for errors.
            seconds: on a monotonic clock.
        """
        scans = list(scans)
        for scan in scans:
            # A scan that is gone on with starts to count anew.
            self._nbytes += max(0, scan.nbytes - self._bytes.get(scan.key, 0))
            self._total_points += max(0, scan.most_points - self._points.get(scan.key, 0))
            error = scan.fault or (scan.reason if scan.state is ScanState.FAULT else "")
            if error and error != self._errors.get(scan.key):
                self.blame(f"scan {scan.name}: {error}", scan.ended or now)
            self._errors[scan.key] = error
        self._bytes = {scan.key: scan.nbytes for scan in scans}
        self._points = {scan.key: scan.most_points for scan in scans}
        self._errors = {scan.key: self._errors[scan.key] for scan in scans}
        active = sum(not scan.state.final for scan in scans)
        return Figures(active, self._rate(seconds), self._nbytes, self._last_error)

    def blame(self, text: str, time: datetime) -> None:
        """Keep an error as the newest one."""
        self._last_error = f"{time:%Y-%m-%d %H:%M:%S} {text}"

    def _rate(self, seconds: float) -> float:
        history = self._history
        history.append((seconds, self._total_points))
        while len(history) > 1 and history[1][0] <= seconds - _WINDOW:
            history.popleft()
        (start, before), (end, after) = history[0], history[-1]
        return (after - before) / (end - start) if end > start else 0.0
