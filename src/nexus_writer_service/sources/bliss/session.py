"""The scans of a BLISS session, as events, out of one connection to Redis.

One blocking command waits for everything: new scans, changes of state, and the data of all scans
that are going on. So whatever happens is told by the wake-up that it causes, nothing is polled, and
a thousand channels need no more threads than one. What has been read is remembered as stream ids:
a lost connection is made anew, and the reading goes on where it stopped.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Any, Self

from redis import ResponseError
from redis.exceptions import NoPermissionError

from nexus_writer_service.errors import DecodeError, SourceError, SourceUnavailableError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import (
    Ended,
    Frames,
    Points,
    ScanEvent,
    Scans,
    Vanished,
)
from nexus_writer_service.sources.bliss.encodings import field_of
from nexus_writer_service.sources.bliss.reading import Reading, Reply
from nexus_writer_service.sources.bliss.scan import (
    GONE,
    FollowedScan,
    complete_reference,
    parse_document,
    session_of,
)
from nexus_writer_service.sources.bliss.store import Command, RedisLink, collector_paused

_log = logging.getLogger(__name__)

_CREATIONS = b"_SCAN_HISTORY_"
"""Stream with one entry per created scan, whose field ``key`` is the scan's key."""
_DELETED = range(11)
"""A scan whose key lives no longer than ten seconds counts as deleted [blissdata]."""

_LONGEST_WAIT = 5.0
"""Seconds of one blocking command: for how long a missed ``interrupt`` could stay unnoticed."""
_COALESCE = 0.02
"""Seconds for which data may gather after a read that brought nothing else. Without it, channels
that publish one by one wake the reader for each of them."""
_EXISTENCE_PERIOD = 5.0
"""Seconds between two looks whether the scans still exist: deleted streams wake nobody."""
_INTAKE = 16
"""New or closed scans that are read at once, so that a long backlog comes in scan by scan."""
_UNBLOCK_PERIOD = 0.001
_UNBLOCK_TRIES = 1000


