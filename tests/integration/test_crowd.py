"""Many scans into one file, two writers that both want it, and a reader that never leaves."""

import signal
import subprocess
import sys
import threading
from functools import partial

import pytest
from tests.support_service_kills import history_of, writer
from tests.support_session import check_values
from tests.support_waiting import wait_for

from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.testing.simulation import designs

pytestmark = pytest.mark.integration

_SCANS = 20
_STAY = "import h5py, sys; file = h5py.File(sys.argv[1]); print('in', flush=True); input()"


@pytest.fixture
def reader(session):
    """A process that opens the file, and stays in it until the end of the test."""
    first = session.loopscan(2)
    wait_for(lambda: first.path.exists() and first.path.stat().st_size, what="the file")
    with subprocess.Popen(
        [sys.executable, "-c", _STAY, str(first.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield first
        assert process.poll() is None
        process.communicate("\n")


@pytest.fixture
def writers(redis_url, session, tmp_path):
    """Two writers of one session; each with a history of its own, so that both try all scans."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    histories = [f"--history={folder / 'history.sqlite'}" for folder in folders]
    # The reader never leaves: every commit that shows has waited for it for this long.
    options = ("--log=info", "--reader_patience=2")
    with (
        writer(redis_url, folders[0], histories[0], *options),
        writer(redis_url, folders[1], histories[1], *options) as second,
    ):
        yield folders
        second.send_signal(signal.SIGTERM)
        second.wait(30)


def _is_complete(folders, record):
    found = [history_of(folder).get(record.key) for folder in folders]
    return any(one is not None and one.outcome is Outcome.COMPLETE for one in found)


@pytest.mark.timeout(240)
def test_twenty_scans_two_writers_and_a_reader_inside_lose_nothing(session, writers, reader):
    records = []

    def publish():
        scan = session.open(lambda setting: designs.loopscan(setting, 50), period=0.02)
        records.append(scan.record)
        scan.run()

    threads = [threading.Thread(target=publish) for _ in range(_SCANS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.path for record in records}) == 1
    for record in records:
        wait_for(partial(_is_complete, writers, record), timeout=60, what=f"complete {record.name}")
    for record in records:  # nothing is written any more: no commit meets this reader
        check_values(record)
    logs = [(folder / "writer.log").read_text() for folder in writers]
    said = ["another NeXus writer is writing it" in log or "saved already" in log for log in logs]
    assert any(said), logs
    assert all("Traceback" not in log for log in logs), logs
