"""What crash safety costs: a journaled file beside a plain one of h5py, with the same calls.

Both get the same datasets, appends (a longer extent, then a write with shared spaces) and commits;
a commit is a flush of HDF5, and with ``power`` then a synchronization of the file. They take turns
in one process. Making the datasets is not counted, closing is.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Final, Protocol

import h5py
import numpy as np
from bench.report import machine
from h5py import h5f, h5s
from rich import box
from rich.console import Console
from rich.table import Table

from nexus_writer_service.hdf5.commit import CommittedFile
from nexus_writer_service.hdf5.options import Durability, FileOptions

_ROUNDS_PER_COMMIT: Final = 5


@dataclass(frozen=True, slots=True)
class Case:
    """Datasets of one kind, all of which grow by some points in each round."""

    title: str
    datasets: int
    rounds: int
    dtype: str = "f8"
    sample: tuple[int, ...] = ()
    chunk: int = 256
    """Points in a chunk."""
    points: int = 10
    """Points per round."""
    gzip: bool = False
    direct: bool = False
    """Chunks are handed over as they are, past HDF5's own writing."""


_CASES: Final = (
    Case("10 scalars", 10, 1000),
    Case("100 scalars", 100, 200),
    Case("1000 scalars", 1000, 50),
    Case("1000 scalars, gzip", 1000, 25, gzip=True),
    Case("10 detectors x 4096 uint32", 10, 50, "u4", (4096,), chunk=16),
    Case("4 MiB frames, direct chunks", 1, 100, "u2", (2048, 1024), 1, points=1, direct=True),
    Case("4 MiB frames, slices", 1, 100, "u2", (2048, 1024), 1, points=1),
)


class Writable(Protocol):
    """A file in which datasets can be made."""

    group: h5py.Group

    def commit(self) -> None:
        """Let readers see everything."""

    def close(self) -> None:
        """Let go of it."""


class PlainFile:
    """As h5py writes files, through HDF5's own driver."""

    def __init__(self, path: str, durability: Durability) -> None:
        self._file = h5py.File(path, "w", locking=False)
        self.group = self._file["/"]
        self._power = durability == "power"
        self._descriptor = os.open(path, os.O_RDWR)

    def commit(self) -> None:
        """Flush."""
        h5f.flush(self._file.id, h5f.SCOPE_LOCAL)
        if self._power:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close."""
        self._file.close()
        if self._power:
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)


class JournaledOne:
    """As the service writes files."""

    def __init__(self, path: str, durability: Durability) -> None:
        self._file = CommittedFile.open(path, options=FileOptions(durability=durability))
        self.group = h5py.Group(self._file.root)
        self.commit = self._file.commit
        self.close = self._file.close


@dataclass(slots=True)
class Cost:
    """Seconds of one run."""

    wall: float = 0.0
    cpu: float = 0.0
    commits: list[float] = field(default_factory=list)


def run(case: Case, make: Callable[[str, Durability], Writable], durability: Durability) -> Cost:
    """Write one file and remove it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = make(f"{folder}/file.h5", durability)
        growing = _Growing(case, file.group)
        file.commit()
        cost = Cost()
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(case.rounds):
            growing.append(number * case.points)
            if (number + 1) % _ROUNDS_PER_COMMIT == 0:
                begin = time.perf_counter()
                file.commit()
                cost.commits.append(time.perf_counter() - begin)
        growing.forget()
        file.close()
        cost.wall, cost.cpu = time.perf_counter() - wall, time.process_time() - cpu
    return cost


