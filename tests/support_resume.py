"""Scans whose writer is killed at every moment.

Each kill happens in a process forked for it. A story is a list of steps; a writer that is started
again is told the whole story once more.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import numpy as np
from tests.support_description import channel, images, mesh
from tests.support_processes import forked
from tests.support_scan_writer import DIODE, ROBX, Bench

from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.description import (
    ChannelName,
    Content,
    Device,
    Note,
    ScanKey,
    StorageOptions,
    Subscan,
)
from nexus_writer_service.model.events import (
    Ended,
    Frames,
    Lost,
    Points,
    Prepared,
    ScanReference,
    Scans,
    Sealed,
)

Moment = Literal["fed", "committed", "settled"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
"""The writer has taken a step; the file is committed; the writer has learned of it."""

Step = Callable[[Bench], None]

SPECTRUM, RAGGED, COUNT = (ChannelName(f"card:{name}") for name in ("mca", "ragged", "count"))
IMAGE, TIMER, SEQUENCE = (ChannelName(name) for name in ("cam:image", "timer:time", "scans"))
ROBY, TEXT = ChannelName("axis:roby"), ChannelName("card:text")


def points(name: ChannelName, start: int, *batches: Any) -> Step:
    arrays = tuple(np.asarray(batch) for batch in batches)
    return lambda bench: bench.writer.feed(Points(bench.scan.key, name, start, arrays))


def numbers(name: ChannelName, start: int, count: int, dtype: str = "f8") -> Step:
    return points(name, start, (np.arange(start, start + count) * 3 % 7).astype(dtype))


def seal(name: ChannelName, length: int) -> Step:
    return lambda bench: bench.writer.feed(Sealed(bench.scan.key, name, length))


def lost(name: ChannelName, start: int, stop: int | None) -> Step:
    return lambda bench: bench.writer.feed(Lost(bench.scan.key, name, start, stop, "trimmed"))


def prepare(bench: Bench) -> None:
    bench.writer.feed(Prepared(bench.scan.key, bench.scan))


def frames(count: int) -> Step:
    return lambda bench: bench.writer.feed(Frames(bench.scan.key, IMAGE, count, count))


def detector_file(number: int) -> Step:
    def write(bench: Bench) -> None:
        with h5py.File(bench.path.with_name(f"cam_{number:04d}.h5"), "w", locking=False) as file:
            file["entry/data"] = np.full((2, 2, 3), number, "u2")

    return write


def end(bench: Bench) -> None:
    notes = (Note("2026-11-20T18:57:00+00:00", "well done"),)
    scan = replace(bench.scan, end_reason="SUCCESS", notes=notes)
    bench.writer.feed(Ended(bench.scan.key, scan))


class Story:
    """A scan and what happens in it."""

    def __init__(self, folder: Path, steps: list[Step], *detectors, options=None, **about) -> None:
        self.folder = folder
        self.steps = steps
        self._detectors = detectors
        self._options = options
        self._about = about
        folder.mkdir(exist_ok=True)

    def bench(self, **more) -> Bench:
        """A writer to which nothing has been told."""
        about = {"options": self._options, **self._about, **more}
        return Bench(self.folder, *self._detectors, **about)

    def tell(self, bench: Bench, stop: Callable[[int, Moment], None] | None = None) -> None:
        """Tell all of it to a writer, with a commit after each step, until it is over."""
        self.tell_some(bench, len(self.steps), stop)
        while not bench.writer.over:
            bench.settle()
        bench.disk.stop()

    def tell_some(
        self, bench: Bench, count: int, stop: Callable[[int, Moment], None] | None = None
    ) -> None:
        """Tell the first steps to a writer."""
        reached = stop or (lambda _number, _moment: None)
        for number, step in enumerate(self.steps[:count]):
            if bench.writer.over:
                break
            step(bench)
            reached(number, "fed")
            bench.writer.before_commit()
            errors = bench.files.commit()
            reached(number, "committed")
            error = errors.get(bench.writer.files[0]) if bench.writer.files else None
            bench.writer.committed(error)
            bench.writer.tick()
            reached(number, "settled")

    def killed(self, number: int, moment: Moment) -> None:
        """Tell it to a writer in a process of its own, which is killed."""

        def stop(now: int, state: Moment) -> None:
            if (now, state) == (number, moment):
                os.kill(os.getpid(), signal.SIGKILL)

        status = forked(lambda: self.tell(self.bench(), stop))
        assert status == signal.SIGKILL, (number, moment, status)


def line(folder: Path) -> Story:
    """Numbers of all kinds and images, in two entries; compressed, in chunks of a few points."""
    storage = StorageOptions(chunk_bytes=64, compression_limit_bytes=0)
    files = replace(images("cam"), path_template=str(folder / "cam_%04d.h5"))
    detectors = (
        channel("card:diode"),
        channel("card:count", "i4"),
        channel("card:mca", "u2", (50,)),
        channel("card:ragged", "f4", (-1,)),
        channel("card:text", "O"),
        channel("cam:image", "u2", (2, 3), content=Content.IMAGES, images=files),
    )
    steps: list[Step] = [
        prepare,
        numbers(ROBX, 0, 2),
        numbers(DIODE, 0, 3),
        points(SPECTRUM, 0, np.arange(100, dtype="u2").reshape(2, 50)),
        detector_file(0),
        frames(3),
        points(RAGGED, 0, np.ones((1, 2), "f4"), np.ones((1, 4), "f4")),
        numbers(COUNT, 0, 5, "i4"),
        points(TEXT, 0, np.array(["a", "bc"], object)),
        points(TEXT, 2, np.array(["", "µ"], object)),
        numbers(TIMER, 0, 30),
        numbers(ROBX, 2, 3),
        points(RAGGED, 2, np.full((2, 5), 2, "f4")),
        numbers(DIODE, 3, 2),
        points(SPECTRUM, 2, np.arange(150, dtype="u2").reshape(3, 50)),
        frames(4),
        *(seal(name, 5) for name in (ROBX, DIODE, SPECTRUM, COUNT)),
        *(seal(name, 4) for name in (RAGGED, IMAGE, TEXT)),
        seal(TIMER, 30),
        end,
        detector_file(1),
    ]
    story = Story(folder, steps, *detectors, storage=storage, plotted=("card:diode",))
    scan = story.bench().scan
    story._about |= {
        "channels": {**scan.channels, TIMER: channel("timer:time", device="3:timer")},
        "devices": {**scan.devices, "3:timer": Device("timer", (TIMER,))},
        "subscans": (Subscan("axis", tuple(scan.devices)), Subscan("timer", ("3:timer",))),
    }
    return story


def grid(folder: Path) -> Story:
    """A mesh whose datasets keep its shape; the last point of one is like its fill."""
    names = (ROBX, ROBY, DIODE, COUNT)
    scan = mesh(channel("card:diode"), channel("card:count", "i4"))
    about = {name: getattr(scan, name) for name in ("channels", "devices", "subscans", "shape")}
    steps: list[Step] = [
        prepare,
        *(numbers(name, 0, 2, "i4" if name == COUNT else "f8") for name in names),
        *(numbers(name, 2, 4, "i4" if name == COUNT else "f8") for name in names),
        points(COUNT, 6, np.zeros(1, "i4")),
        *(seal(name, 7 if name == COUNT else 6) for name in names),
        end,
    ]
    options = EsrfOptions(keepshape=True)
    return Story(folder, steps, options=options, plotted=("card:diode",), **about)


def sequence(folder: Path) -> Story:
    """A scan of scans, some of them in other files."""

    def scans(start: int, *paths: str) -> Step:
        references = tuple(
            ScanReference(ScanKey(f"scan:{start + n}"), start + n, str(folder / path), ("1.1",))
            for n, path in enumerate(paths)
        )
        return lambda bench: bench.writer.feed(Scans(bench.scan.key, SEQUENCE, start, references))

    steps = [prepare, scans(0, "one.h5"), scans(1, "two.h5", "a/one.h5"), seal(SEQUENCE, 3), end]
    found = {SEQUENCE: channel("scans", content=Content.SCANS)}
    return Story(folder, steps, channels=found, devices={}, subscans=(), is_sequence=True)


STORIES = {"line": line, "grid": grid, "sequence": sequence}


def cases(folder: Path, kind: str) -> Iterator[tuple[Story, int, Moment]]:
    """A story for each moment at which its writer can be killed."""
    for number in range(len(STORIES[kind](folder / "any").steps)):
        for moment in MOMENTS:
            yield STORIES[kind](folder / f"{number}-{moment}"), number, moment


def main() -> None:
    """Arguments: folder, kind. Kill a writer at each moment of a story."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    for story, number, moment in cases(folder, kind):
        story.killed(number, moment)
