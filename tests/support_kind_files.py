"""The files of all kinds of scans: what was announced of recorded scans, with points made up."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tests.support_bliss import RecordedScan
from tests.support_clock import FakeClock
from tests.support_kinds import Kind

from nexus_writer_service.layout.choice import AUTO, plan
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.datasets import is_text
from nexus_writer_service.layout.plan import Place
from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    Content,
    ImageFiles,
    ScanDescription,
)
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Frames,
    Points,
    Prepared,
    ScanEvent,
    Scans,
    Sealed,
)
from nexus_writer_service.model.verdict import Verdict
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scan_writer import ScanWriter
from nexus_writer_service.service.status import StatusBoard
from nexus_writer_service.service.surroundings import Surroundings

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SavedScan:
    """A scan that was saved, and what is to be found of it."""

    recorded: RecordedScan
    described: ScanDescription
    places: dict[ChannelName, Place]
    points: dict[ChannelName, list[Array]]
    """Each point of each channel that has any and stands in the file as numbers."""
    verdict: Verdict
    file: str
    entries: tuple[str, ...]
    keepshape: bool

    def expected(self, channel: ChannelName) -> Array:
        """What is in the dataset of a channel, ragged points with their fill."""
        points = self.points[channel]
        longest = np.max([point.shape for point in points], axis=0).astype(int)
        fill = np.nan if points[0].dtype.kind == "f" else 0
        found = np.full((len(points), *longest), fill, points[0].dtype)
        for number, point in enumerate(points):
            part: Any = (number, *map(slice, point.shape))
            found[part] = point
        grid = self.described.shape
        return found.reshape(*grid, *longest) if self.keepshape and len(grid) > 1 else found


Published = Callable[[RecordedScan], tuple[RecordedScan, RecordedScan]]
"""What of a scan is published: when it is prepared, and when it is over."""


def _as_recorded(recorded: RecordedScan) -> tuple[RecordedScan, RecordedScan]:
    return recorded, recorded


def save(
    kind: Kind, folder: Path, *, layout: str = AUTO, published: Published = _as_recorded
) -> list[SavedScan]:
    """Write the files of a kind below a folder, by the same code as a live session."""
    files = FilePool()
    around = Surroundings(
        files=files,
        board=StatusBoard(),
        clock=FakeClock(),
        disk=DiskWatch(required=0, recommended=0),
        layout=lambda scan: plan(scan, kind.options, layout),
        profiler=Profiler("OFF"),
        version="1.2.3",
    )
    by_end = sorted(kind.scans(), key=lambda one: str(one.document["info"]["end_time"]))
    try:
        moved = [_moved(one, folder) for one in by_end]
        return [_saved(*published(one), around, kind.options) for one in moved]
    finally:
        files.close()
        around.disk.stop()


def _moved(recorded: RecordedScan, folder: Path) -> RecordedScan:
    """The scan with its files below a folder instead of /data."""
    text = json.dumps(recorded.document).replace('"/data/', f'"{folder}/')
    references = [
        replace(one, path=str(one.path).replace("/data", str(folder))) for one in recorded.refers_to
    ]
    return replace(recorded, document=json.loads(text), refers_to=tuple(references))


def _saved(
    first: RecordedScan, recorded: RecordedScan, around: Surroundings, options: EsrfOptions
) -> SavedScan:
    scan = recorded.described
    points = {
        channel.name: made_up(channel, recorded.lengths[channel.name], seed)
        for seed, channel in enumerate(scan.channels.values())
        if channel.content is not Content.SCANS and recorded.lengths[channel.name]
    }
    _write_targets(recorded)
    writer = ScanWriter(scan, around, wanted=True)
    for event in _story(recorded, first.described, scan, points):
        writer.feed(event)
        writer.before_commit()
    while not writer.over:
        writer.before_commit()
        errors = around.files.commit()
        writer.committed(errors.get(writer.files[0]) if writer.files else None)
    assert writer.status.verdict is not None
    made = around.layout(scan)
    places = dict(made.places)
    numbers = {
        name: found
        for name, found in points.items()
        if name in places and not is_text(scan.channels[name], options)
    }
    return SavedScan(
        recorded,
        scan,
        places,
        numbers,
        writer.status.verdict,
        made.file,
        made.entries,
        options.keepshape,
    )


def _story(
    recorded: RecordedScan,
    first: ScanDescription,
    scan: ScanDescription,
    points: dict[ChannelName, list[Array]],
) -> Iterator[ScanEvent]:
    yield Announced(scan.key, first)
    if scan.channels:
        yield Prepared(scan.key, first)
    for name, channel in scan.channels.items():
        length = recorded.lengths[name]
        if channel.content is Content.SCANS:
            length = len(recorded.refers_to)
            yield Scans(scan.key, name, 0, recorded.refers_to)
        elif channel.images is not None:
            _write_frames(channel.images, points[name])
            yield Frames(scan.key, name, length, length)
        elif length:
            yield Points(scan.key, name, 0, tuple(point[np.newaxis] for point in points[name]))
        yield Sealed(scan.key, name, length)
    yield Ended(scan.key, scan)


def made_up(channel: Channel, length: int, seed: int) -> list[Array]:
    """Points of a channel: positions on the grid for motors of a mesh, else different numbers."""
    if (axis := channel.axis.get("axis_id")) is not None:
        return [np.array((n // 6 if axis else n % 6) / 2, channel.dtype) for n in range(length)]
    found = []
    for number in range(length):
        shape = tuple(2 + number % 3 if one < 0 else one for one in channel.shape)
        first = seed * 7 + number
        values = np.arange(first, first + int(np.prod(shape, dtype=int))) % 100
        found.append(values.reshape(shape).astype(channel.dtype))
    return found


def _write_frames(files: ImageFiles, frames: list[Array]) -> None:
    per_file = files.frames_per_file or len(frames)
    for first in range(0, len(frames), per_file):
        path = Path(files.path_template % (files.first_file + first // per_file))
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file[files.data_path] = np.stack(frames[first : first + per_file])


def _write_targets(recorded: RecordedScan) -> None:
    """The scans in other files that a sequence speaks of."""
    for reference in recorded.refers_to:
        if reference.path == recorded.document["info"]["filename"]:
            continue
        path = Path(str(reference.path))
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "a") as file:
            for name in reference.entries:
                file.create_group(name).attrs["NX_class"] = "NXentry"
