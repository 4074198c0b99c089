"""The threads of one ``NXWriter``: one that understands documents, and the scribe that writes.

They live from a start document until the last run is in its file, and end with the main thread.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from nexus_writer_service.bluesky.queue import DocumentQueue, Item
from nexus_writer_service.bluesky.results import RunResult
from nexus_writer_service.bluesky.targets import Targets
from nexus_writer_service.errors import DecodeError, FileError, WriterError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.templates import Templates
from nexus_writer_service.layout.bluesky import BlueskyOptions, plan
from nexus_writer_service.layout.plan import ScanPlan
from nexus_writer_service.model.description import ScanDescription
from nexus_writer_service.model.events import Announced, Ended, Extended, ScanEvent
from nexus_writer_service.model.tree import Group
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.clock import SystemClock
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scribe import Scribe
from nexus_writer_service.service.status import ScanStatus, StatusBoard
from nexus_writer_service.service.surroundings import Surroundings
from nexus_writer_service.sources.bluesky.documents import Translator, together
from nexus_writer_service.sources.bluesky.files import PathMap

_log = logging.getLogger(__name__)

GATHER: Final = 0.4
"""Seconds for which documents wait for others: many at once cost much less. What was gathered is
committed at once, so a reader sees every point within half a second."""
_COMMIT: Final = 0.3
"""Seconds between commits when documents come so fast that they are taken more often."""
_TICK: Final = 0.4
"""Seconds after which points are committed in any case."""
_LOOK: Final = 0.25
"""Seconds between two looks whether the main thread goes on."""
_MOST_RESULTS: Final = 1000


@dataclass(frozen=True, slots=True)
class RunBegin:
    """What a writer says of a run when it begins."""

    facts: Any
    """Of the run, for who is asked to finish it."""
    target: Path | None
    refusal: BaseException | None
    options: BlueskyOptions
    path_map: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Face:
    """What the engine asks of the writer whose engine it is; called in its threads."""

    locate: Callable[[Any, Mapping[str, Any]], str | None]
    """The file of a resource of a run; None leaves it to the map of paths."""
    finish: Callable[[Any, "BlueskyOptions", ScanDescription, NexusFile], list[BaseException | str]]
    """Adds to a file that is complete; returns what went wrong."""
    done: Callable[[Any, RunResult], None]
    """Told of each result."""


@dataclass(slots=True)
class _Open:
    """A run whose result is not known yet."""

    begin: RunBegin
    options: BlueskyOptions
    path: Path
    restyled: bool = False
    """The options are not those of its plans so far."""
    errors: list[BaseException] = field(default_factory=list)
    known: Group | None = None
    """The tree of its newest plan."""


class Engine:
    """Writes the runs of one writer.

    Args:
        face: of the writer.
    """

    def __init__(self, face: Face) -> None:
        self.files_patience = 20.0
        """Seconds after a stop document for which files of detectors are awaited; counts for runs
        that begin when no other one is being written."""
        self.file_options = FileOptions()
        """How files are kept safe; likewise."""
        self.templates = Templates()
        """Of groups, which runs that follow each other share."""
        self._face = face
        self.version = version("nexus_writer_service")  # takes long: not when a run begins
        self._queue = DocumentQueue()
        self.put_event = self._queue.put_event
        """Take an event, as ``put`` does.

        Raises:
            LookupError, TypeError: it has no descriptor.
        """
        self._open: dict[str, _Open] = {}
        self._ending: set[str] = set()
        """Runs whose stop document has been received, and whose result is not known."""
        self._results: list[RunResult] = []
        """Those that nobody has asked for."""
        self.results: deque[RunResult] = deque(maxlen=_MOST_RESULTS)
        """The newest ones."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._targets = Targets()
        self._stop: str | None = None
        self._committed = 0.0
        """When a commit was asked for."""

    # ------------------------------------------------------------------------ any thread

    def put(self, name: str, document: Any, more: RunBegin | BlueskyOptions | None = None) -> None:
        """Take a document; returns at once.

        Args:
            name: of its kind.
            document: it.
            more: what the writer says with a start document, or the options with a stop document.
        """
        urgent = name in ("start", "stop")
        if name == "stop" and isinstance(document, Mapping):
            with self._changed:
                self._ending.add(str(document.get("run_start")))
        self._queue.put((name, document, more), urgent=urgent)
        if urgent:
            self._awake()

    @property
    def active(self) -> bool:
        """Whether a run that is over is still being written."""
        return bool(self._ending)

    def wait(self, timeout: float | None) -> tuple[RunResult, ...]:
        """The results since somebody asked, once all runs that are over have one.

        Raises:
            TimeoutError: they have not in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._ending, timeout):
                runs = ", ".join(sorted(self._ending))
                raise TimeoutError(
                    f"after {timeout} s still being written: run {runs}; what is committed of it "
                    "is safe, wait on or look at its file"
                )
            found, self._results = self._results, []
            return tuple(found)

    def close(self, reason: str) -> None:
        """End the threads: runs that go on are left as interrupted, with all their points."""
        with self._changed:
            thread = self._thread
            if thread is None:
                return
            self._stop = reason
        self._queue.put(("", None, None), urgent=True)
        thread.join()

    def _awake(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="nexus-documents")
                self._thread.start()

    # ------------------------------------------------------------------------ its thread

    def _run(self) -> None:
        service = _Service(self, self._layout, self._record, self._finish)
        translator = Translator(locate=self._locate)
        alive = threading.main_thread().is_alive
        try:
            while True:
                items = self._queue.take(_LOOK, GATHER)
                if items:
                    self._handle(items, translator, service.scribe)
                elif self._stop is not None or not alive() or self._leave():
                    break
        except Exception:
            _log.critical("the writer of Bluesky runs has failed, please report it", exc_info=True)
            raise
        finally:
            service.stop()
            self._abandon()

    def _leave(self) -> bool:
        """End this thread when there is nothing to do."""
        with self._changed:
            if self._open or len(self._queue):
                return False
            self._thread = self._stop = None
            return True

    def _abandon(self) -> None:
        """Nothing more is written: who waits is told. What another thread has begun is its own."""
        with self._changed:
            if self._thread is not threading.current_thread():
                return
            self._thread = self._stop = None
            for uid in list(self._open):
                one = self._open.pop(uid)
                verdict = Verdict(Outcome.INTERRUPTED, ("the writer was ended",))
                self._keep(RunResult(uid, one.path, verdict))
            self._ending.clear()
            self._changed.notify_all()

    def _handle(self, items: list[Item], translator: Translator, scribe: Scribe) -> None:
        documents: list[tuple[str, Any]] = []
        for item in items:
            name, document, more = item
            if more is None:
                if name:
                    documents.append((name, document))
                continue
            if isinstance(more, BlueskyOptions) and isinstance(document, Mapping):
                one = self._open.get(str(document.get("run_start")))
                if one is not None and one.options != more:
                    one.options, one.restyled = more, True
            if name == "start":
                scribe.submit(self._restyled(translator.feed(documents)))
                documents = []
                self._begin(item, translator, scribe)
            elif name:
                documents.append((name, document))
        scribe.submit(self._restyled(translator.feed(documents)))
        if (now := time.monotonic()) >= self._committed + _COMMIT:
            self._committed = now
            scribe.commit()
        self._without_run(documents)

    def _restyled(self, events: list[ScanEvent]) -> Iterator[ScanEvent]:
        """Before a run ends it is planned anew if its options are not those of its start."""
        for event in together(events):
            if isinstance(event, Ended) and event.key in self._open:
                one = self._open[event.key]
                if one.restyled:
                    yield Extended(event.key, event.scan)
            yield event

    def _begin(self, item: Item, translator: Translator, scribe: Scribe) -> None:
        document: Any = item[1]
        begin: RunBegin = item[2]
        uid = str(document.get("uid")) if isinstance(document, Mapping) else "?"
        if uid in self._open:
            _log.error(
                "run %s has started already: its second start is left. Is the writer subscribed "
                "twice?",
                uid,
            )
            return
        try:
            if begin.refusal is not None:
                raise begin.refusal
            if begin.target is None:
                raise FileError("no name for the file of the run is known: set file_name")
            path = self._targets.take(Path(os.path.abspath(begin.target)), uid)
        except Exception as error:  # noqa: BLE001 - make_file_name is a method of a subclass
            self._refuse(uid, begin, error)
            return
        self._open[uid] = _Open(begin, begin.options, path)
        events: list[ScanEvent]
        try:
            events = translator.begin(document, str(path), PathMap(begin.path_map))
        except DecodeError as error:
            del self._open[uid]
            self._refuse(uid, begin, error)
            return
        first = events[0]
        if isinstance(first, Announced):
            scribe.announce(first.scan, wanted=True)
        scribe.submit(events)

    def _refuse(self, uid: str, begin: RunBegin, error: BaseException) -> None:
        _log.error("run %s cannot be written: %s", uid, error)
        verdict = Verdict(Outcome.FAILED, (f"{type(error).__name__}: {error}",))
        self._tell(uid, begin, RunResult(uid, None, verdict, error))

    def _tell(self, uid: str, begin: RunBegin, result: RunResult) -> None:
        self._face.done(begin.facts, result)
        with self._changed:
            self._keep(result)
            self._open.pop(uid, None)
            self._ending.discard(uid)
            self._changed.notify_all()

    def _keep(self, result: RunResult) -> None:
        self._results = [*self._results[1 - _MOST_RESULTS :], result]
        self.results.append(result)

    def _without_run(self, documents: list[tuple[str, Any]]) -> None:
        """Stop documents of runs that are not known end nothing: nobody is to wait for them."""
        stops = [str(one.get("run_start")) for name, one in documents if name == "stop"]
        with self._changed:
            for uid in stops:
                if uid not in self._open:
                    self._ending.discard(uid)
            self._changed.notify_all()

    # ------------------------------------------------------- asked by the scribe and the source

    def _layout(self, scan: ScanDescription) -> ScanPlan:
        one = self._open[scan.key]
        made = plan(scan, one.options, one.known)
        one.known = made.tree
        return made

    def _locate(self, resource: Mapping[str, Any]) -> str | None:
        one = self._open.get(str(resource.get("run_start")))
        if one is None and len(self._open) == 1:
            one = next(iter(self._open.values()))
        return self._face.locate(one.begin.facts, resource) if one else None

    def _finish(self, scan: ScanDescription, file: NexusFile) -> list[str]:
        one = self._open[scan.key]
        found: list[str] = []
        for problem in self._face.finish(one.begin.facts, one.options, scan, file):
            if isinstance(problem, BaseException):
                one.errors.append(problem)
                found.append(f"a method of the writer failed: {type(problem).__name__}: {problem}")
            else:
                found.append(problem)
        return found

    def _record(self, status: ScanStatus) -> None:
        """Told of each change of a scan's state, by the scribe."""
        one = self._open.get(status.key)
        if not status.over or one is None:
            return
        self._targets.release(one.path)
        verdict = status.verdict or Verdict(Outcome.FAILED, (status.reason,))
        file = one.path if one.path.exists() else None
        error = one.errors[0] if one.errors else None
        self._tell(status.key, one.begin, RunResult(status.key, file, verdict, error))


class _Service:
    """The scribe and what it needs, started."""

    def __init__(
        self,
        engine: Engine,
        layout: Callable[[ScanDescription], ScanPlan],
        record: Callable[[ScanStatus], None],
        finish: Callable[[ScanDescription, NexusFile], list[str]],
    ) -> None:
        self._disk = DiskWatch(required=0)
        around = Surroundings(
            files=FilePool((), engine.file_options, templates=engine.templates),
            board=StatusBoard(),
            clock=SystemClock(),
            disk=self._disk,
            layout=layout,
            profiler=Profiler(),
            version=engine.version,
            record=record,
            finish=finish,
            files_patience=engine.files_patience,
        )
        self.scribe = Scribe(around, tick=_TICK)
        self.scribe.start()

    def stop(self) -> None:
        """Suspend what is open, close all files."""
        try:
            self.scribe.stop()
        except WriterError as error:
            _log.error("%s", error)
        self._disk.stop()
