"""``nexus-writer export``: runs of archives and recordings become NeXus files."""

import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from nexus_writer_service.cli.export_job import (
    DEFAULT_WRITER,
    Done,
    Fate,
    InArchive,
    Job,
    export,
    load_writer,
    open_archive,
)
from nexus_writer_service.sources.bluesky.recording import RecordedRun, is_recording, runs_of

_MOST_SHOWN = 20
"""Runs that are named of those that are not complete."""
_STYLES = {Fate.COMPLETE: "green", Fate.THERE: "green", Fate.INCOMPLETE: "yellow"}


def export_runs(
    recordings: Annotated[
        list[Path] | None, typer.Argument(help="Recordings, or folders with some.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
    catalog: Annotated[
        str | None, typer.Option(help="A catalog that databroker knows by this name.")
    ] = None,
    tiled: Annotated[str | None, typer.Option(help="Address of a Tiled server, or node.")] = None,
    run: Annotated[
        list[str] | None, typer.Option(help="Repeatable: only runs whose uid begins so.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only runs that began then or later (local time).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Only runs that began before (local time).")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes. Default: one per core, at most 8.")
    ] = min(8, os.cpu_count() or 1),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write again also what is there and complete.")
    ] = False,
    writer: Annotated[
        str, typer.Option(help="Your own writer instead: module:class.")
    ] = DEFAULT_WRITER,
    patience: Annotated[
        float, typer.Option(help="Seconds for which a run's file may take to be finished.")
    ] = 600.0,
    report: Annotated[
        Path | None, typer.Option(help="Write what became of each run to this file, as JSON.")
    ] = None,
) -> None:
    """Make a NeXus file of each run, named after its time, number and uid.

    Runs whose complete file is there are skipped, so that the same command goes on where it was
    stopped. Nothing else that has the name is ever replaced, unless by --overwrite.

    Exit status: 0 when a complete file of every run is there, 1 when not, 2 when there is no run.
    """
    load_writer(writer)
    chosen = _Chosen(run or [], _seconds(since), _seconds(until))
    runs = list(chosen.among(_runs(recordings or [], catalog, tiled)))
    if not runs:
        typer.echo("nexus-writer export: there is no such run", err=True)
        raise typer.Exit(2)
    out.mkdir(parents=True, exist_ok=True)
    folder = out.resolve()
    jobs = [Job(one, folder, writer, overwrite, patience) for one in runs]
    console = Console(file=sys.stderr)
    done = _export_all(jobs, workers, console)
    if report is not None:
        report.write_text(_as_json(done), encoding="utf-8")
    _summarize(done, console)
    raise typer.Exit(0 if all(one.fate.good for one in done) else 1)


class _Chosen:
    """Which runs are wanted."""

    def __init__(self, uids: Sequence[str], since: float | None, until: float | None) -> None:
        self._uids = tuple(uids)
        self._since = since
        self._until = until

    def among(self, runs: Iterable[RecordedRun | InArchive]) -> Iterator[RecordedRun | InArchive]:
        """The wanted ones of these, each once."""
        seen: set[str] = set()
        for run in runs:
            uid = run.uid if isinstance(run, InArchive) else str(run.start.get("uid"))
            if uid not in seen and self._wants(run, uid):
                seen.add(uid)
                yield run

    def _wants(self, run: RecordedRun | InArchive, uid: str) -> bool:
        if self._uids and not uid.startswith(self._uids):
            return False
        if self._since is None and self._until is None:
            return True
        time = float((run.open() if isinstance(run, InArchive) else run).start.get("time") or 0)
        return (self._since or 0) <= time < (self._until or float("inf"))


def _seconds(moment: datetime | None) -> float | None:
    return moment.astimezone().timestamp() if moment is not None else None


def _runs(
    recordings: Iterable[Path], catalog: str | None, tiled: str | None
) -> Iterator[RecordedRun | InArchive]:
    for path in recordings:
        inside = sorted(one for one in path.rglob("*") if is_recording(one))
        for one in inside if path.is_dir() else [path]:
            yield from runs_of(one)
    for kind, archive in (("databroker", catalog), ("tiled", tiled)):
        if archive is not None:
            for uid in open_archive(kind, archive):
                yield InArchive(kind, archive, str(uid))


def _export_all(jobs: Sequence[Job], workers: int, console: Console) -> list[Done]:
    done: list[Done] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("export", total=len(jobs))
        for one in _worked_off(jobs, min(workers, len(jobs))):
            done.append(one)
            bad = sum(not other.fate.good for other in done)
            progress.update(
                task, advance=1, description=f"export, {bad} not complete" if bad else "export"
            )
    return done


def _worked_off(jobs: Sequence[Job], workers: int) -> Iterator[Done]:
    """The jobs' results, as they come; a process that dies costs its own jobs only."""
    if workers == 1:
        yield from map(export, jobs)
        return
    # Started afresh: a process that is forked would share threads and open files.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures: dict[Future[Done], Job] = {pool.submit(export, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield _result(future, futures[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _result(future: "Future[Done]", job: Job) -> Done:
    try:
        return future.result()
    except BrokenProcessPool:
        uid = job.run.uid if isinstance(job.run, InArchive) else str(job.run.start.get("uid"))
        return Done(uid, "", Fate.FAILED, "the process that wrote it has died; run this again")


def _summarize(done: Sequence[Done], console: Console) -> None:
    bad = [one for one in done if not one.fate.good]
    for one in bad[:_MOST_SHOWN]:
        console.print(
            f"[{_STYLES.get(one.fate, 'red')}]{one.fate.value}[/] run {one.uid[:7]} "
            f"{one.file}: {one.detail}",
            highlight=False,
            soft_wrap=True,
        )
    if bad[_MOST_SHOWN:]:
        console.print(f"... and {len(bad) - _MOST_SHOWN} more: --report names all")
    counts = Counter(one.fate for one in done)
    parts = [f"{counts[fate]} {fate.value}" for fate in Fate if counts[fate]]
    console.print(f"{len(done)} runs: {', '.join(parts)}", highlight=False)


def _as_json(done: Sequence[Done]) -> str:
    documents: list[dict[str, Any]] = [
        {
            "run": one.uid,
            "file": one.file,
            "fate": one.fate.value,
            "detail": one.detail,
            "seconds": round(one.seconds, 3),
        }
        for one in done
    ]
    return json.dumps(documents, indent=1, ensure_ascii=False) + "\n"
