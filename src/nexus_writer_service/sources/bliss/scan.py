"""One scan in Redis as a state machine: what to read of it next, and what that tells.

A scan is a JSON document, a stream of states, and one stream per channel. The publisher saves the
document and the new state in one transaction, so a document that was read *after* a state had been
seen is at least as new as that state. The other way round a scan that is prepared and closed
between the two readings looks prepared with no channels. Hence the order here: states first, and
then the document again. Documents change only on the way to PREPARED and to CLOSED.

Pure: entries and documents in, events out.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import Json, ScanDescription, ScanKey
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Lost,
    Prepared,
    ScanEvent,
    ScanReference,
    Vanished,
)
from nexus_writer_service.sources.bliss.encodings import Entry, field_of
from nexus_writer_service.sources.bliss.scan_info import Earlier, describe
from nexus_writer_service.sources.bliss.streams import ChannelStream, follow_stream

GONE = "it is no longer in Redis: it was deleted, or the database was emptied"
EMPTIED = "Redis holds no scans any more: it was started without its data, or emptied"
STREAM_GONE = "its stream is no longer in Redis: it was deleted"


class ScanState(IntEnum):
    """State of a scan for its publisher. It only grows; CLOSED can follow on any other."""

    CREATED = 0
    PREPARED = 1
    STARTED = 2
    STOPPED = 3
    CLOSED = 4


class FollowedScan:
    """Follows one scan from its announcement to its end.

    Args:
        key: Redis key of the scan.
        document: the scan's JSON document, read at any time.

    Raises:
        DecodeError: the document does not say where the states of the scan are.
    """

    def __init__(self, key: ScanKey, document: Json) -> None:
        self.key = key
        self.state: ScanState | None = None
        """The last state seen; None before the first one."""
        self.state_key = _stream_key(key, _member(document, "state_stream"))
        """Redis key of the stream of states."""
        self.state_id = b"0-0"
        """Reading that stream after this id goes on where it stopped."""
        self.document_due = False
        """Whether the document is to be read again and given to ``receive_document``."""
        self.over = False
        """Whether the last event has been given."""
        self._told: set[str] = set()
        self._earlier: Earlier | None = None
        self._description, warnings = self._described(document)
        self._announced = Announced(key, self._description, self._untold(warnings))
        self._was_prepared = False
        self._closed = False
        self._streams: dict[bytes, ChannelStream] | None = None
        self._names: frozenset[str] = frozenset()
        self._end_warnings: list[str] = []

    @property
    def announced(self) -> Announced:
        """The first event."""
        return self._announced

    @property
    def draining(self) -> bool:
        """Whether the scan is closed: all that will ever be published is in its streams now."""
        return self._closed and not self.over

    def streams(self) -> dict[bytes, ChannelStream]:
        """The streams to read now, by Redis key."""
        return {key: stream for key, stream in (self._streams or {}).items() if stream.open}

    def begun_streams(self) -> list[bytes]:
        """Redis keys of those among the streams to read that have been seen, so that they exist."""
        return [key for key, stream in self.streams().items() if stream.begun]

    def lose(self, keys: Iterable[bytes], reason: str) -> list[ScanEvent]:
        """Read streams no longer, by Redis key; what was received of them stays."""
        streams = self._streams or {}
        return [streams[key].give_up(f"channel {streams[key].channel}: {reason}") for key in keys]

    def receive_states(self, entries: Iterable[Entry]) -> None:
        """Take entries of the stream of states. The document may be due after that."""
        for entry in entries:
            self.state_id = entry[0]
            state = _state(entry)
            if state is not None and (self.state is None or state > self.state):
                self.state = state
                self._was_prepared |= ScanState.PREPARED <= state < ScanState.CLOSED
        if self.state is ScanState.CLOSED:
            self.document_due = not self._closed
        else:
            self.document_due = self._was_prepared and self._streams is None

    def receive_document(self, text: bytes | None) -> list[ScanEvent]:
        """Take the document that was due; None when it is not there any more."""
        self.document_due = False
        if text is None:
            return self.vanish(GONE)
        try:
            document = parse_document(text)
        except DecodeError as error:
            return self._go_on_without(error)
        self._description, warnings = self._described(document)
        untold = self._untold(warnings)
        closed = self.state is ScanState.CLOSED
        streams = _member(document, "data_streams")
        events: list[ScanEvent] = []
        # A scan that is closed without having been prepared can have streams all the same.
        if self._streams is None and (self._was_prepared or streams):
            events = self._prepare(streams, untold)
        else:
            self._end_warnings += untold
        self._end_warnings += [
            f"channel {name} was added after the scan was prepared and is not followed"
            for name in streams.keys() - self._names
        ]
        return events + (self._close() if closed else [])

    def receive(self, replies: Mapping[bytes, Sequence[Entry]]) -> list[ScanEvent]:
        """Take entries by stream, out of one reading of all ``streams()``."""
        streams = self._streams or {}
        events: list[ScanEvent] = []
        for key, entries in replies.items():
            events += streams[key].receive(entries)
        if not self._closed:
            return events
        for key, stream in self.streams().items():
            if key not in replies:
                stream.open = False
                self._end_warnings.append(
                    f"channel {stream.channel} was not sealed: nobody knows whether all of it "
                    "was published"
                )
        return events + self._end_if_drained()

    def vanish(self, reason: str) -> list[ScanEvent]:
        """End without the scan's own end."""
        self.over, self.document_due = True, False
        return [Vanished(self.key, reason)]

    def _described(self, document: Json) -> tuple[ScanDescription, tuple[str, ...]]:
        scan, warnings = describe(self.key, document, self._earlier)
        self._earlier = None if warnings or not scan.save else (document, scan)
        return scan, warnings

    def _prepare(self, documents: Mapping[str, Json], warnings: tuple[str, ...]) -> list[ScanEvent]:
        self._streams = {}
        self._names = frozenset(documents)
        lost: list[ScanEvent] = []
        # Of the other channels, the description says why they are unusable.
        for channel in self._description.channels:
            document = documents[channel]
            try:
                stream = follow_stream(
                    self.key, channel, _member(document, "encoding"), _member(document, "info")
                )
                self._streams[_stream_key(self.key, document)] = stream
            except DecodeError as error:
                lost.append(Lost(self.key, channel, 0, None, f"channel {channel}: {error}"))
        return [Prepared(self.key, self._description, warnings), *lost]

    def _close(self) -> list[ScanEvent]:
        self._closed = True
        return self._end_if_drained()

    def _end_if_drained(self) -> list[ScanEvent]:
        if self.streams():
            return []
        self.over = True
        return [Ended(self.key, self._description, tuple(self._end_warnings))]

    def _go_on_without(self, error: DecodeError) -> list[ScanEvent]:
        if self._streams is None:
            return self.vanish(str(error))
        self._end_warnings.append(f"the end of the scan is not described: {error}")
        return self._close()

    def _untold(self, warnings: Iterable[str]) -> tuple[str, ...]:
        new = tuple(dict.fromkeys(text for text in warnings if text not in self._told))
        self._told.update(new)
        return new


