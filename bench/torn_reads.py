"""``python -m bench.torn_reads``: what readers find that open a file while it is written.

Two short readers (open, list, read one dataset, close) and a long one (read and compare all) beside
each writer, all with h5py's default locking. See ``docs/crash_safety.md``.
"""

import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer
from bench.torn_writers import WRITERS, Applies, Writer, promised, write
from tests.support_crash import Findings, Promise, examine, examine_one

_SHORT_READERS: Final = 2
_SHORT_PAUSE: Final = 0.02
"""Most seconds between two opens of a short reader."""
_LONG_PAUSE: Final = 0.05
_PATIENCE: Final = 600.0
"""Seconds after which a reader that does not come back counts as hanging."""


@dataclass(slots=True)
class Reads:
    """What readers of one kind have found."""

    opens: int = 0
    bad: int = 0
    stale: int = 0
    """Less than what had been committed before they opened the file; all of it right."""
    seconds: float = 0.0
    """In the file, altogether."""
    examples: list[str] = field(default_factory=list)

    def add(self, other: "Reads") -> None:
        """Count what another reader found."""
        self.opens += other.opens
        self.bad += other.bad
        self.stale += other.stale
        self.seconds += other.seconds
        self.examples += other.examples


@dataclass(slots=True)
class Round:
    """One writer and its readers."""

    writer: str
    short: Reads = field(default_factory=Reads)
    long: Reads = field(default_factory=Reads)
    applies: Applies = field(default_factory=Applies)


def read_short(folder: str, seed: int, opens: int) -> Reads:
    """Open, read one dataset and close, so many times."""
    chance = random.Random(seed)  # noqa: S311 - no secret

    def look(promise: Promise) -> Findings:
        return examine_one(f"{folder}/file.h5", promise, chance)

    reads = Reads()
    while reads.opens < opens:
        _read(look, folder, reads)
        time.sleep(chance.uniform(0, _SHORT_PAUSE))
    return reads


def read_long(folder: str, seed: int) -> Reads:
    """Read all of the file, again and again, until there is a file ``stop``."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    reads = Reads()
    while not Path(folder, "stop").exists():
        _read(lambda promise: examine(f"{folder}/file.h5", promise), folder, reads)
        time.sleep(chance.uniform(0, _LONG_PAUSE))
    return reads


def _read(look: Callable[[Promise], Findings], folder: str, reads: Reads) -> None:
    promise = promised(folder)
    begin = time.monotonic()
    try:
        found = look(promise)
    except Exception as error:  # noqa: BLE001 - a torn file makes h5py raise all kinds
        found = Findings([f"{type(error).__name__}: {error}"])
    reads.seconds += time.monotonic() - begin
    reads.opens += 1
    reads.bad += bool(found.wrong)
    reads.stale += bool(found.behind) and not found.wrong
    if len(reads.examples) < 5:
        reads.examples += found.wrong[:1]


def play(writer: Writer, seed: int, opens: int) -> Round:
    """Let readers look while a writer writes, until there were so many short opens."""
    played = Round(writer.name)
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="torn-") as folder,
        ProcessPoolExecutor(_SHORT_READERS + 2, mp_context=context) as pool,
    ):
        written = pool.submit(write, writer, folder, seed)
        _wait_until_it_writes(folder, written)
        long = pool.submit(read_long, folder, seed)
        each = -(-opens // _SHORT_READERS)
        shorts = [pool.submit(read_short, folder, seed + n, each) for n in range(_SHORT_READERS)]
        try:
            for short in shorts:
                played.short.add(short.result(_PATIENCE))
        finally:
            Path(folder, "stop").touch()
        played.long.add(long.result(_PATIENCE))
        played.applies = written.result(_PATIENCE)
    return played


def _wait_until_it_writes(folder: str, written: "Future[Applies]") -> None:
    while not promised(folder).lengths:
        if written.done():
            written.result()
        time.sleep(0.01)


_COLUMNS: Final = (
    "writer",
    "short opens",
    "bad per 1000",
    "stale %",
    "long reads",
    "bad per 1000",
    "stale %",
    "s each",
    "commits",
    "applied",
    "forced",
)


def table(rounds: list[Round]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---|" + "---:|" * (len(_COLUMNS) - 1)]
    for one in rounds:
        cells: list[str | int] = [one.writer, *_cells(one.short), *_cells(one.long)]
        cells.append(f"{one.long.seconds / max(1, one.long.opens):.2f}")
        plain = one.writer == WRITERS[0].name
        applies = (one.applies.applied, one.applies.forced)
        cells += [one.applies.commits, *(("", "") if plain else applies)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _cells(reads: Reads) -> tuple[int, str, str]:
    opens = max(1, reads.opens)
    return reads.opens, f"{1000 * reads.bad / opens:.1f}", f"{100 * reads.stale / opens:.0f}"


def main(
    *,
    opens: Annotated[int, typer.Option(min=1, help="Short opens beside each of ours.")] = 10_000,
    plain_opens: Annotated[int, typer.Option(min=1, help="... beside plain h5py.")] = 3_000,
    writer: Annotated[
        list[str] | None,
        typer.Option(help=f"Repeatable: {'; '.join(one.name for one in WRITERS)}."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all chances.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that was found.")] = False,
) -> None:
    """Count torn reads beside each writer."""
    chosen = [one for one in WRITERS if writer is None or one.name in writer]
    if not chosen:
        raise typer.BadParameter(f"no writer is called {', '.join(writer or [])}")
    rounds = [play(one, seed, opens if one.options else plain_opens) for one in chosen]
    print(json.dumps([asdict(one) for one in rounds], indent=1) if as_json else table(rounds))


if __name__ == "__main__":
    typer.run(main)
