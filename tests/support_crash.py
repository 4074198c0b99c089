"""Scans that are written side by side, so that any file of them can be checked point by point.

Every value follows from scan, dataset and index, and where a writer stands is read from its file:
whoever goes on with it, and however often, ends with the file that one undisturbed writer makes.
"""

import os
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.description import ChannelName, ImageFiles
from nexus_writer_service.model.tree import (
    Dataset,
    ExternalLink,
    Filters,
    Group,
    ImageStack,
    Node,
    SoftLink,
    StreamDataset,
    VirtualDataset,
    VirtualSource,
    at,
)

AT_ONCE = 5
"""Scans in parallel."""
ROW = 7
"""Points along the fast axis of a grid."""
STREAMS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "plain": ("f8", (), {"chunks": (64,)}),
    "gzip": ("i4", (), {"chunks": (1024,), "filters": Filters(gzip=4)}),
    "spectrum": ("u2", (300,), {"chunks": (4, 300), "filters": Filters(shuffle=True, gzip=4)}),
    "ragged": ("f8", (-1,), {"chunks": (16, 8), "fill": np.nan}),
    "text": ("O", (), {"chunks": (32,)}),
    "grid": ("f4", (), {"scan": (4, ROW), "filters": Filters(gzip=4), "fill": np.nan}),
}
STACKS = {"mapped": "virtual", "named": "uris"}
"""Image stacks, by how they are stored; their files are not there."""


FRAMES = 50
"""In one image file."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One of the scans that are written."""

    number: int
    points: int

    @property
    def entry(self) -> str:
        """Path of its entry."""
        return f"/{self.number}.1"


