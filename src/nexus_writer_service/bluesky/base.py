"""What every file writer of Bluesky documents has: attributes, handlers, a name for the file."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from threading import get_ident
from typing import Any, Final

from nexus_writer_service.bluesky.facts import OfRun, RunFacts, orientations

_log = logging.getLogger(__name__)

_TIME_FORMAT: Final = "%Y%m%d-%H%M%S"
_MOST_RUNS: Final = 100


class FileWriterCallbackBase:
    """Follows the documents of runs: what is known of each is in its attributes.

    Subscribe ``receiver``, or the writer itself. A subclass writes the file, see ``writer``. Of
    runs that are open at once, the attributes tell of the one that a document came of last.
    """

    file_extension = "dat"
    """Without the dot; for ``make_file_name``."""

    acquisitions: OfRun[dict[str, dict[str, Any]]] = OfRun()
    """By uid of the descriptor: its ``stream``, and ``data``: a record for each data key."""
    data_map: OfRun[dict[str, list[str]]] = OfRun()
    """Data keys of the primary stream: ``detectors``, ``motors``, ``unassigned``."""
    detectors: OfRun[list[str]] = OfRun()
    """Names of the detectors, from the start document."""
    diffractometers: OfRun[dict[str, Any]] = OfRun()
    """Orientation of diffractometers, by name, from the descriptors."""
    doc_timestamp: OfRun[float | None] = OfRun()
    """Time of the newest document."""
    exit_status: OfRun[str | None] = OfRun()
    """From the stop document."""
    externals: OfRun[dict[str, dict[str, Any]]] = OfRun()
    """Resources by uid, and the newest datums by their id, with ``_document_type_``."""
    metadata: OfRun[dict[str, Any]] = OfRun()
    """The start document, but for scan_id, time and uid."""
    plan_name: OfRun[str | None] = OfRun()
    """From the start document; empty when it has none."""
    positioners: OfRun[list[str]] = OfRun()
    """Names of the positioners, or motors, from the start document."""
    scan_id: OfRun[Any] = OfRun()
    """From the start document; 0 when it has none."""
    scanning: OfRun[bool] = OfRun()
    """Whether the run goes on."""
    start_time: OfRun[float | None] = OfRun()
    """Seconds since 1970."""
    stop_reason: OfRun[str | None] = OfRun()
    """From the stop document."""
    stop_time: OfRun[float | None] = OfRun()
    """Seconds since 1970."""
    streams: OfRun[dict[str, list[str]]] = OfRun()
    """Uids of the descriptors by name of the stream."""
    uid: OfRun[str | None] = OfRun()
    """Of the run."""

    def __init__(self) -> None:
        self._file_name: Path | None = None
        self._file_path: Path | None = None
        self._newest = RunFacts()
        self._runs: dict[str, tuple[RunFacts, Mapping[str, Any]]] = {}
        self._of_descriptor: dict[str, RunFacts] = {}
        self._finishing: tuple[int, RunFacts] | None = None
        self.xref: dict[str, Callable[[Any], None]] = {
            "bulk_events": self.bulk_events,
            "datum": self.datum,
            "datum_page": self.datum_page,
            "descriptor": self.descriptor,
            "event": self.event,
            "event_page": self.event_page,
            "resource": self.resource,
            "start": self.start,
            "stop": self.stop,
            "stream_datum": self.stream_datum,
            "stream_resource": self.stream_resource,
        }
        """What is called for each name of a document; more names may be added."""
        self.clear()

    @property
    def facts(self) -> RunFacts:
        """What is known of the run that is spoken of."""
        finishing = self._finishing
        if finishing is not None and finishing[0] == get_ident():
            return finishing[1]
        return self._newest

    @property
    def file_name(self) -> Path | None:
        """The file for the next run; None: each run gets one by ``make_file_name``."""
        return self._file_name

    @file_name.setter
    def file_name(self, value: str | Path) -> None:
        self._file_name = Path(value)

    @property
    def file_path(self) -> Path | None:
        """The directory for ``make_file_name``; None: the working directory."""
        return self._file_path

    @file_path.setter
    def file_path(self, value: str | Path) -> None:
        self._file_path = Path(value)

    def __call__(self, key: str, doc: Any) -> None:
        """Take a document, as ``receiver``."""
        self.receiver(key, doc)

    def receiver(self, key: str, doc: Any) -> None:
        """Take a document: ``RE.subscribe(writer.receiver)``.

        What is wrong with a document is told to the log and in the verdict of its run, never by an
        exception: the plan goes on.

        Args:
            key: what kind of document it is.
            doc: the document.
        """
        handler = self.xref.get(key)
        if handler is None:
            _log.error("unexpected key %s", key)
            return
        try:
            self._spoken_of(key, doc)
            handler(doc)
        except Exception as error:  # noqa: BLE001 - a plan never fails for its file
            _log.exception("a %s document is not understood: %r", key, error)

    def clear(self) -> None:
        """Forget the run that is spoken of."""
        self._newest = RunFacts()

    def make_file_name(self) -> Path:
        """A name out of time, scan number and uid: ``20260131-101530-S00012-0a1b2c3.hdf``.

        Raises:
            TypeError: no start document has been received.
        """
        # Without a start document these are None, and Python itself raises.
        start_time: Any = self.start_time
        uid: Any = self.uid
        moment = datetime.fromtimestamp(start_time).astimezone()
        name = f"{moment:{_TIME_FORMAT}}-S{self.scan_id:05d}-{uid[:7]}.{self.file_extension}"
        return Path(self.file_path or ".") / name

    def get_hklpy_configurations(self, doc: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The orientation of the diffractometers that an event descriptor configures, by name."""
        return orientations(doc)

    def writer(self) -> None:
        """Write the file of the run that is over; here the run is only printed."""
        began = time.monotonic()
        print("print to console")  # noqa: T201 - this is what it is for
        print(f"suggested file name: {self.make_file_name()}")  # noqa: T201
        for name, value in (
            ("metadata", self.metadata),
            ("streams", self.streams),
            ("externals", self.externals),
        ):
            for key in value:
                print(f"{name} {key}: {value[key]}")  # noqa: T201
        print(f"elapsed time: {time.monotonic() - began} s")  # noqa: T201

    # ---------------------------------------------------------------------------- documents

    def start(self, doc: Mapping[str, Any]) -> None:
        """A run begins."""
        self.clear()
        facts = self._newest
        facts.start(doc)
        self._runs[str(doc["uid"])] = facts, doc
        for uid in list(self._runs)[:-_MOST_RUNS]:
            del self._runs[uid]

    def descriptor(self, doc: Mapping[str, Any]) -> None:
        """A stream is described."""
        if self.scanning:
            facts, start = self._runs[str(doc["run_start"])]
            facts.descriptor(doc, start)
            self._of_descriptor[str(doc["uid"])] = facts

    def event(self, doc: Mapping[str, Any]) -> None:
        """Values were measured."""

    def event_page(self, doc: Mapping[str, Any]) -> None:
        """Values of many events."""

    def bulk_events(self, doc: Mapping[str, Any]) -> None:
        """Values of many events, as long ago."""

    def resource(self, doc: Mapping[str, Any]) -> None:
        """Values are in a file."""
        if self.scanning:
            self.facts.externals[doc["uid"]] = {**doc, "_document_type_": "resource"}

    def datum(self, doc: Mapping[str, Any]) -> None:
        """Which value in a file an event means."""
        if self.scanning:
            externals = self.facts.externals
            externals[doc["datum_id"]] = {**doc, "_document_type_": "datum"}
            while len(externals) > _MOST_DATUMS:  # the engine knows the others
                oldest = next(
                    key for key, one in externals.items() if one["_document_type_"] == "datum"
                )
                del externals[oldest]

    def datum_page(self, doc: Mapping[str, Any]) -> None:
        """Which values in a file many events mean."""

    def stream_resource(self, doc: Mapping[str, Any]) -> None:
        """Values are, or will be, in a file."""
        if self.scanning:
            self.facts.externals[doc["uid"]] = {**doc, "_document_type_": "stream_resource"}

    def stream_datum(self, doc: Mapping[str, Any]) -> None:
        """Values have come into a file."""

    def stop(self, doc: Mapping[str, Any]) -> None:
        """A run is over."""
        if self.scanning:
            self.facts.stop(doc)
            self.writer()

    # ------------------------------------------------------------------------------- inside

    def _spoken_of(self, key: str, doc: Any) -> None:
        """Let the attributes tell of the run of a document, when several are open."""
        if key != "start" and len(self._runs) > 1:
            found = self._of_descriptor.get(str(doc.get("descriptor")))
            known = self._runs.get(str(doc.get("run_start")))
            if found is not None or known is not None:
                self._newest = found or known[0]  # type: ignore[index]
        if "time" in doc:
            self._newest.doc_timestamp = doc["time"]

    def _forget(self, facts: RunFacts) -> None:
        """A run is in its file."""
        self._runs.pop(str(facts.uid), None)
        for uid in [uid for uid, one in list(self._of_descriptor.items()) if one is facts]:
            self._of_descriptor.pop(uid, None)


_MOST_DATUMS: Final = 1000
