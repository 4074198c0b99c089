"""Follows the data of a node: which index comes next, what is lost, where it ends.

The id of an entry is the index of its first point plus one, so that ids say at any time what has
been read: nothing is counted twice, and points keep their index when others before them are lost.
Redis keeps about 2048 entries of a channel. Pure: entries in, events out.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import Channel, ChannelName, ScanKey
from nexus_writer_service.model.events import (
    Frames,
    Lost,
    Points,
    ScanEvent,
    ScanReference,
    Scans,
    Sealed,
)
from nexus_writer_service.sources.bliss1.nodes import Entry, event_of, field_of
from nexus_writer_service.sources.bliss1.pickles import load
from nexus_writer_service.sources.bliss1.values import array_of

EXPIRED = "its data are no longer in Redis: they have expired, or were deleted"

_TRIMMED = "trimmed from Redis before it could be read"
_ENTRY_OVERHEAD = 600
"""Bytes that an entry takes before it is decoded, besides its data."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A channel turned out to hold points of another shape than was announced."""

    channel: Channel


class DataStream(ABC):
    """The data of one channel.

    Args:
        scan: key of the scan.
        channel: what the stream belongs to.
    """

    def __init__(self, scan: ScanKey, channel: ChannelName) -> None:
        self.channel = channel
        self.open = True
        """Whether more is to be read."""
        self.next_id = b"0-0"
        """Reading after this id goes on where it stopped."""
        self.entry_bytes = _ENTRY_OVERHEAD
        """About how much memory an entry takes while it is read."""
        self._scan = scan
        self._next = 0

    def receive(self, entries: Sequence[Entry]) -> list[ScanEvent | Grown]:
        """What entries tell that follow on those received before."""
        events: list[ScanEvent | Grown] = []
        for entry in entries:
            if not self.open:
                break
            if event_of(entry):
                self.entry_bytes = _ENTRY_OVERHEAD + sum(map(len, entry[1]))
                try:
                    events += self._entry(entry)
                except DecodeError as error:
                    # Nothing that follows can be trusted either.
                    place = f"entry {entry[0].decode(errors='replace')} of {self._where}"
                    events.append(self.give_up(f"{place}: {error}"))
        return self._merged(events)

    @property
    def begun(self) -> bool:
        """Whether an entry has been received."""
        return self.next_id != b"0-0"

    def give_up(self, reason: str) -> ScanEvent:
        """Read no more of it; what was received stays."""
        self.open = False
        return Lost(self._scan, self.channel, self._next, None, reason)

    def end(self) -> ScanEvent:
        """All that will ever come was received."""
        self.open = False
        return Sealed(self._scan, self.channel, self._next)

    @property
    def _where(self) -> str:
        return f"channel {self.channel}"

    def _merged(self, events: list[ScanEvent | Grown]) -> list[ScanEvent | Grown]:
        return events

    @abstractmethod
    def _entry(self, entry: Entry) -> list[ScanEvent | Grown]:
        """What one entry tells."""

    def _place(self, entry: Entry) -> tuple[int, int]:
        """Index of the first point of an entry, and how many it holds."""
        said = field_of(entry, b"__NPOINTS__")
        try:
            index, count = int(entry[0].partition(b"-")[0]) - 1, int(said)
        except ValueError as error:
            raise DecodeError("it does not say which points it holds") from error
        if index < 0 or count < 0:
            raise DecodeError(f"it holds {count} points from {index}")
        return index, count

    def _gap(self, index: int) -> list[ScanEvent | Grown]:
        if index <= self._next:
            return []
        return [Lost(self._scan, self.channel, self._next, index, _TRIMMED)]

    def _pass(self, index: int, count: int) -> None:
        self._next = index + count
        self.next_id = b"%d-0" % self._next


