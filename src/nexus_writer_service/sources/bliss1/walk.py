"""Scans of BLISS 1 for programs of users: nodes, and walks over their events.

The names are those of the data API of BLISS 1, so that programs written for it need little change:

    session = get_session_node("test_session")
    for event_type, scan in session.iterator.walk_on_new_events(filter="scan"):
        if event_type is EventType.NEW_NODE:
            for event_type, node in scan.iterator.walk_events():
                ...

Redis is read directly; BLISS and blissdata 0.3 are not needed. Each walk has a connection of its
own, and belongs to one thread.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from redis import ResponseError

from nexus_writer_service.errors import DecodeError, ScanNotFoundError, SourceError
from nexus_writer_service.sources.bliss.store import RedisLink, redis_url
from nexus_writer_service.sources.bliss1.nodes import (
    CHANNELS,
    END,
    PREPARED,
    SCANS,
    Entry,
    Info,
    Node,
    children_of,
    event_of,
    field_of,
    fields_of,
)
from nexus_writer_service.sources.bliss1.pickles import load
from nexus_writer_service.sources.bliss1.store import database_url
from nexus_writer_service.sources.bliss1.values import array_of

_WAIT = 1.0
_FIRST = b"0-0"
_CHILDREN, _DATA = "_children_list", "_data"


class EventType(Enum):
    """What happened to a node."""

    NEW_NODE = 1
    NEW_DATA_IN_CHANNEL = 2
    END_SCAN = 3
    PREPARED_SCAN = 4


class DataNode:
    """A node of the tree in Redis, as of now.

    Args:
        url: of the database.
        node: what Redis says of it.
    """

    def __init__(self, url: str, node: Node) -> None:
        self.db_name = node.db_name
        """Its key in Redis."""
        self.name = node.name
        """Its own name: ``4_ascan`` of a scan, ``axis:robx`` of a channel."""
        self.type = node.kind
        """``scan``, ``scan_group``, ``channel``, ``lima``, ``node_ref_channel``, a container."""
        self._url = url

    @property
    def iterator(self) -> "DataNode":
        """What walks: the node itself."""
        return self

    @property
    def info(self) -> Mapping[str, Any]:
        """Its info, read anew: of a scan its scan info. What cannot be read safely is left out."""
        (answer,) = _asked(self._url, (b"HGETALL", f"{self.db_name}_info"))
        return Info.decoded(self.db_name, fields_of(answer)).content

    def get(self, from_index: int, to_index: int = -1) -> np.ndarray[Any, Any]:
        """Points of a channel, of shape (points, *point).

        Args:
            from_index: index of the first one.
            to_index: index of the last one; negative: all that there are.

        Raises:
            ScanNotFoundError: they are not in Redis any more.
            DecodeError: they cannot be read.
        """
        (entries,) = _asked(self._url, (b"XRANGE", f"{self.db_name}{_DATA}", b"1-0", b"+"))
        found: list[np.ndarray[Any, Any]] = []
        index = from_index
        for entry in entries:
            start, points = _points(entry)
            if start + len(points) <= index or 0 <= to_index < start:
                continue
            if start > index:
                raise ScanNotFoundError(
                    f"points {index} to {start - 1} of {self.db_name} are not in Redis any more: "
                    "it keeps about 2000 entries of a channel"
                )
            stop = None if to_index < 0 else to_index + 1 - start
            found.append(points[index - start : stop])
            index = start + len(points)
        return np.concatenate(found) if found else np.empty(0)

    def walk_on_new_events(
        self,
        filter: str | Collection[str] | None = None,  # noqa: A002 - the name that programs use
        *,
        from_next: bool = True,
    ) -> Iterator["Event"]:
        """Events from now on, without end: close the iterator to end it.

        Args:
            filter: types of the nodes whose events are told; None: all.
            from_next: leave out what is there already.

        Raises:
            SourceUnavailableError: Redis cannot be reached.
        """
        return _walk(self, filter, from_next=from_next)

    def walk_events(self, filter: str | Collection[str] | None = None) -> Iterator["Event"]:  # noqa: A002 - the name that programs use
        """All events since the beginning; of a scan until its END_SCAN, else without end."""
        return _walk(self, filter, from_next=False)


class Event(NamedTuple):
    """Something happened to a node."""

    type: EventType
    node: DataNode


def get_session_node(session: str, url: str | None = None) -> DataNode:
    """The root of the scans of a session; it need not be there yet.

    Args:
        session: name of the BLISS session.
        url: of the Redis server of scans; None: ``REDIS_DATA_URL``, else what Beacon at
            ``BEACON_HOST`` says.

    Raises:
        SettingsError: it is not known where Redis is.
        SourceUnavailableError: Beacon cannot be reached.
    """
    place = database_url(url or redis_url(os.environ))
    return DataNode(place, Node(session, "container", session))


def _walk(
    root: DataNode, types: str | Collection[str] | None, *, from_next: bool
) -> Iterator[Event]:
    # Listens from now on, not from the first event that is asked for.
    return _events(_Walk(root, _as_set(types), from_next=from_next))


def _events(walk: "_Walk") -> Iterator[Event]:
    try:
        while not walk.over:
            yield from walk.step()
    finally:
        walk.close()


def _as_set(types: str | Collection[str] | None) -> frozenset[str] | None:
    return None if types is None else frozenset([types] if isinstance(types, str) else types)


class _Walk:
    """The streams of a tree, read one after the other."""

    def __init__(self, root: DataNode, types: frozenset[str] | None, *, from_next: bool) -> None:
        self._root = root
        self._types = types
        self._link = RedisLink(root._url, any_database=True)  # noqa: SLF001 - the same module
        self._nodes: dict[str, DataNode] = {}
        self._after: dict[str, tuple[DataNode, bytes]] = {}
        self._ended: dict[str, DataNode] = {}
        self._quiet = False
        """Whether the last reading brought nothing."""
        self.over = False
        self._link.connect()
        self._subscribe(root)
        if from_next:
            self._pass_over()

    def close(self) -> None:
        """Let go of the connection."""
        self._link.close()

    def step(self) -> list[Event]:
        """What happened next; waits up to a second for something."""
        self._link.connect()
        events = self._read(0.0 if self._ended else _WAIT)
        for name, scan in list(self._ended.items()):
            # Data that were published before its end, but by nodes that were not known yet.
            if not any(event.node.db_name.startswith(f"{name}:") for event in events):
                events += self._finish(name, scan)
        return events

    def _pass_over(self) -> None:
        """Read all that is there already."""
        self._quiet = False
        while not self._quiet:
            self._read(0.0)
        for name, scan in list(self._ended.items()):
            self._finish(name, scan)

    def _read(self, wait: float) -> list[Event]:
        keys = list(self._after)
        ids = [after for _, after in self._after.values()]
        self._link.ask_streams([key.encode() for key in keys], ids, count=500, block=wait or None)
        # An entry that is gone by the time it wakes us leaves an empty list [Redis 7.0].
        replies = {key.decode(): found for key, found in self._link.take_streams() if found}
        self._quiet = not replies
        events: list[Event] = []
        for key in sorted(replies, key=_order):
            if key not in self._after:
                continue
            node, _ = self._after[key]
            self._after[key] = node, replies[key][-1][0]
            events += self._told(key, node, replies[key])
        return events

    def _told(self, key: str, node: DataNode, entries: Sequence[Entry]) -> list[Event]:
        if key.endswith(_CHILDREN):
            return self._new_nodes(children_of(entries))
        kinds = {event_of(entry) for entry in entries} - {""}
        if END in kinds:
            self._ended[node.db_name] = node
            return []
        kind = EventType.PREPARED_SCAN if PREPARED in kinds else EventType.NEW_DATA_IN_CHANNEL
        return self._wanted([Event(kind, node)] if kinds else [])

    def _new_nodes(self, names: Sequence[str]) -> list[Event]:
        new = [name for name in names if name not in self._nodes]
        events = []
        for name, fields in zip(new, self._ask(*((b"HGETALL", one) for one in new)), strict=True):
            found = Node.decoded(name, fields_of(fields))
            if found is not None:
                node = self._nodes[name] = DataNode(self._root._url, found)  # noqa: SLF001 - the same module
                self._subscribe(node)
                events.append(Event(EventType.NEW_NODE, node))
        return self._wanted(events)

    def _subscribe(self, node: DataNode) -> None:
        """Hear of what happens to a node; of its channels only where somebody asks for them."""
        suffixes: tuple[str, ...] = (_CHILDREN,)
        if node.type in CHANNELS:
            suffixes = (_DATA,)
        elif node.type in SCANS:
            inner = self._types is None or bool(self._types - set(SCANS))
            suffixes = ("_prepared", "_end", *((_CHILDREN,) if inner else ()))
        for suffix in suffixes:
            self._after[f"{node.db_name}{suffix}"] = node, _FIRST

    def _finish(self, name: str, scan: DataNode) -> list[Event]:
        del self._ended[name]
        self._after = {
            key: place
            for key, place in self._after.items()
            if place[0].db_name != name and not place[0].db_name.startswith(f"{name}:")
        }
        self.over = scan.db_name == self._root.db_name
        return self._wanted([Event(EventType.END_SCAN, scan)])

    def _wanted(self, events: list[Event]) -> list[Event]:
        if self._types is None:
            return events
        return [event for event in events if event.node.type in self._types]

    def _ask(self, *commands: tuple[bytes | str, ...]) -> list[Any]:
        return _checked(self._link.request(*commands))


def _order(key: str) -> int:
    """New nodes come first, the end of a scan last."""
    suffixes = (_CHILDREN, "_prepared", _DATA, "_end")
    return next(place for place, suffix in enumerate(suffixes) if key.endswith(suffix))


def _points(entry: Entry) -> tuple[int, np.ndarray[Any, Any]]:
    """Index of the first point of an entry, and the points."""
    try:
        start = int(entry[0].partition(b"-")[0]) - 1
        count = int(field_of(entry, b"__NPOINTS__"))
        data = array_of(load(field_of(entry, b"__DATA__")))
    except DecodeError:
        raise
    except ValueError as error:
        raise DecodeError(f"entry {entry[0]!r} holds no points: {error}") from error
    # A single point comes without the list around it.
    return start, data[np.newaxis] if count == 1 else data


def _asked(url: str, *commands: tuple[bytes | str, ...]) -> list[Any]:
    link = RedisLink(url, any_database=True)
    try:
        link.connect()
        return _checked(link.request(*commands))
    finally:
        link.close()


def _checked(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise SourceError(f"Redis refuses: {answer}")
    return answers
