"""What a simulated session publishes can be read through blissdata, and is what its record says."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from blissdata import DataStore, ScanState
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.testing.redis_server import URL_VARIABLE, RedisServer, initialise
from nexus_writer_service.testing.simulation import (
    DEMO_SCANS,
    Camera,
    Clock,
    MeshAxis,
    ScanRecord,
    SimulatedSession,
    designs,
    devices,
    number_channel,
    run_demo_scans,
    values,
)
from nexus_writer_service.testing.simulation.clock import Pace

integration = pytest.mark.integration

DIODE = f"{devices.SAMPLING_CONTROLLER}:diode1"


def load(session, record):
    return DataStore(session.url).load_scan(record.key)


def check_numbers(session: SimulatedSession, record: ScanRecord) -> None:
    """Each stream of numbers holds what the record says."""
    streams = load(session, record).streams
    assert set(streams) == set(record.channels)
    for name, channel in record.channels.items():
        stream = streams[name]
        assert stream.event_stream.is_sealed()
        if stream.kind == "array" and stream.plugin != "lima":
            assert len(stream) == channel.length
            np.testing.assert_array_equal(stream[:], channel.values())


@integration
@pytest.mark.parametrize("publisher", ["blissdata", "pipeline"])
@pytest.mark.parametrize("block", [1, 4])
def test_streams_hold_what_the_record_says(publisher, block, simulated_session):
    simulated_session.publisher = publisher
    for record in (
        simulated_session.ascan(block=block),
        simulated_session.mca(10, devices.mca(detectors=2, channels=64), block=block),
        simulated_session.two_top_masters(7, 3, block=block),
        simulated_session.ascan(abort_after=6, block=block),
    ):
        check_numbers(simulated_session, record)


@integration
def test_a_scan_is_published_step_by_step(simulated_session):
    with simulated_session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        reader = load(simulated_session, scan.record)
        assert reader.state is ScanState.CREATED
        scan.prepare()
        assert reader.update()
        stream = reader.streams[DIODE]
        scan.start()
        for points in (3, 4):
            scan.publish(points)
            channel = scan.record.channels[DIODE]
            np.testing.assert_array_equal(stream[:], channel.values())
        assert channel.length == 7
        scan.publish()
        scan.stop()
        scan.close()
    assert len(stream) == 10


@integration
@pytest.mark.parametrize("publisher", ["blissdata", "pipeline"])
def test_a_scan_that_raises_is_closed_as_a_failure(publisher, simulated_session):
    simulated_session.publisher = publisher
    scan = simulated_session.open(lambda setting: designs.loopscan(setting, 10))

    def fail() -> None:
        with scan:
            scan.prepare()
            scan.start()
            scan.publish(4)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    reader = load(simulated_session, scan.record)
    assert reader.state is ScanState.CLOSED
    assert reader.info["end_reason"] == "FAILURE"
    check_numbers(simulated_session, scan.record)


@integration
@pytest.mark.parametrize("publisher", ["blissdata", "pipeline"])
@pytest.mark.parametrize("dtype", ["?", "i1", "<u2", "<i8", "<f2", "<f4", "<c8", "<c16", ">f8"])
def test_any_type_of_number_is_readable(publisher, dtype, simulated_session):
    simulated_session.publisher = publisher
    points = np.arange(24).reshape(4, 2, 3).astype(dtype)
    channels = [number_channel("ctl:image", points), number_channel("ctl:value", points[:, 0, 0])]
    record = simulated_session.channel_scan(channels, 4, block=3)
    streams = load(simulated_session, record).streams
    assert streams["ctl:image"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(streams["ctl:image"][:], points)
    np.testing.assert_array_equal(streams["ctl:value"][:], points[:, 0, 0])


@integration
@pytest.mark.parametrize("publisher", ["blissdata", "pipeline"])
def test_points_of_varying_shape_are_readable(publisher, simulated_session):
    simulated_session.publisher = publisher
    lines = [np.arange(n, dtype="u4") for n in (3, 1, 5)]
    images = [np.ones((n, 4), dtype="i4") for n in (2, 3, 2)]
    channels = [
        number_channel("rg:line", lines, shape=(-1,)),
        number_channel("rg:image", images, shape=(-1, 4)),
    ]
    record = simulated_session.channel_scan(channels, 3, block=2)
    streams = load(simulated_session, record).streams
    for name, points in (("rg:line", lines), ("rg:image", images)):
        for read, recorded, expected in zip(
            streams[name][:], record.channels[name].ragged_values(), points, strict=True
        ):
            np.testing.assert_array_equal(read, expected)
            np.testing.assert_array_equal(recorded, expected)


@integration
def test_a_camera_saves_real_files_and_says_where(simulated_session):
    record = simulated_session.camera(7, Camera(frames_per_file=3, rois=("roi1",)))
    channel = record.channels["cam:image"]
    stream = load(simulated_session, record).streams["cam:image"]
    assert len(stream) == 7
    assert (channel.length, channel.saved) == (7, 7)
    assert [path.name for path in channel.files] == [f"cam_000{i}.h5" for i in range(3)]
    references = stream.get_references(slice(0, 7))
    assert {Path(reference.file_path) for reference in references} == set(channel.files)
    for index, reference in enumerate(references):
        with h5py.File(reference.file_path) as file:
            image = file[reference.data_path][reference.index]
        np.testing.assert_array_equal(image, channel.values(index, index + 1)[0])
        assert image[0, 0] == index
    np.testing.assert_array_equal(stream[:], channel.values())
    assert record.channels["cam:roi_counters:roi1_sum"].length == 7


@integration
def test_frames_are_announced_before_their_file_is_complete(simulated_session):
    camera = Camera(frames_per_file=3)
    with simulated_session.open(lambda setting: designs.camera(setting, 7, camera)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        channel = scan.record.channels["cam:image"]
        assert (channel.length, channel.saved, len(channel.files)) == (4, 3, 1)
        scan.abort()
    assert (channel.length, channel.saved, len(channel.files)) == (4, 4, 2)


@integration
def test_each_acquisition_of_a_camera_starts_a_file(simulated_session):
    camera = Camera(frames_per_file=2, frames_per_acquisition=3)
    record = simulated_session.camera(7, camera)
    stream = load(simulated_session, record).streams["cam:image"]
    assert [reference.file_path[-7:] for reference in stream.get_references(slice(0, 7))] == [
        f"{number:04}.h5" for number in (0, 0, 1, 2, 2, 3, 4)
    ]
    np.testing.assert_array_equal(stream[:], record.channels["cam:image"].values())


@integration
def test_a_camera_that_saves_nothing_has_no_files(simulated_session):
    record = simulated_session.camera(3, Camera(saving=False))
    stream = load(simulated_session, record).streams["cam:image"]
    assert "file_path" not in stream.info["lima_info"]
    assert record.channels["cam:image"].files == []


@integration
def test_a_sequence_refers_to_its_scans(simulated_session):
    session = simulated_session
    record = session.sequence(
        [
            lambda sequence: session.loopscan(2, sequence=sequence),
            lambda sequence: session.ascan(sequence=sequence),
        ],
        custom_channel="temperature",
    )
    streams = load(session, record).streams
    assert [scan.key for scan in streams["SUBSCANS"][:]] == [scan.key for scan in record.subscans]
    assert [scan.info["group"] for scan in record.subscans] == [record.key] * 2
    assert [scan.number for scan in (record, *record.subscans)] == [1, 2, 3]
    np.testing.assert_array_equal(streams["temperature"][:], [0.0, 1.0])


@integration
@pytest.mark.parametrize("publisher", ["blissdata", "pipeline"])
def test_scans_run_in_parallel(publisher, simulated_session):
    simulated_session.publisher = publisher
    records: list[ScanRecord] = []
    threads = [
        threading.Thread(target=lambda: records.append(simulated_session.loopscan(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(record.number for record in records) == [1, 2, 3, 4]
    for record in records:
        check_numbers(simulated_session, record)


@integration
def test_a_mesh_goes_back_and_forth(simulated_session):
    fast, slow = MeshAxis("robx", 0.0, 2.0, 2), MeshAxis("roby", 5.0, 6.0, 1)
    record = simulated_session.amesh(fast, slow, back_and_forth=True)
    np.testing.assert_array_equal(record.channels["axis:robx"].values(), [0, 1, 2, 2, 1, 0])
    np.testing.assert_array_equal(record.channels["axis:roby"].values(), [5, 5, 5, 6, 6, 6])
    assert record.info["channels"]["axis:robx"]["axis_kind"] == "backnforth"


@integration
def test_the_second_top_master_has_its_own_entry(simulated_session):
    record = simulated_session.two_top_masters(6, 3)
    assert record.entries == ("1.1", "1.2")
    slow = record.channels["slow:epoch"]
    assert (slow.dataset, slow.length) == ("/1.2/instrument/epoch/value", 3)
    assert slow.published_path == "1.1/instrument/epoch/value"


@integration
def test_every_demonstration_scan_ends_as_it_should(simulated_session):
    records = run_demo_scans(simulated_session, period=0.0)
    assert len(records) == len(DEMO_SCANS)
    ends = dict(zip(DEMO_SCANS, (record.end_reason for record in records), strict=True))
    assert ends.pop("aborted") == "USER_ABORT"
    assert set(ends.values()) == {"SUCCESS"}


@integration
def test_the_command_publishes_demonstration_scans(redis_url, tmp_path):
    command = [sys.executable, "-m", "nexus_writer_service.testing.simulation", redis_url]
    options = ["--session", "s", "--data-root", tmp_path, "--scans", "ascan, aborted"]
    done = subprocess.run(
        [*command, *options, "--period", "0"], capture_output=True, text=True, check=True
    )
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["1_ascan", "2_ascan"]
    assert "USER_ABORT" in done.stdout
    assert len(DataStore(redis_url).search_existing_scans(session="s")[1]) == 2


@integration
def test_an_unknown_demonstration_is_refused_with_the_known_ones(simulated_session):
    with pytest.raises(SettingsError, match="There are: mca, camera"):
        run_demo_scans(simulated_session, kinds=["dance"])


@integration
@pytest.mark.skipif(URL_VARIABLE in os.environ, reason="a server that is given is not killed")
def test_a_scan_of_the_pipeline_survives_a_restart_of_redis(tmp_path):
    with RedisServer(persistent=True) as server:
        initialise(server.url)
        with SimulatedSession(server.url, data_root=tmp_path, publisher="pipeline") as session:
            with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
                scan.prepare()
                scan.start()
                scan.publish(5)
                server.kill()
                server.start()
                scan.publish()
                scan.stop()
                scan.close()
            check_numbers(session, scan.record)


@given(st.integers(0, 10**9), st.integers(0, 50), st.data())
def test_values_do_not_depend_on_the_block_that_asks_for_them(start, length, data):
    stop = start + length
    middle = data.draw(st.integers(start, stop))
    sources = [
        values.counter("c", 100),
        values.counts("c"),
        values.ramp(1.0, 0.5),
        values.spectra("s", 16),
        values.frames("f", (4, 6)),
    ]
    for source in sources:
        parts = [source(start, middle), source(middle, stop)]
        np.testing.assert_array_equal(source(start, stop), np.concatenate(parts))


def test_noise_fills_the_range_and_depends_on_the_name():
    noise = values.noise("a", 0, 10_000)
    assert noise.min() >= 0
    assert noise.max() < 1
    assert abs(noise.mean() - 0.5) < 0.02
    assert not np.array_equal(noise, values.noise("b", 0, 10_000))


def test_a_pace_waits_until_each_point_is_due_and_not_at_all_without_a_period():
    now = 100.0
    slept: list[float] = []
    clock = Clock(monotonic=lambda: now, sleep=slept.append)
    pace = Pace(clock, 0.5)
    pace.wait_for(0)
    pace.wait_for(1)
    now += 2.0
    pace.wait_for(2)
    pace.wait_for(5)
    Pace(clock, 0.0).wait_for(1000)
    assert slept == [0.5, 0.5]
