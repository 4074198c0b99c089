"""What is published of a scan while another process has its file, kept until that lets go.

A writer that took a session over may find the file still in the hands of the one before, which is
slow to die; somebody may have opened it to append. Both end, and then nothing is to be missing.
"""

from collections.abc import Sequence

from nexus_writer_service.model.events import Points, ScanEvent
from nexus_writer_service.service.clock import Clock
from nexus_writer_service.service.files import LOCKED_FILE_PERIOD

LOCK_PATIENCE = 600.0
"""Seconds for which it is tried after the end of the scan."""
MOST_HELD = 128 << 20
"""Bytes that are kept for all scans that wait; a scan that brings more is given up."""
_EVENT_BYTES = 200
"""What an event without points holds, roughly."""


class Held:
    """How much all scans of a scribe that wait keep together."""

    nbytes = 0


class Lockout:
    """The events of a scan that waits for its file.

    Args:
        reason: who has the file, for people.
        clock: says when to try again.
        held: what all keep together.
    """

    def __init__(self, reason: str, clock: Clock, held: Held) -> None:
        self.reason = reason
        self._held = held
        self._clock = clock
        self._events: list[ScanEvent] = []
        self._nbytes = 0
        self._due = clock.monotonic() + LOCKED_FILE_PERIOD
        self._deadline: float | None = None

    def keep(self, event: ScanEvent) -> None:
        """Keep an event for when the file is free."""
        self._events.append(event)
        self._count(_EVENT_BYTES + (event.nbytes if isinstance(event, Points) else 0))

    def end(self) -> None:
        """The scan is over: from now on patience is limited."""
        if self._deadline is None:
            self._deadline = self._clock.monotonic() + LOCK_PATIENCE

    @property
    def due(self) -> bool:
        """Whether to try to open the file now; the next time is a while later then."""
        now = self._clock.monotonic()
        if now < self._due:
            return False
        self._due = now + LOCKED_FILE_PERIOD
        return True

    @property
    def hopeless(self) -> str:
        """Why not to wait any longer; empty while it makes sense."""
        if self._nbytes and self._held.nbytes > MOST_HELD:
            return f"{self.reason}; it was waited for until {MOST_HELD >> 20} MiB had gathered"
        if self._deadline is not None and self._clock.monotonic() >= self._deadline:
            return f"{self.reason}; it was waited for {LOCK_PATIENCE / 60:g} min after the scan"
        return ""

    def end_waiting(self) -> Sequence[ScanEvent]:
        """What was kept, in order; nothing more is."""
        kept, self._events = self._events, []
        self._count(-self._nbytes)
        return kept

    def _count(self, nbytes: int) -> None:
        self._nbytes += nbytes
        self._held.nbytes += nbytes
