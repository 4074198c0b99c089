"""``NXWriter``: a Bluesky callback that writes each run to a NeXus file while it goes on."""

import atexit
import os
import weakref
from collections.abc import Generator, Mapping
from pathlib import Path, PurePosixPath
from threading import get_ident
from typing import Any, Final

from nexus_writer_service.bluesky.engine import Engine, Face, RunBegin
from nexus_writer_service.bluesky.facts import RunFacts
from nexus_writer_service.bluesky.hooks import HOOKS, OMITTED, Hooks
from nexus_writer_service.bluesky.results import RunResult
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.bluesky import BlueskyOptions, BlueskyPlan, plan
from nexus_writer_service.layout.bluesky.options import NEXUS_RELEASE
from nexus_writer_service.model.description import ScanDescription

NEXUS_FILE_EXTENSION: Final = "hdf"
"""Of files that ``make_file_name`` names."""


class NXWriter(Hooks):
    """Writes Bluesky runs to NeXus files, each while it goes on.

    ``RE.subscribe(NXWriter().receiver)``. The file of a run exists from its start document, has its
    points half a second after they were measured, and tells at the end in ``/entry/writer`` what
    became of the run. The RunEngine never waits for the disk.

    Settings are attributes; they count for runs that begin afterwards (those of the plot also for
    the one that goes on). To change what is in the file, override the methods of ``Hooks``.
    """

    file_extension = NEXUS_FILE_EXTENSION
    instrument_name: str | None = None
    """Attribute ``instrument`` of the file."""
    nexus_release: str = NEXUS_RELEASE
    """Attribute ``NeXus_release`` of the file."""
    nxdata_signal: str | None = None
    """Data key that is plotted; None: the first detector with numbers."""
    nxdata_signal_axes: list[str] | None = None
    """Data keys over which it is plotted; None: the motors."""
    template_key: str = "nxwriter_template"
    """Key of the start document that holds templates."""
    warn_on_missing_content: bool = True
    """Kept for subclasses; what is missing is in the verdict."""
    path_map: Mapping[str, str] = {}
    """How directories of the machines that write detector files are called on this one."""
    copy_external_files: bool = False
    """Copy what detectors have in files of their own, instead of mapping it."""
    as_apstools: bool = False
    """Write what apstools writes also where that is no valid NeXus, or no YAML for safe loaders."""

    _external_file_read_timeout: float = 20
    _external_file_read_retry_delay: float = 0.5
    _aps: bool = False

    def __init__(self) -> None:
        self._problems = []
        self._plain_events = False
        """Nobody wants to see the events before they are written."""
        self._engine = Engine(Face(self._locate, self._finish, self._done))
        self._put_event = self._engine.put_event
        atexit.register(_close, weakref.ref(self._engine))
        super().__init__()

    # ------------------------------------------------------------------------------ documents

    def receiver(self, key: str, doc: Any) -> None:
        """Take a document; returns at once. See ``FileWriterCallbackBase.receiver``."""
        if key == "event" and self._plain_events and len(self._runs) == 1:
            try:  # by far the most frequent document: the short way
                self._newest.doc_timestamp = doc["time"]
                self._put_event(doc)
            except (LookupError, TypeError):
                self._engine.put(key, doc)
            return
        super().receiver(key, doc)
        if key == "start":
            self._plain_events = self.xref.get("event") == Hooks.event.__get__(self)
            self._engine.files_patience = float(self._external_file_read_timeout)
            self._engine.put(key, doc, self._begin())
        elif key == "stop":
            self._engine.put(key, doc, self._options())
        elif key in self.xref:
            self._engine.put(key, doc)

    def writer(self) -> None:
        """Nothing to do: the file is written while the run goes on."""

    def wait_writer(self, timeout: float | None = None) -> tuple[RunResult, ...]:
        """Wait until all runs that are over are in their files.

        Args:
            timeout: seconds; None waits as long as it takes.

        Returns:
            What became of the runs that ended since the last call.

        Raises:
            TimeoutError: some are not in their files yet.
        """
        return self._engine.wait(timeout)

    @property
    def results(self) -> tuple[RunResult, ...]:
        """What became of the newest runs (at most 1000), the last one last."""
        return tuple(self._engine.results)

    def wait_writer_plan_stub(
        self, timeout: float | None = None
    ) -> Generator[Any, Any, tuple[RunResult, ...]]:
        """Wait within a plan: ``results = yield from writer.wait_writer_plan_stub()``.

        Args:
            timeout: as of ``wait_writer``.

        Raises:
            TimeoutError: some runs are not in their files yet.
        """
        from bluesky import plan_stubs  # noqa: PLC0415 - only plans need the RunEngine

        waited = 0.0
        while self._writer_active and (timeout is None or waited < timeout):
            yield from plan_stubs.sleep(self._external_file_read_retry_delay)
            waited += self._external_file_read_retry_delay
        return self.wait_writer(0)

    def close(self) -> None:
        """End at once: runs that go on are left as interrupted, with all points received."""
        self._engine.close("the writer was closed")

    @property
    def _writer_active(self) -> bool:
        return self._engine.active

    # ---------------------------------------------------------------------------- for subclasses

    def get_sample_title(self) -> str:
        """The title: of the start document, else ``S0012-scan-0a1b2c3``."""
        title = self.metadata.get("title")
        if title is not None:
            return str(title)
        return f"S{self.scan_id or 0:04d}-{self.plan_name}-{(self.uid or '')[:7]}"

    def getResourceFile(self, resource_id: str) -> Any:  # noqa: N802 - a known name
        """The file of a resource; override it where ``path_map`` cannot tell.

        Args:
            resource_id: uid of the resource.

        Raises:
            ValueError: the resource is not of the area detector's HDF5 files.
        """
        resource = self.externals[resource_id]
        if not str(resource.get("spec", "")).startswith("AD_HDF5"):
            raise ValueError(f"{resource_id}: spec {resource.get('spec')} not handled")
        return PurePosixPath(str(resource["root"])) / str(resource["resource_path"])

    # ----------------------------------------------------------------------------------- inside

    def _begin(self) -> RunBegin:
        facts = self._newest
        try:
            facts.chosen = self._file_name is not None
            facts.target = Path(self._file_name or self.make_file_name())
        except Exception as error:  # noqa: BLE001 - it belongs to the run, not to the RunEngine
            facts.refusal = error
        return RunBegin(facts, facts.target, facts.refusal, self._options(), dict(self.path_map))

    def _options(self) -> BlueskyOptions:
        axes = self.nxdata_signal_axes
        return BlueskyOptions(
            creator=type(self).__name__,
            nexus_release=self.nexus_release,
            instrument_name=self.instrument_name,
            nxdata_signal=self.nxdata_signal,
            nxdata_signal_axes=tuple(axes) if axes else None,
            template_key=self.template_key,
            title=self._own_title(),
            aps=self._aps,
            as_apstools=self.as_apstools,
            copy_external_files=self.copy_external_files,
            omitted=frozenset(part for hook, part in OMITTED.items() if self._overridden(hook)),
        )

    def _own_title(self) -> str | None:
        if not self._overridden("get_sample_title"):
            return None
        try:
            return str(self.get_sample_title())
        except (LookupError, TypeError, ValueError, AttributeError):
            return None  # what it needs comes later: it is asked again at the end

    def _locate(self, facts: RunFacts, resource: Mapping[str, Any]) -> str | None:
        if not self._overridden("getResourceFile") or "spec" not in resource:
            return None
        self._finishing = get_ident(), facts
        try:
            return str(os.path.abspath(self.getResourceFile(str(resource["uid"]))))
        finally:
            self._finishing = None

    def _finish(
        self, facts: RunFacts, options: BlueskyOptions, scan: ScanDescription, file: NexusFile
    ) -> list[BaseException | str]:
        """Let the methods of a subclass, and templates, work on a file that is complete."""
        made = plan(scan, options)
        hooked = self._overridden(*HOOKS)
        if not hooked and not made.templates(_everything)[0].children:
            return []
        self._finishing = get_ident(), facts
        self._problems = []
        try:
            file.edit(lambda root: self._work_on(root, made, facts, hooked=hooked))
        except Exception as error:  # noqa: BLE001 - the data are safe; the verdict tells
            return [*self._problems, error]
        finally:
            self.root = self._plan = None
            self._finishing = None
        return list(self._problems)

    def _work_on(self, root: Any, made: BlueskyPlan, facts: RunFacts, *, hooked: bool) -> None:
        self.root, self._plan = root, made
        if hooked:
            self._let_records_load()
            self.write_root(str(facts.target))
        else:
            self.write_templates()

    def _done(self, facts: RunFacts, result: RunResult) -> None:
        if result.file is not None:
            self.output_nexus_file = result.file
        self._forget(facts)


def _everything(_path: str) -> bool:
    return True


def _close(engine: "weakref.ref[Engine]") -> None:
    found = engine()
    if found is not None:
        found.close("the process ended")
