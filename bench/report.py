"""What was measured, as tables and as JSON."""

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Latency, Run
from bench.workloads import Workload
from bench.writers import Writer
from rich import box
from rich.console import Console
from rich.table import Table

_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Results:
    """All runs, and where they were made."""

    workloads: Sequence[Workload]
    writers: Sequence[Writer]
    redis: str
    """Program and version of the server."""
    runs: list[Run] = field(default_factory=list)

    def of(self, workload: Workload, writer: Writer) -> list[Run]:
        """The runs of one writer with one workload."""
        return [
            run for run in self.runs if run.workload == workload.name and run.writer == writer.name
        ]

    def typical(self, workload: Workload, writer: Writer, value: Callable[[Run], float]) -> float:
        """Median of a value over the runs that were completed; NaN if there are none."""
        found = [value(run) for run in self.of(workload, writer) if run.cpu]
        return float(median(found)) if found else float("nan")

    def latency(self, workload: Workload, writer: Writer) -> Latency | None:
        """Medians over the runs, but the greatest of all latencies; None if there are none."""
        found = [run.latency for run in self.of(workload, writer) if run.latency]
        if not found:
            return None
        names = [name for name in Latency.__slots__ if name != "most"]
        medians: dict[str, Any] = {
            name: median(getattr(one, name) for one in found) for name in names
        }
        return Latency(most=max(one.most for one in found), **medians)

    @property
    def loads(self) -> tuple[float, float]:
        """Least and greatest load average at the start of a run."""
        loads = [run.load for run in self.runs]
        return min(loads), max(loads)


def machine() -> dict[str, str | int]:
    """What the figures depend on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def points_per_cpu_second(run: Run) -> float:
    """Points of all channels by user and system time of the writer."""
    return run.points / run.cpu


def print_tables(results: Results) -> None:
    """In Markdown, so that they can be pasted."""
    console = Console(width=_WIDTH)
    about = machine()
    console.print(
        f"{about['cores']} x {about['processor']}, {about['system']}, Python {about['python']}",
        highlight=False,
    )
    versions = ", ".join(f"{writer.name} {writer.version}" for writer in results.writers)
    least, greatest = results.loads
    console.print(
        f"{versions}; {results.redis}; load average {least:.1f} to {greatest:.1f}", highlight=False
    )
    drains = [workload for workload in results.workloads if not workload.rate]
    lives = [workload for workload in results.workloads if workload.rate]
    if drains:
        console.print("\nDrain: the writer is given a scan that is over", highlight=False)
        console.print(_drain_table(results, drains))
    if lives:
        console.print(
            "\nLive: from just before a point is sent until it can be read", highlight=False
        )
        console.print(_live_table(results, lives))
    for run in results.runs:
        for problem in run.problems[:3]:
            console.print(f"{run.workload}, {run.writer}: {problem}", highlight=False)


def _table(*columns: str) -> Table:
    table = Table(box=box.MARKDOWN)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < 2 else "right", no_wrap=True)
    return table


def _drain_table(results: Results, workloads: Iterable[Workload]) -> Table:
    table = _table(
        "scan", "writer", "points per CPU s", "ratio", "CPU s", "MB/s", "peak MB", "file MB",
        "verified",
    )  # fmt: skip
    for workload in workloads:
        for writer in results.writers:
            typical = {
                name: results.typical(workload, writer, value)
                for name, value in _DRAIN_VALUES.items()
            }
            table.add_row(
                workload.title,
                writer.name,
                f"{typical['speed']:,.0f}",
                _ratio(results, workload, writer),
                f"{typical['cpu']:.2f}",
                f"{typical['rate']:.1f}",
                f"{typical['peak']:.0f}",
                f"{typical['file']:.1f}",
                _verified(results.of(workload, writer)),
            )
    return table


_DRAIN_VALUES: Mapping[str, Callable[[Run], float]] = {
    "speed": points_per_cpu_second,
    "cpu": lambda run: run.cpu,
    "rate": lambda run: run.nbytes / 1e6 / run.wall,
    "peak": lambda run: run.peak_megabytes,
    "file": lambda run: run.file_megabytes,
}


def _ratio(results: Results, workload: Workload, writer: Writer) -> str:
    """How many times as many points per CPU second as the last writer, the reference."""
    reference = results.writers[-1]
    if writer is reference:
        return "1" if len(results.writers) > 1 else "-"
    mine, theirs = (
        results.typical(workload, one, points_per_cpu_second) for one in (writer, reference)
    )
    return f"{mine / theirs:.1f}"


def _live_table(results: Results, workloads: Iterable[Workload]) -> Table:
    table = _table(
        "scan", "writer", "median s", "p95 s", "p99 s", "max s", "after end", "updates", "CPU s",
        "peak MB", "verified",
    )  # fmt: skip
    for workload in workloads:
        for writer in results.writers:
            latency = results.latency(workload, writer)
            cells = ["-"] * 6
            if latency is not None:
                quantiles = (latency.median, latency.p95, latency.p99, latency.most)
                cells = [f"{value:.2f}" for value in quantiles]
                cells += [f"{latency.after_end:.0%}", f"{latency.updates:.0f}"]
            table.add_row(
                workload.title,
                writer.name,
                *cells,
                f"{results.typical(workload, writer, lambda run: run.cpu):.2f}",
                f"{results.typical(workload, writer, lambda run: run.peak_megabytes):.0f}",
                _verified(results.of(workload, writer)),
            )
    return table


def _verified(runs: Sequence[Run]) -> str:
    right = sum(not run.problems for run in runs)
    return f"{right}/{len(runs)}"


def write_json(results: Results, path: Path) -> None:
    """Everything, one object per run."""
    document = {
        "machine": machine(),
        "redis": results.redis,
        "writers": {writer.name: writer.version for writer in results.writers},
        "workloads": [asdict(workload) for workload in results.workloads],
        "runs": [asdict(run) for run in results.runs],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