class NumberStream(DataStream):
    """Points that are numbers.

    Args:
        scan: key of the scan.
        channel: as announced.
    """

    def __init__(self, scan: ScanKey, channel: Channel) -> None:
        super().__init__(scan, channel.name)
        self._announced = channel
        self._values = _Values()

    def _entry(self, entry: Entry) -> list[ScanEvent | Grown]:
        index, count = self._place(entry)
        if count == 0 or index + count <= self._next:
            return []
        batch = self._batch(self._values.load(field_of(entry, b"__DATA__")), count)
        events = self._gap(index)
        # Points that overlap with others were published twice: the first ones hold.
        fresh = batch[max(0, self._next - index) :]
        events += self._fitting(fresh)
        events.append(Points(self._scan, self.channel, index + count - len(fresh), (fresh,)))
        self._pass(index, count)
        return events

    def _batch(self, value: Any, count: int) -> np.ndarray[Any, Any]:
        """Points as an array of shape (points, *point)."""
        data = array_of(value)
        if count == 1 and data.ndim == len(self._announced.shape):
            data = data[np.newaxis]
        dtype = self._announced.dtype
        if data.dtype.kind not in "biufc" or not np.can_cast(data.dtype, dtype, "same_kind"):
            raise DecodeError(f"{data.dtype} where {dtype} is announced")
        if data.ndim == 0 or len(data) != count:
            raise DecodeError(f"data of shape {data.shape} where {count} points are announced")
        return data.astype(dtype, copy=False)

    def _fitting(self, points: np.ndarray[Any, Any]) -> list[ScanEvent | Grown]:
        """Nothing, or the channel as it has to be for these points."""
        announced, shape = self._announced.shape, points.shape[1:]
        if len(shape) != len(announced):
            raise DecodeError(f"a point of shape {shape} where {announced} is announced")
        wanted = tuple(
            known if known in (-1, found) else -1
            for known, found in zip(announced, shape, strict=True)
        )
        if wanted == announced:
            return []
        self._announced = replace(self._announced, shape=wanted)
        return [Grown(self._announced)]

    def _merged(self, events: list[ScanEvent | Grown]) -> list[ScanEvent | Grown]:
        """Neighbours as one event, for which the file is touched once."""
        found: list[ScanEvent | Grown] = []
        for event in events:
            last = found[-1] if found else None
            if isinstance(event, Points) and isinstance(last, Points):
                found[-1] = replace(last, batches=_joined(last.batches, event.batches[0]))
            else:
                found.append(event)
        return [
            replace(one, batches=tuple(_whole(list(one.batches))))
            if isinstance(one, Points)
            else one
            for one in found
        ]


class _Values:
    """Reads the pickles of one channel.

    Most of them differ in nothing but the bytes of their numbers: these are looked for first.
    """

    def __init__(self) -> None:
        self._head = self._tail = b""
        self._like: np.ndarray[Any, Any] | np.generic | None = None

    def load(self, value: bytes) -> Any:
        """The value in a pickle.

        Raises:
            DecodeError: see ``pickles.load``.
        """
        head, tail, like = self._head, self._tail, self._like
        if (
            like is not None
            and len(value) == len(head) + like.nbytes + len(tail)
            and value.startswith(head)
            and value.endswith(tail)
        ):
            found = np.frombuffer(value, like.dtype, like.size, len(head))
            return found.reshape(like.shape)
        self._like, result = None, load(value)
        # The bytes of others come in another order.
        if isinstance(result, np.ndarray | np.generic) and result.flags.c_contiguous:
            self._learn(value, result)
        return result

    def _learn(self, value: bytes, result: "np.ndarray[Any, Any] | np.generic") -> None:
        data = result.tobytes()
        for tail in _TAILS:
            start = len(value) - len(tail) - len(data)
            if data and start > 0 and value.endswith(data + tail):
                self._head, self._tail, self._like = value[:start], tail, result


_TAILS = (b"\x94\x86\x94R\x94.", b"\x94t\x94b.")
"""What follows on the bytes of a number, and of an array, in a pickle of protocol 4 [Python]."""


class SequenceStream(DataStream):
    """The scans of a sequence, by the names of their nodes."""

    def _entry(self, entry: Entry) -> list[ScanEvent | Grown]:
        index, count = self._place(entry)
        if count == 0 or index + count <= self._next:
            return []
        names = np.atleast_1d(array_of(load(field_of(entry, b"__DATA__"))))
        if names.dtype.kind not in "US" or names.shape != (count,):
            raise DecodeError(f"{count} names of scans are announced, it holds others")
        events = self._gap(index)
        start = max(index, self._next)
        references = tuple(ScanReference(ScanKey(str(n)), 0) for n in names[start - index :])
        events.append(Scans(self._scan, self.channel, start, references))
        self._pass(index, count)
        return events


class FrameStream(DataStream):
    """The progress of a Lima server: only its last entry matters."""

    def __init__(self, scan: ScanKey, channel: ChannelName) -> None:
        super().__init__(scan, channel)
        self._saved = 0

    def receive(self, entries: Sequence[Entry]) -> list[ScanEvent | Grown]:
        """What the newest entry tells."""
        events = super().receive(entries[-1:])
        self.next_id = entries[-1][0] if entries else self.next_id
        return events

    def _entry(self, entry: Entry) -> list[ScanEvent | Grown]:
        status = load(field_of(entry, b"__STATUS__"))
        taken = max(self._next, _index(status, "last_image_ready") + 1)
        saved = max(self._saved, _index(status, "last_image_saved") + 1)
        if (taken, saved) == (self._next, self._saved):
            return []
        self._next, self._saved = taken, saved
        return [Frames(self._scan, self.channel, taken, saved)]


def _index(status: Any, name: str) -> int:
    value = status.get(name, -1) if isinstance(status, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DecodeError(f"{name} is no number in the status of the detector")
    return int(value)


def _joined(
    batches: tuple[np.ndarray[Any, Any], ...], more: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], ...]:
    return (*batches, more)


def _whole(batches: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Batches whose points have one shape, joined."""
    found: list[list[np.ndarray[Any, Any]]] = []
    for batch in batches:
        if found and found[-1][0].shape[1:] == batch.shape[1:]:
            found[-1].append(batch)
        else:
            found.append([batch])
    return [group[0] if len(group) == 1 else np.concatenate(group) for group in found]
