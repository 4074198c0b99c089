"""The time of a simulation: injectable, so that tests need not wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of this machine, unless told otherwise."""

    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def date(self) -> str:
        """Now, in ISO 8601 with the zone of this machine, as BLISS publishes moments."""
        return datetime.fromtimestamp(self.now(), UTC).astimezone().isoformat()


class Pace:
    """Keeps a steady rate: point i is due ``i * period`` seconds after the first one.

    Does not sleep when the period is 0, and not to make up for points that are late.
    """

    def __init__(self, clock: Clock, period: float) -> None:
        self._clock = clock
        self._period = period
        self._start: float | None = None

    def wait_for(self, point: int) -> None:
        """Sleep until this point is due."""
        if not self._period:
            return
        now = self._clock.monotonic()
        if self._start is None:
            self._start = now - point * self._period
        remaining = self._start + point * self._period - now
        if remaining > 0:
            self._clock.sleep(remaining)
