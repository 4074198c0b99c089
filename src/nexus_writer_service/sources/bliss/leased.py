"""The scans of a session, told only to who has the lease on it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from nexus_writer_service.errors import SessionTakenError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import ScanEvent
from nexus_writer_service.model.states import EVERY_SESSION
from nexus_writer_service.sources.bliss.holder import owner_text

if TYPE_CHECKING:
    from nexus_writer_service.sources.bliss.lease import SessionLease


class LeasableSource(Protocol):
    """What tells the scans."""

    @property
    def connected(self) -> bool:
        """Whether Redis was there at the last ``read``."""

    def read(self, timeout: float) -> Sequence[ScanEvent]:
        """What happened; waits up to ``timeout`` seconds."""

    def drop(self, key: ScanKey) -> None:
        """Tell no more of a scan."""

    def tell(self, key: ScanKey) -> None:
        """Tell a scan from its beginning, unless it is being told; nothing if there is none."""

    def interrupt(self) -> None:
        """Make a ``read`` in another thread return soon."""

    def close(self) -> None:
        """Let go of the connection."""


class LeasedSource:
    """A source that first takes the lease, and ends when somebody else got it.

    Args:
        source: tells the scans.
        lease: on their session; given back by who made it, when the files are closed.
        taken_by: who has taken the lease from us, if anybody did.
    """

    def __init__(
        self, source: LeasableSource, lease: "SessionLease", taken_by: Callable[[], str | None]
    ) -> None:
        self._source = source
        self._lease = lease
        self._taken_by = taken_by
        self._read: Sequence[ScanEvent] = ()
        """What was read and not told yet, since the lease was not certain."""

    @property
    def connected(self) -> bool:
        """Whether Redis was there at the last ``read``."""
        return self._source.connected

    def read(self, timeout: float) -> Sequence[ScanEvent]:
        """What happened; waits up to ``timeout`` seconds, the first time also for the lease.

        Raises:
            SessionTakenError: another writer serves the session.
            SourceError: Redis cannot be reached or understood; to be tried again.
        """
        self._ensure()
        if not self._read:
            self._read = self._source.read(timeout)
        # While this process stood still, somebody else may have begun to write what came.
        self._ensure()
        events, self._read = self._read, ()
        return events

    def _ensure(self) -> None:
        if owner := self._taken_by():
            raise SessionTakenError(self._lease.session, owner)
        self._lease.acquire()

    def drop(self, key: ScanKey) -> None:
        """Tell no more of a scan."""
        self._read = [event for event in self._read if event.key != key]
        self._source.drop(key)

    def tell(self, key: ScanKey) -> None:
        """Tell a scan from its beginning, unless it is being told."""
        self._source.tell(key)

    def interrupt(self) -> None:
        """Make a ``read`` in another thread return soon."""
        self._lease.interrupt()
        self._source.interrupt()

    def close(self) -> None:
        """Let go of the connection; the lease is kept."""
        self._source.close()


class LeasedConnection:
    """Makes the source of a session's scans, under a lease that lasts until ``release``.

    Args:
        session: name of the BLISS session; empty: all sessions of the database.
        environment: says where Redis or Beacon is (``store.redis_url``).
        serving: what asks for the lease, for people: the name of a device.
        since: when it was started.
        role: of the writer: those of different roles save different scans of a session, so each
            role has a lease of its own.
        generation: of BLISS, a value of ``sources.generation.Generation``.
    """

    def __init__(
        self,
        session: str,
        environment: Mapping[str, str],
        serving: str,
        since: datetime,
        generation: str = "auto",
        *,
        role: str = "",
    ) -> None:
        self._generation = generation
        self._session = session
        self._leased = ":".join(filter(None, (session or EVERY_SESSION, role)))
        self._environment = environment
        self._owner = owner_text(serving, since)
        self._lease: SessionLease | None = None
        self._source: LeasedSource | None = None
        self._taken_by: str | None = None
        self._changing = threading.Lock()

    def __call__(self, backlog: Backlog) -> LeasedSource:
        """Make the source.

        Raises:
            SettingsError: it is not known where Redis is.
            SourceError: Beacon cannot be reached or does not know; to be tried again.
        """
        # The client of Redis takes a while to be imported: the device is there before.
        from nexus_writer_service.sources.bliss.lease import SessionLease  # noqa: PLC0415
        from nexus_writer_service.sources.bliss.store import redis_url  # noqa: PLC0415
        from nexus_writer_service.sources.bliss1.store import database_url  # noqa: PLC0415
        from nexus_writer_service.sources.generation import (  # noqa: PLC0415
            Generation,
            settled,
            source_of,
        )

        url = redis_url(self._environment)
        generation = settled(Generation(self._generation), url, self._session)
        is_old = generation is Generation.BLISS1
        source = source_of(generation, url, self._session, backlog)
        with self._changing:
            self._lease = SessionLease(
                database_url(url) if is_old else url,
                self._leased,
                self._owner,
                on_lost=self._on_lost,
                any_database=is_old,
            )
            self._source = LeasedSource(source, self._lease, lambda: self._taken_by)
        return self._source

    def release(self) -> None:
        """Give the lease back: the next writer may go on with the files."""
        with self._changing:
            lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    def _on_lost(self, owner: str) -> None:
        self._taken_by = owner
        if source := self._source:
            source.interrupt()
