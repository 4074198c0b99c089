"""``make bench``: what writers cost, and how soon points can be read, side by side.

The same scans are published to each writer in turn; every value that it wrote is compared with what
was published. See ``bench/README.md``.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import typer
from bench.chart import draw
from bench.measure import measure
from bench.report import Results, print_tables, write_json
from bench.workloads import WORKLOADS, Workload, resized, smoke
from bench.writers import BLISSWRITER_VARIABLE, Writer, blisswriter, our_writer, server_version

from nexus_writer_service.errors import SettingsError, SourceUnavailableError
from nexus_writer_service.testing.redis_server import RedisServer

_OUTPUT = Path(__file__).parent / "out"


def main(
    *,
    tiny: Annotated[
        bool, typer.Option("--smoke", help="Tiny scans, once: does it run, is every value right.")
    ] = False,
    reps: Annotated[int, typer.Option(min=1, help="Runs of each; medians are shown.")] = 3,
    workload: Annotated[
        list[str] | None,
        typer.Option(help=f"Repeatable: {', '.join(one.name for one in WORKLOADS)}."),
    ] = None,
    writer: Annotated[list[str] | None, typer.Option(help="Repeatable: ours, blisswriter.")] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="Repeatable: NAME=NUMBER for channels, points, block, width or rate."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for JSON and chart.")] = _OUTPUT,
) -> None:
    """Compare our writer with blisswriter. Ends with status 1 when anything written is wrong."""
    workloads = [smoke(one) if tiny else one for one in _workloads(workload)]
    workloads = [resized(one, size or []) for one in workloads]
    with RedisServer() as server:
        writers = _writers(writer, reference_needed=not tiny)
        results = Results(workloads, writers, server_version(server.url))
        _run(results, server.url, 1 if tiny else reps)
    output.mkdir(parents=True, exist_ok=True)
    write_json(results, output / "benchmarks.json")
    draw(results, output / "benchmarks.png")
    print_tables(results)
    print(f"\n{output / 'benchmarks.json'}, {output / 'benchmarks.png'}")
    if any(run.problems for run in results.runs):
        raise typer.Exit(1)


def _run(results: Results, url: str, reps: int) -> None:
    """Every workload; the writers take turns, so that they meet the same neighbours."""
    for workload in results.workloads:
        for _ in range(reps):
            for writer in results.writers:
                run = measure(writer, workload, url)
                results.runs.append(run)
                told = run.problems[0] if run.problems else "verified"
                print(
                    f"{workload.name:14} {writer.name:12} {run.cpu:7.2f} CPU s "
                    f"{run.wall:7.2f} s, load {run.load:.1f}, {told}",
                    flush=True,
                )


def _workloads(names: list[str] | None) -> list[Workload]:
    known = {workload.name: workload for workload in WORKLOADS}
    _check(names, known, "workload")
    return [known[name] for name in names or known]


def _writers(names: list[str] | None, *, reference_needed: bool) -> list[Writer]:
    wanted = names or ["ours", "blisswriter"]
    _check(wanted, ("ours", "blisswriter"), "writer")
    writers = [our_writer()] if "ours" in wanted else []
    if "blisswriter" not in wanted:
        return writers
    reference = blisswriter()
    if reference is not None:
        return [*writers, reference]
    if reference_needed or names:
        raise SettingsError(
            "There is no blisswriter to compare with: `make bench` installs it, "
            f"{BLISSWRITER_VARIABLE} names one, `--writer ours` does without."
        )
    return writers


def _check(names: Sequence[str] | None, known: Collection[str], what: str) -> None:
    for name in names or ():
        if name not in known:
            raise SettingsError(f"There is no {what} {name!r}, only {', '.join(known)}.")


if __name__ == "__main__":
    try:
        typer.run(main)
    except (SettingsError, SourceUnavailableError) as error:
        sys.exit(f"compare_writers: {error}")
