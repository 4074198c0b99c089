"""The tree of a session above its scans: containers, whose lists of children tell of new scans."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.sources.bliss1.description import describe_scan, scan_key, session_of
from nexus_writer_service.sources.bliss1.nodes import (
    CHANNELS,
    SCANS,
    Entry,
    Info,
    Node,
    children_of,
    fields_of,
)

Ask = Callable[..., list[Any]]
"""``ask(*commands)``: the answers of Redis to commands that are sent together; none is refused."""

_FIRST = b"0-0"
_GLIMPSED = (b"start_timestamp", b"save", b"filename", b"data_writer", b"scan_nb", b"session_name")
_PAGE = 200
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A scan that was found."""

    key: ScanKey
    node: Node
    over: bool
    """Whether it had ended when it was found."""


class Tree:
    """Finds the scans of a session.

    Args:
        session: name of the BLISS session: the root of the tree.
        backlog: what of the past is followed.
    """

    def __init__(self, session: str, backlog: Backlog) -> None:
        self._session = session
        self._backlog = backlog
        self._after: dict[str, bytes] = {session: _FIRST}
        """Containers, and how far their lists of children were read."""
        self._names: dict[bytes, str] = {_list_key(session): session}
        self._known: dict[ScanKey, None] = {}
        self._expected = set(backlog.expected)
        self._live: deque[Arrival] = deque()
        self._over: deque[Arrival] = deque()
        self._from = None if backlog.since is None else int(backlog.since.partition("-")[0]) / 1000
        """Seconds since 1970: scans that began before are passed over; None before it is known."""

    def __bool__(self) -> bool:
        return bool(self._live or self._over)

    def lists(self) -> dict[bytes, bytes]:
        """The streams that tell of new nodes, and the ids after which to read them."""
        return {key: self._after[name] for key, name in self._names.items()}

    def look_back(self, ask: Ask) -> None:
        """Find all scans that are there and are not known."""
        # The server may be another one, whose ids have nothing to do with the ones before.
        self._after = {self._session: _FIRST}
        self._names = {_list_key(self._session): self._session}
        self._explore([self._session], ask, past=True)
        self._from = self._from or 0.0

    def missing(self) -> list[ScanKey]:
        """Scans that were expected and were not found; they are not expected any more."""
        waiting = {arrival.key for arrival in (*self._live, *self._over)}
        found = sorted(self._expected - waiting)
        self._expected &= waiting
        return found

    def resolve(self, key: ScanKey) -> bool:
        """What became of a scan is known; tells whether it was expected."""
        expected = key in self._expected
        self._expected.discard(key)
        return expected

    def owns(self, key: bytes) -> bool:
        """Whether a stream is the list of children of a container."""
        return key in self._names

    def hear(self, key: bytes, entries: Sequence[Entry], ask: Ask) -> None:
        """Take new entries of one of ``lists``."""
        parent = self._names[key]
        self._after[parent] = entries[-1][0]
        self._take(children_of(entries), ask, past=False)

    def next(self, live: int, over: int) -> list[Arrival]:
        """The next scans to follow; those that were over when they were found come last."""
        found = [self._live.popleft() for _ in range(min(live, len(self._live)))]
        return found + [self._over.popleft() for _ in range(min(over, len(self._over)))]

    def _explore(self, parents: list[str], ask: Ask, *, past: bool) -> None:
        """List the children of containers, theirs, and so on."""
        while parents:
            page, parents = parents[:_PAGE], parents[_PAGE:]
            lists = ask(*((b"XRANGE", _list_key(name), b"-", b"+") for name in page))
            children: list[str] = []
            for parent, entries in zip(page, lists, strict=True):
                if entries:
                    self._after[parent] = entries[-1][0]
                children += children_of(entries)
            parents += self._sort(children, ask, past=past)

    def _take(self, children: list[str], ask: Ask, *, past: bool) -> None:
        self._explore(self._sort(children, ask, past=past), ask, past=past)

    def _sort(self, children: list[str], ask: Ask, *, past: bool) -> list[str]:
        """Queue the scans among nodes; the containers that are not known yet."""
        containers: list[str] = []
        names = [name for name in dict.fromkeys(children) if session_of(name) == self._session]
        for start in range(0, len(names), _PAGE):
            page = names[start : start + _PAGE]
            answers = ask(*((b"HGETALL", name) for name in page))
            nodes = [
                node
                for name, answer in zip(page, answers, strict=True)
                if (node := Node.decoded(name, fields_of(answer)))
            ]
            self._glimpse([node for node in nodes if node.kind in SCANS], ask, past=past)
            for node in nodes:
                if node.kind not in SCANS + CHANNELS and node.db_name not in self._after:
                    self._after[node.db_name] = _FIRST
                    self._names[_list_key(node.db_name)] = node.db_name
                    containers.append(node.db_name)
        return containers

    def _glimpse(self, scans: list[Node], ask: Ask, *, past: bool) -> None:
        """Look at a few members of the info of scans, and whether they have ended."""
        asked = [
            command
            for node in scans
            for command in (
                (b"HMGET", f"{node.db_name}_info", *_GLIMPSED),
                (b"XREVRANGE", f"{node.db_name}_end", b"+", b"1-0", b"COUNT", 1),
            )
        ]
        answers = iter(ask(*asked))
        for node, (values, end) in zip(scans, zip(answers, answers, strict=True), strict=True):
            fields = {
                name: value
                for name, value in zip(_GLIMPSED, values, strict=True)
                if value is not None
            }
            info = Info.decoded(node.db_name, fields)
            self._arrive(Arrival(scan_key(node.db_name, info), node, bool(end)), info, past=past)

    def _arrive(self, arrival: Arrival, info: Info, *, past: bool) -> None:
        if arrival.key in self._known:
            return
        self._known[arrival.key] = None
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        if arrival.key not in self._expected:
            if self._from is None or self._backlog.skip(arrival.key):
                return
            if past and (_start(info) < self._from or not self._concerns(arrival, info)):
                return
        (self._over if arrival.over else self._live).append(arrival)

    def _concerns(self, arrival: Arrival, info: Info) -> bool:
        scan, _ = describe_scan(arrival.key, arrival.node, info)
        return self._backlog.concerns(scan)


def _start(info: Info) -> float:
    """Seconds since 1970 at which a scan began."""
    found = info.content.get("start_timestamp")
    return float(found) if isinstance(found, float | int) else 0.0


def _list_key(name: str) -> bytes:
    return f"{name}_children_list".encode()
