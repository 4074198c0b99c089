"""What the payloads of stream entries mean, by the encoding that their stream announces.

Pure: bytes in, values out. A decoder takes the entries of one read together, because joining them
before looking at them is what makes a stream of single numbers cheap.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol, TypeVar

import msgpack
import numpy as np

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import ChannelName, Json, ScanKey, Shape
from nexus_writer_service.model.events import Points, ScanEvent, ScanReference, Scans

Entry = list[Any]
"""``[id, [field, value, field, value...]]``, all bytes, as the server sends it."""
Batches = tuple[np.ndarray[Any, Any], ...]
References = tuple[ScanReference, ...]
V = TypeVar("V")

_NUMBER_KINDS = "biufc"
_LARGE = 16 << 10
"""Bytes of a payload from which on not all that is read becomes one array."""
_TOGETHER = 1 << 20
"""Bytes of large payloads that do: what is done for each array costs more than to copy some of
them, but much more than that would not stay in the processor's cache."""
_UPDATE = "a newer nexus_writer_service may know it"


class Decoder(Protocol[V]):
    """Turns entries into values, one or more points per entry."""

    def decode(self, entries: Sequence[Entry]) -> V:
        """The values of consecutive entries.

        Raises:
            DecodeError: a payload does not mean what the stream promises.
        """

    def count(self, values: V) -> int:
        """Number of points."""

    def event(self, scan: ScanKey, channel: ChannelName, start: int, values: V) -> ScanEvent:
        """What is told of values whose first one has index ``start``."""


def field_of(entry: Entry, name: bytes, default: bytes | None = None) -> bytes:
    """The value of a field of an entry.

    Raises:
        DecodeError: the entry has no such field and there is no default.
    """
    fields = entry[1]
    for position in range(0, len(fields), 2):
        if fields[position] == name:
            value: bytes = fields[position + 1]
            return value
    if default is None:
        raise DecodeError(f"the field {name.decode()} is missing")
    return default


def length_of(entry: Entry) -> int:
    """Number of points that an entry says it holds.

    Raises:
        DecodeError: it is not a positive number.
    """
    if len(entry[1]) == 2:
        return 1
    text = field_of(entry, b"len", b"1")
    if not text.isdigit() or text == b"0":
        raise DecodeError(f"the length {text!r} is not a positive number")
    return int(text)


class _Arrays:
    """What decoders of numbers share."""

    def count(self, values: Batches) -> int:
        """Number of points."""
        return sum(map(len, values))

    def event(self, scan: ScanKey, channel: ChannelName, start: int, values: Batches) -> ScanEvent:
        """Points."""
        return Points(scan, channel, start, values)


