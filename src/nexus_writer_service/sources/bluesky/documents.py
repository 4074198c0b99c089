"""Documents of any number of runs, in the order received, told as the events of scans.

Documents of one run come in order, those of several runs may be mixed. What cannot be understood
costs itself, and its run is told; a document of no known run is told to the log.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.events import Announced, Extended, Prepared, ScanEvent
from nexus_writer_service.sources.bluesky.batches import EVENTS, Events
from nexus_writer_service.sources.bluesky.files import Locate, PathMap
from nexus_writer_service.sources.bluesky.runs import Files, RunState, begin

_log = logging.getLogger(__name__)

Document = Mapping[str, Any]

_MOST_STRAYS: Final = 1000
_MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


class Translator:
    """Tells documents as the events of scans. For one thread.

    Args:
        locate: tells the file of a resource; None from it leaves that to the paths of the run.
    """

    def __init__(self, locate: Locate = lambda _resource: None) -> None:
        self._locate = locate
        self._runs: dict[str, RunState] = {}
        self._of_descriptor: dict[str, RunState] = {}
        self._of_resource: dict[str, RunState] = {}
        self._wait: dict[str, Callable[[Document], Any]] = {}
        """Lets an event wait for others, by its descriptor."""
        self._strays: set[tuple[str, str]] = set()

    @property
    def running(self) -> tuple[str, ...]:
        """The uids of the runs without a stop document."""
        return tuple(self._runs)

    def begin(
        self, document: Document, path: str | None, paths: PathMap | None = None
    ) -> list[ScanEvent]:
        """A start document.

        Args:
            document: it.
            path: of the file for the run.
            paths: how paths of other machines read on this one.

        Raises:
            DecodeError: the document has no uid, or there is a run of this uid already.
        """
        try:
            files = Files(paths or PathMap({}), self._locate)
            state = begin(document, path, files)
        except _MALFORMED as error:
            raise DecodeError(f"a start document cannot be understood: {error!r}") from error
        if state.run.key in self._runs:
            raise DecodeError(f"run {state.run.key} has started already: its second start is left")
        self._runs[state.run.key] = state
        return [Announced(state.run.key, state.run), Prepared(state.run.key, state.run)]

    def feed(self, documents: Iterable[tuple[str, Any]]) -> list[ScanEvent]:
        """All documents but start documents, in the order received."""
        told: list[ScanEvent] = []
        for name, document in documents:
            if name == "event":  # by far the most frequent: they wait, to be told together
                try:
                    if self._wait[document["descriptor"]](document):
                        told += self._flushed(self._of_descriptor[document["descriptor"]])
                    continue
                except _MALFORMED:
                    pass
            told += self._many(document) if name == EVENTS else self._one(name, document)
        for state in self._runs.values():
            told += self._flushed(state)
        return told

    def _many(self, events: Events) -> list[ScanEvent]:
        state = self._of_descriptor.get(events.descriptor)
        if state is None:
            document = {"descriptor": events.descriptor}
            self._stray("event", document, "its run is not known, or is over")
            return []
        try:
            return state.events(events)
        except Exception as error:  # noqa: BLE001 - it costs these events, all others go on
            _log.exception("run %s: unforeseen error", state.run.key)
            return state.complain(f"events are lost by an error, please report it: {error!r}")

    def _flushed(self, state: RunState) -> list[ScanEvent]:
        """Tell the events of a run that wait."""
        try:
            return state.flush()
        except Exception as error:  # noqa: BLE001 - it costs these events, all others go on
            _log.exception("run %s: unforeseen error", state.run.key)
            return state.complain(f"events are lost by an error, please report it: {error!r}")

    def _one(self, name: str, document: Document) -> list[ScanEvent]:
        state = None
        try:
            state = self._run_of(name, document)
            told = _HANDLERS[name](state, document)
            if name == "descriptor":
                uid = str(document["uid"])
                self._of_descriptor[uid] = state
                self._wait[uid] = state.wait(uid)
            elif name in ("resource", "stream_resource"):
                self._of_resource[str(document["uid"])] = state
            elif name == "stop":
                self._forget(state)
        except Exception as error:  # noqa: BLE001 - it costs this document, all others go on
            if not isinstance(error, (*_MALFORMED, DecodeError)):
                _log.exception("%s: unforeseen error", name)
            said = str(error) if isinstance(error, DecodeError) else f"{error!r}"
            what = f"{name} {_name_of(document)} cannot be understood: {said}"
            if state is None:
                self._stray(name, document, what)
                return []
            return state.complain(what)
        return told or []

    def _stray(self, name: str, document: Any, what: str) -> None:
        """Tell the log of a document of no known run; once for those that are alike."""
        alike = name, str(document.get("descriptor")) if isinstance(document, Mapping) else ""
        if alike not in self._strays and len(self._strays) < _MOST_STRAYS:
            self._strays.add(alike)
            _log.error("a document of no known run is left, and others like it: %s", what)

    def _run_of(self, name: str, document: Document) -> RunState:
        """The run that a document belongs to.

        Raises:
            DecodeError: none.
        """
        if name not in _HANDLERS:
            raise DecodeError(f"there are no documents of the name {name!r}")
        tables = {
            "run_start": self._runs,
            "descriptor": self._of_descriptor,
            "resource": self._of_resource,
            "stream_resource": self._of_resource,
        }
        found = [table.get(str(document.get(key))) for key, table in tables.items()]
        state = next(filter(None, found), None)
        if state is None and name == "bulk_events":
            found = [self._of_descriptor.get(key) for key in _descriptors_of(document)]
            state = next(filter(None, found), None)
        if state is None and name in ("resource", "stream_resource") and len(self._runs) == 1:
            state = next(iter(self._runs.values()))  # ophyd leaves its run out
        if state is None:
            raise DecodeError("its run is not known, or is over")
        return state

    def _forget(self, state: RunState) -> None:
        self._runs.pop(state.run.key, None)
        for table in (self._of_descriptor, self._of_resource):
            for uid in [uid for uid, one in table.items() if one is state]:
                del table[uid]
                self._wait.pop(uid, None)


def _bulk(state: RunState, document: Document) -> list[ScanEvent]:
    """Events by stream name or by descriptor, as long ago."""
    told = state.flush()
    for events in document.values():
        for event in events:
            told += state.event(event)
    return [*told, *state.flush()]


def _descriptors_of(document: Document) -> Iterable[str]:
    """The descriptors that the events of a bulk name."""
    for events in document.values():
        if isinstance(events, list | tuple):
            yield from (str(event["descriptor"]) for event in events)


_HANDLERS: Final[Mapping[str, Callable[[RunState, Document], list[ScanEvent] | None]]] = {
    "descriptor": RunState.describe,
    "event": RunState.event,
    "event_page": RunState.page,
    "bulk_events": _bulk,
    "resource": RunState.resource,
    "datum": RunState.datum,
    "datum_page": RunState.datum_page,
    "stream_resource": RunState.resource,
    "stream_datum": RunState.stream_datum,
    "stop": RunState.end,
}


def _name_of(document: Any) -> str:
    if not isinstance(document, Mapping):
        return f"of type {type(document).__name__}"
    return str(document.get("uid") or document.get("datum_id") or "without a uid")


def together(events: Iterable[ScanEvent]) -> Iterator[ScanEvent]:
    """Descriptions of a run that follow each other as one: each costs a plan and a merge."""
    held: Extended | None = None
    for event in events:
        if held is not None and isinstance(event, Extended) and event.key == held.key:
            warnings, problems = held.warnings + event.warnings, held.problems + event.problems
            event = replace(event, warnings=warnings, problems=problems)  # noqa: PLW2901
        elif held is not None:
            yield held
        held = event if isinstance(event, Extended) else None
        if held is None:
            yield event
    if held is not None:
        yield held