class _Growing:
    def __init__(self, case: Case, group: h5py.Group) -> None:
        options: dict[str, Any] = (
            {"compression": "gzip", "compression_opts": 4, "shuffle": True} if case.gzip else {}
        )
        self._case = case
        self._datasets = [
            group.create_dataset(
                f"d{index}",
                (0, *case.sample),
                case.dtype,
                maxshape=(None, *case.sample),
                chunks=(case.chunk, *case.sample),
                **options,
            ).id
            for index in range(case.datasets)
        ]
        generator = np.random.default_rng(1)
        shape = (case.points, *case.sample)
        self._data = generator.integers(0, 1000, shape).astype(case.dtype)
        self._memory = h5s.create_simple(shape)

    def append(self, start: int) -> None:
        """Let all grow by one block of points."""
        case = self._case
        extent = (start + case.points, *case.sample)
        if case.direct:
            for dataset in self._datasets:
                dataset.set_extent(extent)
                dataset.write_direct_chunk((start, *(0 for _ in case.sample)), self._data)
            return
        # One space for all datasets of equal extent.
        space = h5s.create_simple(extent)
        space.select_hyperslab((start, *(0 for _ in case.sample)), self._data.shape)
        for dataset in self._datasets:
            dataset.set_extent(extent)
            dataset.write(self._memory, space, self._data)

    def forget(self) -> None:
        """Let go of the datasets, so that the file can be closed."""
        self._datasets.clear()


@dataclass(slots=True)
class Both:
    """The runs of one case."""

    plain: list[Cost] = field(default_factory=list)
    ours: list[Cost] = field(default_factory=list)

    def row(self) -> list[str]:
        """Cells of the table."""
        plain, ours = self.plain, self.ours
        wall = [median(one.wall for one in runs) for runs in (plain, ours)]
        cpu = [median(one.cpu for one in runs) for runs in (plain, ours)]
        commit = [
            1000 * median(value for one in runs for value in one.commits) for runs in (plain, ours)
        ]
        return [
            f"{1000 * wall[0]:.0f}",
            f"{1000 * wall[1]:.0f}",
            f"{median(a.wall / b.wall for a, b in zip(plain, ours, strict=True)):.2f}",
            f"{1000 * cpu[0]:.0f}",
            f"{1000 * cpu[1]:.0f}",
            f"{median(a.cpu / b.cpu for a, b in zip(plain, ours, strict=True)):.2f}",
            f"{commit[0]:.2f}",
            f"{commit[1]:.2f}",
        ]


def measure(case: Case, durability: Durability, repetitions: int) -> Both:
    """Let both write, in turn; who is first changes."""
    both = Both()
    for number in range(repetitions):
        turns: list[tuple[list[Cost], Callable[[str, Durability], Writable]]] = [
            (both.plain, PlainFile),
            (both.ours, JournaledOne),
        ]
        for costs, make in turns if number % 2 else reversed(turns):
            costs.append(run(case, make, durability))
    return both


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="A journaled file beside a plain one.")
    parser.add_argument("--smoke", action="store_true", help="tiny: does it run at all")
    parser.add_argument("--reps", type=int, default=5, help="runs of each")
    parser.add_argument("--case", default="", help="only cases with this in their title")
    parser.add_argument("--durability", choices=("process", "power"), default=None)
    given = parser.parse_args(arguments)
    kinds: tuple[Durability, ...] = ("process", "power")
    console = Console(width=160)
    about = machine()
    console.print(
        f"{about['cores']} x {about['processor']}, {about['system']}, Python {about['python']}, "
        f"load average {os.getloadavg()[0]:.1f}",
        highlight=False,
    )
    table = Table(box=box.MARKDOWN)
    table.add_column("case", no_wrap=True)
    table.add_column("outlasts", no_wrap=True)
    for name in ("plain ms", "ours ms", "speed", "plain CPU ms", "ours CPU ms", "speed CPU"):
        table.add_column(name, justify="right")
    for name in ("plain commit ms", "ours commit ms"):
        table.add_column(name, justify="right")
    for case in _CASES:
        for durability in kinds if given.durability is None else (given.durability,):
            if given.case in case.title:
                small = replace(case, datasets=min(case.datasets, 10), rounds=5)
                both = measure(
                    small if given.smoke else case, durability, 1 if given.smoke else given.reps
                )
                table.add_row(case.title, durability, *both.row())
    console.print(table)


if __name__ == "__main__":
    main()