class FixedNumbers(_Arrays):
    """Encoding ``numeric`` whose points have one shape: their bytes in C order."""

    def __init__(self, dtype: np.dtype[Any], shape: Shape) -> None:
        self._dtype = dtype
        self._shape = shape
        self.point_bytes = dtype.itemsize * math.prod(shape)
        if self.point_bytes <= 0:
            raise DecodeError(f"points of shape {shape} hold nothing")

    def decode(self, entries: Sequence[Entry]) -> Batches:
        """Read-only arrays of shape (points, *sample): one, or several of many or large points."""
        # In the order in which blissdata writes the fields; anything else is looked for.
        payloads = [
            fields[1] if fields[0] == b"payload" else field_of([_, fields], b"payload")
            for _, fields in entries
        ]
        size = len(payloads[0])
        alike = max(1, _TOGETHER // size) if size >= _LARGE else len(payloads)
        parts = (payloads[first : first + alike] for first in range(0, len(payloads), alike))
        return tuple(self._array(one[0] if len(one) == 1 else b"".join(one)) for one in parts)

    def _array(self, data: bytes) -> np.ndarray[Any, Any]:
        count, rest = divmod(len(data), self.point_bytes)
        if rest:
            raise DecodeError(
                f"{len(data)} bytes are not a whole number of points of {self.point_bytes} bytes"
            )
        return np.frombuffer(data, self._dtype).reshape(count, *self._shape)


class VaryingNumbers(_Arrays):
    """Encoding ``numeric`` with -1 in the shape: msgpack of (shape of these points, bytes)."""

    def __init__(self, dtype: np.dtype[Any], shape: Shape) -> None:
        self._dtype = dtype
        self._shape = shape

    def decode(self, entries: Sequence[Entry]) -> Batches:
        """Read-only arrays of shape (points, *sample); neighbours of one shape make one array."""
        return tuple(
            self._array(sample, list(parts))
            for sample, parts in groupby(map(self._part, entries), key=lambda part: part[0])
        )

    def _array(self, sample: Shape, parts: list[tuple[Shape, int, bytes]]) -> np.ndarray[Any, Any]:
        count = sum(length for _, length, _ in parts)
        data = b"".join(data for _, _, data in parts)
        return np.frombuffer(data, self._dtype).reshape(count, *sample)

    def _part(self, entry: Entry) -> tuple[Shape, int, bytes]:
        payload = field_of(entry, b"payload")
        try:
            sample, data = msgpack.unpackb(payload)
            sample = tuple(map(int, sample))
            memoryview(data)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise DecodeError(f"not msgpack of a shape and bytes: {error}") from error
        if len(sample) != len(self._shape) or any(
            actual < 0 or expected not in (-1, actual)
            for expected, actual in zip(self._shape, sample, strict=True)
        ):
            raise DecodeError(f"a point of shape {sample} where {self._shape} is announced")
        length = length_of(entry)
        expected_bytes = length * math.prod(sample) * self._dtype.itemsize
        if len(data) != expected_bytes:
            raise DecodeError(
                f"{len(data)} bytes where {length} points of shape {sample} take {expected_bytes}"
            )
        return sample, length, data


class ScanReferences:
    """Plugin ``scan_sequence``: each entry names a scan of the sequence."""

    def decode(self, entries: Sequence[Entry]) -> References:
        """References that know key and number of their scan, but not yet where it is saved."""
        return tuple(map(self._reference, entries))

    def count(self, values: References) -> int:
        """Number of references."""
        return len(values)

    def event(
        self, scan: ScanKey, channel: ChannelName, start: int, values: References
    ) -> ScanEvent:
        """Scans of a sequence."""
        return Scans(scan, channel, start, values)

    def _reference(self, entry: Entry) -> ScanReference:
        document = json_of(entry)
        try:
            return ScanReference(ScanKey(str(document["key"])), int(document["scan_number"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DecodeError(f"{document!r} is not key and scan_number of a scan") from error


@dataclass(frozen=True, slots=True)
class FrameDecoder:
    """Turns an entry of a detector's progress into counts of frames."""

    counts: Callable[[Entry], tuple[int, int]]
    """Frames taken and frames saved by then. Raises DecodeError."""


def lima_frames(entry: Entry) -> tuple[int, int]:
    """Frames taken and saved, by Lima (protocol 1): the indexes of the last ones, -1 for none."""
    status = json_of(entry)
    return _number(status, "last_index") + 1, _number(status, "last_index_saved", -1) + 1


def lima2_frames(entry: Entry) -> tuple[int, int]:
    """Frames taken and saved, by Lima2 of blissdata 2.0 (protocol 1).

    A frame that has been transferred is one that the receivers have written.
    """
    status = json_of(entry)
    transferred = _number(status, "nb_frames_xferred")
    # Some detectors do not tell what they acquire.
    return max(_number(status, "nb_frames_acquired", -1), transferred), transferred


def counted_frames(dtype: np.dtype[Any]) -> Callable[[Entry], tuple[int, int]]:
    """Frames by Lima2 of blissdata-lima2 (protocol 2): a number, how many follow on one another."""
    numbers = FixedNumbers(dtype, ())

    def decode(entry: Entry) -> tuple[int, int]:
        (counts,) = numbers.decode([entry])
        if not len(counts):
            raise DecodeError("no count of frames")
        return int(counts[-1]), int(counts[-1])

    return decode


def json_of(entry: Entry) -> Json:
    """The JSON document in an entry.

    Raises:
        DecodeError: it is not JSON.
    """
    try:
        return json.loads(field_of(entry, b"payload"))
    except ValueError as error:
        raise DecodeError(f"not a JSON document: {error}") from error


def decoder_for(
    encoding: Json, info: Mapping[str, Json]
) -> FixedNumbers | VaryingNumbers | ScanReferences | FrameDecoder:
    """What reads a stream.

    Args:
        encoding: ``encoding`` of the stream in the scan's document.
        info: ``info`` of the stream.

    Raises:
        DecodeError: the encoding, or the version of a detector's protocol, is not known.
    """
    kind = encoding.get("type") if isinstance(encoding, Mapping) else encoding
    plugin = info.get("plugin") or _LEGACY_PLUGINS.get(str(info.get("format")))
    if kind == "json":
        return _json_decoder(plugin, info)
    if kind != "numeric":
        raise DecodeError(f"the encoding {kind!r} is not known; {_UPDATE}")
    try:
        dtype = np.dtype(encoding["dtype_str"])
        shape = tuple(map(int, encoding["shape"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"the encoding {encoding} has no usable type and shape") from error
    if dtype.kind not in _NUMBER_KINDS:
        raise DecodeError(f"points of type {dtype} are not numbers")
    if plugin == "lima2":
        return FrameDecoder(counted_frames(dtype))
    return VaryingNumbers(dtype, shape) if -1 in shape else FixedNumbers(dtype, shape)


_LEGACY_PLUGINS = {"lima_v1": "lima", "lima_v2": "lima2", "subscan": "scan_sequence"}
"""Older versions of blissdata name a ``format`` where there is no ``plugin``."""


def _json_decoder(plugin: str | None, info: Mapping[str, Json]) -> ScanReferences | FrameDecoder:
    if plugin == "scan_sequence":
        return ScanReferences()
    if plugin not in ("lima", "lima2"):
        raise DecodeError(f"JSON for the plugin {plugin!r} is not known; {_UPDATE}")
    lima_info = info.get("lima_info")
    version = lima_info.get("protocol_version", 1) if isinstance(lima_info, Mapping) else 1
    if version != 1:
        raise DecodeError(f"version {version} of the {plugin} protocol is not known; {_UPDATE}")
    return FrameDecoder(lima_frames if plugin == "lima" else lima2_frames)


def _number(status: Json, name: str, default: int | None = None) -> int:
    value = status.get(name, default) if isinstance(status, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int):
        raise DecodeError(f"{name} is missing or not a number in {status!r}")
    return value