class BlissSource:
    """Tells what happens to the scans of a session.

    Except for ``interrupt``, its methods are for one thread.

    Args:
        url: of the Redis database of scans.
        session: BLISS session whose scans are told; None: those of all sessions.
        since: id in the stream of created scans, ``<milliseconds since 1970>-<n>``. Scans created
            after it are told, also those that are over. None: scans created after ``connect``.
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
        since: str | None = None,
        most_bytes: int = 16 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = RedisLink(url)
        self._session = session
        self._since = None if since is None else since.encode()
        self._clock = clock
        self._reading = Reading(_CREATIONS, most_bytes)
        self._scans: dict[ScanKey, FollowedScan] = {}
        self._arrivals: deque[ScanKey] = deque()
        self._unheard = 0
        """Admitted scans whose streams have not been read yet."""
        self._events: list[ScanEvent] = []
        self._stale = False
        """Whether ``_reading`` is to be told anew which streams there are."""
        self._coalesce = False
        self._existence_due = clock() + _EXISTENCE_PERIOD
        self._interrupted = threading.Event()
        self._not_waiting = threading.Event()
        self._not_waiting.set()

    @property
    def active(self) -> frozenset[ScanKey]:
        """Keys of the scans that have been announced and have not ended."""
        return frozenset(self._scans)

    def connect(self) -> None:
        """Connect and find out from where on to listen; ``read`` does it when it is not done.

        Raises:
            SourceUnavailableError: Redis cannot be reached, or is not set up for blissdata yet.
            SourceError: the data in Redis follow an unknown protocol.
        """
        self._link.connect()
        if self._since is None:
            (newest,) = self._request((b"XREVRANGE", _CREATIONS, "+", "-", "COUNT", 1))
            self._since = newest[0][0] if newest else b"0-0"

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

        It takes a few milliseconds; five seconds where Redis forbids the command CLIENT.
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
        self.connect()
        self._read_documents()
        while not self._events:
            remaining = max(0.0, deadline - self._clock())
            self._read_streams(min(remaining, _LONGEST_WAIT))
            self._read_documents()
            self._check_existence()
            if not remaining or self._interrupted.is_set():
                return

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
        keys, after, count = self._reading.request(self._since or b"0-0", data=data)
        self._not_waiting.clear()
        try:
            block = None if self._interrupted.is_set() or not wait else wait
            self._link.ask_streams(keys, after, count=count, block=block)
        finally:
            self._not_waiting.set()
        with collector_paused():
            reply = self._reading.sort(self._link.take_streams())
            if data:
                self._unheard = 0
                self._receive_data(reply)
            self._receive_control(reply)
        return bool(reply.created or reply.states)

    def _receive_data(self, reply: Reply) -> None:
        for scan in list(self._scans.values()):
            if scan.draining or scan in reply.data:
                self._tell(scan.receive(reply.data.get(scan, {})))
        self._coalesce = reply.only_data and not reply.full

    def _receive_control(self, reply: Reply) -> None:
        for scan, entries in reply.states.items():
            scan.receive_states(entries)
        for entry in reply.created:
            self._since = entry[0]
            try:
                self._arrivals.append(ScanKey(field_of(entry, b"key").decode()))
            except ValueError as error:
                _log.warning("the created scan %s is not followed: %s", entry[0], error)

    def _tell(self, events: Sequence[ScanEvent]) -> None:
        self._events += events
        for event in events:
            if not isinstance(event, Points | Frames | Scans):
                self._stale = True
                if isinstance(event, Ended | Vanished):
                    del self._scans[event.key]

    # ------------------------------------------------------------------------------- the documents

    def _read_documents(self) -> None:
        """Read the documents that are due, and those of new scans as far as there is room."""
        due = [scan for scan in self._scans.values() if scan.document_due]
        draining = sum(scan.draining for scan in self._scans.values())
        room = _INTAKE - self._unheard - len(due) - draining
        new = list(islice(self._arrivals, max(0, room)))
        answers = self._link.request(
            *((b"JSON.GET", scan.key) for scan in due),
            *((b"JSON.GET", key) for key in new),
            *((b"TTL", key) for key in new),
        )
        for scan, answer in zip(due, answers, strict=False):
            self._tell(scan.receive_document(self._document(scan.key, answer)))
        found, lives = answers[len(due) : len(due) + len(new)], answers[len(due) + len(new) :]
        for key, answer, life in zip(new, found, lives, strict=True):
            document = self._document(key, answer)
            self._arrivals.popleft()
            if document is None or life in _DELETED:
                _log.debug("scan %s has been deleted", key)
            else:
                self._admit(key, document)

    def _admit(self, key: ScanKey, text: bytes) -> None:
        try:
            document = parse_document(text)
            if self._session is not None and session_of(document) != self._session:
                return
            scan = FollowedScan(key, document)
        except DecodeError as error:
            _log.warning("scan %s is not followed, its document cannot be used: %s", key, error)
            return
        self._scans[key] = scan
        self._unheard += 1
        self._tell([scan.announced])

    def _take(self) -> list[ScanEvent]:
        """The events, after looking up where the scans of sequences are saved."""
        sequences = [event for event in self._events if isinstance(event, Scans)]
        keys = list({scan.key: None for event in sequences for scan in event.references})
        answers = self._link.request(*((b"JSON.GET", key) for key in keys))
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
        """End scans that are in Redis no longer; what is deleted wakes nobody."""
        if self._clock() < self._existence_due:
            return
        self._existence_due = self._clock() + _EXISTENCE_PERIOD
        scans = [scan for scan in self._scans.values() if not scan.draining]
        exist = self._request(*((b"EXISTS", scan.key) for scan in scans))
        for scan, exists in zip(scans, exist, strict=True):
            if not exists:
                self._tell(scan.vanish(GONE))

    def _request(self, *commands: Command) -> list[Any]:
        answers = self._link.request(*commands)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise SourceError(f"Redis at {self._link.name} refuses: {answer}")
        return answers
