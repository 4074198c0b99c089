"""One event stream of a run: rows of events in, points of channels out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
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
from nexus_writer_service.sources.bluesky.columns import (
    IS_NONE,
    MISSING,
    NOT_THERE,
    Column,
    Taken,
    Values,
)
from nexus_writer_service.sources.bluesky.keys import (
    DataKey,
    Found,
    channel_names,
    channels_of,
    described_dtype,
)
from nexus_writer_service.sources.bluesky.rows import Rows, Segment, cut
from nexus_writer_service.sources.bluesky.stamps import epochs

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
    unwritten: dict[str, str] = field(default_factory=dict)
    """Why the first values of keys that have none in the file cannot be written."""
    misnumbered: bool = False
    """There was a wrong seq_num."""

    def describe(self, descriptor: Mapping[str, Any]) -> None:
        """Take one more descriptor of the stream."""
        self.descriptors.append(descriptor)
        self.met.update(dict.fromkeys(descriptor["data_keys"]))
        self.changed = True

    def take(self, batch: Batch) -> Iterator[list[ScanEvent]]:
        """The points of some events.

        Yields:
            Those for which the description is as of then, so that what is told does not depend on
            which events are taken together.
        """
        before = self.rows.count
        segments, wrong = self.rows.place(batch.descriptor, batch.numbers)
        if wrong and not self.misnumbered:
            self.misnumbered = True
            self.warnings.append(
                f"stream {self.name}: {wrong[0]!r} cannot be the seq_num of an event; its values "
                "stand behind those of the others"
            )
        data = {**batch.data, **self._absent(batch)}
        for segment in cut(segments, [data[key] for key in data if self._refers(key)]):
            if segment.row > before:
                yield self._lost(before, segment.row)
            if segment.stop - segment.first == len(batch.numbers):
                yield from self._parts(data, batch.stamps, segment)
            else:
                part = slice(segment.first, segment.stop)
                values = {key: column[part] for key, column in data.items()}
                stamps = {key: column[part] for key, column in batch.stamps.items()}
                yield from self._parts(values, stamps, segment)
            before = max(before, segment.row + segment.stop - segment.first)

    def _absent(self, batch: Batch) -> dict[str, Values]:
        """Keys that none of the events has: a row that is measured again has no old values."""
        nothing = [MISSING] * len(batch.numbers)
        return {
            key: nothing
            for key in self.keys.keys() - batch.data.keys()
            if not self.keys[key].located
            and not str(self.described(key).get("external")).startswith("STREAM")
        }

    def described(self, key: str) -> Mapping[str, Any]:
        """What the descriptors say of a data key."""
        found = [one["data_keys"][key] for one in self.descriptors if key in one["data_keys"]]
        return found[0] if found else {}

    def locate(
        self, key: str, row: int, blocks: Sequence[FileBlock], resource: str
    ) -> list[ScanEvent]:
        """Values that are in a file.

        Args:
            key: the data key.
            row: of the first of them.
            blocks: where they are, in order.
            resource: uid of the resource.
        """
        block = blocks[0]
        state = self.keys.get(key)
        if state is None:
            external = {"file": block.path, "address": block.data_path, "resource": resource}
            state = self._begin(key, external)
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
        located = Located(self.run, state.described.value, row, tuple(blocks))
        state.rows = max(state.rows, row + located.count)
        return [*events, located]

    def refer(self, key: str, row: int, uris: Sequence[str]) -> Iterator[list[ScanEvent]]:
        """Values in files that HDF5 cannot map: texts that say where they are."""
        return self._parts({key: uris}, {}, Segment(0, len(uris), row))

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
                state = self._begin(key, {})
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

    def description(self) -> model.Stream:
        """The stream as of now."""
        columns = {key: self.keys[key].described for key in self.met if key in self.keys}
        return model.Stream(self.name, tuple(self.descriptors), columns, tuple(self.met))

    def channels(self) -> list[Channel]:
        """The channels as of now."""
        data_keys = self.description().data_keys
        return [
            channel
            for key in self.met
            if key in self.keys
            for channel in channels_of(self.keys[key], data_keys.get(key, {}).get("units"))
        ]

    # ------------------------------------------------------------------------------ one batch

    def _parts(
        self, data: Mapping[str, Values], stamps: Mapping[str, Values], segment: Segment
    ) -> Iterator[list[ScanEvent]]:
        """Tell the rows of a segment: of each key as many as need no other type, then the rest."""
        events: list[ScanEvent] = []
        left = {
            key: self._in_files(key, values, segment, events) if self._refers(key) else values
            for key, values in data.items()
        }
        done = dict.fromkeys(left, 0)
        while left:
            for key in sorted(left, key=lambda key: (done[key], key)):
                values, times, first = left[key], stamps.get(key, ()), done[key]
                part = Segment(first, segment.stop, segment.row + first, segment.again)
                count = self._values(key, values, times[first:] if first else times, part, events)
                if count < len(values):
                    left[key], done[key] = values[count:], first + count
                else:
                    del left[key]
            yield events
            events = []

    def _refers(self, key: str) -> bool:
        """Whether values of a key may say where the values are."""
        return not str(self.described(key).get("external") or "STREAM").startswith("STREAM")

    def _values(
        self, key: str, values: Values, stamps: Values, part: Segment, events: list[ScanEvent]
    ) -> int:
        """Tell values from the first one on; returns how many."""
        state = self.keys.get(key)
        if state is not None and state.located:
            events += self._stamps(state, epochs(stamps, len(values)), part)
            return len(values)
        column = state.column if state is not None else Column()
        taken = column.take(values)
        if column.dtype is None:  # they are lost once there is a value, or told at the end
            self._unwritten(key, taken)
            return taken.count
        if state is None:
            state = self._begin(key, {}, column)
        self._tell(state, key, taken)
        told, row = state.described, part.row
        if row > state.rows:
            reason = self.unwritten.pop(key, "the events do not have them")
            events.append(Lost(self.run, told.value, state.rows, row, reason))
        if part.again:
            events.append(Points(self.run, told.value, row, taken.batches, again=True))
        else:
            events += self._points(told.value, row, taken)
        state.rows = max(state.rows, row + taken.count)
        events += self._stamps(state, epochs(stamps, taken.count), part)
        return taken.count

    def _unwritten(self, key: str, taken: Taken) -> None:
        """Keep why the first value of a key could not be written."""
        for reason in taken.missing.values():
            if reason not in (NOT_THERE, IS_NONE):
                self.unwritten.setdefault(key, reason)
                return

    def _in_files(
        self, key: str, values: Values, segment: Segment, events: list[ScanEvent]
    ) -> Values:
        """Tell which values are in files; returns the others, and references to the rest."""
        left = list(values)
        found: list[tuple[int, str, FileBlock]] = []
        for number, value in enumerate(values):
            if not isinstance(value, str):
                continue  # it was filled in already
            row = segment.row + number
            one = self.find(key, value)
            if one.block is not None:
                found.append((row, one.resource, one.block))
            elif one.uri:
                left[number] = one.uri
            else:
                left[number] = MISSING
                self.warnings.append(f"stream {self.name}: {key}, row {row}: {one.missing}")
        # Rows that follow each other, of one resource, are told together.
        for (_, resource), alike in groupby(
            enumerate(found), lambda one: (one[1][0] - one[0], one[1][1])
        ):
            together = [one for _, one in alike]
            blocks = [block for _, _, block in together]
            events += self.locate(key, together[0][0], blocks, resource)
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
        self, state: DataKey, times: np.ndarray[Any, Any], segment: Segment
    ) -> list[ScanEvent]:
        told = state.described
        if not len(times):
            return []
        if told.first_epoch != told.first_epoch:
            there = times[~np.isnan(times)]
            if not len(there):
                return []
            state.described = told = replace(told, first_epoch=float(there[0]))
            self.changed = True
        row, again = segment.row, segment.again
        if row > state.stamps:
            times = np.concatenate([np.full(row - state.stamps, np.nan), times])
            row = state.stamps
        state.stamps = max(state.stamps, row + len(times))
        return [
            Points(self.run, told.epoch, row, (times,), again=again),
            Points(self.run, told.elapsed, row, (times - told.first_epoch,), again=again),
        ]

    def _begin(
        self, key: str, external: Mapping[str, str], column: Column | None = None
    ) -> DataKey:
        name = f"{self.name}/{key}"
        told = model.Column(
            key,
            ChannelName(name),
            ChannelName(f"{name}@EPOCH"),
            ChannelName(f"{name}@time"),
            float("nan"),
            external,
        )
        self.keys[key] = DataKey(column or Column(), told)
        self.met[key] = None
        self.changed = True
        return self.keys[key]

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
