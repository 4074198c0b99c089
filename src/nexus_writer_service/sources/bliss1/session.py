"""The scans of a BLISS 1 session, as events, out of one connection to Redis.

One blocking command waits for everything: new nodes, PREPARED_SCAN, END_SCAN, and the data of all
scans that are going on. What has been read is remembered as stream ids: a lost connection is made
anew, and the reading goes on where it stopped; it begins with a look at the whole tree and at
whether the scans that are followed still exist.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from nexus_writer_service.errors import SourceUnavailableError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import (
    Ended,
    ScanEvent,
    ScanReference,
    Scans,
    Vanished,
)
from nexus_writer_service.sources.bliss.following import LONGEST_WAIT, FollowingSource
from nexus_writer_service.sources.bliss.store import RedisLink, collector_paused
from nexus_writer_service.sources.bliss1.description import describe_scan, scan_key
from nexus_writer_service.sources.bliss1.nodes import Info, Node, children_of, fields_of
from nexus_writer_service.sources.bliss1.scan import GONE, FollowedScan
from nexus_writer_service.sources.bliss1.store import database_url
from nexus_writer_service.sources.bliss1.streams import EXPIRED
from nexus_writer_service.sources.bliss1.tree import Arrival, Tree

_log = logging.getLogger(__name__)

_INTAKE = 16
"""New scans that are taken in at once."""
_BACKLOG = 4
"""Of these, scans that were over when they were found: the others are for those who measure."""
_MOST_ENTRIES = 500
"""Of one stream in one answer."""


class Bliss1Source(FollowingSource[FollowedScan]):
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
        super().__init__(RedisLink(database_url(url), any_database=True), clock)
        self._session = session
        self._tree = Tree(session, backlog or Backlog())
        self._most_bytes = most_bytes

    def tell(self, key: ScanKey) -> None:
        """Nothing: BLISS 1 asks for no scan by its key, so each is told when it comes."""

    # ------------------------------------------------------------------------- one step of reading

    def _look_back(self) -> None:
        self._tree.look_back(self._request)
        self._existence_due = self._clock()

    def _advance(self, deadline: float) -> None:
        self.connect()
        self._admit()
        while not self._events:
            self._check_existence()
            if self._events:
                return
            remaining = max(0.0, deadline - self._clock())
            self._read_streams(min(remaining, LONGEST_WAIT))
            self._admit()
            if not remaining or self._interrupted.is_set():
                return

    def _in_hurry(self) -> bool:
        return bool(self._tree) or any(scan.draining for scan in self._scans.values())

    def _exchange(self, wait: float, *, data: bool) -> bool:
        control = {key: scan for scan in self._scans.values() for key in scan.control()}
        owners = {key: scan for scan in self._scans.values() for key in scan.data() if data}
        after = self._tree.lists()
        for scan in self._scans.values():
            after |= scan.control()
            after |= {key: one.next_id for key, one in scan.data().items() if data}
        count = self._affordable()
        with self._waiting():
            hold = wait and not self._interrupted.is_set()
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

    def _completed(self, events: list[ScanEvent]) -> list[ScanEvent]:
        return [self._located(one) if isinstance(one, Scans) else one for one in events]

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
        if not self._existence_is_due():
            return
        scans = [scan for scan in self._scans.values() if not scan.draining]
        (session, *exist) = self._request(
            (b"EXISTS", self._session), *((b"EXISTS", scan.node.db_name) for scan in scans)
        )
        lost = self._empty_for_long(empty=not session)
        if not session and not lost:
            return
        self._events += [Vanished(key, GONE) for key in self._tree.missing()]
        for scan, exists in zip(scans, exist, strict=True):
            self._tell([] if exists else scan.vanish(GONE))
        for scan in [one for one in scans if not one.over]:
            begun = scan.begun()
            answers = self._request(*((b"EXISTS", key) for key in begun))
            gone = [key for key, exists in zip(begun, answers, strict=True) if not exists]
            self._tell(scan.lose(gone, EXPIRED))
