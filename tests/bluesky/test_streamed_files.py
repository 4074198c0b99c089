"""Frames and numbers that detectors stream into files of their own, mapped meanwhile."""

import h5py
import numpy as np
import pytest
from tests.support_bluesky import Run, feed, values
from tests.support_detector_files import (
    STREAMED,
    frames,
    only,
    save,
    stored,
    stream_datum,
    stream_resource,
)
from tests.support_waiting import wait_for

from nexus_writer_service.model.verdict import Outcome


@pytest.fixture(autouse=True)
def one_file(writer, tmp_path):
    writer.file_name = tmp_path / "run.h5"


def test_streamed_frames_and_numbers_are_mapped(writer, tmp_path):
    with h5py.File(tmp_path / "cam.h5", "w") as file:
        file["entry/data/data"] = frames(4)
        file["entry/sum"] = np.arange(4)
    run = Run(detectors=["cam"])
    number = {"dtype": "number", "shape": [1], "external": "STREAM:", "dtype_numpy": "<i8"}
    descriptor = run.descriptor({"cam": STREAMED, "sum": number})
    feed(writer, [run.start(), descriptor, stream_resource(run, tmp_path / "cam.h5")])
    feed(writer, [stream_resource(run, tmp_path / "cam.h5", "sum", "/entry/sum")])
    for first, stop in ((0, 1), (1, 4)):
        feed(writer, [stream_datum(descriptor, first, stop)])
        feed(writer, [stream_datum(descriptor, first, stop, "sum")])
    feed(writer, [run.event(descriptor) for _ in range(4)])
    feed(writer, [run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    assert np.array_equal(stored(result)[0], frames(4))
    with h5py.File(result.file) as file:
        assert values(file, "sum").tolist() == [0, 1, 2, 3]


def test_streamed_frames_that_no_document_tells_of_are_rows_without_values(writer, tmp_path):
    save(tmp_path / "cam.h5", frames(5))
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": STREAMED})
    feed(writer, [run.start(), descriptor, stream_resource(run, tmp_path / "cam.h5")])
    feed(writer, [stream_datum(descriptor, 0, 1), stream_datum(descriptor, 3, 4)])
    feed(writer, [run.stop(num_events={"primary": 5})])
    result = only(writer.wait_writer())
    assert result.verdict.outcome is Outcome.INCOMPLETE
    assert "points 1 to 2 lost: no document told where they are" in result.verdict.summary
    assert "points 4 to 4 lost: no document told where they are" in result.verdict.summary
    found, _ = stored(result)
    assert np.array_equal(found[[0, 3]], frames(5)[[0, 3]])
    assert not found[[1, 2]].any()


def test_streamed_frames_show_while_the_run_goes_on(writer, tmp_path):
    save(tmp_path / "cam.h5", frames(2))
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": STREAMED})
    feed(writer, [run.start(), descriptor, stream_resource(run, tmp_path / "cam.h5")])
    feed(writer, [stream_datum(descriptor, 0, 2)])

    def shown():
        if not (tmp_path / "run.h5").exists():
            return 0
        with h5py.File(tmp_path / "run.h5", "r", locking=False) as file:
            group = file.get("entry/data/cam")
            return 0 if group is None else len(group)

    wait_for(lambda: shown() == 2)
    feed(writer, [run.stop(num_events={"primary": 2})])
    assert only(writer.wait_writer()).ok


def test_streamed_files_of_other_kinds_are_referred_to(writer, tmp_path):
    run = Run(detectors=["cam"])
    descriptor = run.descriptor({"cam": STREAMED})
    told = stream_resource(
        run,
        tmp_path / "jpegs",
        mimetype="multipart/related;type=image/jpeg",
        parameters={"template": "cam_{:06d}.jpeg"},
    )
    feed(writer, [run.start(), descriptor, told, stream_datum(descriptor, 0, 2), run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    with h5py.File(result.file) as file:
        names = [f"{tmp_path}/jpegs/cam_{number:06d}.jpeg" for number in range(2)]
        assert values(file, "cam") == names
