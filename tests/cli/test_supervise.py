"""``nexus-writer supervise``: a writer that is killed is recovered and started again."""

import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from tests.support_history import recorded, running
from tests.support_left import LATE_POINTS, POINTS, begin, journal, writer_of
from tests.support_waiting import wait_for

from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.history import History

# The first time it dies with a commit in its journal, after that it waits to be told to stop.
_WRITER = """
import os, signal, sys
from pathlib import Path
from tests.support_left import journal
path = Path(sys.argv[1])
if not path.exists():
    sys.argv = ["", str(path), "e1=scan:1"]
    from tests import support_left
    exec(support_left._DIE)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
path.with_name("again").write_text(str(journal(path).exists()))
signal.pause()
"""


@pytest.fixture
def environment():
    hidden = ("REDIS_DATA_URL", "BEACON_HOST")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def supervise(environment, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "nexus_writer_service.cli.main", "supervise", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def test_a_killed_writer_is_recovered_at_once_and_started_again(tmp_path, environment):
    path, history = tmp_path / "file.h5", tmp_path / "history.sqlite"
    recorded(history, running(key="scan:1", started=-1e6, now=-1e6, file=str(path)))
    command = ("--", sys.executable, "-c", _WRITER, str(path))
    with supervise(environment, f"--history={history}", *command) as process:
        again = tmp_path / "again"
        said = wait_for(lambda: again.exists() and again.read_text(), what="second start")
        assert said == "False"  # the journal was recovered before
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["1.1/data/x"], np.arange(POINTS + LATE_POINTS))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "the writer has ended by SIGKILL; recovering its files" in output
    assert "recovery: " in output
    assert "replayed" in output
    assert "/1.1: interrupted" in output
    assert "is not started again" in output
    assert not journal(path).exists()
    (scan,) = History(history).scans()
    assert scan.verdict.outcome is Outcome.INTERRUPTED


def test_a_writer_that_still_lives_keeps_its_file(tmp_path, environment):
    """Another writer holds the file while ours dies: recovery leaves it alone."""
    path, history = tmp_path / "file.h5", tmp_path / "history.sqlite"
    recorded(history, running(key="scan:1", started=-1e6, now=-1e6, file=str(path)))
    code = "import os, sys; os.path.exists(sys.argv[1]) or (open(sys.argv[1], 'w'), sys.exit(3))"
    with writer_of(path) as writer:
        command = ("--", sys.executable, "-c", code, str(tmp_path / "once"))
        with supervise(environment, f"--history={history}", *command) as process:
            output, _ = process.communicate(timeout=60)
        assert writer.stdin is not None
        writer.stdin.close()
    assert writer.returncode == 0
    assert process.returncode == 0, output
    assert f"left as it is: process {writer.pid} is writing it" in output


def test_a_program_that_does_not_exist_is_wrong_usage(environment):
    with supervise(environment, "--", "no-such-program-anywhere") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no-such-program-anywhere" in output


def test_redis_is_asked_where_the_option_says(tmp_path, environment):
    path, history = tmp_path / "file.h5", tmp_path / "history.sqlite"
    begin(path, e1="scan:1").close()
    recorded(history, running(key="scan:1", started=-1e6, now=-1e6, file=str(path)))
    code = "import os, sys; os.path.exists(sys.argv[1]) or (open(sys.argv[1], 'w'), sys.exit(3))"
    options = f"--history={history}", "--redis_url=redis://:secret@127.0.0.1:1"
    command = ("--", sys.executable, "-c", code, str(tmp_path / "once"))
    with supervise(environment, *options, *command) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "@127.0.0.1:1 cannot be reached" in output
    assert "secret" not in output
