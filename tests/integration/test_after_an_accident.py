"""The commands for after an accident, with a real writer that is killed in the middle of a scan."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import redis
from tests.support_history import recorded, running
from tests.support_waiting import wait_for

from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.history import History
from nexus_writer_service.testing.simulation import designs

pytestmark = pytest.mark.integration

DIODE = "simulation_diode_sampling_controller:diode1"


def command(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "nexus_writer_service.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def points_seen(record):
    try:
        with h5py.File(record.path) as file:
            return len(file[record.channels[DIODE].dataset])
    except (OSError, KeyError):
        return 0


@pytest.fixture
def writer(redis_url, session, tmp_path):
    semaphore = tmp_path / "listening"
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("NexusSessionWriter")),
            *(session.name, f"--start_semaphore_file={semaphore}", "--required_disk_space=0"),
            *("--recommended_disk_space=0", f"--history={tmp_path / 'history.sqlite'}"),
        ],
        env={**os.environ, "REDIS_DATA_URL": redis_url},
    )
    wait_for(semaphore.exists, what="listening")
    yield process
    process.kill()
    process.wait()


def test_a_killed_writer_s_scan_is_left_while_redis_has_it_and_concluded_when_not(
    writer, session, redis_url, tmp_path
):
    history = tmp_path / "history.sqlite"
    with session.open(lambda setting: designs.loopscan(setting, 10), plotselect=(DIODE,)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        record = scan.record
        wait_for(lambda: points_seen(record) == 4, what="4 visible points")
        status, output = command("check", record.path)
        assert status == 3, output
        assert f"is being written by process {writer.pid}" in output
        assert "running" in output
        assert "conformance" not in output

        status, output = command("recover", record.path, f"--redis_url={redis_url}")
        assert status == 1
        assert f"left as it is: process {writer.pid} is writing it" in output

        writer.send_signal(signal.SIGKILL)
        writer.wait()
        started = running(key=record.key, started=-1e6, now=-1e6, file=str(record.path))
        recorded(history, started)
        for arguments in (record.path,), ("--unfinished", f"--history={history}"):
            status, output = command("recover", *arguments, f"--redis_url={redis_url}")
            assert status == 0, output
            assert "is still in Redis: start the writer, and it goes on" in output
        scan.publish()
        scan.stop()
        scan.close()
    with redis.Redis.from_url(redis_url) as client:
        client.delete(record.key)
    status, output = command(
        "recover", "--unfinished", f"--history={history}", f"--redis_url={redis_url}"
    )
    assert status == 0, output
    assert "incomplete: its writer was stopped, and Redis does not hold the scan" in output
    assert points_seen(record) >= 4
    status, output = command("check", record.path)
    assert status == 3, output
    (past,) = History(history).find(record.key)
    assert past.verdict.outcome is Outcome.INCOMPLETE