def parse_document(text: bytes) -> Json:
    """A scan's document out of what Redis holds.

    Raises:
        DecodeError: it is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise DecodeError(f"the scan's document is not JSON: {error}") from error


def session_of(document: Json) -> str | None:
    """The BLISS session that published a scan, as its document says; None when it does not."""
    identity = document.get("id") if isinstance(document, Mapping) else None
    return identity.get("session") if isinstance(identity, Mapping) else None


def complete_reference(reference: ScanReference, document: Json) -> ScanReference:
    """A reference to a scan, with where that scan is saved by its own document."""
    scan, _ = describe(reference.key, document)
    if not scan.save or scan.path is None:
        return reference
    entries = tuple(f"{scan.number}.{place}" for place in range(1, len(scan.subscans) + 1))
    return replace(reference, path=scan.path, entries=entries)


def _state(entry: Entry) -> ScanState | None:
    """The state in an entry, None for one that is not known here."""
    try:
        return ScanState(int(field_of(entry, b"state")))
    except ValueError:
        return None


def _member(document: Json, name: str) -> Mapping[str, Json]:
    """A JSON object in a JSON object; empty when it is not there, or no object."""
    value = document.get(name) if isinstance(document, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _stream_key(scan: ScanKey, document: Json) -> bytes:
    """Redis key of a stream: the scan's, with ``stream`` for ``scan`` and the stream's pk."""
    pk = document.get("pk") if isinstance(document, Mapping) else None
    if not isinstance(pk, str) or not pk:
        raise DecodeError(f"scan {scan}: a stream in its document has no pk")
    prefix, _, _ = scan.rpartition("scan:")
    return f"{prefix}stream:{pk}".encode()
