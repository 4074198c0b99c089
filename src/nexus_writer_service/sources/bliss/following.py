"""What following scans in Redis is, for every generation of BLISS.

One blocking command waits for everything: what happens is told by the wake-up that it causes, and
``interrupt`` ends the wait from another thread.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from redis import ResponseError

from nexus_writer_service.errors import SourceError, SourceUnavailableError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import ScanEvent
from nexus_writer_service.sources.bliss.endings import ends_in_order
from nexus_writer_service.sources.bliss.store import Command, RedisLink

LONGEST_WAIT = 5.0
"""Seconds of one blocking command: for how long a missed ``interrupt`` could stay unnoticed."""
_COALESCE = 0.02
"""Seconds for which data may gather after a read that brought nothing else. Without it, channels
that publish one by one wake the reader for each of them."""
_EXISTENCE_PERIOD = 5.0
"""Seconds between two looks whether the scans still exist: deleted streams wake nobody."""
_EMPTY_PATIENCE = 30.0
"""Seconds for which a server may hold no scans at all before those that are followed count as lost:
it may have been started without its data by mistake."""
_UNBLOCK_PERIOD = 0.001
_UNBLOCK_TRIES = 1000

Followed = TypeVar("Followed")


class FollowingSource(ABC, Generic[Followed]):
    """Tells what happens to scans in Redis.

    Except for ``interrupt``, its methods are for one thread.

    Args:
        link: to the database of scans.
        clock: seconds of a monotonic clock.
    """

    def __init__(self, link: RedisLink, clock: Callable[[], float]) -> None:
        self._link = link
        self._clock = clock
        self._scans: dict[ScanKey, Followed] = {}
        self._events: list[ScanEvent] = []
        self._oriented = False
        """Whether what is there has been looked at since the connection was made."""
        self._coalesce = False
        """Whether the last read brought nothing but data."""
        self._existence_due = clock() + _EXISTENCE_PERIOD
        self._empty_since: float | None = None
        self._interrupted = threading.Event()
        self._not_waiting = threading.Event()
        self._not_waiting.set()

    @property
    def active(self) -> frozenset[ScanKey]:
        """Keys of the scans that have been announced and have not ended."""
        return frozenset(self._scans)

    @property
    def connected(self) -> bool:
        """Whether Redis was there at the last attempt to read."""
        return self._link.connected

    def connect(self) -> None:
        """Connect and look at the scans that are there; ``read`` does it when it is not done.

        Raises:
            SourceUnavailableError: Redis cannot be reached, or is not set up for scans yet.
            SourceError: the data in Redis follow an unknown protocol, or it refuses to answer.
        """
        if not self._link.connected:
            self._oriented = False
        with self._waiting():
            self._link.connect()
        if not self._oriented:
            self._look_back()
            self._oriented = True

    def read(self, timeout: float) -> list[ScanEvent]:
        """What happened since the last call; waits for something to happen.

        Args:
            timeout: seconds after which to return with nothing.

        Raises:
            SourceUnavailableError: Redis cannot be reached. Nothing is lost by that: to call again
                connects again and goes on.
            SourceError: the data in Redis follow an unknown protocol, or it refuses to answer.
        """
        try:
            self._advance(self._clock() + timeout)
        except SourceUnavailableError:
            # What was received before counts; without a connection the next call raises again.
            if not self._events:
                raise
        finally:
            self._interrupted.clear()
        told = ends_in_order(self._completed(self._events))
        self._events = []
        return told

    def interrupt(self) -> None:
        """From any thread: make ``read`` return soon, or the next one when none is going on.

        It takes a few milliseconds; two seconds where Redis is silent, five where it forbids the
        command CLIENT.
        """
        self._interrupted.set()
        for _ in range(_UNBLOCK_TRIES):
            if self._not_waiting.wait(_UNBLOCK_PERIOD):
                return
            if self._link.unblock():
                return

    def drop(self, key: ScanKey) -> None:
        """Tell no more of a scan."""
        self._scans.pop(key, None)
        self._events = [event for event in self._events if event.key != key]

    def close(self) -> None:
        """Let go of the connection. To read again connects again."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ what generations differ in

    @abstractmethod
    def _look_back(self) -> None:
        """Look at what was there before the connection."""

    @abstractmethod
    def _advance(self, deadline: float) -> None:
        """Read until something has happened or time is up."""

    @abstractmethod
    def _exchange(self, wait: float, *, data: bool) -> bool:
        """One reading of all streams, or of all but data; whether more than data came."""

    @abstractmethod
    def _in_hurry(self) -> bool:
        """Whether there is something to do that does not wait."""

    @abstractmethod
    def _completed(self, events: list[ScanEvent]) -> list[ScanEvent]:
        """Events, after looking up where the scans of sequences are saved."""

    # ------------------------------------------------------------------------- one step of reading

    def _read_streams(self, wait: float) -> None:
        if self._coalesce and wait:
            self._coalesce = False
            if self._exchange(min(_COALESCE, wait), data=False):
                return
        self._exchange(0.0 if self._in_hurry() else wait, data=True)

    def _existence_is_due(self) -> bool:
        """Whether it is time to look if scans still exist; not again for a while."""
        if self._clock() < self._existence_due:
            return False
        self._existence_due = self._clock() + _EXISTENCE_PERIOD
        return True

    def _empty_for_long(self, *, empty: bool) -> bool:
        """Whether all scans have been missing for so long that they count as lost."""
        if not empty:
            self._empty_since = None
            return False
        if self._empty_since is None:
            self._empty_since = self._clock()
        return self._clock() - self._empty_since >= _EMPTY_PATIENCE

    # --------------------------------------------------------------------------------- the server

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Around whatever waits for the server: ``interrupt`` sees to it that it ends."""
        self._not_waiting.clear()
        try:
            yield
        finally:
            self._not_waiting.set()

    def _ask(self, *commands: Command) -> list[Any]:
        with self._waiting():
            return self._link.request(*commands)

    def _request(self, *commands: Command) -> list[Any]:
        answers = self._ask(*commands)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise SourceError(f"Redis at {self._link.name} refuses: {answer}")
        return answers
