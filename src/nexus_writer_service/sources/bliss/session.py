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
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from redis import ResponseError
from redis.exceptions import NoPermissionError

from nexus_writer_service.errors import DecodeError, SourceError, SourceUnavailableError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Ended, Frames, Points, ScanEvent, Scans, Vanished
from nexus_writer_service.sources.bliss.creations import CREATIONS, Creations
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
from nexus_writer_service.sources.bliss.store import Command, RedisLink, collector_paused

_log = logging.getLogger(__name__)

_LONGEST_WAIT = 5.0
"""Seconds of one blocking command: for how long a missed ``interrupt`` could stay unnoticed."""
_COALESCE = 0.02
"""Seconds for which data may gather after a read that brought nothing else. Without it, channels
that publish one by one wake the reader for each of them."""
_EXISTENCE_PERIOD = 5.0
"""Seconds between two looks whether the scans still exist: deleted streams wake nobody."""
_INTAKE = 16
"""New or closed scans that are read at once, so that a crowd of them comes in one by one."""
_BACKLOG = 8
"""Of these, scans that were over when they were found: the others are for those who measure."""
_EMPTY_PATIENCE = 30.0
"""Seconds for which a server may hold no scans at all before those that are followed count as lost:
it may have been started without its data by mistake."""
_UNBLOCK_PERIOD = 0.001
_UNBLOCK_TRIES = 1000


class BlissSource:
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
        self._link = RedisLink(url)
        self._session = session
        self._creations = Creations(session, backlog or Backlog())
        self._arrivals = self._creations.arrivals
        self._oriented = False
        """Whether the created scans have been looked at since the connection was made."""
        self._clock = clock
        self._reading = Reading(CREATIONS, most_bytes)
        self._scans: dict[ScanKey, FollowedScan] = {}
        self._unheard = 0
        """Admitted scans whose streams have not been read yet."""
        self._events: list[ScanEvent] = []
        self._stale = False
        """Whether ``_reading`` is to be told anew which streams there are."""
        self._coalesce = False
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
        """Connect and look at the created scans; ``read`` does it when it is not done.

        Raises:
            SourceUnavailableError: Redis cannot be reached, or is not set up for blissdata yet.
            SourceError: the data in Redis follow an unknown protocol.
        """
        if not self._link.connected:
            self._oriented = False
        with self._waiting():
            self._link.connect()
        if not self._oriented:
            self._creations.look_back(self._request)
            if self._scans:
                self._existence_due = self._clock()
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
        return self._take()

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
        self._stale = True

    def tell(self, key: ScanKey) -> None:
        """Tell a scan from its beginning, unless it is being told; nothing if there is none."""
        if key not in self._scans:
            self._arrivals.want(key)

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

    # ------------------------------------------------------------------------- one step of reading

    def _advance(self, deadline: float) -> None:
        """Read until something has happened or time is up."""
        try:
            self.connect()
        except SourceUnavailableError:
            self._despair()
            raise
        self._empty_since = None
        self._read_documents()
        while not self._events:
            remaining = max(0.0, deadline - self._clock())
            self._read_streams(min(remaining, _LONGEST_WAIT))
            self._read_documents()
            self._check_existence()
            if not remaining or self._interrupted.is_set():
                return

    def _despair(self) -> None:
        """Give all scans up when there has been a server without any scans for too long."""
        if not self._link.empty:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = self._clock()
        elif self._clock() - self._empty_since >= _EMPTY_PATIENCE:
            for scan in list(self._scans.values()):
                self._tell(scan.vanish(EMPTIED))
            expected = self._arrivals.give_up_expected()
            self._events += [Vanished(key, EMPTIED) for key in expected]

    def _read_streams(self, wait: float) -> None:
        if self._coalesce and wait:
            self._coalesce = False
            if self._exchange(min(_COALESCE, wait), data=False):
                return
        draining = any(scan.draining for scan in self._scans.values())
        self._exchange(0.0 if draining or self._arrivals else wait, data=True)

    def _exchange(self, wait: float, *, data: bool) -> bool:
        """One command and what its answer tells; whether scans were created or changed state."""
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

    def _take(self) -> list[ScanEvent]:
        """The events, after looking up where the scans of sequences are saved."""
        sequences = [event for event in self._events if isinstance(event, Scans)]
        keys = list({scan.key: None for event in sequences for scan in event.references})
        answers = self._ask(*((b"JSON.GET", key) for key in keys))
        documents = {
            key: self._document(key, answer) for key, answer in zip(keys, answers, strict=True)
        }
        events = [
            self._completed(event, documents) if isinstance(event, Scans) else event
            for event in self._events
        ]
        self._events = []
        return events

    def _completed(self, event: Scans, documents: Mapping[ScanKey, bytes | None]) -> Scans:
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
        if self._clock() < self._existence_due:
            return
        self._existence_due = self._clock() + _EXISTENCE_PERIOD
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
