"""Follows the data streams of a scan in Redis: which index comes next, what is lost, where it ends.

The id of an entry is the index of its first point (``12-1``), so that ids say at any time what has
been read: nothing is counted twice, and points keep their index when others before them are lost.
Pure: entries in, events out.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import ChannelName, Json, ScanKey
from nexus_writer_service.model.events import Frames, Lost, ScanEvent, Sealed
from nexus_writer_service.sources.bliss.encodings import (
    Decoder,
    Entry,
    FixedNumbers,
    FrameDecoder,
    decoder_for,
    field_of,
    length_of,
)

SEAL_ID = b"18446744073709551615-18446744073709551615"
"""Id of the entry that ends a stream; its field ``id`` is the length of the stream."""

_TRIMMED = "trimmed from Redis before it could be read"
_ENTRY_OVERHEAD = 300
"""Bytes that an entry takes as lists and objects before it is decoded, besides its payload."""


class ChannelStream(ABC):
    """The stream of one channel.

    Args:
        scan: key of the scan.
        channel: what the stream belongs to.
        point_bytes: size of a point, where that is known before the first one.
    """

    def __init__(self, scan: ScanKey, channel: ChannelName, point_bytes: int = 0) -> None:
        self.channel = channel
        self.open = True
        """Whether more is to be read: it is neither sealed nor given up."""
        self.next_id = b"0-0"
        """Reading after this id goes on where it stopped."""
        self.entry_bytes = point_bytes + _ENTRY_OVERHEAD
        """About how much memory an entry takes while it is read."""
        self._scan = scan
        self._next = 0

    def receive(self, entries: Sequence[Entry]) -> list[ScanEvent]:
        """What entries tell, one or more, that follow on those received before."""
        seal = entries[-1] if entries[-1][0] == SEAL_ID else None
        data = entries if seal is None else entries[:-1]
        events = self._data(data) if data else []
        if data:
            # The payload comes first.
            recent = _ENTRY_OVERHEAD + len(data[-1][1][1])
            self.entry_bytes = max(recent, self.entry_bytes // 2)
        if self.open and seal is not None:
            self.open = False
            events += self._end(seal)
        self.next_id = b"%d-0" % self._next
        return events

    @property
    def begun(self) -> bool:
        """Whether an entry has been received."""
        return self.next_id != b"0-0"

    def give_up(self, reason: str) -> ScanEvent:
        """Read no more of it; what was received stays."""
        self.open = False
        return self._lost(self._received, None, reason)

    @property
    def _received(self) -> int:
        """Number of points (frames) up to the last one received."""
        return self._next

    @abstractmethod
    def _data(self, entries: Sequence[Entry]) -> list[ScanEvent]:
        """What entries with payload tell."""

    @abstractmethod
    def _end(self, seal: Entry) -> list[ScanEvent]:
        """What the seal tells."""

    def _lost(self, start: int, stop: int | None, reason: str) -> Lost:
        return Lost(self._scan, self.channel, start, stop, reason)

    def _unreadable(self, entry: Entry, start: int, error: DecodeError) -> Lost:
        # Nothing that follows can be trusted either.
        self.open = False
        place = f"channel {self.channel}, entry {entry[0].decode(errors='replace')}"
        return self._lost(start, None, f"{place}: {error}")


class PointStream(ChannelStream):
    """A stream whose every point is data: numbers, or references to scans."""

    def __init__(self, scan: ScanKey, channel: ChannelName, decoder: Decoder[Any]) -> None:
        size = decoder.point_bytes if isinstance(decoder, FixedNumbers) else 0
        super().__init__(scan, channel, size)
        self._decoder = decoder

    def _data(self, entries: Sequence[Entry]) -> list[ScanEvent]:
        try:
            first = _index(entries[0])
            last = _index(entries[-1]) if len(entries) > 1 else first
            values = self._decoder.decode(entries)
            count = self._decoder.count(values)
            if first + count == last + length_of(entries[-1]):
                return [*self._gap(first), self._points(first, count, values)]
        except DecodeError:
            pass  # Looked into entry by entry, for all that can be read and the one that cannot.
        return self._one_by_one(entries)

    def _one_by_one(self, entries: Sequence[Entry]) -> list[ScanEvent]:
        events: list[ScanEvent] = []
        for entry in entries:
            try:
                first, length = _index(entry), length_of(entry)
                values = self._decoder.decode([entry])
                if (count := self._decoder.count(values)) != length:
                    raise DecodeError(f"{count} points where {length} are announced")
            except DecodeError as error:
                return [*events, self._unreadable(entry, self._next, error)]
            events += [*self._gap(first), self._points(first, length, values)]
        return events

    def _gap(self, first: int) -> list[ScanEvent]:
        return [self._lost(self._next, first, _TRIMMED)] if first > self._next else []

    def _points(self, first: int, count: int, values: Any) -> ScanEvent:
        self._next = first + count
        return self._decoder.event(self._scan, self.channel, first, values)

    def _end(self, seal: Entry) -> list[ScanEvent]:
        try:
            length = _sealed_length(seal)
        except DecodeError as error:
            return [self._unreadable(seal, self._next, error)]
        return [*self._gap(length), Sealed(self._scan, self.channel, max(length, self._next))]


class FrameStream(ChannelStream):
    """A stream of a detector's progress: only its last entry matters."""

    def __init__(self, scan: ScanKey, channel: ChannelName, decoder: FrameDecoder) -> None:
        super().__init__(scan, channel)
        self._decoder = decoder
        self._frames = (0, 0)

    @property
    def _received(self) -> int:
        return self._frames[0]

    def _data(self, entries: Sequence[Entry]) -> list[ScanEvent]:
        last = entries[-1]
        try:
            self._next = _index(last) + length_of(last)
            # Entries of several publishers can cross: what has been taken stays taken.
            taken, saved = map(max, self._frames, self._decoder.counts(last))
        except DecodeError as error:
            return [self._unreadable(last, self._frames[0], error)]
        if (taken, saved) == self._frames:
            return []
        self._frames = taken, saved
        return [Frames(self._scan, self.channel, taken, saved)]

    def _end(self, seal: Entry) -> list[ScanEvent]:
        taken = self._frames[0]
        try:
            length = _sealed_length(seal)
        except DecodeError as error:
            return [self._unreadable(seal, taken, error)]
        if length > self._next:
            return [self._lost(taken, None, f"how many frames there are was {_TRIMMED}")]
        return [Sealed(self._scan, self.channel, taken)]


def follow_stream(
    scan: ScanKey, channel: ChannelName, encoding: Json, info: Mapping[str, Json]
) -> ChannelStream:
    """What follows a stream that is announced with this encoding and info.

    Raises:
        DecodeError: the encoding, or the version of a detector's protocol, is not known.
    """
    decoder = decoder_for(encoding, info)
    if isinstance(decoder, FrameDecoder):
        return FrameStream(scan, channel, decoder)
    return PointStream(scan, channel, decoder)


def _index(entry: Entry) -> int:
    try:
        return int(entry[0].partition(b"-")[0])
    except ValueError as error:
        raise DecodeError("the id holds no index") from error


def _sealed_length(seal: Entry) -> int:
    length = field_of(seal, b"id")
    # A stream that got no entry is sealed with id 0: -1 + 1.
    if not length.isdigit():
        raise DecodeError(f"{length!r} is not the length of the stream")
    return int(length)
