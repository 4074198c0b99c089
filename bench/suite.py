"""``make bench``: what writers cost, and how soon points can be read, side by side.

The same scans are published to each writer in turn; every value that it wrote is compared with what
was published. See ``bench/README.md``.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from bench.chart import draw
from bench.report import machine, tables
from bench.row import Job, Row, Scale, Subjects
from bench.rows import all_rows
from bench.samples import Outcome, Sample, Samples
from bench.writers import (
    BLISSWRITER_VARIABLE,
    FLOOR,
    OURS,
    POWER,
    REFERENCE,
    blisswriter,
    floor,
    our_writer,
    server_version,
)

from nexus_writer_service.errors import SettingsError, SourceUnavailableError
from nexus_writer_service.testing.redis_server import RedisServer

_SUBJECTS = (OURS, POWER, REFERENCE, FLOOR)
_SMOKE = f"{OURS},{FLOOR}"
_OUTPUT = Path(__file__).parent / "out"


def main(  # noqa: PLR0913 - one parameter for each option, given by name
    *,
    tiny: Annotated[
        bool, typer.Option("--smoke", help="Tiny scans, once: does it run, is every value right.")
    ] = False,
    runs: Annotated[int, typer.Option(min=1, help="Of each; medians are shown.")] = 5,
    rows: Annotated[str, typer.Option(help="Names of rows, with commas; default: all.")] = "",
    subjects: Annotated[
        str, typer.Option(help=f"Of {', '.join(_SUBJECTS)}; default: all, with --smoke {_SMOKE}.")
    ] = "",
    add: Annotated[
        bool, typer.Option("--add", help="Keep what an earlier run measured in other rows.")
    ] = False,
    soak: Annotated[float, typer.Option(help="Seconds of the long scan.")] = 120.0,
    output: Annotated[Path, typer.Option(help="Folder for JSON and chart.")] = _OUTPUT,
) -> None:
    """Compare our writer with blisswriter and a floor. Status 1 when ours wrote anything wrong."""
    with RedisServer() as server:
        chosen = _subjects(subjects or (_SMOKE if tiny else ""))
        every_row = all_rows(chosen, Scale(tiny=tiny, soak_seconds=soak))
        wanted = _wanted(rows, [row.name for row in every_row], "row")
        selected = [row for row in every_row if row.name in wanted]
        versions = {name: one.version for name, one in chosen.items() if one.version}
        samples = Samples(machine(), versions | {"redis": server_version(server.url)})
        output.mkdir(parents=True, exist_ok=True)
        path = output / "benchmarks.json"
        if add and path.exists():
            earlier = Samples.read(path).samples
            samples.samples.extend(one for one in earlier if one.row not in wanted)
        for row in selected:
            _run(row, samples, server.url, 1 if tiny else runs)
            samples.write(path)  # a run takes long, and can be interrupted
            if tiny and any(one.problems for one in samples.samples):
                break  # what is broken may make each of the others wait for its deadline
    measured = {one.row for one in samples.samples}
    shown = [row for row in every_row if row.name in measured]
    draw(samples, shown, path.with_suffix(".png"))
    # Of tiny scans the figures say nothing.
    print(f"{len(samples.samples)} runs" if tiny else tables(samples, shown))
    print(f"\n{path}, {path.with_suffix('.png')}")
    wrong = [one for one in samples.samples if one.problems and one.subject != REFERENCE]
    for one in wrong:
        print(f"{one.row}, {one.case}, {one.subject}: {one.problems[0]}")
    if wrong:
        raise typer.Exit(1)


def _run(row: Row, samples: Samples, url: str, runs: int) -> None:
    """The subjects take turns, so that they meet the same neighbours."""
    for number in range(runs):
        for job in row.jobs:
            if number and job.once:
                continue
            load = os.getloadavg()[0]
            outcome = job.act(url)
            sample = Sample(row.name, job.case, job.subject, load, outcome.values, outcome.problems)
            samples.samples.append(sample)
            print(_told(row, job, outcome, load), flush=True)


def _told(row: Row, job: Job, outcome: Outcome, load: float) -> str:
    cpu = outcome.values.get("cpu", float("nan"))
    wall = outcome.values.get("wall", float("nan"))
    return (
        f"{row.name:10} {job.case:14} {job.subject:12} {cpu:8.3f} CPU s {wall:8.2f} s, "
        f"load {load:.1f}, {outcome.problems[0] if outcome.problems else 'verified'}"
    )


def _subjects(names: str) -> Subjects:
    wanted = _wanted(names, _SUBJECTS, "subject")
    subjects: Subjects = {OURS: our_writer(), POWER: our_writer(POWER, "power"), FLOOR: floor()}
    if REFERENCE in wanted:
        reference = blisswriter()
        if reference is None:
            raise SettingsError(
                "There is no blisswriter to compare with: `make bench` installs it, "
                f"{BLISSWRITER_VARIABLE} names one, `--subjects ours,floor` does without."
            )
        subjects[REFERENCE] = reference
    return {name: subjects[name] for name in _SUBJECTS if name in wanted}


def _wanted(names: str, known: Iterable[str], what: str) -> list[str]:
    every = list(known)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in every:
            raise SettingsError(f"There is no {what} {name!r}, only {', '.join(every)}.")
    return wanted or every


if __name__ == "__main__":
    try:
        typer.run(main)
    except (SettingsError, SourceUnavailableError) as error:
        sys.exit(f"bench: {error}")
