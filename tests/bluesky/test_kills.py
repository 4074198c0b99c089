"""What is left of a run when its process dies, and what becomes of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support_bluesky import Run, feed, scan, values
from tests.support_waiting import wait_for

from nexus_writer_service.bluesky import NXWriter

ROOT = Path(__file__).parents[2]


@pytest.fixture
def process(tmp_path):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    program = [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path)]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.kill()


def shown(path):
    try:
        with h5py.File(path, "r", locking=False) as file:
            group = file.get("entry/data/det")
            return 0 if group is None else len(group)
    except OSError:
        return 0


def recovered(folder):
    """What ``nexus-writer recover`` says."""
    program = [
        sys.executable,
        "-m",
        "nexus_writer_service.cli.main",
        "recover",
        str(folder / "run.h5"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(program, capture_output=True, text=True, env=environment, check=False)


def test_a_run_that_is_killed_keeps_its_points_and_recover_closes_it(process, tmp_path):
    path = tmp_path / "run.h5"
    assert process.stdout.readline().strip() == "1000"
    wait_for(lambda: shown(path) >= 1000)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    with h5py.File(path, "r") as file:
        before = values(file, "det")
        assert file["entry/writer/status"].asstr()[()] == "RUNNING"
    assert np.array_equal(before, np.arange(len(before)))
    done = recovered(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "redis" not in done.stdout.lower()
    assert "incomplete: the process that wrote it died" in done.stdout
    with h5py.File(path, "r+") as file:  # nobody claims it any more
        assert np.array_equal(values(file, "det"), before)
        assert np.array_equal(values(file, "motor"), -before)
        assert file["entry/writer/status"].asstr()[()] == "FAILED"
        assert file["entry/writer/description"].asstr()[()].startswith("incomplete")


def test_a_process_that_ends_within_a_run_leaves_it_interrupted(process, tmp_path):
    assert process.stdout.readline().strip() == "1000"
    process.stdin.close()
    assert process.wait(60) == 0
    with h5py.File(tmp_path / "run.h5", "r") as file:
        assert len(values(file, "det")) == 1001
        assert "interrupted" in file["entry/writer/description"].asstr()[()]


def test_a_file_whose_writer_was_killed_keeps_its_name_and_the_next_run_gets_another(
    process, tmp_path
):
    path = tmp_path / "run.h5"
    assert process.stdout.readline().strip() == "1000"
    wait_for(lambda: shown(path) >= 1000)
    process.kill()
    process.wait(20)
    writer = NXWriter()
    writer.file_name = path
    feed(writer, scan(Run(7)))
    (result,) = writer.wait_writer()
    assert result.ok
    assert result.file == tmp_path / "run-0000000.h5"
    assert shown(path) >= 1000
