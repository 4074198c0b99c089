"""States of sessions and scans, and every transition that is allowed [seeds 000, 002; design 5]."""

from enum import Enum

EVERY_SESSION = "*"
"""Stands for all sessions of a database, where one could be named."""


class SessionState(Enum):
    """State of a session writer; RUNNING is ON while at least one scan is being written."""

    INIT = "INIT"
    """Initializing: not accepting scans yet."""
    ON = "ON"
    """Accepting scans, none is being written."""
    RUNNING = "RUNNING"
    """Accepting scans, some are being written."""
    OFF = "OFF"
    """Not accepting scans."""
    FAULT = "FAULT"
    """Not accepting scans because of an error."""


class ScanState(Enum):
    """State of a scan writer."""

    INIT = "INIT"
    """Announced: not accepting data yet."""
    ON = "ON"
    """Accepting data."""
    OFF = "OFF"
    """Done, and everything that was published has been saved."""
    FAULT = "FAULT"
    """Over, or not accepting data any more, and not everything has been saved."""

    @property
    def final(self) -> bool:
        """Whether the scan writer has ended."""
        return self in (ScanState.OFF, ScanState.FAULT)


SESSION_TRANSITIONS: dict[SessionState, frozenset[SessionState]] = {
    SessionState.INIT: frozenset(
        {SessionState.ON, SessionState.RUNNING, SessionState.OFF, SessionState.FAULT}
    ),
    SessionState.ON: frozenset(
        {SessionState.INIT, SessionState.RUNNING, SessionState.OFF, SessionState.FAULT}
    ),
    SessionState.RUNNING: frozenset(
        {SessionState.INIT, SessionState.ON, SessionState.OFF, SessionState.FAULT}
    ),
    SessionState.OFF: frozenset({SessionState.INIT, SessionState.FAULT}),
    SessionState.FAULT: frozenset({SessionState.INIT}),
}
"""INIT is entered again from everywhere: by ``start``, and while Redis is away."""

SCAN_TRANSITIONS: dict[ScanState, frozenset[ScanState]] = {
    ScanState.INIT: frozenset({ScanState.ON, ScanState.OFF, ScanState.FAULT}),
    ScanState.ON: frozenset({ScanState.OFF, ScanState.FAULT}),
    ScanState.OFF: frozenset(),
    ScanState.FAULT: frozenset(),
}
"""A scan that is over stays as it ended."""
