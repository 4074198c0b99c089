"""One run of an archive becomes one file: what a worker process of ``nexus-writer export`` does.

A file is under its name only with what a finished export made of it: one that is written again is
kept aside until then, and comes back if the new one is worse. So an export that was killed is
repeated by the same command, and loses nothing.
"""

import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from nexus_writer_service.errors import FileError, SettingsError, WriterError
from nexus_writer_service.hdf5 import recovery
from nexus_writer_service.hdf5.inspect import inspect
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.sources.bluesky.archive import ArchivedRun, archived_runs
from nexus_writer_service.sources.bluesky.recording import RecordedRun

DEFAULT_WRITER = "nexus_writer_service.bluesky:NXWriter"
_LOOK_TIMEOUT = 60.0
"""Seconds in which HDF5 must come forward with a file that exists."""
_RANK = {Outcome.COMPLETE: 2, Outcome.INCOMPLETE: 1}


class Fate(Enum):
    """What became of a run, in one word."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    THERE = "there already"
    """A complete file of this run existed and was left alone."""
    TAKEN = "name taken"
    """Another file has the name and was left alone."""

    @property
    def good(self) -> bool:
        """Whether a complete file of the run is there."""
        return self in (Fate.COMPLETE, Fate.THERE)


@dataclass(frozen=True, slots=True)
class InArchive:
    """A run that only its archive can tell, found again by its uid in a worker process.

    Attributes:
        kind: ``databroker`` or ``tiled``.
        archive: name of the catalog, or address of the server.
        uid: of the run.
    """

    kind: str
    archive: str
    uid: str

    def open(self) -> ArchivedRun:
        """The run.

        Raises:
            SettingsError: what is needed to read the archive is not installed.
        """
        (run,) = archived_runs(open_archive(self.kind, self.archive)[self.uid])
        return run


@dataclass(frozen=True, slots=True)
class Job:
    """A run to export.

    Attributes:
        run: where its documents are.
        folder: for its file.
        writer: ``module:class`` of the writer.
        overwrite: a file that has the name is replaced, even a good one.
        patience: seconds for which the files of detectors are awaited.
    """

    run: RecordedRun | InArchive
    folder: Path
    writer: str = DEFAULT_WRITER
    overwrite: bool = False
    patience: float = 600.0


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job."""

    uid: str
    file: str
    fate: Fate
    detail: str
    seconds: float = 0.0


def open_archive(kind: str, archive: str) -> Any:
    """The runs of an archive by uid.

    Raises:
        SettingsError: what is needed to read it is not installed, there is no such archive, or it
            does not answer.
    """
    try:
        if kind == "tiled":
            client = importlib.import_module("tiled.client")
            return client.from_uri(archive)
        return importlib.import_module("databroker").catalog[archive]
    except ImportError as error:
        raise SettingsError(f"cannot read from {kind}: {error}; install {kind}") from error
    except KeyError as error:
        raise SettingsError(f"databroker knows no catalog {archive!r}") from error
    except Exception as error:  # they come from packages that are not imported here
        raise SettingsError(f"{kind} cannot open {archive}: {error!r}") from error


def load_writer(spec: str) -> Callable[[], Any]:
    """The class that ``module:class`` names.

    Raises:
        SettingsError: there is none.
    """
    module, _, name = spec.partition(":")
    try:
        found: Callable[[], Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"no writer {spec!r}, expected module:class ({error})") from error
    return found


def export(job: Job) -> Done:
    """Export a run; whatever happens is told in the answer."""
    begun = time.monotonic()
    uid, target = _uid(job.run), Path()
    try:
        run = job.run.open() if isinstance(job.run, InArchive) else job.run
        uid = str(run.start.get("uid"))
        target = _target(job, run)
        fate, detail = _export(job, run, target)
    except Exception as error:  # noqa: BLE001 - an archive raises what it likes, and others go on
        fate, detail = Fate.FAILED, f"{type(error).__name__}: {error}"
    return Done(uid, str(target) if target.name else "", fate, detail, time.monotonic() - begun)


