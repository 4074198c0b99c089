"""One scan of BLISS 1 as a state machine: what to read of it next, and what that tells.

The nodes of a scan's channels are published one by one; then PREPARED_SCAN, together with the scan
info; then data; then END_SCAN, together with the info again. So what was published before one of
these two is there when it is seen: the nodes and the info are read *after* it. Nothing seals the
data of a channel: they are complete when a reading after END_SCAN brings no more.

Pure: entries, hashes and answers in, events out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import ChannelName, Content, ScanDescription, ScanKey
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Extended,
    Prepared,
    ScanEvent,
    Vanished,
)
from nexus_writer_service.sources.bliss1.description import ChannelNode, describe_scan
from nexus_writer_service.sources.bliss1.nodes import (
    CHANNELS,
    END,
    PREPARED,
    Entry,
    Info,
    Node,
    event_of,
    field_of,
    value_of,
)
from nexus_writer_service.sources.bliss1.streams import (
    EXPIRED,
    DataStream,
    FrameStream,
    Grown,
    NumberStream,
    SequenceStream,
)

GONE = "it is no longer in Redis: it has expired, was deleted, or the database was emptied"

_FIRST = b"0-0"
_EXCEPTIONS = {"USER_ABORTED": "KeyboardInterrupt", "KILLED": "Exception"}
"""What ended a scan, by the state that its info has in the end."""


class FollowedScan:
    """Follows one scan from its announcement to its end.

    Args:
        key: identifies the scan.
        node: of the scan.
        info: of that node, read at any time.
        over: whether it had ended when it was found.
    """

    def __init__(self, key: ScanKey, node: Node, info: Info, *, over: bool = False) -> None:
        self.key = key
        self.node = node
        self.due = False
        """Whether nodes and info are to be read again: see ``unread`` and ``update``."""
        self.over = False
        """Whether the last event has been given."""
        self.ended = False
        """Whether END_SCAN was seen: all that will ever be published is in Redis now."""
        self._prepared = False
        self._exception: str | None = None
        self._told: set[str] = set()
        self._info = info
        self._lists: dict[str, bytes] = {node.db_name: _FIRST}
        """The nodes whose children are listed, and how far their lists were read."""
        self._unread: dict[str, None] = {}
        """Nodes that are known by name only."""
        self._channels: dict[str, ChannelNode] = {}
        self._events_read = {self._key("_prepared"): _FIRST, self._key("_end"): _FIRST}
        self._streams: dict[bytes, DataStream] = {}
        self._expired: set[ChannelName] = set()
        ended_by = _EXCEPTIONS.get(str(info.content.get("state")), "") if over else None
        self._description, warnings = describe_scan(key, node, info, exception=ended_by)
        self.announced = Announced(key, self._description, self._untold(warnings))
        """The first event."""
        self._late: list[str] = []

    @property
    def draining(self) -> bool:
        """Whether what remains to be read is there already."""
        return self.ended and not self.over

    # ----------------------------------------------------------------------- what is to be read

    def control(self) -> dict[bytes, bytes]:
        """Streams that tell what becomes of the scan, and the ids after which to read them."""
        if not self._prepared:
            return dict(self._events_read)
        lists = {_list_key(name): after for name, after in self._lists.items()}
        return {**self._events_read, **lists}

    def data(self) -> dict[bytes, DataStream]:
        """The streams of data to read now, by Redis key."""
        return {key: stream for key, stream in self._streams.items() if stream.open}

    def begun(self) -> list[bytes]:
        """Keys of those among them that have been seen, so that they exist."""
        return [key for key, stream in self.data().items() if stream.begun]

    def lists(self) -> dict[str, bytes]:
        """While it is ``due``: nodes whose children are to be listed, and after which id."""
        return dict(self._lists)

    def unread(self) -> list[str]:
        """While it is ``due``: names of the nodes whose hashes are to be read."""
        return list(self._unread)

    # -------------------------------------------------------------------------- what has been read

    def hear(self, key: bytes, entries: Sequence[Entry]) -> None:
        """Take entries of one of the streams of ``control``. The nodes may be due after that."""
        if key not in self._events_read:
            self.due = True
            return
        self._events_read[key] = entries[-1][0]
        for entry in entries:
            event = event_of(entry)
            if event == PREPARED:
                self._prepared = self.due = True
            elif event == END and not self.ended:
                self.ended = self.due = True
                self._exception = _exception_of(entry)

    def list_children(self, parent: str, last: bytes, children: Iterable[str]) -> None:
        """Take what a list of children tells: its last id, and names of nodes."""
        self._lists[parent] = last
        for name in children:
            known = name in self._lists or name in self._channels or name in self._unread
            if not known and name.startswith(f"{self.node.db_name}:"):
                self._unread[name] = None

    def learn(self, name: str, node: Node | None, info: Info, *, has_data: bool) -> None:
        """Take a node that was ``unread``; None when Redis does not hold it any more."""
        del self._unread[name]
        if node is None:
            self._late.append(f"{name} {EXPIRED}")
        elif node.kind in CHANNELS:
            channel = ChannelNode(node, info)
            self._channels[name] = channel
            if not has_data:
                self._expired.add(channel.name)
        else:
            self._lists[name] = _FIRST

    def update(self, info: Info | None) -> list[ScanEvent]:
        """Take the info that was due, after all nodes; None when the scan is not there any more."""
        self.due = False
        if info is None:
            return self.vanish(GONE)
        self._info = info
        known = self._description.channels
        self._description, warnings = self._described()
        untold = self._untold((*warnings, *self._late))
        self._late = []
        told = self._description
        if self._prepared and not self._streams and not known:
            begin: list[ScanEvent] = [Prepared(self.key, told, untold), *self._open(())]
            return begin
        if self.ended and not self._prepared and told.channels:
            self._prepared = True
            return [Prepared(self.key, told, untold), *self._open(())]
        if told.channels.keys() - known.keys():
            return [Extended(self.key, told, untold), *self._open(known)]
        self._late += untold
        return []

    def receive(self, replies: Mapping[bytes, Sequence[Entry]]) -> list[ScanEvent]:
        """Take entries by stream, out of one reading of all of ``data``."""
        events: list[ScanEvent] = []
        for key, entries in replies.items():
            events += map(self._event, self._streams[key].receive(entries))
        if not self.ended or self.due:
            return events
        for key, stream in self.data().items():
            if key not in replies:
                events.append(stream.end())
        if not self.data():
            self.over = True
            events.append(Ended(self.key, self._description, tuple(self._late)))
        return events

    def lose(self, keys: Iterable[bytes], reason: str) -> list[ScanEvent]:
        """Read streams no longer, by Redis key; what was received of them stays."""
        return [self._streams[key].give_up(reason) for key in keys]

    def vanish(self, reason: str) -> list[ScanEvent]:
        """End without the scan's own end."""
        self.over, self.due = True, False
        return [Vanished(self.key, reason)]

    # --------------------------------------------------------------------------------------- parts

    def _described(self) -> tuple[ScanDescription, tuple[str, ...]]:
        scan, warnings = describe_scan(
            self.key, self.node, self._info, self._channels.values(), self._exception
        )
        shapes = {
            name: replace(channel, shape=self._description.channels[name].shape)
            if name in self._description.channels
            else channel
            for name, channel in scan.channels.items()
        }
        return replace(scan, channels=shapes, unusable=self._lacking(scan)), warnings

    def _lacking(self, scan: ScanDescription) -> dict[ChannelName, str]:
        """Channels without data, and why: also those whose nodes have expired."""
        known = {channel.name for channel in self._channels.values()}
        announced = {name for device in scan.devices.values() for name in device.channels}
        gone = announced - known if self._prepared and self.ended else set()
        return {**scan.unusable, **dict.fromkeys(sorted(gone), EXPIRED)}

    def _open(self, known: Iterable[ChannelName]) -> list[ScanEvent]:
        """Begin to read the channels that are new."""
        lost: list[ScanEvent] = []
        for name, node in self._channels.items():
            channel = self._description.channels.get(node.name)
            if channel is None or node.name in known:
                continue
            stream: DataStream
            if channel.content is Content.NUMBERS:
                stream = NumberStream(self.key, channel)
            elif channel.content is Content.SCANS:
                stream = SequenceStream(self.key, node.name)
            else:
                stream = FrameStream(self.key, node.name)
            self._streams[f"{name}_data".encode()] = stream
            if node.name in self._expired:
                lost.append(stream.give_up(f"channel {node.name}: {EXPIRED}"))
        return lost

    def _event(self, event: ScanEvent | Grown) -> ScanEvent:
        if not isinstance(event, Grown):
            return event
        channels = {**self._description.channels, event.channel.name: event.channel}
        self._description = replace(self._description, channels=channels)
        return Extended(self.key, self._description)

    def _key(self, suffix: str) -> bytes:
        return f"{self.node.db_name}{suffix}".encode()

    def _untold(self, warnings: Iterable[str]) -> tuple[str, ...]:
        new = tuple(dict.fromkeys(text for text in warnings if text not in self._told))
        self._told.update(new)
        return new


def _list_key(name: str) -> bytes:
    return f"{name}_children_list".encode()


def _exception_of(entry: Entry) -> str:
    """What ended the scan, in words; empty when nothing did."""
    try:
        found = value_of(field_of(entry, b"__EXCEPTION__"))
    except DecodeError as error:
        return f"an exception that cannot be read: {error}"
    return found if isinstance(found, str) else str(found or "")
