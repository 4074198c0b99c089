"""``make bench-bluesky``: NXWriter beside that of apstools and a few lines of h5py.

Every writer gets the same documents, in a process of its own for every run, and what it wrote is
compared with what was sent. See ``docs/benchmarks.md``.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import h5py
import numpy as np
import typer
from bench.bluesky_documents import FRAME, FRAMES
from bench.report import machine

from nexus_writer_service.errors import SettingsError

_OUTPUT = Path(__file__).parent / "out"
_PEER = "BENCH_APSTOOLS"
"""Names the Python of an environment with apstools and this project."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run to write."""

    name: str
    kind: str
    events: int
    rate: float = 0.0
    """Events per second; 0: as fast as they can be made."""


@dataclass(slots=True)
class Measured:
    """The runs of one case through one writer."""

    case: Case
    writer: str
    runs: list[dict[str, Any]] = field(default_factory=list)

    def typical(self, name: str) -> float:
        """Median of a figure."""
        return float(median(run[name] for run in self.runs))


CASES = (
    Case("1,000 events x 10, 500/s", "scalars", 1_000, 500.0),
    Case("100,000 events x 10, 10,000/s", "scalars", 100_000, 10_000.0),
    Case("10,000 events x 10, at once", "scalars", 10_000),
    Case("100,000 events x 10, at once", "scalars", 100_000),
    Case("400,000 events x 10, at once", "scalars", 400_000),
    Case("100 images of 2 MiB, external, at once", "images", FRAMES),
    Case("100 images of 2 MiB, external, 100/s", "images", FRAMES, 100.0),
)
WRITERS = ("ours", "reference", "h5py", "nothing")


def main(
    *,
    tiny: Annotated[
        bool, typer.Option("--smoke", help="Tiny runs, once: does it run, is every value right.")
    ] = False,
    reps: Annotated[int, typer.Option(min=1, help="Runs of each; medians are shown.")] = 3,
    writer: Annotated[
        list[str] | None, typer.Option(help=f"Repeatable: {', '.join(WRITERS)}.")
    ] = None,
    case: Annotated[
        list[int] | None, typer.Option(help="Repeatable: number of the case, from 1.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the JSON.")] = _OUTPUT,
) -> None:
    """Compare writers of Bluesky runs. Ends with status 1 when anything written is wrong."""
    cases = [CASES[number - 1] for number in case] if case else list(CASES)
    if tiny:
        cases = [Case("50 events x 10", "scalars", 50), CASES[-1]]
    names = writer or [name for name in WRITERS if name != "reference" or _peer()]
    if "reference" in names and not _peer():
        raise SettingsError(f"{_PEER} names no Python with apstools: `make bench-bluesky` does")
    found = _measure(cases, names, 1 if tiny else reps)
    output.mkdir(parents=True, exist_ok=True)
    path = output / "bluesky.json"
    path.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    _print_table(found)
    print(f"\n{path}")
    if any(run["problem"] for one in found for run in one.runs):
        raise typer.Exit(1)


def _peer() -> str:
    return os.environ.get(_PEER, "")


def _measure(cases: Sequence[Case], names: Iterable[str], reps: int) -> list[Measured]:
    """Every case; the writers take turns, so that they meet the same neighbours."""
    found = [Measured(case, name) for case in cases for name in names]
    for _ in range(reps):
        for one in found:
            if one.writer == "h5py" and one.case.kind == "images":
                continue
            run = _run(one.writer, one.case)
            one.runs.append(run)
            told = run["problem"] or "verified"
            print(f"{one.case.name:32} {one.writer:10} {run['wall']:7.2f} s, {told}", flush=True)
    return [one for one in found if one.runs]


def _run(name: str, case: Case) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if case.kind == "images":
            _save_images(Path(folder))
        python = _peer() if name == "reference" else sys.executable
        program = [python, "-W", "ignore", "-m", "bench.bluesky_run", name, case.kind]
        done = subprocess.run(
            [*program, str(case.events), str(case.rate), folder],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SettingsError(f"{name} failed with {case.name}: {done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**measured, "load": os.getloadavg()[0]}


def _save_images(folder: Path) -> None:
    """What the detector saved: counts, one chunk per image."""
    rows, columns = np.indices(FRAME)
    with h5py.File(folder / "images.h5", "w") as file:
        data = file.create_dataset(
            "entry/data/data", (FRAMES, *FRAME), "u2", chunks=(1, *FRAME), fillvalue=0
        )
        for number in range(FRAMES):
            data[number] = (rows * FRAME[1] + columns + number) % 2**16


def _print_table(found: Sequence[Measured]) -> None:
    """In Markdown, so that it can be pasted."""
    about = machine()
    loads = [run["load"] for one in found for run in one.runs]
    print(
        f"\n{about['cores']} x {about['processor']}, {about['system']}, Python {about['python']}; "
        f"load average {min(loads):.1f} to {max(loads):.1f}\n"
    )
    print(
        "| run | writer | stop to closed, ms | CPU of that, ms | CPU, µs per event "
        "| of it in the RunEngine's thread | peak growth, MB | process, MB | file MB | verified |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for one in found:
        if one.writer == "nothing":
            continue
        idle = next(
            (other for other in found if other.case == one.case and other.writer == "nothing"), None
        )
        cpu, engine = (
            1e6 * (one.typical(key) - (idle.typical(key) if idle else 0.0)) / one.case.events
            for key in ("cpu", "engine_cpu")
        )
        right = sum(not run["problem"] for run in one.runs)
        print(
            f"| {one.case.name} | {one.writer} | {1e3 * one.typical('stop_to_closed'):.1f} "
            f"| {1e3 * one.typical('stop_cpu'):.1f} | {cpu:.1f} "
            f"| {engine:.1f} | {one.typical('growth'):.0f} | {one.typical('base'):.0f} "
            f"| {one.typical('file_mb'):.2f} | {right}/{len(one.runs)} |"
        )


if __name__ == "__main__":
    try:
        typer.run(main)
    except SettingsError as error:
        sys.exit(f"compare_bluesky: {error}")