def plan(seed: int, scans: int) -> list[Scan]:
    """Scans of different lengths."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    return [Scan(number, chance.randint(20, 120)) for number in range(1, scans + 1)]


def values(scan: int, name: str, start: int, stop: int) -> list[np.ndarray[Any, Any]]:
    """Points ``start .. stop - 1``, in batches as a stream takes them."""
    numbers = np.arange(start, stop) + 1000 * scan
    dtype, sample, _ = STREAMS[name]
    if name == "text":
        return [np.array([f"point {number}" for number in numbers], dtype=object)]
    if name == "ragged":
        return [np.full((1, 1 + number % 5), number, dtype) for number in numbers]
    column = numbers.reshape(-1, *(1 for _ in sample)) * 3 % 50_000
    return [np.broadcast_to(column, (stop - start, *sample)).astype(dtype)]


def frame(scan: int, number: int) -> str:
    """How a frame is referred to."""
    return f"images/s{scan}_{number // FRAMES:04d}.h5::{number % FRAMES}"


def expected(scan: int, name: str, shape: tuple[int, ...], points: int) -> np.ndarray[Any, Any]:
    """All that a dataset of this shape holds that has so many points, in the shape of a stream."""
    batches = values(scan, name, 0, points)
    if name == "grid":
        rest = np.full(shape[0] * ROW - points, np.nan, "f4")
        return np.concatenate([*batches, rest])
    if name == "ragged":
        whole = np.full(shape, np.nan)
        for index, batch in enumerate(batches):
            whole[index, : batch.shape[1]] = batch
        return whole
    return batches[0]


def _start_tree(scan: Scan, folder: str) -> Node:
    files = ImageFiles(f"{folder}/images/s{scan.number}_%04d.h5", "/e/data", "hdf5", FRAMES)
    streams: dict[str, Node] = {
        name: StreamDataset(ChannelName(name), np.dtype(dtype), sample, **options)
        for name, (dtype, sample, options) in STREAMS.items()
    }
    stacks: dict[str, Node] = {
        name: ImageStack(ChannelName(name), np.dtype("u2"), (3, 4), files, storage=storage)
        for name, storage in STACKS.items()
    }
    detectors = streams | stacks
    positioners = {f"motor_{n}": Dataset(0.5 * n, {"units": "mm"}) for n in range(8)}
    return Group(
        {
            "title": Dataset(f"scan {scan.number}"),
            "instrument": Group(
                {"detectors": Group(detectors), "positioners": Group(positioners)},
                {"NX_class": "NXinstrument"},
            ),
            "measurement": Group(
                {name: SoftLink(f"{scan.entry}/instrument/detectors/{name}") for name in detectors},
                {"NX_class": "NXcollection"},
            ),
            "raw": ExternalLink("images/raw.h5", scan.entry),
        },
        {"NX_class": "NXentry"},
    )


def _note(scan: Scan, text: str) -> Node:
    """What is written again and again: text of another length each time."""
    return Group({"outcome": Dataset(text), "log": Dataset([text] * (len(text) % 4))})


def _end_tree(scan: Scan) -> Node:
    source = f"{scan.entry}/instrument/detectors/plain"
    shown = VirtualSource(".", source, (scan.points,))
    return Group(
        {
            "end": Dataset(scan.points, {"units": "points"}),
            "shown": VirtualDataset(np.dtype("f8"), (scan.points,), (shown,)),
            "plot": Group({"y": SoftLink(source)}, {"NX_class": "NXdata", "signal": "y"}),
        },
        {"default": "plot"},
    )


def _in_entry(scan: Scan, node: Node, below: str = "") -> Group:
    return at(scan.entry + below, node)


@dataclass(slots=True)
class Promise:
    """What a file must have."""

    lengths: dict[str, int] = field(default_factory=dict)
    """Points at least, by path of the dataset."""
    ended: list[int] = field(default_factory=list)
    """Numbers of scans that are complete."""


def write_scans(
    file: NexusFile,
    scans: list[Scan],
    chance: random.Random,
    *,
    kept: Promise,
    promise: Callable[[Promise], None],
    notes: float = 0.3,
) -> None:
    """Write all scans, or go on with them, and close the file.

    Args:
        file: open.
        scans: to be written.
        chance: decides in which steps; not what is in the file at the end.
        kept: what earlier writers promised; that it is there is looked at first.
        promise: called with what a commit has made sure.
        notes: share of the rounds in which the note of a scan is written anew.
    """
    file.merge(Group({}, {"NX_class": "NXroot"}))
    ended = [one.number for one in scans if file.read_text(f"{one.entry}/writer/outcome") == _OVER]
    assert set(ended) >= set(kept.ended), (ended, kept)
    waiting = deque(scan for scan in scans if scan.number not in ended)
    active: list[Scan] = []
    while waiting or active:
        while waiting and len(active) < AT_ONCE:
            active.append(waiting.popleft())
            _begin(file, active[-1], kept)
        for scan in active:
            _advance(file, scan, chance, notes)
        over = [scan for scan in active if _is_complete(file, scan)]
        promised = Promise(
            {path: file.length(path) for scan in active for path in _growing(scan)},
            ended + [scan.number for scan in over],
        )
        for scan in over:
            _end(file, scan)
            active.remove(scan)
        file.commit()
        ended = promised.ended
        promise(promised)
        file.poll()
    file.close()


_OVER = "complete: all that was published is in the file"


def _growing(scan: Scan) -> Iterator[str]:
    return (f"{scan.entry}/instrument/detectors/{name}" for name in (*STREAMS, *STACKS))


def _begin(file: NexusFile, scan: Scan, kept: Promise) -> None:
    problems = file.merge(_in_entry(scan, _start_tree(scan, os.path.dirname(file.path))))
    assert not problems, problems
    for path in _growing(scan):
        assert file.length(path) >= kept.lengths.get(path, 0), (path, file.length(path), kept)


def _advance(file: NexusFile, scan: Scan, chance: random.Random, notes: float) -> None:
    for path in _growing(scan):
        name = path.rpartition("/")[2]
        start = file.length(path)
        stop = min(scan.points, start + chance.randint(0, 6))
        if stop > start and name in STREAMS:
            file.append(path, start, values(scan.number, name, start, stop))
        elif stop > start:
            file.extend(path, stop)
    if chance.random() < notes:
        text = f"running, {chance.randint(0, 10 ** chance.randint(1, 40))} seconds left"
        file.merge(_in_entry(scan, _note(scan, text), "/writer"))


def _is_complete(file: NexusFile, scan: Scan) -> bool:
    return all(file.length(path) == scan.points for path in _growing(scan))


def _end(file: NexusFile, scan: Scan) -> None:
    problems = file.merge(_in_entry(scan, _end_tree(scan)))
    problems += file.merge(_in_entry(scan, _note(scan, _OVER), "/writer"))
    assert not problems, problems
    file.settle(scan.entry)


# ------------------------------------------------------------------------------------- looking


@dataclass(slots=True)
class Findings:
    """What a reader found in a file."""

    wrong: list[str] = field(default_factory=list)
    """What no writer has written."""
    behind: list[str] = field(default_factory=list)
    """What was promised and is not there."""


def examine(path: str, promise: Promise) -> Findings:
    """Read all of a file, and compare it with what is written and what was promised."""
    found = Findings()
    with h5py.File(path) as file:
        for name in _entries(file):
            _examine_entry(name, file[name], promise, found)
        found.behind += [f"{one} is missing" for one in promise.lengths if one not in file]
        ended = [one for one in promise.ended if not _over(file, one)]
        found.behind += [f"scan {one} is not complete" for one in ended]
    return found


def examine_one(path: str, promise: Promise, chance: random.Random) -> Findings:
    """As ``examine``, for one dataset only."""
    found = Findings()
    with h5py.File(path) as file:
        names = _entries(file)
        if not names:
            return found
        name = chance.choice(names)
        stream = chance.choice((*STREAMS, *STACKS))
        dataset = file[f"{name}/instrument/detectors/{stream}"]
        _examine_dataset(_number(name), stream, dataset, promise, found)
        missing = {one.split("/")[1] for one in promise.lengths} - {*names}
        found.behind += [f"/{one} is missing" for one in missing]
    return found


def problems(path: str, promise: Promise) -> list[str]:
    """What is wrong with a file of such scans, or with fewer points than were promised."""
    if not os.path.getsize(path) and promise == Promise():  # killed before its first commit
        return []
    found = examine(path, promise)
    return found.wrong + found.behind


def _entries(file: h5py.File) -> list[str]:
    return [name for name in file if name.endswith(".1")]


def _number(name: str) -> int:
    return int(name.partition(".")[0])


def _over(file: h5py.File, number: int) -> bool:
    outcome = file.get(f"{number}.1/writer/outcome")
    return outcome is not None and outcome.asstr()[()] == _OVER


def _examine_entry(name: str, entry: h5py.Group, promise: Promise, found: Findings) -> None:
    scan = _number(name)
    over = _over(entry.file, scan)
    if entry["title"].asstr()[()] != f"scan {scan}" or entry.attrs["NX_class"] != "NXentry":
        found.wrong.append(f"{name}: title or class")
    for n in range(8):
        motor = entry[f"instrument/positioners/motor_{n}"]
        if motor[()] != 0.5 * n or motor.attrs["units"] != "mm":
            found.wrong.append(f"{motor.name}: wrong")
    if "writer" in entry and not over:
        text = entry["writer/outcome"].asstr()[()]
        log = list(entry["writer/log"].asstr()[()])
        if not text.startswith("running") or log != [text] * (len(text) % 4):
            found.wrong.append(f"{name}: note {text!r}, log {log!r}")
    if over and entry["end"][()] != len(entry["shown"]):
        found.wrong.append(f"{name}: end")
    if over and not np.array_equal(entry["shown"][()], entry["plot/y"][()]):
        found.wrong.append(f"{name}: plot")
    for stream in (*STREAMS, *STACKS):
        _examine_dataset(scan, stream, entry[f"measurement/{stream}"], promise, found)


def _examine_dataset(
    scan: int, name: str, dataset: h5py.Dataset, promise: Promise, found: Findings
) -> None:
    path = f"/{scan}.1/instrument/detectors/{name}"
    held = dataset.asstr()[()] if name in ("text", "named") else dataset[()]
    flat = held.ravel() if name == "grid" else held
    points = len(flat)
    if name == "grid":
        points = int(np.count_nonzero(~np.isnan(flat)))
    if points < promise.lengths.get(path, 0):
        found.behind.append(f"{path}: {points} points of {promise.lengths[path]}")
    if name in STACKS:
        whole = _frames(scan, name, points)
    else:
        whole = expected(scan, name, held.shape, points)
    same = whole.dtype == flat.dtype and whole.shape == flat.shape
    if not same or not np.array_equal(whole, flat, equal_nan=whole.dtype.kind == "f"):
        found.wrong.append(f"{path}: wrong values")


def _frames(scan: int, name: str, frames: int) -> np.ndarray[Any, Any]:
    if name == "mapped":
        return np.zeros((frames, 3, 4), "u2")
    return np.array([frame(scan, number) for number in range(frames)], dtype=object)
