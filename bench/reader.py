"""A reader of files that are being written: is the scan complete, is it right, since when."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import h5py
import numpy as np
from bench.writers import Writer

from nexus_writer_service.testing.simulation import ChannelRecord, ScanRecord
from nexus_writer_service.testing.simulation.values import Values

PERIOD = 0.02
"""Seconds between two looks of a live reader."""

_VERIFIED_TOGETHER = 32 << 20
NOT_YET = (OSError, KeyError, RuntimeError)
"""What a reader meets in a file that is not there yet, or of which only a part is."""


def open_file(path: Path, *, locking: bool) -> h5py.File:
    """As anyone opens it; without locking, where the writer keeps readers out otherwise."""
    return h5py.File(path) if locking else h5py.File(path, locking=False)


def saved_path(record: ScanRecord) -> Path:
    """The file of a scan that is to be saved."""
    if record.path is None:
        raise ValueError(f"scan {record.name} is not to be saved")
    return record.path


def is_complete(writer: Writer, record: ScanRecord) -> bool:
    """Whether the writer says that it has finished the scan, and all lengths are right."""
    try:
        with open_file(saved_path(record), locking=not writer.locks_readers_out) as file:
            if writer.final_values and _status(writer, file, record) not in writer.final_values:
                return False
            return all(
                f"{entry}/{writer.last_written}" in file for entry in record.entries
            ) and all(
                len(file[channel.dataset]) == channel.length
                for channel in reversed(record.channels.values())
            )
    except NOT_YET:
        return False


def differences(writer: Writer, record: ScanRecord) -> list[str]:
    """What in the file is not as it was published; every value is compared."""
    try:
        with h5py.File(saved_path(record)) as file:
            wrong = [
                text for channel in record.channels.values() if (text := _difference(file, channel))
            ]
            status = _status(writer, file, record) if writer.success else None
    except NOT_YET as error:
        return [f"{saved_path(record).name} cannot be read: {error}"]
    if status != writer.success:
        wrong.append(f"{writer.last_written} is {status}")
    return wrong


def _status(writer: Writer, file: h5py.File, record: ScanRecord) -> str:
    text: str = file[f"{record.entries[0]}/{writer.last_written}"].asstr()[()]
    return text


def _difference(file: h5py.File, channel: ChannelRecord) -> str | None:
    if channel.dataset not in file:
        return f"{channel.dataset} is missing"
    dataset = file[channel.dataset]
    if dataset.shape != (channel.length, *channel.shape) or dataset.dtype != channel.dtype:
        return f"{channel.dataset} has shape {dataset.shape} and type {dataset.dtype}"
    point_bytes = channel.dtype.itemsize * int(np.prod(channel.shape))
    step = max(1, _VERIFIED_TOGETHER // point_bytes)
    for start in range(0, channel.length, step):
        expected = channel.values(start, start + step)
        if not np.array_equal(dataset[start : start + step], expected):
            return f"{channel.dataset} has other values between {start} and {start + step}"
    return None


@dataclass(frozen=True, slots=True)
class Watch:
    """What a live reader looks at."""

    path: Path
    datasets: Sequence[str]
    points: int
    values: Values
    """Of the first dataset, to compare what becomes visible."""
    locking: bool
    deadline: float
    """When to give up, by the monotonic clock of this machine."""


@dataclass(slots=True)
class Seen:
    """What the reader has seen."""

    moments: list[tuple[float, int]] = field(default_factory=list)
    """By the monotonic clock: since when so many points are visible in all datasets."""
    wrong: int = 0
    """Points that were visible with another value than was published."""
    inside: list[float] = field(default_factory=list)
    """Seconds for which it held the file open, for each look."""


def watch(task: Watch, answer: Connection) -> None:
    """Look into the file until all points are visible, and send what was `Seen`.

    Runs in a process of its own: a reader shares neither locks nor caches with anyone.
    """
    seen = Seen()
    visible = 0
    answer.send("ready")
    due = time.monotonic()
    while visible < task.points and due < task.deadline:
        due = max(due + PERIOD, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        opened = time.monotonic()
        try:
            with open_file(task.path, locking=task.locking) as file:
                visible = _look(file, task, visible, seen)
        except NOT_YET:
            continue
        seen.inside.append(time.monotonic() - opened)
    answer.send(seen)
    answer.close()


def _look(file: h5py.File, task: Watch, before: int, seen: Seen) -> int:
    """Points that are visible in all datasets; new ones are read, those of the first dataset."""
    # The low level, because a look that takes long would be in the writer's way.
    lengths = (h5py.h5d.open(file.id, name.encode()).shape[0] for name in task.datasets)
    visible: int = min(lengths)
    if visible <= before:
        return before
    wrong = file[task.datasets[0]][before:visible] != task.values(before, visible)
    seen.wrong += int(np.count_nonzero(wrong.reshape(len(wrong), -1).any(axis=1)))
    seen.moments.append((time.monotonic(), visible))
    return visible
