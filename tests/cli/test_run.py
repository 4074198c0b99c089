"""``nexus-writer run``: the scans of all sessions, saved by one process."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from tests.support_session import check_values
from tests.support_waiting import wait_for

from nexus_writer_service.errors import FileError
from nexus_writer_service.service.history import History
from nexus_writer_service.testing.simulation import SimulatedSession, designs

pytestmark = pytest.mark.integration


@contextmanager
def running(url: str, folder, *options: str):
    """The process, from its first look at the database until it is told to end."""
    semaphore = folder / "listening"
    with (folder / "output.log").open("ab") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "nexus_writer_service.cli.main", "run", url),
                *(f"--start_semaphore_file={semaphore}", "--grace=0.1"),
                *("--required_disk_space=0", "--recommended_disk_space=0", *options),
            ],
            env={**os.environ, "XDG_STATE_HOME": str(folder)},
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: semaphore.exists() or process.poll() is not None, what="listening")
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, (folder / "output.log").read_text()
    finally:
        process.kill()
        process.wait(20)


def await_outcome(folder, record, outcome: str) -> None:
    history = History(folder / "nexus_writer_service" / "history.sqlite")

    def there() -> bool:
        try:
            return any(one.verdict.outcome.value == outcome for one in history.find(record.key))
        except FileError:
            return False

    wait_for(there, what=f"{record.name} {outcome}")


@pytest.fixture
def other(redis_url, tmp_path):
    """A second session on the same database."""
    with SimulatedSession(redis_url, "other_session", data_root=tmp_path / "other") as session:
        yield session


def test_the_scans_of_all_sessions_are_saved_also_those_missed_and_interrupted(
    redis_url, tmp_path, simulated_session, other
):
    missed = other.loopscan(3)
    scan = simulated_session.open(lambda setting: designs.loopscan(setting, 10))
    scan.prepare()
    scan.start()
    scan.publish(4)
    with running(redis_url, tmp_path) as process:
        live = other.loopscan(5)
        await_outcome(tmp_path, missed, "complete")
        await_outcome(tmp_path, live, "complete")
        await_outcome(tmp_path, scan.record, "running")
        process.kill()
        process.wait(20)
        (tmp_path / "listening").unlink()
        scan.publish(2)
        with running(redis_url, tmp_path):
            scan.publish()
            scan.stop()
            scan.close()
            await_outcome(tmp_path, scan.record, "complete")
        process.returncode = 0  # it was killed on purpose
    for record in (missed, live, scan.record):
        check_values(record)


def test_scans_that_others_save_are_left_to_them_unless_asked_for(
    redis_url, tmp_path, simulated_session
):
    records = {}
    for writer in ("nexus", "mapping", "hdf5", "null", "", "external"):
        simulated_session.filename = f"of_{writer or 'nobody'}"
        simulated_session.data_writer = writer
        records[writer] = simulated_session.loopscan(3)
    with running(redis_url, tmp_path):
        for writer in ("", "external"):
            await_outcome(tmp_path, records[writer], "complete")
    saved = {writer for writer, record in records.items() if record.path.exists()}
    assert saved == {"", "external"}
    (tmp_path / "listening").unlink(missing_ok=True)
    with running(redis_url, tmp_path, "--data_writer=any"):
        for writer in ("nexus", "mapping", "hdf5"):
            await_outcome(tmp_path, records[writer], "complete")
    assert not records["null"].path.exists()


def test_one_session_can_be_chosen(redis_url, tmp_path, simulated_session, other):
    with running(redis_url, tmp_path, "--session=other_session"):
        left = simulated_session.loopscan(3)
        record = other.loopscan(3)
        await_outcome(tmp_path, record, "complete")
    assert not left.path.exists()


def test_an_address_that_is_none_is_an_error_that_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "nexus_writer_service.cli.main", "run", "http://nowhere"],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "nexus-writer run: http://nowhere is not the URL of a Redis server" in done.stderr
    assert "Traceback" not in done.stderr
