"""One event stream of a run: rows of events in, points of channels out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from nexus_writer_service.model import run as model
from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    FileBlock,
    ScanKey,
)
from nexus_writer_service.model.events import Located, Lost, Points, ScanEvent, Sealed
from nexus_writer_service.sources.bluesky.batches import Batch
from nexus_writer_service.sources.bluesky.columns import MISSING, NOT_THERE, Column, Taken, Values
from nexus_writer_service.sources.bluesky.keys import (
    DataKey,
    Found,
    channel_names,
    channels_of,
    described_dtype,
)
from nexus_writer_service.sources.bluesky.rows import Rows, Segment

_ENDS: Final = ("baseline",)
"""Streams that are read at the start and at the end of a run: their values are named apart."""
_NOT_RECEIVED = "these events were never received"


@dataclass(slots=True)
class StreamState:
    """A stream while its run goes on.

    Args:
        run: the run's key.
        name: of the stream.
        find: tells where a value is that a data key has in files.
    """

    run: ScanKey
    name: str
    find: Callable[[str, Any], Found]
    """Tells where a value is that a data key has in files."""
    rows: Rows = field(default_factory=Rows)
    keys: dict[str, DataKey] = field(default_factory=dict)
    descriptors: list[Mapping[str, Any]] = field(default_factory=list)
    changed: bool = False
    """The description of the stream is not as it was told last."""
    warnings: list[str] = field(default_factory=list)
    met: dict[str, None] = field(default_factory=dict)
    """The data keys in the order in which they were met."""

    def describe(self, descriptor: Mapping[str, Any]) -> None:
        """Take one more descriptor of the stream."""
        self.descriptors.append(descriptor)
        self.met.update(dict.fromkeys(descriptor["data_keys"]))
        self.changed = True

    def take(self, batch: Batch) -> list[ScanEvent]:
        """The points of some events."""
        before = self.rows.count
        segments, wrong = self.rows.place(batch.descriptor, batch.numbers)
        if wrong:
            self.warnings.append(
                f"stream {self.name}: {wrong[0]!r} cannot be the seq_num of an event; its values "
                "stand behind those of the others"
            )
        events: list[ScanEvent] = []
        for segment in segments:
            if segment.row > before:
                events += self._lost(before, segment.row)
            events += self._segment(batch, segment)
            before = max(before, segment.row + segment.stop - segment.first)
        return events + self._left_out(batch)

    def described(self, key: str) -> Mapping[str, Any]:
        """What the descriptors say of a data key."""
        found = [one["data_keys"][key] for one in self.descriptors if key in one["data_keys"]]
        return found[0] if found else {}

    def locate(self, key: str, row: int, block: FileBlock, resource: str) -> list[ScanEvent]:
        """Values that are in a file.

        Args:
            key: the data key.
            row: of the first of them.
            block: where they are.
            resource: uid of the resource.
        """
        state = self.keys.get(key)
        if state is None:
            external = {"file": block.path, "address": block.data_path, "resource": resource}
            state = self._begin(key, float("nan"), external)
            state.located = True
            described = self.described(key)
            state.dtype = described_dtype(described)
            shape = tuple(int(length or 0) for length in described.get("shape") or ())
            state.sample = shape[1:] if block.each == 1 and len(shape) > 2 else shape
            if shape == (1,):
                state.sample = ()
        events: list[ScanEvent] = []
        if row > state.rows:
            reason = "no document told where they are"
            events.append(Lost(self.run, state.described.value, state.rows, row, reason))
        events.append(Located(self.run, state.described.value, row, (block,)))
        state.rows = max(state.rows, row + block.points)
        return events

    def refer(self, key: str, row: int, uris: Sequence[str]) -> list[ScanEvent]:
        """Values in files that HDF5 cannot map: texts that say where they are."""
        return self._values(key, uris, (), Segment(0, len(uris), row))

    def seal(self, announced: int) -> list[ScanEvent]:
        """Nothing more will come.

        Args:
            announced: the number of events by the stop document; 0 when it does not tell.
        """
        events: list[ScanEvent] = []
        if not self.rows.count and not announced:
            events += self._empty()
        if announced > self.rows.count:
            events += self._lost(self.rows.count, announced)
            self.rows.count = announced
        for state in self.keys.values():
            if state.rows < self.rows.count:
                why = "no document told where they are" if state.located else _NOT_RECEIVED
                told = state.described
                events.append(Lost(self.run, told.value, state.rows, self.rows.count, why))
                if not state.located and state.column.dtype is not None:
                    pad = _filled(state.column, self.rows.count - state.rows)
                    events.append(Points(self.run, told.value, state.rows, (pad,)))
            if state.stamps and state.stamps < self.rows.count:
                pad = np.full(self.rows.count - state.stamps, np.nan)
                events += [
                    Points(self.run, channel, state.stamps, (pad,))
                    for channel in channel_names(state)[1:]
                ]
            events += [
                Sealed(self.run, channel, max(state.rows, self.rows.count))
                for channel in channel_names(state)
            ]
        return events

    def _empty(self) -> list[ScanEvent]:
        """Without an event the data keys are as described, without values."""
        events: list[ScanEvent] = []
        for key, described in self.description().data_keys.items():
            if key not in self.keys and not described.get("external"):
                state = self._begin(key, float("nan"), {})
                state.column.dtype = described_dtype(described)
                shape = described.get("shape") or ()
                state.column.sample = tuple(int(length or 0) for length in shape)
                empty = _filled(state.column, 0)
                events.append(Points(self.run, state.described.value, 0, (empty,)))
        return events

    def unread(self) -> list[str]:
        """The described data keys without any value, though there were events."""
        if not self.rows.count:
            return []
        return [
            key
            for key in self.description().data_keys
            if key not in self.keys
            or (self.keys[key].column.dtype is None and not self.keys[key].located)
        ]

    def are_floats(self, keys: Sequence[str]) -> bool:
        """Whether each of the data keys has had nothing but floats."""
        known = [self.keys.get(key) for key in keys]
        return all(
            one is not None
            and not one.located
            and one.column.dtype is not None
            and one.column.dtype == np.float64
            and not one.column.sample
            for one in known
        )

    def description(self) -> model.Stream:
        """The stream as of now."""
        columns = {key: state.described for key, state in self.keys.items()}
        return model.Stream(
            self.name, tuple(self.descriptors), columns, tuple(self.met), self.rows.count
        )

    def channels(self) -> list[Channel]:
        """The channels as of now."""
        data_keys = self.description().data_keys
        return [
            channel
            for key, state in self.keys.items()
            for channel in channels_of(state, data_keys.get(key, {}).get("units"))
        ]

    # ------------------------------------------------------------------------------ one batch

    def _segment(self, batch: Batch, segment: Segment) -> list[ScanEvent]:
        events: list[ScanEvent] = []
        whole = segment.first == 0 and segment.stop == len(batch.numbers)
        for key, values in batch.data.items():
            part = values if whole else values[segment.first : segment.stop]
            stamps = batch.stamps.get(key, ())
            if not whole:
                stamps = stamps[segment.first : segment.stop]
            events += self._values(key, part, stamps, segment)
        return events

    def _values(
        self, key: str, values: Values, stamps: Values, segment: Segment
    ) -> list[ScanEvent]:
        epochs = _epochs(stamps, len(values))
        events: list[ScanEvent] = []
        if str(self.described(key).get("external") or "STREAM")[:6] != "STREAM":
            values = self._in_files(key, values, segment, events)
        state = self.keys.get(key)
        if state is None:
            if all(value is MISSING or value is None for value in values):
                return events  # lost once there is a value, or told at the end
            state = self._begin(key, float(epochs[0]) if len(epochs) else float("nan"), {})
        if state.located:
            return [*events, *self._stamps(state, epochs, segment)]
        taken = state.column.take(values)
        if state.column.dtype is None:
            return events  # none of them can be written
        self._tell(state, key, taken)
        told, row = state.described, segment.row
        if segment.again:
            events.append(Points(self.run, told.value, row, taken.batches, again=True))
        else:
            if row > state.rows:
                reason = "the events do not have them"
                events.append(Lost(self.run, told.value, state.rows, row, reason))
            events += self._points(told.value, row, taken)
        state.rows = max(state.rows, row + len(values))
        return [*events, *self._stamps(state, epochs, segment)]

    def _in_files(
        self, key: str, values: Values, segment: Segment, events: list[ScanEvent]
    ) -> Values:
        """Tell which values are in files; returns the others, and references to the rest."""
        left = list(values)
        for number, value in enumerate(values):
            if not isinstance(value, str):
                continue  # it was filled in already
            found = self.find(key, value)
            row = segment.row + number
            if found.block is not None:
                events += self.locate(key, row, found.block, found.resource)
            elif found.uri:
                left[number] = found.uri
            else:
                left[number] = MISSING
                self.warnings.append(f"stream {self.name}: {key}, row {row}: {found.missing}")
        return left

    def _tell(self, state: DataKey, key: str, taken: Taken) -> None:
        """Note what changes the description."""
        self.changed |= taken.widened
        if taken.rounded:
            text = f"stream {self.name}: {key} has integers beyond 64 bits, rounded to floats"
            if text not in self.warnings:
                self.warnings.append(text)
        if self.name in _ENDS and not state.column.sample and taken.batches:
            told = state.described
            ends = {"last": taken.batches[-1][-1]}
            if told.first is None:
                ends["first"] = taken.batches[0][0]
            state.described = replace(told, **ends)
            self.changed = True

    def _points(self, channel: ChannelName, row: int, taken: Taken) -> list[ScanEvent]:
        """Points, and in between which of them are lost: fill stands for those."""
        if not taken.missing:
            return [Points(self.run, channel, row, taken.batches)]
        events: list[ScanEvent] = []
        values = [one for batch in taken.batches for one in batch]
        first = 0
        for number, reason in sorted(taken.missing.items()):
            if number > first:
                events.append(Points(self.run, channel, row + first, _each(values[first:number])))
            events.append(Lost(self.run, channel, row + number, row + number + 1, reason))
            first = number
        events.append(Points(self.run, channel, row + first, _each(values[first:])))
        return events

    def _stamps(
        self, state: DataKey, epochs: np.ndarray[Any, Any], segment: Segment
    ) -> list[ScanEvent]:
        told = state.described
        if not len(epochs):
            return []
        if told.first_epoch != told.first_epoch:
            there = epochs[~np.isnan(epochs)]
            if not len(there):
                return []
            state.described = told = replace(told, first_epoch=float(there[0]))
            self.changed = True
        row, again = segment.row, segment.again
        if row > state.stamps:
            epochs = np.concatenate([np.full(row - state.stamps, np.nan), epochs])
            row = state.stamps
        state.stamps = max(state.stamps, row + len(epochs))
        return [
            Points(self.run, told.epoch, row, (epochs,), again=again),
            Points(self.run, told.elapsed, row, (epochs - told.first_epoch,), again=again),
        ]

    def _begin(self, key: str, first_epoch: float, external: Mapping[str, str]) -> DataKey:
        name = f"{self.name}/{key}"
        told = model.Column(
            key,
            ChannelName(name),
            ChannelName(f"{name}@EPOCH"),
            ChannelName(f"{name}@time"),
            first_epoch,
            external,
        )
        self.keys[key] = DataKey(Column(), told)
        self.met[key] = None
        self.changed = True
        return self.keys[key]

    def _left_out(self, batch: Batch) -> list[ScanEvent]:
        """Keys that no descriptor has, and only events before these had."""
        return [
            Lost(self.run, state.described.value, state.rows, self.rows.count, NOT_THERE)
            for key, state in self.keys.items()
            if key not in batch.data and state.rows < self.rows.count and not self.described(key)
        ]

    def _lost(self, row: int, stop: int) -> list[ScanEvent]:
        """Rows without an event."""
        return [
            Lost(self.run, state.described.value, row, stop, _NOT_RECEIVED)
            for state in self.keys.values()
            if not state.located
        ]


def _each(values: list[Any]) -> tuple[np.ndarray[Any, Any], ...]:
    """Each value as a batch of its own."""
    return tuple(np.asarray(value)[np.newaxis] for value in values)


def _filled(column: Column, count: int) -> np.ndarray[Any, Any]:
    sample = [max(length, 0) for length in column.sample]
    return np.full([count, *sample], column.fill, column.dtype)


def _epochs(stamps: Values, count: int) -> np.ndarray[Any, Any]:
    if not len(stamps):
        return np.empty(0)
    if isinstance(stamps, np.ndarray) and stamps.dtype == np.float64:
        return stamps
    try:
        epochs = np.array(stamps, float)
    except (TypeError, ValueError):
        epochs = np.array([_epoch(stamp) for stamp in stamps])
    return epochs if epochs.shape == (count,) else np.empty(0)


def _epoch(stamp: Any) -> float:
    try:
        return float(stamp)
    except (TypeError, ValueError):
        return float("nan")
