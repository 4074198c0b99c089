"""Pixels that are copied, or mapped byte by byte, while detector files come late, or never."""

from dataclasses import replace

import fabio
import h5py
import hdf5plugin
import numpy as np
import pytest
from tests.support_description import channel
from tests.support_hdf5 import run_python
from tests.support_scan_writer import ROBX, Bench

from nexus_writer_service.hdf5 import external
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.description import ChannelName, Content, ImageFiles
from nexus_writer_service.model.events import Frames
from nexus_writer_service.model.verdict import Gap, Outcome
from nexus_writer_service.service.surroundings import FILES_PATIENCE

IMAGE = ChannelName("cam:image")
COPY = EsrfOptions(external_hdf5=False, copy_non_external=True)
RAW = EsrfOptions(external_nonhdf5=True)
UNREADABLE = "the detector's file is missing, or cannot be read"


def scan(tmp_path, options=COPY, sample=(2, 3), **more):
    """A camera with two frames in each file."""
    suffix, path = ("h5", "/data") if options is COPY else ("edf", "")
    template = str(tmp_path / f"cam_%04d.{suffix}")
    files = ImageFiles(template, path, {"h5": "hdf5"}.get(suffix, suffix), 2)
    image = channel("cam:image", "u2", sample)
    image = replace(image, content=Content.IMAGES, images=files)
    return Bench(tmp_path, image, options=options, shape=(8,), **more)


def pixels(number):
    """The frames of a file."""
    return np.arange(12, dtype="u2").reshape(2, 2, 3) + 100 * number + 1


def save(tmp_path, number, suffix="h5"):
    if suffix == "h5":
        with h5py.File(tmp_path / f"cam_{number:04d}.h5", "w") as file:
            file["data"] = pixels(number)
        return
    first, second = pixels(number)
    image = fabio.edfimage.EdfImage(data=first)
    image.append_frame(data=second)
    image.write(str(tmp_path / f"cam_{number:04d}.edf"))


def frames(bench, taken, saved):
    bench.writer.feed(Frames(bench.scan.key, IMAGE, taken, saved))


def end(bench, taken):
    bench.seal(IMAGE, taken)
    bench.seal(ROBX, 0)
    bench.end()


def copied(bench):
    with h5py.File(bench.path) as file:
        return file["7.1/instrument/image/data"][...]


def test_frames_are_copied_as_soon_as_their_file_comes_without_news_of_the_detector(tmp_path):
    bench = scan(tmp_path)
    bench.prepare()
    frames(bench, 2, 2)
    bench.settle()
    assert len(copied(bench)) == 0
    save(tmp_path, 0)
    bench.settle()
    bench.settle()
    assert np.array_equal(copied(bench), pixels(0))
    end(bench, 2)
    bench.settle_until_over()
    assert bench.status.verdict.outcome is Outcome.COMPLETE


def test_while_the_scan_runs_only_frames_on_disk_are_looked_for(tmp_path):
    bench = scan(tmp_path)
    save(tmp_path, 0)
    save(tmp_path, 1)  # there already, but who knows whether it is whole
    bench.prepare()
    frames(bench, 4, 2)
    for _ in range(3):
        bench.settle()
    assert len(copied(bench)) == 2
    end(bench, 4)
    bench.settle_until_over()
    assert len(copied(bench)) == 4


@pytest.mark.nonconforming("some detector files never come")
@pytest.mark.parametrize(("options", "suffix"), [(COPY, "h5"), (RAW, "edf")], ids=["copy", "raw"])
def test_missing_files_cost_their_frames_and_not_those_behind_them(tmp_path, options, suffix):
    bench = scan(tmp_path, options)
    bench.prepare()
    for number in (0, 3):
        save(tmp_path, number, suffix)
    frames(bench, 10, 10)
    end(bench, 10)
    bench.settle()
    assert not bench.writer.over
    bench.clock.advance(FILES_PATIENCE + 1)
    bench.settle_until_over()
    found = copied(bench)
    assert found.shape == (10, 2, 3)
    assert np.array_equal(found[:2], pixels(0))
    assert not found[2:6].any()
    assert np.array_equal(found[6:8], pixels(3))
    assert not found[8:].any()
    verdict = bench.status.verdict
    assert verdict.outcome is Outcome.INCOMPLETE
    (tally,) = [one for one in verdict.channels if one.channel == IMAGE]
    assert (tally.published, tally.written) == (10, 4)
    assert tally.gaps == (Gap(2, 6, UNREADABLE), Gap(8, 10, UNREADABLE))
    assert [path[-8 - len(suffix) : -1 - len(suffix)] for path in tally.files_missing] == [
        "am_0001",
        "am_0002",
        "am_0004",
    ]


@pytest.mark.nonconforming("some detector files never come")
def test_a_gap_is_in_the_file_before_the_frames_behind_it(tmp_path):
    bench = scan(tmp_path)
    bench.prepare()
    save(tmp_path, 1)
    frames(bench, 4, 4)
    end(bench, 4)
    bench.clock.advance(FILES_PATIENCE + 1)
    bench.settle()
    assert len(copied(bench)) == 0
    bench.settle()
    assert not bench.writer.over
    with h5py.File(bench.path) as file:
        note = file["7.1/writer/data"][()].decode()
    assert '"outcome": "running"' in note
    assert '"gaps": [[0, 2,' in note
    assert np.array_equal(copied(bench)[2:], pixels(1))
    bench.settle_until_over()


