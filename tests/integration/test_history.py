"""What became of scans is known after their writer has ended, and to the next one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support_session import running_writer
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.history import History

pytestmark = pytest.mark.integration


def test_every_verdict_outlives_the_writer_and_its_restart(redis_url, session, tmp_path):
    history = tmp_path / "history.sqlite"
    good = ProcessOptions(session.name, history=history)
    with running_writer(redis_url, good) as writer:
        complete = session.loopscan(5)
        writer.over(complete)
    refusing = ProcessOptions(session.name, history=history, roots=(str(tmp_path / "allowed"),))
    with running_writer(redis_url, refusing) as writer:
        failed = session.loopscan(5)
        writer.over(failed)
    after = {scan.key: scan for scan in History(history).scans()}
    assert after[complete.key].verdict.outcome is Outcome.COMPLETE
    assert after[complete.key].urls == (f"{complete.path}::/{complete.entries[0]}",)
    assert after[failed.key].verdict.outcome is Outcome.FAILED
    assert len(after) == 2
    program = Path(sys.executable).with_name("nexus-writer")
    run = subprocess.run(
        [str(program), "history", f"--history={history}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    _, newest, oldest = run.stdout.splitlines()
    assert failed.name in newest
    assert "failed: " in newest
    assert complete.name in oldest
    assert "complete: " in oldest


@pytest.mark.parametrize("nohistory", [False, True])
def test_the_command_keeps_verdicts_in_the_user_s_state_unless_told_not_to(
    redis_url, session, tmp_path, nohistory
):
    semaphore = tmp_path / "listening"
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("NexusSessionWriter")),
            *(session.name, f"--start_semaphore_file={semaphore}", "--log=info", "--grace=20"),
            *("--required_disk_space=0", "--recommended_disk_space=0"),
            *(["--nohistory"] if nohistory else []),
        ],
        env={**os.environ, "REDIS_DATA_URL": redis_url, "XDG_STATE_HOME": str(tmp_path / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: semaphore.exists() or process.poll() is not None, what="listening")
    record = session.loopscan(5)
    wait_for(record.path.exists, what="the file")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert "complete: " in output
    history = tmp_path / "state" / "nexus_writer_service" / "history.sqlite"
    if nohistory:
        assert not history.parent.exists()
    else:
        assert [scan.key for scan in History(history).scans()] == [record.key]
