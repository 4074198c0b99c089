"""One run from its start document to its stop document."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Ended, Extended, ScanEvent
from nexus_writer_service.model.run import Run
from nexus_writer_service.sources.bluesky.batches import Batch, Events, columns_of, event_keys
from nexus_writer_service.sources.bluesky.files import (
    Locate,
    PathMap,
    datum_block,
    datum_uri,
    resource_path,
    streamed_blocks,
    streamed_uris,
    uri_path,
)
from nexus_writer_service.sources.bluesky.keys import Found
from nexus_writer_service.sources.bluesky.streams import StreamState

Document = Mapping[str, Any]

_MOST_DATUMS: Final = 100_000
_END_REASONS: Final = {"success": "SUCCESS", "abort": "USER_ABORT", "fail": "FAILURE"}


@dataclass(frozen=True, slots=True)
class Files:
    """How the files that documents name are found."""

    paths: PathMap
    locate: Locate


@dataclass(slots=True)
class RunState:
    """A run that goes on.

    Args:
        run: as its start document tells it.
        files: how the files that documents name are found.
    """

    run: Run
    files: Files
    streams: dict[str, StreamState] = field(default_factory=dict)
    descriptors: dict[str, StreamState] = field(default_factory=dict)
    """By uid."""
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The data keys that events have themselves, by uid of the descriptor."""
    resources: dict[str, Document] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    """Of their files, those that were asked for."""
    datums: dict[str, tuple[str, Document]] = field(default_factory=dict)
    waiting: dict[str, list[Document]] = field(default_factory=dict)
    """Events that wait to be told together, by name of their stream."""
    referring: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By uid of a descriptor, its data keys whose values say what documents about files say."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    said: int = 0

    # ------------------------------------------------------------------------------- documents

    def describe(self, document: Document) -> list[ScanEvent]:
        """An event descriptor."""
        events = self.flush()
        name, uid = str(document["name"]), str(document["uid"])
        data_keys = document["data_keys"]
        keys = event_keys(data_keys)
        if uid in self.descriptors:
            raise DecodeError("there is a descriptor of this uid already")
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = StreamState(self.run.key, name, self._find)
        stream.describe(document)
        self.descriptors[uid] = stream
        self.waiting.setdefault(name, [])
        self.keys[uid] = keys
        self.referring[uid] = tuple(key for key in keys if data_keys[key].get("external"))
        return [*events, *self._extended()]

    def wait(self, uid: str) -> Callable[[Document], Any]:
        """Lets an event of a descriptor wait for others; tells whether it must not."""
        waiting, keys = self.waiting[self.descriptors[uid].name], self.referring[uid]
        if not keys:
            return waiting.append

        def take(document: Document) -> bool:
            found = [document["data"].get(key) for key in keys]
            waiting.append(document)
            # What is told of its files later is not for this event.
            return not all(self._knows(one) for one in found if isinstance(one, str))

        return take

    def event(self, document: Document) -> list[ScanEvent]:
        """An event: it waits for those that follow."""
        uid = document["descriptor"]
        self._stream(uid)
        return self.flush() if self.wait(uid)(document) else []

    def events(self, events: Events) -> list[ScanEvent]:
        """Many events of one descriptor, which need not wait."""
        told = self.flush()
        batch = events.batch()
        if batch is None:
            return told
        stream = self._stream(events.descriptor)
        self._undescribed(stream, batch)
        return [*told, *self._told(stream, stream.take(batch))]

    def page(self, document: Document) -> list[ScanEvent]:
        """Many events of one descriptor."""
        events = self.flush()
        uid = str(document["descriptor"])
        stream = self._stream(uid)
        numbers = [int(number) for number in document["seq_num"]]
        if not numbers:
            return events
        batch = Batch(
            uid,
            numbers,
            {key: list(values) for key, values in document["data"].items()},
            {key: list(values) for key, values in document["timestamps"].items()},
        )
        for key, values in batch.data.items():
            if len(values) != len(numbers):
                raise DecodeError(f"{len(values)} values of {key} for {len(numbers)} events")
        return [*events, *self._told(stream, stream.take(batch))]

    def resource(self, document: Document) -> list[ScanEvent]:
        """Where values in files are."""
        events = self.flush()
        uid = str(document["uid"])
        self.resources[uid] = document
        self.paths.pop(uid, None)
        return events

    def datum(self, document: Document) -> list[ScanEvent]:
        """Which value of a resource an event means."""
        known, settings = str(document["resource"]), document.get("datum_kwargs") or {}
        return self._datums({str(document["datum_id"]): (known, settings)})

    def datum_page(self, document: Document) -> list[ScanEvent]:
        """Many of them."""
        known, settings = str(document["resource"]), document.get("datum_kwargs") or {}
        return self._datums(
            {
                str(datum_id): (known, {key: values[number] for key, values in settings.items()})
                for number, datum_id in enumerate(document["datum_id"])
            }
        )

    def _datums(self, new: Mapping[str, tuple[str, Document]]) -> list[ScanEvent]:
        events: list[ScanEvent] = []
        if len(self.datums) + len(new) > _MOST_DATUMS or new.keys() & self.datums.keys():
            events = self.flush()  # for events that wait those of now count
        self.datums.update(new)
        while len(self.datums) > _MOST_DATUMS:  # those of long ago
            del self.datums[next(iter(self.datums))]
        return events

    def stream_datum(self, document: Document) -> list[ScanEvent]:
        """Values that a detector has written to its file."""
        events = self.flush()
        resource = self.resources.get(str(document["stream_resource"]))
        if resource is None:
            raise DecodeError(f"its stream_resource {document['stream_resource']} is not known")
        stream = self._stream(str(document["descriptor"]))
        key = str(resource["data_key"])
        first, stop = int(document["seq_nums"]["start"]), int(document["seq_nums"]["stop"])
        if stop <= first:
            return events
        path = self._path(resource, uri_path(str(resource["uri"])))
        shape = tuple(int(length or 0) for length in stream.described(key).get("shape") or ())
        if blocks := streamed_blocks(resource, document, shape, path):
            located = stream.locate(key, first - 1, blocks, str(resource["uid"]))
            return [*events, *self._told(stream, [located])]
        uris = streamed_uris(resource, document, shape, path)
        return [*events, *self._told(stream, stream.refer(key, first - 1, uris))]

    def end(self, document: Document) -> list[ScanEvent]:
        """The stop document."""
        events = self.flush()
        announced = document.get("num_events") or {}
        for name, stream in self.streams.items():
            sealed = stream.seal(int(announced.get(name, 0) or 0))
            events += self._told(stream, [sealed])
            for key in stream.unread():
                self.problems.append(f"stream {name}: {key} is described and was never read")
        for name in announced.keys() - self.streams.keys():
            if announced[name]:
                self.problems.append(f"stream {name}: its descriptor was never received")
        status = str(document.get("exit_status", ""))
        self.run = replace(
            self.run,
            stop=document,
            end_time=_iso(document.get("time")),
            end_reason=_END_REASONS.get(status, status.upper() or "UNKNOWN"),
        )
        events += self._extended()
        return [*events, Ended(self.run.key, self.run)]

    def complain(self, text: str) -> list[ScanEvent]:
        """Something of the run cannot be understood."""
        self.problems.append(text)
        return self._extended()

    # -------------------------------------------------------------------------------- events

    def flush(self) -> list[ScanEvent]:
        """Tell the events that wait."""
        events: list[ScanEvent] = []
        for waiting in self.waiting.values():
            documents = waiting.copy()
            waiting.clear()
            for uid, alike in groupby(documents, itemgetter("descriptor")):
                events += self._batched(uid, list(alike))
        return events

    def _batched(self, uid: str, documents: Sequence[Document]) -> list[ScanEvent]:
        stream = self.descriptors[uid]
        try:
            batch = _batch(uid, documents, self.keys[uid])
        except (LookupError, TypeError, AttributeError):
            return self._one_by_one(uid, documents)
        self._undescribed(stream, batch)
        return self._told(stream, stream.take(batch))

    def _one_by_one(self, uid: str, documents: Sequence[Document]) -> list[ScanEvent]:
        """Events of which at least one is malformed."""
        stream = self.descriptors[uid]
        events: list[ScanEvent] = []
        for document in documents:
            try:
                batch = _batch(uid, [document], self.keys[uid])
            except (LookupError, TypeError, AttributeError) as error:
                what = f"event {document.get('uid')} of stream {stream.name}"
                events += self.complain(f"{what} cannot be understood: {error!r}")
                continue
            self._undescribed(stream, batch)
            events += self._told(stream, stream.take(batch))
        return events

    def _undescribed(self, stream: StreamState, batch: Batch) -> None:
        for key in batch.data.keys() - set(self.keys[batch.descriptor]):
            text = f"stream {stream.name}: events have {key}, which their descriptor does not name"
            if text not in self.warnings:
                self.warnings.append(text)

    def _stream(self, uid: str) -> StreamState:
        stream = self.descriptors.get(uid)
        if stream is None:
            raise DecodeError(f"its descriptor {uid} is not known")
        return stream

    def _told(self, stream: StreamState, parts: Iterable[list[ScanEvent]]) -> list[ScanEvent]:
        """Events of a stream in parts, each after what it changes in the description of the run."""
        told: list[ScanEvent] = []
        for events in parts:
            if stream.changed or stream.warnings:
                told += self._extended()
            told += events
        return told

    def _extended(self) -> list[ScanEvent]:
        """What changed in the description since it was told last."""
        changed = False
        for stream in self.streams.values():
            changed |= stream.changed
            stream.changed = False
            self.warnings += [text for text in stream.warnings if text not in self.warnings]
            stream.warnings = []
        if changed:
            channels = [one for stream in self.streams.values() for one in stream.channels()]
            streams = {name: stream.description() for name, stream in self.streams.items()}
            self.run = replace(
                self.run, streams=streams, channels={one.name: one for one in channels}
            )
        warnings, self.said = self.warnings[self.said :], len(self.warnings)
        problems, self.problems = self.problems, []
        if not (changed or warnings or problems):
            return []
        return [Extended(self.run.key, self.run, tuple(warnings), tuple(problems))]

    # --------------------------------------------------------------------------------- files

    def _find(self, key: str, datum_id: str) -> Found:
        uid, settings = self.datums.get(datum_id, (datum_id.rpartition("/")[0], {}))
        resource = self.resources.get(uid)
        if datum_id not in self.datums or resource is None:
            return Found(missing=f"no datum document {datum_id} was received")
        try:
            path = self.paths.get(uid)
            if path is None:
                path = self.paths[uid] = self._path(resource, resource_path(resource))
            block = datum_block(resource, settings, path)
            if block is None:
                return Found(uri=datum_uri(resource, settings, path), resource=uid)
            return Found(block, resource=uid)
        except (LookupError, TypeError, ValueError) as error:
            return Found(missing=f"resource {uid} cannot be understood: {error!r}")

    def _knows(self, datum_id: str) -> bool:
        return datum_id in self.datums and self.datums[datum_id][0] in self.resources

    def _path(self, resource: Document, there: str) -> str:
        return self.files.locate(resource) or self.files.paths.here(there)


def begin(document: Document, path: str | None, files: Files) -> RunState:
    """A run as its start document tells it.

    Args:
        document: the start document.
        path: of its file; None when it is not to be saved.
        files: how the files that documents name are found.

    Raises:
        LookupError: the document has no uid.
    """
    uid = str(document["uid"])
    number = document.get("scan_id")
    number = number if isinstance(number, int) else 0
    plan = str(document.get("plan_name", ""))
    run = Run(
        key=ScanKey(uid),
        name=f"S{number:04d}-{plan}-{uid[:7]}",
        number=number,
        path=path,
        start_time=_iso(document.get("time")),
        data_writer="bluesky",
        publisher="bluesky",
        start=document,
    )
    return RunState(run, files)


def _batch(uid: str, documents: Sequence[Document], keys: Sequence[str]) -> Batch:
    return Batch(
        uid,
        [document["seq_num"] for document in documents],
        columns_of(documents, keys, "data"),
        columns_of(documents, keys, "timestamps"),
    )


def _iso(time: Any) -> str | None:
    """Seconds since 1970 as ISO 8601 with the zone of this machine."""
    try:
        moment = datetime.fromtimestamp(float(time)).astimezone()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="microseconds")
