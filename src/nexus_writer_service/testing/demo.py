"""``make demo``: live scans of a simulated BLISS session become a NeXus file, before your eyes.

Everything that runs is the real thing: a Redis server, scans published through blissdata, the
writer as its own process, and a plain reader that looks into the file while it is being written.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import h5py
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from nexus_writer_service.errors import WriterError
from nexus_writer_service.hdf5.tree_text import tree_lines
from nexus_writer_service.testing.plot import plot_default
from nexus_writer_service.testing.redis_server import RedisServer, initialise
from nexus_writer_service.testing.simulation import (
    PlainSaving,
    SimulatedSession,
    run_demo_scans,
)

_SESSION = "demo_session"
_DEADLINE = 60.0
_FINAL = ("SUCCEEDED", "FAILED")


@dataclass(frozen=True, slots=True)
class EntryView:
    """What a reader sees of an entry at one moment."""

    name: str
    title: str
    points: int
    channels: int
    status: str
    verdict: str


def read_entries(path: Path) -> list[EntryView]:
    """What a plain reader finds in the file right now; empty when there is nothing yet."""
    if not path.exists():
        return []
    try:
        with h5py.File(path, "r") as file:
            names = sorted((name for name in file if "." in name), key=_by_number)
            return [_view(name, file[name]) for name in names]
    except (OSError, KeyError, RuntimeError):
        # A commit may be under way: the next look is a fraction of a second later.
        return []


def _by_number(name: str) -> list[int]:
    return [int(part) for part in name.split(".") if part.isdigit()]


def _view(name: str, entry: h5py.Group) -> EntryView:
    measurement = entry.get("measurement", {})
    lengths = [len(node) for node in (measurement.get(key) for key in measurement) if node]
    writer = entry.get("writer", {})
    return EntryView(
        name,
        entry["title"][()].decode(),
        max(lengths, default=0),
        len(lengths),
        writer["status"][()].decode() if "status" in writer else "",
        writer["description"][()].decode() if "description" in writer else "",
    )


def _table(entries: list[EntryView]) -> Table:
    table = Table(title="What a plain reader sees in the file", expand=False)
    for column in ("entry", "title", "channels", "points", "writer"):
        table.add_column(column)
    for view in entries:
        color = {"SUCCEEDED": "green", "FAILED": "red"}.get(view.status, "yellow")
        table.add_row(
            view.name,
            view.title,
            str(view.channels),
            str(view.points),
            f"[{color}]{view.status.lower()}[/{color}]",
        )
    return table


@contextmanager
def _writer(url: str, log: Path, semaphore: Path) -> Iterator[None]:
    """The writer as a process of its own, listening."""
    command = [
        str(Path(sys.executable).with_name("NexusSessionWriter")),
        _SESSION,
        "--log=info",
        "--required_disk_space=0",
        "--recommended_disk_space=0",
        f"--start_semaphore_file={semaphore}",
        "--nohistory",
    ]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "REDIS_DATA_URL": url},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + _DEADLINE
            while not semaphore.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise WriterError(f"the writer does not listen, see {log}")
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_DEADLINE)


def _watch(path: Path, publishing: threading.Thread, expected: list[int], console: Console) -> None:
    """Show what is in the file until all scans have been published and written."""
    deadline = time.monotonic() + _DEADLINE
    with Live(console=console, refresh_per_second=5) as live:
        while time.monotonic() < deadline:
            entries = read_entries(path)
            live.update(_table(entries))
            done = sum(view.status in _FINAL for view in entries)
            if not publishing.is_alive() and entries and done >= sum(expected):
                return
            time.sleep(0.2)
    raise WriterError(f"not all scans were written within {_DEADLINE:g} s")


def run(
    output: Annotated[Path, typer.Option(help="Is emptied first.")] = Path("demo-output"),
    period: Annotated[float, typer.Option(help="Seconds between two points.")] = 0.05,
) -> None:
    """Show live scans becoming a NeXus file."""
    console = Console()
    output = output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with RedisServer() as server:
        initialise(server.url)
        console.print(f"Redis for the scan data: {server.url}")
        log = output / "writer.log"
        with _writer(server.url, log, output / "listening"):
            console.print(f"NexusSessionWriter {_SESSION} is listening, its log: {log}")
            session = SimulatedSession(
                server.url, _SESSION, data_root=output, data_writer="external"
            )
            path = _publish_and_watch(session, period, console)
    _report(path, output, console)


def _publish_and_watch(session: SimulatedSession, period: float, console: Console) -> Path:
    expected: list[int] = []
    failures: list[BaseException] = []
    path = PlainSaving(session.data_root, session.name, session.filename).file

    def publish() -> None:
        try:
            records = run_demo_scans(session, period=period)
            records += [subscan for record in records for subscan in record.subscans]
            expected.append(sum(len(record.entries) for record in records))
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=publish, name="publisher")
    thread.start()
    try:
        _watch(path, thread, expected, console)
    finally:
        thread.join()
    if failures:
        raise WriterError("the simulated session failed") from failures[0]
    return path


def _report(path: Path, output: Path, console: Console) -> None:
    console.rule("the file")
    for line in tree_lines(str(path), max_depth=3):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.rule("verdicts")
    for view in read_entries(path):
        line = f"{view.name:6} {view.title}: {view.verdict}"
        console.print(line, highlight=False, soft_wrap=True)
    png = output / "default_plot.png"
    drawn = plot_default(path, png)
    console.rule()
    console.print(f"plot of {drawn}: {png}", highlight=False, soft_wrap=True)
    console.print(f"open the file: silx view {path}", highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point of the module."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(run)
    try:
        app()
    except WriterError as error:
        sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