def test_copying_takes_as_long_as_it_needs_in_steps_between_which_others_are_served(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(external, "_MOST_COPIED", 10)
    bench = scan(tmp_path)
    bench.prepare()
    for number in range(4):
        save(tmp_path, number)
    frames(bench, 8, 8)
    end(bench, 8)
    lengths = []
    while not bench.writer.over:
        bench.settle()
        lengths.append(len(copied(bench)))
        bench.clock.advance(FILES_PATIENCE - 1)
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert sorted(set(lengths)) == [4, 6, 8]


def test_a_frame_whose_place_is_made_but_not_written_is_not_copied(tmp_path):
    bench = scan(tmp_path)
    with h5py.File(tmp_path / "cam_0000.h5", "w") as file:
        data = file.create_dataset("data", (2, 2, 3), "u2", chunks=(1, 2, 3))
        data[0] = pixels(0)[0]
    bench.prepare()
    frames(bench, 2, 2)
    bench.settle()
    bench.settle()
    assert len(copied(bench)) == 1
    save(tmp_path, 0)
    end(bench, 2)
    bench.settle_until_over()
    assert np.array_equal(copied(bench), pixels(0))
    assert bench.status.verdict.outcome is Outcome.COMPLETE


@pytest.mark.nonconforming("some frames never come")
@pytest.mark.parametrize("lost", [0, 1])
def test_a_frame_that_a_contiguous_dataset_never_got_is_lost_and_not_zeros(tmp_path, lost):
    bench = scan(tmp_path, sample=(512, 512))
    with h5py.File(tmp_path / "cam_0000.h5", "w") as file:
        data = file.create_dataset("data", (2, 512, 512), "u2")
        data[1 - lost] = np.ones((512, 512))
    bench.prepare()
    frames(bench, 2, 2)
    bench.settle()
    end(bench, 2)
    bench.clock.advance(FILES_PATIENCE + 1)
    bench.settle_until_over()
    tally = next(one for one in bench.status.verdict.channels if one.channel == IMAGE)
    assert bench.status.verdict.outcome is Outcome.INCOMPLETE
    assert tally.gaps == (Gap(lost, lost + 1, UNREADABLE),)
    assert copied(bench)[:, 0, 0].tolist() == [lost, 1 - lost]


def test_frames_of_zeros_that_were_written_are_frames(tmp_path):
    bench = scan(tmp_path, sample=(512, 512))
    with h5py.File(tmp_path / "cam_0000.h5", "w") as file:
        file["data"] = np.zeros((2, 512, 512), "u2")
    bench.prepare()
    frames(bench, 2, 2)
    end(bench, 2)
    bench.settle_until_over()
    assert bench.status.verdict.outcome is Outcome.COMPLETE


@pytest.mark.nonconforming("some detector files never come")
@pytest.mark.parametrize(("options", "suffix"), [(COPY, "h5"), (RAW, "edf")], ids=["copy", "raw"])
@pytest.mark.parametrize("turns", range(1, 5))
def test_a_writer_that_goes_on_knows_of_the_gaps(tmp_path, options, suffix, turns):
    for number in (0, 3):
        save(tmp_path, number, suffix)
    for kill in (True, False):
        bench = scan(tmp_path, options)
        bench.prepare()
        frames(bench, 8, 8)
        end(bench, 8)
        bench.settle()
        bench.clock.advance(FILES_PATIENCE + 1)
        if kill:
            for _ in range(turns):
                bench.settle()
            bench.writer.kill("power went")
            bench.files.close()
    bench.settle_until_over()
    found = copied(bench)
    assert np.array_equal(found[:2], pixels(0))
    assert not found[2:6].any()
    assert np.array_equal(found[6:8], pixels(3))
    (tally,) = [one for one in bench.status.verdict.channels if one.channel == IMAGE]
    assert (tally.written, tally.gaps) == (4, (Gap(2, 6, UNREADABLE),))


_COMPRESSED = """
import sys
import numpy as np
from nexus_writer_service.hdf5.detector_files import Run, pixels
from nexus_writer_service.model.description import ImageFiles

assert "hdf5plugin" not in sys.modules
path = sys.argv[1]
blocks = pixels(Run(path, 0, 0, 2), ImageFiles(path, "data", "hdf5"), (2, 3), np.dtype("u2"))
print(sum(int(block.sum()) for block in blocks))
"""


def test_frames_that_a_detector_compressed_can_be_read(tmp_path):
    """In a process that has not loaded the filters for any other reason."""
    path = tmp_path / "cam_0000.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=pixels(0), chunks=(1, 2, 3), **hdf5plugin.Bitshuffle())
    assert int(run_python(_COMPRESSED, str(path)).stdout) == pixels(0).sum()
