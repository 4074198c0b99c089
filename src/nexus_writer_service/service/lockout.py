"""What is published of a scan while another process has its file, kept until that lets go.

A writer that took a session over may find the file still in the hands of the one before, which is
slow to die; somebody may have opened it to append. Both end, and then nothing is to be missing.
"""

from collections.abc import Iterator

from nexus_writer_service.model.events import Points, ScanEvent
from nexus_writer_service.service.clock import Clock

LOCK_PERIOD = 1.0
"""Seconds between two attempts to open the file."""
LOCK_PATIENCE = 600.0
"""Seconds for which it is tried after the end of the scan."""
MOST_HELD = 64 << 20
"""Bytes of points that are kept for a scan; when there are more it is given up."""


class Lockout:
    """The events of a scan that waits for its file.

    Args:
        reason: who has the file, for people.
        clock: says when to try again.
    """

    def __init__(self, reason: str, clock: Clock) -> None:
        self.reason = reason
        self._clock = clock
        self._events: list[ScanEvent] = []
        self._nbytes = 0
        self._due = clock.monotonic() + LOCK_PERIOD
        self._deadline: float | None = None

    def keep(self, event: ScanEvent) -> None:
        """Keep an event for when the file is free."""
        self._events.append(event)
        self._nbytes += event.nbytes if isinstance(event, Points) else 0

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
        self._due = now + LOCK_PERIOD
        return True

    @property
    def hopeless(self) -> str:
        """Why not to wait any longer; empty while it makes sense."""
        if self._nbytes > MOST_HELD:
            return f"{self.reason}; it was waited for until {MOST_HELD >> 20} MiB had gathered"
        if self._deadline is not None and self._clock.monotonic() >= self._deadline:
            return f"{self.reason}; it was waited for {LOCK_PATIENCE / 60:g} min after the scan"
        return ""

    def events(self) -> Iterator[ScanEvent]:
        """What was kept, in order; each is let go of when the next one is taken."""
        kept, self._events = self._events, []
        while kept:
            yield kept.pop(0)
