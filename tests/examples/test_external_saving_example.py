"""The small writer of the examples saves what a session publishes."""

import importlib.util
import re
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.examples.conftest import EXAMPLE

from nexus_writer_service.testing.simulation import (
    Camera,
    Faults,
    ScanRecord,
    designs,
    number_channel,
)

pytestmark = pytest.mark.integration


def example():
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("external_saving_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def file_of(folder: Path, record: ScanRecord) -> Path:
    name = record.name.partition("_")[2]
    return folder / "external" / f"test_session_{record.number}_{name}.h5"


def saved(folder: Path, record: ScanRecord, channel: str):
    with h5py.File(file_of(folder, record), locking=False) as file:
        return file[f"{record.number}.1/measurement"][re.sub(r"\W", "_", channel)][()]


@pytest.mark.parametrize("name", ["listen_to_session_wait_for_scans", "HDF5Writer"])
def test_it_has_what_the_documentation_of_bliss_names(name):
    assert callable(getattr(example(), name))
    assert {"new_channel", "new_data_in_channel", "finalize", "run"} <= set(
        dir(example().HDF5Writer)
    )


def test_each_scan_gets_a_file_with_all_its_points(listen, simulated_session, tmp_path):
    listening = listen("test_session", "--scans", "4")
    records = [
        simulated_session.ascan("robx", 0, 1, 10),
        simulated_session.loopscan(700, block=7),
        simulated_session.mca(5),
        simulated_session.amesh(),
    ]
    listening.ended()
    for record in records:
        for channel, published in record.channels.items():
            found = saved(tmp_path, record, channel)
            np.testing.assert_array_equal(found, published.values())
            assert found.dtype == published.dtype


def test_scans_at_the_same_time_are_saved_at_the_same_time(listen, simulated_session, tmp_path):
    listening = listen("test_session", "--scans", "2")
    with simulated_session.open(lambda setting: designs.loopscan(setting, 4)) as first:
        first.prepare()
        first.start()
        first.publish(2)
        second = simulated_session.ascan()
        listening.heard(f"saved: {file_of(tmp_path, second)}")
        first.publish(2)
        first.stop()
        first.close()
    listening.ended()
    assert len(saved(tmp_path, first.record, "timer:elapsed_time")) == 4


def test_scans_of_other_sessions_are_not_for_it(listen, simulated_session, tmp_path):
    listening = listen("test_session", "--scans", "1")
    simulated_session.name = "other_session"
    simulated_session.loopscan(3)
    simulated_session.name = "test_session"
    record = simulated_session.ascan()
    listening.ended()
    assert list((tmp_path / "external").iterdir()) == [file_of(tmp_path, record)]


def test_images_are_references_to_the_files_of_the_detector(listen, simulated_session, tmp_path):
    listening = listen("test_session", "--scans", "1")
    record = simulated_session.camera(6, Camera(frames_per_file=4))
    listening.ended()
    (camera,) = (one for one in record.channels.values() if one.files)
    references = [text.decode().split("::") for text in saved(tmp_path, record, camera.name)]
    assert [int(index) for _, _, index in references] == [0, 1, 2, 3, 0, 1]
    first, second = map(str, camera.files)
    assert [file for file, _, _ in references] == [first] * 4 + [second] * 2
    with h5py.File(references[-1][0], locking=False) as file:
        np.testing.assert_array_equal(file[references[-1][1]][1], camera.values()[-1])


def test_metadata_are_a_tree_with_classes_and_units(listen, simulated_session, tmp_path):
    simulated_session.metadata = {
        "instrument": {
            "@NX_class": "NXinstrument",
            "machine": {"@NX_class": "NXsource", "current": 190.5, "current@units": "mA"},
        },
        "sample": {"name": "LaB6", "@NX_class": "NXsample"},
    }
    listening = listen("test_session", "--scans", "1")
    record = simulated_session.ascan()
    listening.ended()
    with h5py.File(file_of(tmp_path, record), locking=False) as file:
        entry = file[file.attrs["default"]]
        machine = entry["instrument/machine"]
        assert machine.attrs["NX_class"] == "NXsource"
        assert (machine["current"][()], machine["current"].attrs["units"]) == (190.5, "mA")
        assert entry["instrument/axis_robx/value"].attrs["units"] == "mm"
        assert entry["title"].asstr()[()] == record.title
        assert entry["end_reason"].asstr()[()] == "SUCCESS"
        info = entry["scan_info"]
        assert info["sample"].attrs["NX_class"] == "NXsample"
        assert info["sample/name"].asstr()[()] == "LaB6"
        assert info["channels/axis_robx/dim"][()] == 0


def test_points_that_vary_in_size_have_room(listen, simulated_session, tmp_path):
    listening = listen("test_session", "--scans", "1")
    rows = [np.arange(length, dtype=float) for length in (3, 1, 4, 2, 5, 2)]
    channel = number_channel("ragged:r", rows, shape=(-1,))
    record = simulated_session.channel_scan([channel], 6)
    listening.ended()
    found = saved(tmp_path, record, "ragged:r")
    points = record.channels["ragged:r"].ragged_values()
    assert found.shape == (6, 5)
    for row, point in zip(found, points, strict=True):
        np.testing.assert_array_equal(row[: len(point)], point)
        assert np.isnan(row[len(point) :]).all()


def test_a_sequence_tells_its_scans(listen, simulated_session, tmp_path):
    listening = listen("test_session", "--scans", "2")
    record = simulated_session.sequence(
        [lambda sequence: simulated_session.loopscan(3, sequence=sequence)]
    )
    listening.ended()
    (key,) = saved(tmp_path, record, "SUBSCANS")
    assert key.decode() == record.subscans[0].key


def test_an_interrupted_scan_and_one_that_never_began_have_what_there_is(
    listen, simulated_session, tmp_path
):
    listening = listen("test_session", "--scans", "2")
    interrupted = simulated_session.ascan(abort_after=4)
    never = simulated_session.failing_in_prepare()
    listening.ended()
    for channel, published in interrupted.channels.items():
        np.testing.assert_array_equal(saved(tmp_path, interrupted, channel), published.values())
    with h5py.File(file_of(tmp_path, never), locking=False) as file:
        assert list(file[f"{never.number}.1/measurement"]) == []


def test_a_file_that_exists_is_left_alone(listen, simulated_session, tmp_path):
    (tmp_path / "external").mkdir()
    old = tmp_path / "external" / "test_session_1_ascan.h5"
    old.write_text("older")
    listening = listen("test_session", "--scans", "1")
    simulated_session.ascan()
    assert re.search(r"saved: .*/test_session_1_ascan_\w+\.h5", listening.ended())
    assert old.read_text() == "older"
    old.unlink()  # no NeXus file


def test_ctrl_c_ends_it_with_what_was_published_so_far(listen, simulated_session, tmp_path):
    listening = listen("test_session")
    with simulated_session.open(lambda setting: designs.loopscan(setting, 4)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(3)
        listening.heard("new scan: test_session 1")
        listening.process.send_signal(signal.SIGINT)
        said = listening.ended()
        assert "Traceback" not in said
    assert file_of(tmp_path, scan.record).exists()


def test_points_that_redis_has_lost_are_a_gap(listen, simulated_session, tmp_path):
    listening = listen("test_session", "--scans", "1")
    faults = Faults(trimmed={"timer:elapsed_time": 5})
    record = simulated_session.loopscan(20, faults=faults)
    said = listening.ended()
    found = saved(tmp_path, record, "timer:elapsed_time")
    published = record.channels["timer:elapsed_time"].values()
    there = ~np.isnan(found)
    np.testing.assert_array_equal(found[there], published[there])
    assert "points of timer:elapsed_time are lost" in said
