"""Time as an argument: what runs on time takes a clock, so that tests can make it jump."""

import time
from datetime import datetime, timedelta
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


def until(clock: Clock, deadline: float) -> str:
    """The time of day of a deadline on the monotonic clock, for people: ``until 03:00:10``."""
    left = timedelta(seconds=max(0.0, deadline - clock.monotonic()))
    return f"until {clock.now() + left:%H:%M:%S}"
