"""The scans of a BLISS 1 session, as events, out of one connection to Redis.

One blocking command waits for everything: new nodes, PREPARED_SCAN, END_SCAN, and the data of all
scans that are going on. What has been read is remembered as stream ids: a lost connection is made
anew, and the reading goes on where it stopped; it begins with a look at the whole tree and at
whether the scans that are followed still exist.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from redis import ResponseError

from nexus_writer_service.errors import SourceError, SourceUnavailableError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import (
    Ended,
    ScanEvent,
    ScanReference,
    Scans,
    Vanished,
)
from nexus_writer_service.sources.bliss.store import Command, RedisLink, collector_paused
from nexus_writer_service.sources.bliss1.description import describe_scan, scan_key
from nexus_writer_service.sources.bliss1.nodes import Info, Node, children_of, fields_of
from nexus_writer_service.sources.bliss1.scan import GONE, FollowedScan
from nexus_writer_service.sources.bliss1.store import database_url
from nexus_writer_service.sources.bliss1.streams import EXPIRED
from nexus_writer_service.sources.bliss1.tree import Arrival, Tree

_log = logging.getLogger(__name__)

_LONGEST_WAIT = 5.0
"""Seconds of one blocking command: for how long a missed ``interrupt`` could stay unnoticed."""
_COALESCE = 0.02
"""Seconds for which data may gather after a read that brought nothing else. Without it, channels
that publish one by one wake the reader for each of them."""
_EXISTENCE_PERIOD = 5.0
"""Seconds between two looks whether the scans still exist: deleted streams wake nobody."""
_EMPTY_PATIENCE = 30.0
"""Seconds for which the whole session may be missing before its scans count as lost: Redis may have
been started without its data by mistake."""
_INTAKE = 16
"""New scans that are taken in at once."""
_BACKLOG = 4
"""Of these, scans that were over when they were found: the others are for those who measure."""
_MOST_ENTRIES = 500
"""Of one stream in one answer."""
_UNBLOCK_PERIOD = 0.001
_UNBLOCK_TRIES = 1000


class Bliss1Source:
    """Tells what happens to the scans of a session of BLISS 1.

    Except for ``interrupt``, its methods are for one thread.

    Args:
        url: of the Redis server that holds the scans; database 1, unless the URL names another.
        session: BLISS session whose scans are told.
        backlog: what is told of scans that were created earlier; by default nothing.
        most_bytes: how much memory one answer of Redis may take, roughly.
        clock: seconds of a monotonic clock.

    Raises:
        SettingsError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        session: str,
        *,
        backlog: Backlog | None = None,
        most_bytes: int = 16 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = RedisLink(database_url(url), any_database=True)
        self._session = session
        self._tree = Tree(session, backlog or Backlog())
        self._clock = clock
        self._most_bytes = most_bytes
        self._oriented = False
        """Whether the tree has been looked at since the connection was made."""
        self._scans: dict[ScanKey, FollowedScan] = {}
        self._events: list[ScanEvent] = []
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
        """Connect and look at the scans that are there; ``read`` does it when it is not done.

        Raises:
            SourceUnavailableError: Redis cannot be reached.
            SourceError: Redis refuses to answer.
        """
        if not self._link.connected:
            self._oriented = False
        with self._waiting():
            self._link.connect()
        if not self._oriented:
            self._tree.look_back(self._request)
            self._existence_due = self._clock()
            self._oriented = True

    def read(self, timeout: float) -> list[ScanEvent]:
        """What happened since the last call; waits for something to happen.

        Args:
            timeout: seconds after which to return with nothing.

        Raises:
            SourceUnavailableError: Redis cannot be reached. Nothing is lost by that: to call again
                connects again and goes on.
            SourceError: Redis refuses to answer.
        """
        try:
            self._advance(self._clock() + timeout)
        except SourceUnavailableError:
            # What was received before counts; without a connection the next call raises again.
            if not self._events:
                raise
        finally:
            self._interrupted.clear()
        events, self._events = self._events, []
        return [self._located(one) if isinstance(one, Scans) else one for one in events]

    def interrupt(self) -> None:
        """From any thread: make ``read`` return soon, or the next one when none is going on."""
        self._interrupted.set()
        for _ in range(_UNBLOCK_TRIES):
            if self._not_waiting.wait(_UNBLOCK_PERIOD):
                return
            if self._link.unblock():
                return

    def tell(self, key: ScanKey) -> None:
        """Nothing: BLISS 1 asks for no scan by its key, so each is told when it comes."""

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

    # ------------------------------------------------------------------------- one step of reading

    def _advance(self, deadline: float) -> None:
        """Read until something has happened or time is up."""
        self.connect()
        self._admit()
        while not self._events:
            self._check_existence()
            if self._events:
                return
            remaining = max(0.0, deadline - self._clock())
            self._read_streams(min(remaining, _LONGEST_WAIT))
            self._admit()
            if not remaining or self._interrupted.is_set():
                return

    def _read_streams(self, wait: float) -> None:
        if self._coalesce and wait:
            self._coalesce = False
            if self._exchange(min(_COALESCE, wait), data=False):
                return
        self._exchange(wait, data=True)

    def _exchange(self, wait: float, *, data: bool) -> bool:
        """One reading of all streams, or of all but data; whether more than data came."""
        control = {key: scan for scan in self._scans.values() for key in scan.control()}
        owners = {key: scan for scan in self._scans.values() for key in scan.data() if data}
        after = self._tree.lists()
        for scan in self._scans.values():
            after |= scan.control()
            after |= {key: one.next_id for key, one in scan.data().items() if data}
        count = self._affordable()
        with self._waiting():
            in_hurry = bool(self._tree) or any(one.draining for one in self._scans.values())
            hold = wait and not in_hurry and not self._interrupted.is_set()
            ids = list(after.values())
            self._link.ask_streams(list(after), ids, count=count, block=wait if hold else None)
        with collector_paused():
            # An entry that is gone by the time it wakes us (each stream is made with one) leaves
            # an empty list [Redis 7.0].
            replies = {bytes(key): found for key, found in self._link.take_streams() if found}
            if data:
                told = {key: replies[key] for key in replies.keys() & owners.keys()}
                self._take_data(told, owners)
                full = any(len(entries) >= count for entries in told.values())
                self._coalesce = replies.keys() == told.keys() and bool(told) and not full
        self._take_control({key: replies[key] for key in replies.keys() - owners.keys()}, control)
        return bool(replies.keys() - owners.keys())

    def _take_control(
        self, replies: dict[bytes, Sequence[Any]], owners: dict[bytes, FollowedScan]
    ) -> None:
        """Learn what becomes of scans, and of new ones."""
        for key in replies.keys() & owners.keys():
            owners[key].hear(key, replies[key])
        for scan in [one for one in self._scans.values() if one.due]:
            self._explore(scan)
        for key, entries in replies.items():
            if key not in owners and self._tree.owns(key):
                self._tree.hear(key, entries, self._request)

    def _take_data(
        self, replies: dict[bytes, Sequence[Any]], owners: dict[bytes, FollowedScan]
    ) -> None:
        """Give each scan its data; one that has ended learns also that nothing came."""
        by_scan: dict[ScanKey, dict[bytes, Sequence[Any]]] = {}
        for key, entries in replies.items():
            by_scan.setdefault(owners[key].key, {})[key] = entries
        for scan in list(self._scans.values()):
            if scan.key in by_scan or scan.draining:
                self._tell(scan.receive(by_scan.get(scan.key, {})))

    def _affordable(self) -> int:
        """How many entries of each stream fit into the memory that an answer may take."""
        streams = [one for scan in self._scans.values() for one in scan.data().values()]
        needed = sum(one.entry_bytes for one in streams)
        return max(1, min(_MOST_ENTRIES, self._most_bytes // max(1, needed)))

    def _tell(self, events: Sequence[ScanEvent]) -> None:
        self._events += events
        for event in events:
            if isinstance(event, Ended | Vanished):
                self._scans.pop(event.key, None)

    # ----------------------------------------------------------------------------------- the nodes

    def _admit(self) -> None:
        """Begin to follow new scans, as far as there is room."""
        for arrival in self._tree.next(_INTAKE, _BACKLOG):
            info = self._info_of(arrival.node.db_name)
            if info is None or scan_key(arrival.node.db_name, info) != arrival.key:
                self._miss(arrival, GONE)
                continue
            self._tree.resolve(arrival.key)
            scan = FollowedScan(arrival.key, arrival.node, info, over=arrival.over)
            self._scans[arrival.key] = scan
            self._tell([scan.announced])

    def _miss(self, arrival: Arrival, reason: str) -> None:
        if self._tree.resolve(arrival.key):
            self._events.append(Vanished(arrival.key, reason))

    def _explore(self, scan: FollowedScan) -> None:
        """Read the nodes of a scan, down to its channels, and then its info."""
        while True:
            lists = scan.lists()
            answers = self._request(
                *(
                    (b"XRANGE", f"{name}_children_list", b"(" + after, b"+")
                    for name, after in lists.items()
                )
            )
            for parent, entries in zip(lists, answers, strict=True):
                if entries:
                    scan.list_children(parent, entries[-1][0], children_of(entries))
            names = scan.unread()
            if not names:
                break
            self._learn(scan, names)
        self._tell(scan.update(self._info_of(scan.node.db_name)))

    def _learn(self, scan: FollowedScan, names: Sequence[str]) -> None:
        answers = self._request(
            *((b"HGETALL", name) for name in names),
            *((b"HGETALL", f"{name}_info") for name in names),
            *((b"EXISTS", f"{name}_data") for name in names),
        )
        count = len(names)
        nodes, infos, data = answers[:count], answers[count : 2 * count], answers[2 * count :]
        for name, node, info, exists in zip(names, nodes, infos, data, strict=True):
            known = Node.decoded(name, fields_of(node))
            said = Info.decoded(f"{name}_info", fields_of(info))
            scan.learn(name, known, said, has_data=bool(exists))

    def _info_of(self, db_name: str) -> Info | None:
        """The info of a scan; None when Redis does not hold it any more.

        The ESRF data policy keeps metadata in the nodes above: the dataset's, the collection's.
        """
        dataset = db_name.rpartition(":")[0]
        keys = [f"{name}_info" for name in (db_name, dataset, dataset.rpartition(":")[0])]
        answers = self._request(*((b"HGETALL", key) for key in keys))
        own, *above = (
            Info.decoded(key, fields_of(answer)) for key, answer in zip(keys, answers, strict=True)
        )
        return own.below(*above) if own.content or own.warnings else None

    def _located(self, event: Scans) -> Scans:
        """References that say where their scans are saved."""
        references = []
        for reference in event.references:
            try:
                references.append(self._reference(reference))
            except SourceUnavailableError as error:
                _log.warning("where scan %s is saved is not known: %s", reference.key, error)
                references.append(reference)
        return replace(event, references=tuple(references))

    def _reference(self, reference: ScanReference) -> ScanReference:
        name = str(reference.key)
        (answer,) = self._request((b"HGETALL", name))
        node, info = Node.decoded(name, fields_of(answer)), self._info_of(name)
        if node is None or info is None:
            return reference
        key = scan_key(name, info)
        scan, _ = describe_scan(key, node, info)
        found = replace(reference, key=key, number=scan.number)
        if not scan.save or scan.path is None:
            return found
        entries = tuple(f"{scan.number}.{place}" for place in range(1, len(scan.subscans) + 1))
        return replace(found, path=scan.path, entries=entries)

    def _check_existence(self) -> None:
        """End scans and channels that are in Redis no longer; what is deleted wakes nobody."""
        if self._clock() < self._existence_due:
            return
        self._existence_due = self._clock() + _EXISTENCE_PERIOD
        scans = [scan for scan in self._scans.values() if not scan.draining]
        (session, *exist) = self._request(
            (b"EXISTS", self._session), *((b"EXISTS", scan.node.db_name) for scan in scans)
        )
        if session:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = self._clock()
        if not session and self._clock() - (self._empty_since or 0.0) < _EMPTY_PATIENCE:
            return
        self._events += [Vanished(key, GONE) for key in self._tree.missing()]
        for scan, exists in zip(scans, exist, strict=True):
            self._tell([] if exists else scan.vanish(GONE))
        for scan in [one for one in scans if not one.over]:
            begun = scan.begun()
            answers = self._request(*((b"EXISTS", key) for key in begun))
            gone = [key for key, exists in zip(begun, answers, strict=True) if not exists]
            self._tell(scan.lose(gone, EXPIRED))

    # --------------------------------------------------------------------------------- the server

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Around whatever waits for the server: ``interrupt`` sees to it that it ends."""
        self._not_waiting.clear()
        try:
            yield
        finally:
            self._not_waiting.set()

    def _request(self, *commands: Command) -> list[Any]:
        with self._waiting():
            answers = self._link.request(*commands)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise SourceError(f"Redis at {self._link.name} refuses: {answer}")
        return answers
