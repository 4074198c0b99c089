"""The scans of a BLISS session, as events, out of one connection to Redis.

One blocking command waits for everything: new scans, changes of state, and the data of all scans
that are going on. So whatever happens is told by the wake-up that it causes, nothing is polled, and
a thousand channels need no more threads than one. What has been read is remembered as stream ids:
a lost connection is made anew, and the reading goes on where it stopped.

Each new connection may be to a server that was started anew, with all, some or none of its data.
So it begins with a look at all created scans, of which the known ones are passed over, and at
whether those that are followed still exist: no id is trusted to mean what it meant before.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from redis import ResponseError
from redis.exceptions import NoPermissionError

from nexus_writer_service.errors import DecodeError, SourceError, SourceUnavailableError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Ended, Frames, Points, ScanEvent, Scans, Vanished
from nexus_writer_service.sources.bliss.creations import CREATIONS, Creations
from nexus_writer_service.sources.bliss.following import LONGEST_WAIT, FollowingSource
from nexus_writer_service.sources.bliss.reading import Reading, Reply
from nexus_writer_service.sources.bliss.scan import (
    EMPTIED,
    GONE,
    STREAM_GONE,
    FollowedScan,
    complete_reference,
    parse_document,
    session_of,
)
from nexus_writer_service.sources.bliss.store import RedisLink, collector_paused

_log = logging.getLogger(__name__)

_INTAKE = 16
"""New or closed scans that are read at once, so that a crowd of them comes in one by one."""
_BACKLOG = 8
"""Of these, scans that were over when they were found: the others are for those who measure."""


class BlissSource(FollowingSource[FollowedScan]):
    """Tells what happens to the scans of a session.

    Except for ``interrupt``, its methods are for one thread.

    Args:
        url: of the Redis database of scans.
        session: BLISS session whose scans are told; None: those of all sessions.
        backlog: what is told of scans that were created earlier; by default nothing.
        most_bytes: how much memory one answer of Redis may take, roughly.
        clock: seconds of a monotonic clock.

    Raises:
        SettingsError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        session: str | None = None,
        *,
        backlog: Backlog | None = None,
        most_bytes: int = 16 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(RedisLink(url), clock)
        self._session = session
        self._creations = Creations(session, backlog or Backlog())
        self._arrivals = self._creations.arrivals
        self._reading = Reading(CREATIONS, most_bytes)
        self._unheard = 0
        """Admitted scans whose streams have not been read yet."""
        self._stale = False
        """Whether ``_reading`` is to be told anew which streams there are."""

    def drop(self, key: ScanKey) -> None:
        """Tell no more of a scan."""
        super().drop(key)
        self._stale = True

    def tell(self, key: ScanKey) -> None:
        """Tell a scan from its beginning, unless it is being told; nothing if there is none."""
        if key not in self._scans:
            self._arrivals.want(key)

    # ------------------------------------------------------------------------- one step of reading

    def _look_back(self) -> None:
        self._creations.look_back(self._request)
        if self._scans:
            self._existence_due = self._clock()

    def _advance(self, deadline: float) -> None:
        try:
            self.connect()
        except SourceUnavailableError:
            self._despair()
            raise
        self._empty_for_long(empty=False)
        self._read_documents()
        while not self._events:
            remaining = max(0.0, deadline - self._clock())
            self._read_streams(min(remaining, LONGEST_WAIT))
            self._read_documents()
            self._check_existence()
            if not remaining or self._interrupted.is_set():
                return

    def _despair(self) -> None:
        """Give all scans up when there has been a server without any scans for too long."""
        if self._empty_for_long(empty=self._link.empty):
            for scan in list(self._scans.values()):
                self._tell(scan.vanish(EMPTIED))
            expected = self._arrivals.give_up_expected()
            self._events += [Vanished(key, EMPTIED) for key in expected]

    def _in_hurry(self) -> bool:
        return bool(self._arrivals) or any(scan.draining for scan in self._scans.values())

    def _exchange(self, wait: float, *, data: bool) -> bool:
        if self._stale:
            self._reading.cover(self._scans.values())
            self._stale = False
        keys, after, count = self._reading.request(self._creations.since, data=data)
        with self._waiting():
            block = None if self._interrupted.is_set() or not wait else wait
            self._link.ask_streams(keys, after, count=count, block=block)
        with collector_paused():
            reply = self._reading.sort(self._link.take_streams())
            if data:
                self._unheard = 0
                self._receive_data(reply)
            self._receive_control(reply)
            told = bool(reply.created or reply.states)
            # The collector would go through all of it as soon as it is on again.
            del reply
        return told

    def _receive_data(self, reply: Reply) -> None:
        for scan in list(self._scans.values()):
            if scan.draining or scan in reply.data:
                self._tell(scan.receive(reply.data.get(scan, {})))
        self._coalesce = reply.only_data and not reply.full

    def _receive_control(self, reply: Reply) -> None:
        for scan, entries in reply.states.items():
            scan.receive_states(entries)
        for entry in reply.created:
            self._creations.hear(entry)

    def _tell(self, events: Sequence[ScanEvent]) -> None:
        self._events += events
        for event in events:
            if not isinstance(event, Points | Frames | Scans):
                self._stale = True
                if isinstance(event, Ended | Vanished):
                    self._scans.pop(event.key, None)

    # ------------------------------------------------------------------------------- the documents

    def _read_documents(self) -> None:
        """Read the documents that are due, and those of new scans as far as there is room."""
        for key in self._creations.glimpse(self._ask):
            self._miss(key, GONE)
        due = [scan for scan in self._scans.values() if scan.document_due]
        draining = sum(scan.draining for scan in self._scans.values())
        busy = self._unheard + len(due) + draining
        new = self._arrivals.next(live=_INTAKE - busy, over=_BACKLOG - busy)
        answers = self._ask(
            *((b"JSON.GET", scan.key) for scan in due), *((b"JSON.GET", key) for key in new)
        )
        for scan, answer in zip(due, answers, strict=False):
            self._tell(scan.receive_document(self._document(scan.key, answer)))
        for key, answer in zip(new, answers[len(due) :], strict=True):
            document = self._document(key, answer)
            self._arrivals.taken(key)
            if document is None:
                self._miss(key, GONE)
            else:
                self._admit(key, document)

    def _miss(self, key: ScanKey, reason: str) -> None:
        """A scan cannot be followed."""
        _log.debug("scan %s: %s", key, reason)
        if self._arrivals.gone(key):
            self._events.append(Vanished(key, reason))

    def _admit(self, key: ScanKey, text: bytes) -> None:
        try:
            document = parse_document(text)
            if self._session not in (None, session_of(document)):
                return
            scan = FollowedScan(key, document)
        except DecodeError as error:
            _log.warning("scan %s is not followed, its document cannot be used: %s", key, error)
            self._miss(key, f"its document in Redis cannot be used: {error}")
            return
        self._arrivals.resolve(key)
        self._scans[key] = scan
        self._unheard += 1
        self._tell([scan.announced])

    def _completed(self, events: list[ScanEvent]) -> list[ScanEvent]:
        sequences = [event for event in events if isinstance(event, Scans)]
        keys = list({scan.key: None for event in sequences for scan in event.references})
        answers = self._ask(*((b"JSON.GET", key) for key in keys))
        documents = {
            key: self._document(key, answer) for key, answer in zip(keys, answers, strict=True)
        }
        return [
            self._located(event, documents) if isinstance(event, Scans) else event
            for event in events
        ]

    def _located(self, event: Scans, documents: Mapping[ScanKey, bytes | None]) -> Scans:
        references = []
        for reference in event.references:
            try:
                document = parse_document(documents[reference.key] or b"null")
                references.append(complete_reference(reference, document))
            except DecodeError as error:
                _log.warning("where scan %s is saved is not known: %s", reference.key, error)
                references.append(reference)
        return replace(event, references=tuple(references))

    def _document(self, key: ScanKey, answer: Any) -> bytes | None:
        if not isinstance(answer, ResponseError):
            document: bytes | None = answer
            return document
        if isinstance(answer, NoPermissionError) or "unknown command" in str(answer):
            raise SourceError(
                f"Redis at {self._link.name} gives no documents ({answer}): it needs the modules "
                "ReJSON and search, and this user the right to read"
            )
        _log.warning("the document of scan %s cannot be read: %s", key, answer)
        return None

    def _check_existence(self) -> None:
        """End scans and channels that are in Redis no longer; what is deleted wakes nobody."""
        if not self._existence_is_due():
            return
        scans = [scan for scan in self._scans.values() if not scan.draining]
        begun = {scan: streams for scan in scans if (streams := scan.begun_streams())}
        answers = self._request(
            *((b"EXISTS", scan.key) for scan in scans),
            *((b"EXISTS", *streams) for streams in begun.values()),
        )
        for scan, exists in zip(scans, answers, strict=False):
            if not exists:
                self._tell(scan.vanish(GONE))
        for (scan, streams), count in zip(begun.items(), answers[len(scans) :], strict=True):
            if count < len(streams) and not scan.over:
                exist = self._request(*((b"EXISTS", key) for key in streams))
                gone = [key for key, exists in zip(streams, exist, strict=True) if not exists]
                self._tell(scan.lose(gone, STREAM_GONE))
