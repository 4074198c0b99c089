"""One run from its start document to its stop document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Ended, Extended, ScanEvent
from nexus_writer_service.model.run import Run
from nexus_writer_service.sources.bluesky.batches import Batch, columns_of
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
    datums: dict[str, tuple[str, Document]] = field(default_factory=dict)
    waiting: dict[str, list[Document]] = field(default_factory=dict)
    """Events that wait to be told together, by uid of the descriptor."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    said: int = 0

    # ------------------------------------------------------------------------------- documents

    def describe(self, document: Document) -> list[ScanEvent]:
        """An event descriptor."""
        events = self.flush()
        name, uid = str(document["name"]), str(document["uid"])
        data_keys = document["data_keys"]
        if uid in self.descriptors:
            raise DecodeError("there is a descriptor of this uid already")
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = StreamState(self.run.key, name, self._find)
        stream.describe(document)
        self.descriptors[uid] = stream
        self.waiting[uid] = []
        self.keys[uid] = tuple(
            key
            for key, one in data_keys.items()
            if not str(one.get("external")).startswith("STREAM")
        )
        return [*events, *self._extended()]

    def event(self, document: Document) -> None:
        """An event: it waits for those that follow."""
        uid = document["descriptor"]
        self._stream(uid)
        self.waiting[uid].append(document)

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

    def resource(self, document: Document) -> None:
        """Where values in files are."""
        self.resources[str(document["uid"])] = document

    def datum(self, document: Document) -> None:
        """Which value of a resource an event means."""
        known = str(document["resource"])
        self.datums[str(document["datum_id"])] = known, document.get("datum_kwargs") or {}
        if len(self.datums) > _MOST_DATUMS:  # those of long ago
            del self.datums[next(iter(self.datums))]

    def datum_page(self, document: Document) -> None:
        """Many of them."""
        settings = document.get("datum_kwargs") or {}
        for number, datum_id in enumerate(document["datum_id"]):
            one = {key: values[number] for key, values in settings.items()}
            self.datums[str(datum_id)] = str(document["resource"]), one

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
        blocks = streamed_blocks(resource, document, shape, path)
        told: list[ScanEvent] = []
        row = first - 1
        for block in blocks:
            told += stream.locate(key, row, block, str(resource["uid"]))
            row += block.points
        if not blocks:
            uris = streamed_uris(resource, document, shape, path)
            told = stream.refer(key, first - 1, uris)
        return [*events, *self._told(stream, told)]

    def end(self, document: Document) -> list[ScanEvent]:
        """The stop document."""
        events = self.flush()
        announced = document.get("num_events") or {}
        for name, stream in self.streams.items():
            told = stream.seal(int(announced.get(name, 0) or 0))
            events += self._told(stream, told)
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
        events += self._extended(again=True)
        return [*events, Ended(self.run.key, self.run)]

    def complain(self, text: str) -> list[ScanEvent]:
        """Something of the run cannot be understood."""
        self.problems.append(text)
        return self._extended()

    # -------------------------------------------------------------------------------- events

    def flush(self) -> list[ScanEvent]:
        """Tell the events that wait."""
        events: list[ScanEvent] = []
        for uid, waiting in self.waiting.items():
            if not waiting:
                continue
            documents = waiting.copy()
            waiting.clear()
            stream = self.descriptors[uid]
            try:
                floats = stream.are_floats(self.keys[uid])
                batch = _batch(uid, documents, self.keys[uid], floats=floats)
            except (LookupError, TypeError, AttributeError):
                events += self._one_by_one(uid, documents)
                continue
            self._undescribed(stream, batch)
            events += self._told(stream, stream.take(batch))
        return events

    def _one_by_one(self, uid: str, documents: Sequence[Document]) -> list[ScanEvent]:
        """Events of which at least one is malformed."""
        stream = self.descriptors[uid]
        events: list[ScanEvent] = []
        for document in documents:
            try:
                batch = _batch(uid, [document], self.keys[uid], floats=False)
            except (LookupError, TypeError, AttributeError) as error:
                what = f"event {document.get('uid')} of stream {stream.name}"
                events += self.complain(f"{what} cannot be understood: {error!r}")
                continue
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

    def _told(self, stream: StreamState, events: list[ScanEvent]) -> list[ScanEvent]:
        """Events of a stream, after what they change in the description of the run."""
        changed = stream.changed or stream.warnings
        return [*self._extended(), *events] if changed else events

    def _extended(self, *, again: bool = False) -> list[ScanEvent]:
        """What changed in the description since it was told last; or all of it once more."""
        changed = again
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
            path = self._path(resource, resource_path(resource))
            block = datum_block(resource, settings, path)
            if block is None:
                return Found(uri=datum_uri(resource, settings, path), resource=uid)
            return Found(block, resource=uid)
        except (LookupError, TypeError, ValueError) as error:
            return Found(missing=f"resource {uid} cannot be understood: {error!r}")

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


def _batch(uid: str, documents: Sequence[Document], keys: Sequence[str], *, floats: bool) -> Batch:
    return Batch(
        uid,
        [document["seq_num"] for document in documents],
        columns_of(documents, keys, "data", floats=floats),
        columns_of(documents, keys, "timestamps", floats=True),
    )


def _iso(time: Any) -> str | None:
    """Seconds since 1970 as ISO 8601 with the zone of this machine."""
    try:
        moment = datetime.fromtimestamp(float(time)).astimezone()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="microseconds")
