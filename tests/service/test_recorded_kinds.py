"""Every kind of scan that BLISS published in the lab, written whole: also those the reference lost.

The descriptions are those of BLISS; the values are made here.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.support_bliss import KINDS, RecordedScan, recorded_scans
from tests.support_scan_writer import Bench

from nexus_writer_service.hdf5.detector_files import runs
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.description import (
    Channel,
    Content,
    ImageFiles,
    ScanDescription,
    ScanKey,
)
from nexus_writer_service.model.events import Frames, Points, ScanReference, Scans
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.scan_writer import ScanWriter

SEED = 20261121


def values(channel: Channel, count: int) -> Iterator[np.ndarray[Any, Any]]:
    """Points of the announced type and shape, in two batches; varying ones of two sizes."""
    random = np.random.default_rng(SEED)
    for number, part in enumerate((count // 2, count - count // 2)):
        sample = tuple(3 + number if length < 0 else length for length in channel.shape)
        found = random.integers(0, 2 if channel.dtype.kind == "b" else 100, (part, *sample))
        yield found.astype(channel.dtype)


def feed(writer: ScanWriter, scan: ScanDescription, channel: Channel, count: int) -> None:
    match channel.content:
        case Content.NUMBERS:
            start = 0
            for batch in values(channel, count):
                writer.feed(Points(scan.key, channel.name, start, (batch,)))
                start += len(batch)
        case Content.IMAGES:
            writer.feed(Frames(scan.key, channel.name, count, count))
        case Content.SCANS:
            found = tuple(ScanReference(ScanKey(f"s{n}"), 100 + n) for n in range(count))
            writer.feed(Scans(scan.key, channel.name, 0, found))


def save_frames(channel: Channel, files: ImageFiles, count: int) -> None:
    """The detector's files, made in one go."""
    for run in runs(files, 0, count):
        path = Path(run.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "a") as file:
            frames = np.full((run.count, *channel.shape), run.frame + 1, channel.dtype)
            if files.data_path not in file:
                file[files.data_path] = frames


def described(recorded: RecordedScan, folder: Path) -> ScanDescription:
    """The scan, saved below a folder of ours."""
    scan = recorded.described
    assert scan.path is not None
    channels = dict(scan.channels)
    for name, channel in scan.channels.items():
        if channel.images is not None:
            template = f"{folder}/{Path(channel.images.path_template).name}"
            moved = replace(channel.images, path_template=template)
            channels[name] = replace(channel, images=moved)
            save_frames(channel, moved, recorded.lengths[name])
    return replace(
        scan, path=f"{folder}/{Path(scan.path).name}", channels=channels, separate_files=False
    )


@pytest.mark.parametrize("options", [EsrfOptions(), EsrfOptions(keepshape=True)], ids=["", "kept"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_of_every_kind_is_complete_and_has_every_point(
    tmp_path: Path, kind: str, options: EsrfOptions
) -> None:
    bench = Bench(tmp_path, options=options)
    for recorded in recorded_scans(kind):
        scan = described(recorded, tmp_path)
        bench.scan, bench.writer = scan, ScanWriter(scan, bench.around, wanted=True)
        bench.prepare()
        for name, count in recorded.lengths.items():
            if count:
                feed(bench.writer, scan, scan.channels[name], count)
            bench.seal(name, count)
            bench.settle()
        bench.end(scan.end_reason or "SUCCESS")
        bench.settle_until_over()
        verdict = bench.status.verdict
        assert verdict.outcome is Outcome.COMPLETE, verdict.summary
        check(bench, recorded, scan)


def check(bench: Bench, recorded: RecordedScan, scan: ScanDescription) -> None:
    """The points in the file are those that were sent."""
    places = bench.around.layout(scan).places
    with h5py.File(str(scan.path)) as file:
        for name, count in recorded.lengths.items():
            channel = scan.channels[name]
            if channel.content is not Content.NUMBERS:
                continue
            path = places[name].path
            assert (path in file) is bool(count), path
            start = 0
            for batch in values(channel, count):
                stored = file[path][...]
                sent = stored.reshape(-1, *stored.shape[stored.ndim - len(channel.shape) :])
                sample = tuple(slice(n) for n in batch.shape[1:])
                assert np.array_equal(sent[(slice(start, start + len(batch)), *sample)], batch)
                start += len(batch)
