"""Two ways of publishing a scan: blissdata's own, and a fast one that leaves the same in Redis.

blissdata sends each stream through two threads and a connection of its own: right for a handful of
channels, too slow for thousands, and it neither publishes nonsense nor survives a Redis that goes
away. The pipeline writes what blissdata would, many entries at a time.
"""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from blissdata.streams import StreamDefinition

from nexus_writer_service.testing.simulation.faults import Faults

Json = Any

CREATED, PREPARED, STARTED, STOPPED, CLOSED = range(5)
"""States of a scan, as numbered in its state stream."""

_BYTES_MISSING = 3


class Publisher(Protocol):
    """Publishes one scan, which it creates. Call from one thread at a time."""

    @property
    def key(self) -> str:
        """Redis key of the scan."""

    def prepare(self, info: Json, streams: Sequence[StreamDefinition]) -> None:
        """Create the streams; the scan is PREPARED."""

    def start(self) -> None:
        """The scan is STARTED."""

    def send(self, channel: str, data: Any, block: int) -> None:
        """Add entries to a channel's stream, with the next `push` at the latest.

        Args:
            channel: full name.
            data: an array of points, to be split into entries of ``block``; or one entry.
            block: points of one entry.
        """

    def push(self) -> None:
        """Send what is still held back; Redis may not have it yet."""

    def flush(self) -> None:
        """Return when Redis has all that was sent."""

    def stop(self) -> None:
        """Seal the streams; the scan is STOPPED."""

    def close(self, info: Json) -> None:
        """Seal what is not sealed; the scan is CLOSED. From any state."""


class BlissdataPublisher:
    """Publishes through blissdata's own streams."""

    def __init__(self, store: Any, identity: dict[str, Json], info: Json) -> None:
        self._scan = store.create_scan(identity, info)
        self._streams: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """Redis key of the scan."""
        key: str = self._scan.key
        return key

    def prepare(self, info: Json, streams: Sequence[StreamDefinition]) -> None:
        """Create the streams; the scan is PREPARED."""
        for definition in streams:
            self._streams[definition.name] = self._scan.create_stream(definition)
        self._scan.info = info
        self._scan.prepare()

    def start(self) -> None:
        """The scan is STARTED."""
        self._scan.start()

    def send(self, channel: str, data: Any, block: int) -> None:
        """Add entries to a channel's stream."""
        stream = self._streams[channel]
        for entry in _entries(stream, data, block):
            stream.send(entry)

    def push(self) -> None:
        """Nothing: streams hold entries back for at most 0.1 s, as in BLISS."""

    def flush(self) -> None:
        """Return when Redis has all that was sent."""
        for stream in self._streams.values():
            stream.join()

    def stop(self) -> None:
        """Seal the streams; the scan is STOPPED."""
        self._scan.stop()

    def close(self, info: Json) -> None:
        """Seal what is not sealed; the scan is CLOSED."""
        self._scan.info = info
        self._scan.close()


class PipelinePublisher:
    """Writes the scan document and the entries itself, and faults as they are asked for."""

    def __init__(
        self,
        store: Any,
        client: Any,
        identity: dict[str, Json],
        info: Json,
        faults: Faults,
    ) -> None:
        self._client = client
        self._faults = faults
        self.key: str = store.create_scan(identity, info).key
        self._state_key = _stream_key(client.json().get(self.key, "$.state_stream.pk")[0])
        self._streams: dict[str, _PipelineStream] = {}
        self._pipeline = client.pipeline(transaction=bool(faults.trimmed))
        self._sealed = False

    def prepare(self, info: Json, streams: Sequence[StreamDefinition]) -> None:
        """Create the streams; the scan is PREPARED."""
        document = {}
        for definition in streams:
            stream = _PipelineStream(definition, self._faults)
            self._streams[definition.name] = stream
            document[definition.name] = stream.document
        self._set_state(PREPARED, {"info": info, "data_streams": document})

    def start(self) -> None:
        """The scan is STARTED."""
        self._set_state(STARTED)

    def send(self, channel: str, data: Any, block: int) -> None:
        """Add entries to a channel's stream, with the next `push`."""
        self._streams[channel].send(data, block, self._pipeline)

    def push(self) -> None:
        """Send all entries at once, and wait until Redis has them."""
        self._pipeline.execute()

    def flush(self) -> None:
        """Return when Redis has all that was sent."""
        self.push()

    def stop(self) -> None:
        """Seal the streams; the scan is STOPPED."""
        self._seal()
        self._set_state(STOPPED)

    def close(self, info: Json) -> None:
        """Seal what is not sealed; the scan is CLOSED."""
        self._seal()
        self._set_state(CLOSED, {"info": info})

    def _seal(self) -> None:
        if self._sealed:
            return
        self.flush()
        for name, stream in self._streams.items():
            if name not in self._faults.unsealed:
                self._pipeline.fcall("seal_stream", 1, stream.key)
        self.flush()
        self._sealed = True

    def _set_state(self, state: int, changes: Json | None = None) -> None:
        with self._client.pipeline(transaction=True) as pipeline:
            for field, value in (changes or {}).items():
                pipeline.json().set(self.key, f"$.{field}", value)
            pipeline.xadd(self._state_key, {"state": state})
            pipeline.execute()


class _PipelineStream:
    """One stream: its place in the scan document, and its entries."""

    def __init__(self, definition: StreamDefinition, faults: Faults) -> None:
        name = definition.name
        identifier = f"0{secrets.token_hex(13)[1:].upper()}"
        self.key = _stream_key(identifier)
        self.document = {
            "pk": identifier,
            "encoding": faults.encodings.get(name, definition.encoder.info()),
            "info": definition.info | faults.stream_info.get(name, {}),
        }
        self._encoder: Any = definition.encoder
        self._garbage = faults.garbage.get(name)
        self._trimmed = faults.trimmed.get(name, 0)
        self._next = 0

    def send(self, data: Any, block: int, pipeline: Any) -> None:
        start = self._next
        for payload, points in self._payloads(data, block):
            entry = self._next
            self._next += points
            broken = self._garbage is not None and entry <= self._garbage < self._next
            fields = ["payload", payload[:-_BYTES_MISSING] if broken else payload]
            if points > 1:
                fields += ["len", str(points)]
            # A plain command: redis-py's own xadd spends more time than Redis.
            pipeline.execute_command("XADD", self.key, f"{entry}-1", *fields)
        if start < self._trimmed:
            pipeline.execute_command("XTRIM", self.key, "MINID", f"{self._trimmed}-0")

    def _payloads(self, data: Any, block: int) -> Iterator[tuple[bytes, int]]:
        """Bytes and number of points of each entry."""
        if _is_one_entry(self._encoder.shape, data):
            batch = self._encoder.encode(data)
            yield batch.payload, batch.len
            return
        # The wire format of numbers, once for many entries: blissdata's encoder takes ten times
        # as long for each.
        raw, size = data.tobytes(), data.nbytes // len(data)
        for start in range(0, len(data), block):
            stop = min(start + block, len(data))
            yield raw[start * size : stop * size], stop - start


def _entries(stream: Any, data: Any, block: int) -> Iterator[Any]:
    if _is_one_entry(stream.shape, data):
        yield data
        return
    for start in range(0, len(data), block):
        yield data[start : start + block]


def _is_one_entry(shape: Sequence[int], data: Any) -> bool:
    """Whether data are one entry: messages, and points whose shape varies."""
    return not isinstance(data, np.ndarray) or -1 in shape


def _stream_key(identifier: str) -> str:
    return f"esrf:stream:{identifier}"
