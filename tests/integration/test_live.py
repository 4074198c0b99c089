"""What readers see while a scan runs, and how a writer process starts and ends."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5grove.content import DatasetContent, get_content_from_file
from silx.io.nxdata.parse import get_default
from silx.io.utils import open as silx_open
from tests.support_session import check_values
from tests.support_waiting import wait_for

from nexus_writer_service.hdf5.tree_text import tree_lines
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.history import History
from nexus_writer_service.testing.simulation import Camera, designs

pytestmark = pytest.mark.integration

DIODE = "simulation_diode_sampling_controller:diode1"


def _start(url: str, tmp_path: Path, *options: str) -> tuple[subprocess.Popen[str], Path]:
    """A writer as its own process, once it listens; and the file that exists while it does."""
    semaphore = tmp_path / "listening"
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("NexusSessionWriter")),
            "test_session",
            f"--start_semaphore_file={semaphore}",
            "--required_disk_space=0",
            "--recommended_disk_space=0",
            *options,
        ],
        env={**os.environ, "REDIS_DATA_URL": url, "XDG_STATE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: semaphore.exists() or process.poll() is not None, what="listening")
    return process, semaphore


@pytest.fixture
def writer_process(redis_url, session, tmp_path):
    """The command, listening; nothing may go wrong in it."""
    process, _ = _start(redis_url, tmp_path, "--log=info")
    yield process
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "ERROR" not in output, output


@pytest.fixture
def half_a_scan(writer_process, session):
    """A scan that has published 4 of its 10 points and waits; it is complete in the end."""
    with session.open(lambda setting: designs.loopscan(setting, 10), plotselect=(DIODE,)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        wait_for(lambda: points_seen(scan.record) == 4, what="4 visible points")
        yield scan
        scan.publish()
        scan.stop()
        scan.close()
    wait_for(lambda: status_seen(scan.record) == "SUCCEEDED", what="success")
    assert points_seen(scan.record) == 10


def seen(record, path, default):
    """What a plain reader with default settings finds."""
    try:
        with h5py.File(record.path, "r") as file:
            return file[path][()]
    except (OSError, KeyError):
        return default


def points_seen(record, channel=DIODE):
    return len(seen(record, record.channels[channel].dataset, ()))


def status_seen(record):
    return seen(record, f"/{record.entries[0]}/writer/status", b"").decode()


def test_points_become_visible_although_nothing_follows(half_a_scan):
    assert points_seen(half_a_scan.record) == 4
    assert status_seen(half_a_scan.record) == "RUNNING"


def test_silx_reads_the_growing_file_and_its_default_plot(half_a_scan):
    record = half_a_scan.record
    with silx_open(str(record.path)) as file:
        assert len(file[record.channels[DIODE].dataset]) == 4
        plot = get_default(file, validate=True)
        assert plot is not None
        assert plot.signal_name == "diode1"


def test_h5grove_serves_the_growing_file(half_a_scan):
    record = half_a_scan.record
    with get_content_from_file(
        str(record.path), record.channels[DIODE].dataset, RuntimeError
    ) as content:
        assert isinstance(content, DatasetContent)
        assert content.metadata()["shape"] == (4,)
        assert len(content.data()) == 4


def test_the_tree_of_a_growing_file_can_be_printed(half_a_scan):
    lines = list(tree_lines(str(half_a_scan.record.path)))
    assert any("diode1" in line for line in lines)


def test_a_reader_that_stays_in_the_file_disturbs_nobody(writer_process, session):
    first = session.loopscan(3)
    wait_for(lambda: status_seen(first) == "SUCCEEDED")
    with h5py.File(first.path, "r"):
        record = session.loopscan(5)
        # A look into the file from here would be the same reader: another process looks.
        dataset = record.channels[DIODE].dataset
        code = f"import h5py; print(len(h5py.File({str(record.path)!r})[{dataset!r}]))"
        look = [sys.executable, "-c", code]
        wait_for(
            lambda: subprocess.run(look, capture_output=True, check=False).stdout == b"5\n",
            what="5 points seen from elsewhere",
        )


def test_the_command_saves_scans_and_ends_on_sigterm(redis_url, session, tmp_path):
    process, semaphore = _start(redis_url, tmp_path, "--log=info")
    record = session.loopscan(5)
    wait_for(lambda: points_seen(record) == 5)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "complete: " in output
    assert not semaphore.exists()


def test_a_scan_that_ends_in_time_is_finished_after_sigterm(redis_url, session, tmp_path):
    process, _ = _start(redis_url, tmp_path, "--grace=20")
    with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        wait_for(lambda: points_seen(scan.record) == 4)
        process.send_signal(signal.SIGTERM)
        scan.publish()
        scan.stop()
        scan.close()
    output, _ = process.communicate(timeout=30)
    assert "1_loopscan finished" in output
    assert points_seen(scan.record) == 10


@pytest.mark.parametrize("second", [False, True], ids=["after_grace", "second_signal"])
def test_a_scan_that_does_not_end_is_suspended_and_named(redis_url, session, tmp_path, second):
    process, _ = _start(redis_url, tmp_path, "--grace=60" if second else "--grace=0.1")
    with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        wait_for(lambda: points_seen(scan.record) == 4)
        process.send_signal(signal.SIGINT)
        if second:
            process.send_signal(signal.SIGINT)
            killer = threading.Timer(0.5, process.send_signal, args=(signal.SIGINT,))
            killer.start()
        output, _ = process.communicate(timeout=30)
    assert "1_loopscan suspended" in output
    assert process.returncode == 0
    with h5py.File(scan.record.path, "r") as file:
        writer = file[scan.record.entries[0]]["writer"]
        assert writer["status"][()] == b"FAILED"
        assert b"it goes on when it is started again" in writer["description"][()]
    assert points_seen(scan.record) == 4


def test_of_two_writers_of_a_session_one_saves_and_the_other_says_why_not(
    redis_url, session, tmp_path
):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    writers = [_start(redis_url, folder, "--log=info")[0] for folder in folders]
    with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        wait_for(lambda: points_seen(scan.record) == 4, what="4 visible points")
        scan.publish()
        scan.stop()
        scan.close()
    wait_for(lambda: status_seen(scan.record) == "SUCCEEDED", what="success")
    assert points_seen(scan.record) == 10
    for writer in writers:
        writer.send_signal(signal.SIGTERM)
    output = "".join(writer.communicate(timeout=30)[0] for writer in writers)
    assert output.count("1_loopscan: complete: ") == 1, output
    # The other one came while the first was writing, or after it.
    assert "another NeXus writer is writing it" in output or "exists already" in output, output


def test_when_the_writer_that_has_the_file_is_killed_the_other_one_goes_on(
    redis_url, session, tmp_path
):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    first, _ = _start(redis_url, folders[0])
    with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        wait_for(lambda: points_seen(scan.record) == 4, what="4 visible points")
        log = tmp_path / "second.log"
        second, _ = _start(redis_url, folders[1], f"--logfile={log}")
        wait_for(lambda: "waits for its file" in log.read_text(), what="a second who waits")
        scan.publish(3)
        first.kill()
        first.communicate()
        scan.publish()
        scan.stop()
        scan.close()
    wait_for(lambda: status_seen(scan.record) == "SUCCEEDED", what="success")
    check_values(scan.record)
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=30)


def test_every_option_is_accepted_and_does_what_it_says(redis_url, session, tmp_path):
    session.data_writer = "nexus"
    log, out, err = (tmp_path / name for name in ("all.log", "out.log", "err.log"))
    process, _ = _start(
        redis_url,
        tmp_path,
        *("--keepshape", "--multivalue_positioners", "--enable_external_nonhdf5"),
        *("--disable_external_hdf5", "--copy_non_external", "--stackmca", "--noconfig"),
        *("--resource_profiling", "CPU30", "--patch", "slowdisk", "--log", "INFO"),
        *("--logfile", str(log), "--logfileout", str(out), "--logfileerr", str(err)),
        *("--filesize", "1", "--filebackups", "2", "--nologstdout"),
        *("--redirectstdout", "--redirectstderr"),
        *("--data_writer", "nexus", "--redis_url", redis_url, "--root", str(tmp_path)),
        *("--grace", "1", "--history", str(tmp_path / "history.sqlite"), "--nocatchup"),
        *("--durability", "power", "--reader_patience", "1"),
        *("--noprotect", "--nolocks", "--noleases"),
    )
    mesh = session.amesh()
    camera = session.camera(3, Camera(shape=(4, 6), frames_per_file=2))
    wait_for(lambda: status_seen(mesh) == status_seen(camera) == "SUCCEEDED", what="success")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "INFO" not in output
    with h5py.File(mesh.path, "r") as file:
        entry = file[mesh.entries[0]]
        assert entry["instrument/diode1/data"].shape == (4, 6)  # keepshape; noconfig: no signal
        assert "name" not in entry["instrument"]
        (image,) = [one for one in camera.channels.values() if one.files]
        assert not file[f"/{camera.entries[0]}/instrument/image/data"].is_virtual
        copied = file[f"/{camera.entries[0]}/instrument/image/data"][()]
    np.testing.assert_array_equal(copied, image.values())
    kept = {scan.key: scan.verdict.outcome for scan in History(tmp_path / "history.sqlite").scans()}
    assert kept == {mesh.key: Outcome.COMPLETE, camera.key: Outcome.COMPLETE}
    assert "CPU profile of scan" in log.read_text()
    assert "the writer has ended" in out.read_text()


def test_the_command_says_what_is_missing_when_it_cannot_find_redis(tmp_path):
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("REDIS_DATA_URL", "BEACON_HOST")
    }
    run = subprocess.run(
        [str(Path(sys.executable).with_name("NexusSessionWriter")), "test_session"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode != 0
    assert "REDIS_DATA_URL" in run.stderr
