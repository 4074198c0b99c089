"""``python -m bench.compression``: what each compression scheme costs, and how small data become.

Each kind of data is written through ``NexusFile`` with the chunks of the ESRF layout and a commit
every quarter of a second of the detector's time, as in a live scan; then read back whole. Times are
CPU time of this process; writing includes commits and closing.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import h5py
import hdf5plugin  # noqa: F401 - registers the filters that are read back
import numpy as np
from bench.report import machine
from rich import box
from rich.console import Console
from rich.table import Table

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.esrf.storage import COMPRESSIONS, layout
from nexus_writer_service.model.description import ChannelName, StorageOptions
from nexus_writer_service.model.tree import Group, StreamDataset

_SEED: Final = 20261120
_BANK: Final = 16
"""Different batches of points; they are repeated."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Data of one kind of detector."""

    title: str
    dtype: str
    sample: tuple[int, ...]
    points: int
    batch: int
    """Points between two commits."""


_KINDS: Final = (
    Kind("counter, float64", "f8", (), 400_000, 10_000),
    Kind("fluorescence spectra, 4096 x uint32", "u4", (4096,), 2_000, 25),
    Kind("photon counting frames, 1024 x 1024 uint32", "u4", (1024, 1024), 32, 2),
    Kind("CCD frames, 1024 x 1024 uint16", "u2", (1024, 1024), 64, 4),
)


def batches(kind: Kind) -> list[np.ndarray[Any, Any]]:
    """Some batches of points that look as the detector's do."""
    random = np.random.default_rng(_SEED)
    shape = (kind.batch, *kind.sample)

    def one(number: int) -> np.ndarray[Any, Any]:
        if not kind.sample:  # a slow wave with 9 bits of noise
            wave = np.sin((np.arange(kind.batch) + number * kind.batch) / 1e4) * 1e4
            return np.asarray(wave + random.integers(0, 512, kind.batch))
        if len(kind.sample) == 1:  # peaks over a falling background
            bins = np.arange(kind.sample[0])
            peaks = sum(80 * np.exp(-(((bins - at) / 12) ** 2)) for at in (640, 710, 1200, 2100))
            return random.poisson(peaks + 8 * np.exp(-bins / 900), shape)
        if kind.dtype == "u4":  # few photons, falling from the centre
            y, x = np.indices(kind.sample) - 512
            return random.poisson(3 * np.exp(-np.hypot(x, y) / 120) + 0.01, shape)
        return random.normal(300, 6, shape) + random.poisson(2, shape)  # read-out noise

    return [one(number).astype(kind.dtype) for number in range(_BANK)]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run took."""

    write: float
    """CPU seconds."""
    read: float
    nbytes: int
    """Of the file."""


def run(kind: Kind, scheme: str, bank: list[np.ndarray[Any, Any]], folder: Path) -> Figures:
    """Write a file, read it and compare, remove it."""
    path = folder / "file.h5"
    options = StorageOptions(compression=scheme, compression_limit_bytes=0)
    dtype = np.dtype(kind.dtype)
    found = layout((kind.points,), kind.sample, dtype, options)
    node = StreamDataset(
        ChannelName("data"), dtype, kind.sample, chunks=found.chunks, filters=found.filters
    )
    begin = time.process_time()
    file = NexusFile.open(str(path))
    file.merge(Group({"data": node}))
    for number in range(kind.points // kind.batch):
        file.append("/data", number * kind.batch, [bank[number % _BANK]])
        file.commit()
    file.close()
    written = time.process_time()
    with h5py.File(path) as reader:
        data = reader["data"][...]
    read = time.process_time()
    for number in range(kind.points // kind.batch):
        points = data[number * kind.batch : (number + 1) * kind.batch]
        if not np.array_equal(points, bank[number % _BANK]):
            raise SystemExit(f"{kind.title}, {scheme}: what was read is not what was written")
    nbytes = path.stat().st_size
    path.unlink()
    return Figures(written - begin, read - written, nbytes)


def measured(kind: Kind, repetitions: int) -> Iterator[tuple[str, Figures]]:
    """The medians for each scheme; the schemes take turns."""
    bank = batches(kind)
    runs: dict[str, list[Figures]] = {scheme: [] for scheme in COMPRESSIONS}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for _ in range(repetitions):
            for scheme, found in runs.items():
                found.append(run(kind, scheme, bank, Path(folder)))
    for scheme, found in runs.items():
        yield (
            scheme,
            Figures(
                median(one.write for one in found),
                median(one.read for one in found),
                int(median(one.nbytes for one in found)),
            ),
        )


def main() -> None:
    """Measure and print a table for each kind of data."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.compression")
    parser.add_argument("--reps", type=int, default=3, help="runs of each scheme")
    arguments = parser.parse_args()
    console = Console()
    console.print(machine())
    for kind in _KINDS:
        size = kind.points * int(np.prod(kind.sample)) * np.dtype(kind.dtype).itemsize
        table = Table(title=f"{kind.title}: {size / 1e6:.0f} MB", box=box.MARKDOWN)
        for column in ("scheme", "size, %", "write, MB per CPU s", "read, MB per CPU s"):
            table.add_column(column, justify="left" if column == "scheme" else "right")
        for scheme, found in measured(kind, arguments.reps):
            speeds = (f"{size / 1e6 / seconds:.0f}" for seconds in (found.write, found.read))
            table.add_row(scheme, f"{100 * found.nbytes / size:.1f}", *speeds)
        console.print(table)


if __name__ == "__main__":
    main()