def _uid(run: RecordedRun | InArchive) -> str:
    return run.uid if isinstance(run, InArchive) else str(run.start.get("uid"))


def _target(job: Job, run: ArchivedRun) -> Path:
    """Where the file is to be: as the writer names it after the start document."""
    writer = load_writer(job.writer)()
    writer.file_path = str(job.folder)
    writer.start_time = run.start.get("time")
    writer.scan_id = run.start.get("scan_id") or 0
    writer.uid = run.start.get("uid")
    return Path(writer.make_file_name())


def _export(job: Job, run: ArchivedRun, target: Path) -> tuple[Fate, str]:
    aside = _Aside(target)
    before = _before(target, aside, str(run.start.get("uid")))
    if target.exists() and not job.overwrite:
        if before is None:
            return Fate.TAKEN, "it is no file of this run: move it, or use --overwrite"
        if before.outcome is Outcome.COMPLETE:
            return Fate.THERE, before.summary
    worth = _RANK.get(before.outcome, 0) if before and not job.overwrite else 0
    with aside:
        verdict = _written(job, run, target)
        rank = _RANK.get(verdict.outcome, 0)
        if rank < worth:
            return Fate.INCOMPLETE, f"worse than before, which is kept: {verdict.summary}"
        if rank:
            aside.forget()
    fate = Fate(verdict.outcome.value) if verdict.outcome.final else Fate.FAILED
    return fate, verdict.summary


def _before(target: Path, aside: "_Aside", uid: str) -> Verdict | None:
    """What is said of the run in the file that has the name, after what a killed export left."""
    if not target.exists() and not aside.kept:
        return None
    if target.exists():
        recovery.recover(str(target))  # refused while somebody writes it
    verdict = _verdict(target, uid)
    if aside.kept and (verdict is None or verdict.outcome is not Outcome.COMPLETE):
        aside.restore()
        return _verdict(target, uid)
    aside.forget()
    aside.end()
    return verdict


def _verdict(path: Path, uid: str) -> Verdict | None:
    """What is said in a file about this run; None when it is not of this run."""
    nothing = Verdict(Outcome.INTERRUPTED, ("its writer died before it had written anything",))
    if not path.stat().st_size:
        return nothing
    try:
        found = inspect(str(path), timeout=_LOOK_TIMEOUT, values=False)
    except FileError:
        return None
    if found.readable and not found.entries and found.objects <= 1:
        return nothing
    notes = found.entries.values()
    return next((note.verdict for note in notes if note and note.scan == uid), None)


def _written(job: Job, run: ArchivedRun, target: Path) -> Verdict:
    writer = load_writer(job.writer)()
    writer.file_name = str(target)
    writer.warn_on_missing_content = False
    stopped = False
    for name, doc in run.documents():
        writer.receiver(name, doc)
        stopped = stopped or name == "stop"
    if not stopped:
        # The archive holds no stop document: the file says so.
        writer.close()
    results = writer.wait_writer(timeout=job.patience)
    if not results:
        raise WriterError("the writer tells nothing of the run")
    verdict: Verdict = results[-1].verdict
    return verdict


class _Aside:
    """Keeps a file under another name, until it is known whether the new one is better."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = path.with_name(f"{path.name}.before-export")
        self._better = False

    @property
    def kept(self) -> bool:
        """Whether there is one aside."""
        return self._kept.exists()

    def forget(self) -> None:
        """The new one is better."""
        self._better = True

    def restore(self) -> None:
        """The one that is aside gets its name back."""
        os.replace(self._kept, self._path)

    def end(self) -> None:
        """Only the better one stays."""
        if self._kept.exists():
            if self._better:
                self._kept.unlink()
            else:
                self.restore()

    def __enter__(self) -> Self:
        self._better = False
        if self._path.exists():
            os.rename(self._path, self._kept)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
