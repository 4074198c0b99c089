"""A clock that moves when told to."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts at a fixed moment; ``advance`` is the only thing that moves it."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._start = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    def advance(self, seconds: float) -> None:
        self._elapsed += seconds
