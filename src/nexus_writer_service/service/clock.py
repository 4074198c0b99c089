"""Time as an argument: what runs on time takes a clock, so that tests can make it jump."""

import time
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The two times a program needs."""

    def now(self) -> datetime:
        """Wall-clock time with the zone of this machine, for people and files."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back. For durations and deadlines."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Wall-clock time with the zone of this machine."""
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()
