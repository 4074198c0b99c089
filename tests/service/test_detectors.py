"""Detectors of every generation, from their streams in Redis to a reader of the master file.

No detector server is run: the files are made here, as those servers are known to lay them out.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.support_bliss_documents import document
from tests.support_scan_writer import Bench

from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.scan_writer import ScanWriter
from nexus_writer_service.service.surroundings import FILES_PATIENCE
from nexus_writer_service.sources.bliss.scan_info import describe
from nexus_writer_service.sources.bliss.streams import SEAL_ID, follow_stream

KEY, SHAPE, DATA = ScanKey("esrf:scan:01"), (2, 3), "/entry_0000/cam/data"
FRAMES = 5
COPY = EsrfOptions(external_hdf5=False, copy_non_external=True)
URIS = EsrfOptions(external_hdf5=False)


def pixels(start: int, count: int) -> np.ndarray[Any, Any]:
    numbers = np.arange(start + 1, start + count + 1, dtype="u2")
    return np.broadcast_to(numbers[:, None, None], (count, *SHAPE))


def save(path: Path, frames: np.ndarray[Any, Any], data: str = DATA) -> None:
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file[data] = frames


@dataclass(frozen=True)
class Generation:
    """How a detector announces its files, tells of its frames, and saves them."""

    channel: str
    encoding: dict[str, Any]
    info: Callable[[Path], dict[str, Any]]
    status: Callable[[int], bytes]
    save: Callable[[Path, int], None]
    """All files with up to so many frames."""
    dataset: str
    device_type: str


def lima_info(folder: Path) -> dict[str, Any]:
    return {
        "plugin": "lima",
        "lima_info": {
            "protocol_version": 1,
            "server_url": "id00/limaccds/cam",
            "file_path": f"{folder}/cam_data_%06d.h5",
            "data_path": DATA,
            "file_format": "hdf5",
            "file_offset": 1,  # a Dectris detector that saves itself counts from 1
            "frame_per_file": 2,
            "frame_per_acquisition": FRAMES,
        },
    }


def lima_save(folder: Path, frames: int) -> None:
    for number in range(0, frames, 2):
        count = min(2, FRAMES - number)
        save(folder / f"cam_data_{number // 2 + 1:06d}.h5", pixels(number, count))


def lima2_info(folder: Path) -> dict[str, Any]:
    return {
        "plugin": "lima2",
        "lima_info": {
            "protocol_version": 1,
            "name": "cam",
            "directory": str(folder),
            "path_template": "{filename_prefix}_{filename_rank}_{file_number:05d}{filename_suffix}",
            "prefix": "cam",
            "rank": 0,
            "suffix": ".h5",
            "data_path": DATA,
            "file_format": "hdf5",
            "frame_per_file": 2,
            "frame_per_acquisition": 0,
        },
    }


def lima2_save(folder: Path, frames: int) -> None:
    for number in range(0, frames, 2):
        count = min(2, FRAMES - number)
        save(folder / f"cam_0_{number // 2:05d}.h5", pixels(number, count))


def master_info(folder: Path) -> dict[str, Any]:
    return {
        "plugin": "lima2",
        "protocol_version": 2,
        "acq_uuid": "0",
        "master_file": [str(folder / "cam_master.h5"), "/cam_frame"],
    }


def master_save(folder: Path, frames: int) -> None:
    """A master file is a virtual dataset over the files of the receivers, made at the start."""
    lima2_save(folder, frames)
    if (folder / "cam_master.h5").exists():
        return
    layout = h5py.VirtualLayout((FRAMES, *SHAPE), "u2")
    for number in range(0, FRAMES, 2):
        count = min(2, FRAMES - number)
        name = f"cam_0_{number // 2:05d}.h5"
        layout[number : number + count] = h5py.VirtualSource(name, DATA, (count, *SHAPE))
    with h5py.File(folder / "cam_master.h5", "w") as file:
        file.create_virtual_dataset("cam_frame", layout)


JSON = {"type": "json"}
LIMA = Generation(
    "cam:image",
    JSON,
    lima_info,
    lambda n: json.dumps({"last_index": n - 1, "last_index_saved": n - 1}).encode(),
    lima_save,
    "image",
    "lima",
)
LIMA2 = Generation(
    "cam:frame",
    JSON,
    lima2_info,
    lambda n: json.dumps({"nb_frames_acquired": n, "nb_frames_xferred": n}).encode(),
    lima2_save,
    "frame",
    "lima2",
)
LIMA2_MASTER = Generation(
    "cam:frame",
    {"type": "numeric", "dtype_str": "<u4", "shape": []},
    master_info,
    lambda n: np.uint32(n).tobytes(),
    master_save,
    "frame",
    "lima2",
)
GENERATIONS = {"lima": LIMA, "lima2": LIMA2, "lima2 master file": LIMA2_MASTER}


@pytest.fixture(params=GENERATIONS.values(), ids=list(GENERATIONS))
def detector(request: pytest.FixtureRequest) -> Generation:
    found: Generation = request.param
    return found


class Run:
    """A scan of the detector."""

    def __init__(self, tmp_path: Path, detector: Generation, options: EsrfOptions) -> None:
        self.detector = detector
        self.folder = tmp_path / "scan0004"
        self.bench = bench = Bench(tmp_path, options=options)
        name = detector.channel
        found = document(
            acquisition_chain={"timer": {"devices": ["1:cam"]}},
            devices={"1:cam": {"name": "cam", "channels": [name], "triggered_devices": []}},
            channels={name: {"device": "1:cam", "dim": 2}},
            filename=str(bench.path),
            nexuswriter={"devices": {name: {"device_type": detector.device_type}}},
            scan_meta_categories=["nexuswriter"],
            npoints=FRAMES,
        )
        about = {"dtype": "uint16", "shape": list(SHAPE), **detector.info(self.folder)}
        stream = {"pk": "cam", "encoding": detector.encoding, "info": about}
        found["data_streams"][name] = stream
        bench.scan, warnings = describe(KEY, found)
        assert warnings == ()
        bench.writer = ScanWriter(bench.scan, bench.around, wanted=True)
        self._stream = follow_stream(KEY, ChannelName(name), detector.encoding, about)
        self._sent = 0
        bench.prepare()

    def taken(self, frames: int) -> None:
        """The detector tells of so many frames."""
        self._receive([b"%d-1" % self._sent, [b"payload", self.detector.status(frames)]])
        self._sent += 1

    def over(self) -> None:
        self._receive([SEAL_ID, [b"id", b"%d" % self._sent]])
        self.bench.end()

    def _receive(self, entry: list[Any]) -> None:
        for event in self._stream.receive([entry]):
            self.bench.writer.feed(event)
        self.bench.settle()

    def whole(self) -> None:
        """All frames, whose files are there."""
        for frames in (2, FRAMES):
            self.detector.save(self.folder, frames)
            self.taken(frames)
        self.over()
        self.bench.settle_until_over()
        assert self.bench.status.verdict.outcome is Outcome.COMPLETE

    @property
    def path(self) -> str:
        return f"4.1/instrument/cam/{self.detector.dataset}"


def test_images_are_mapped_and_grow_while_the_scan_runs(tmp_path, detector):
    run = Run(tmp_path, detector, EsrfOptions())
    detector.save(run.folder, 2)
    run.taken(2)
    with h5py.File(run.bench.path) as file:
        assert np.array_equal(file[run.path], pixels(0, 2))
    detector.save(run.folder, FRAMES)
    run.taken(FRAMES)
    run.over()
    run.bench.settle_until_over()
    assert run.bench.status.verdict.outcome is Outcome.COMPLETE
    with h5py.File(run.bench.path) as file:
        data = file[run.path]
        assert np.array_equal(data, pixels(0, FRAMES))
        names = {source.file_name for source in data.virtual_sources()}
        assert all(name.startswith("scan0004/") for name in names)
        assert data.attrs["interpretation"] == "image"
        assert np.array_equal(file["4.1/measurement/cam"], data)
        assert np.array_equal(file["4.1/instrument/cam/data"], data)


def test_images_can_be_copied(tmp_path, detector):
    run = Run(tmp_path, detector, COPY)
    run.whole()
    for path in run.folder.iterdir():
        path.unlink()
    with h5py.File(run.bench.path) as file:
        assert np.array_equal(file[run.path], pixels(0, FRAMES))


def test_images_can_be_referred_to(tmp_path, detector):
    run = Run(tmp_path, detector, URIS)
    run.whole()
    with h5py.File(run.bench.path) as file:
        for number, text in enumerate(file[run.path].asstr()[...]):
            name, _, index = text.partition("::")
            path = "/cam_frame" if detector is LIMA2_MASTER else DATA
            with h5py.File(tmp_path / name) as images:
                assert np.array_equal(images[path][int(index)], pixels(number, 1)[0])
        assert "measurement" not in file["4.1"]


@pytest.mark.parametrize("options", [EsrfOptions(), COPY], ids=["mapped", "copied"])
def test_frames_that_are_told_of_before_their_file_is_there_are_waited_for(
    tmp_path, detector, options
):
    run = Run(tmp_path, detector, options)
    run.taken(FRAMES)
    run.over()
    run.bench.settle()
    assert not run.bench.writer.over
    assert "awaited" in run.bench.status.reason
    detector.save(run.folder, FRAMES)
    run.bench.settle_until_over()
    assert run.bench.status.verdict.outcome is Outcome.COMPLETE
    with h5py.File(run.bench.path) as file:
        assert np.array_equal(file[run.path], pixels(0, FRAMES))


@pytest.mark.nonconforming("a detector's file never comes")
@pytest.mark.parametrize("options", [EsrfOptions(), COPY], ids=["mapped", "copied"])
def test_a_file_that_never_comes_is_a_gap_and_is_named(tmp_path, detector, options):
    run = Run(tmp_path, detector, options)
    detector.save(run.folder, FRAMES)
    lost = sorted(run.folder.iterdir())[1]
    lost.unlink()
    run.taken(FRAMES)
    run.over()
    run.bench.clock.advance(FILES_PATIENCE + 1)
    run.bench.settle_until_over()
    verdict = run.bench.status.verdict
    assert verdict.outcome is Outcome.INCOMPLETE
    assert lost.name in verdict.summary
    (tally,) = verdict.channels
    assert [gap.text.split(":")[0] for gap in tally.gaps] == (
        ["points 2 to 3 lost"] if options is COPY else []
    )
    with h5py.File(run.bench.path) as file:
        expected = pixels(0, FRAMES).copy()
        expected[2:4] = 0
        assert np.array_equal(file[run.path], expected)


def test_a_detector_that_crosses_its_own_news_loses_no_frame(tmp_path):
    """Several receivers publish: an older number of frames can come after a newer one."""
    run = Run(tmp_path, LIMA2_MASTER, EsrfOptions())
    LIMA2_MASTER.save(run.folder, FRAMES)
    for frames in (4, 2, FRAMES, 3):
        run.taken(frames)
    run.over()
    run.bench.settle_until_over()
    assert run.bench.status.verdict.outcome is Outcome.COMPLETE
    with h5py.File(run.bench.path) as file:
        assert np.array_equal(file[run.path], pixels(0, FRAMES))
