"""Runs of a real RunEngine, with devices of ophyd and ophyd-async."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.support_conformance import findings_below
from tests.support_waiting import wait_for
from typer.testing import CliRunner

from nexus_writer_service.cli.main import app
from nexus_writer_service.sources.bluesky.recording import read_recording

ROOT = Path(__file__).parents[2]
PRIMARY = "entry/instrument/bluesky/streams/primary"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of all plans; ``said.txt`` holds what the program said."""
    folder = tmp_path_factory.mktemp("engine")
    with open(folder / "said.txt", "w") as said:
        subprocess.run(
            [sys.executable, "-m", "tests.bluesky_runs", str(folder)],
            cwd=ROOT,
            env={**os.environ, "MPLBACKEND": "Agg"},
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=110,
        )
    return folder


def events(runs: Path, name: str) -> list[dict[str, Any]]:
    return [doc for kind, doc in read_recording(runs / f"{name}.jsonl") if kind == "event"]


def test_every_plan_ends_with_a_complete_file(runs: Path) -> None:
    said = (runs / "said.txt").read_text()
    results = re.findall(r"^(\w+) run \w+: (\w+): .*", said, flags=re.MULTILINE)
    names = ["scan", "two_at_once", "two_at_once", "paused", "failing", "flown", "blobs"]
    assert results == [(name, "complete") for name in [*names, "baseline_and_monitor", "within"]]


def test_what_a_run_engine_makes_conforms(runs: Path) -> None:
    # Data keys of ophyd-async have a minus, which NeXus does not allow in names.
    assert [one for one in findings_below(runs) if "bdet-" not in one] == []


def test_values_and_times_are_those_of_the_events(runs: Path) -> None:
    told = events(runs, "scan")
    with h5py.File(runs / "scan.h5", "r") as file:
        for key in ("det", "noisy_det", "motor", "motor_setpoint"):
            group = file[f"{PRIMARY}/{key}"]
            assert group["value"][()].tolist() == [one["data"][key] for one in told]
            assert group["EPOCH"][()].tolist() == [one["timestamps"][key] for one in told]


def test_runs_that_are_open_at_once_have_files_of_their_own(runs: Path) -> None:
    found = {}
    for path in (runs / "two_at_once").glob("*.hdf"):
        with h5py.File(path, "r") as file:
            purpose = file["entry/instrument/bluesky/metadata/purpose"][()].decode()
            streams = file[PRIMARY]
            found[purpose] = {key: len(streams[key]["value"]) for key in streams}
    assert found == {"inner": {"det": 2}, "outer": {"motor": 3, "motor_setpoint": 3}}


def test_a_point_that_was_measured_again_after_a_pause_is_there_once(runs: Path) -> None:
    numbers = [one["seq_num"] for one in events(runs, "paused")]
    assert len(numbers) > len(set(numbers)) == 5
    with h5py.File(runs / "paused.h5", "r") as file:
        assert file["entry/data/motor"][()].tolist() == [-1, -0.5, 0, 0.5, 1]


def test_a_plan_that_failed_is_told_from_one_that_did_not(runs: Path) -> None:
    with h5py.File(runs / "failing.h5", "r") as file:
        stop = file["entry/instrument/bluesky/run_stop"]
        assert stop["exit_status"][()] == b"fail"
        assert stop["reason"][()] == b"the shutter is closed"
        assert len(file[f"{PRIMARY}/det/value"]) == 1


def test_a_hundred_thousand_events_are_there(runs: Path) -> None:
    with h5py.File(runs / "flown.h5", "r") as file:
        values = file["entry/instrument/bluesky/streams/flown/count/value"][()]
    assert np.array_equal(values, np.arange(100_000.0))


def test_images_that_ophyd_async_saved_are_linked(runs: Path) -> None:
    (resource,) = (
        doc
        for kind, doc in read_recording(runs / "blobs.jsonl")
        if kind == "stream_resource" and doc["data_key"] == "bdet"
    )
    (images,) = (path for path in runs.glob("*.h5") if path.name in resource["uri"])
    with h5py.File(runs / "blobs.h5", "r") as file, h5py.File(images, "r") as saved:
        dataset = file[f"{PRIMARY}/bdet/value"]
        assert dataset.is_virtual
        frames = saved["entry/data/data"][()]
        assert frames.any()
        assert np.array_equal(dataset[()].reshape(frames.shape), frames)


def test_streams_beside_the_primary_one_are_there(runs: Path) -> None:
    with h5py.File(runs / "baseline_and_monitor.h5", "r") as file:
        streams = file["entry/instrument/bluesky/streams"]
        assert set(streams) == {"baseline", "noisy_det_monitor", "primary"}
        assert len(streams["baseline/motor/value"]) == 2


SCAN_FOR_EVER = """
import sys
from bluesky import RunEngine, plans
from nexus_writer_service.bluesky import NXWriter
from ophyd.sim import det

writer = NXWriter()
writer.file_name = sys.argv[1]
engine = RunEngine({})
engine.subscribe(writer.receiver)
engine.subscribe(lambda name, doc: print(doc["seq_num"], flush=True), "event")
engine(plans.count([det], num=1_000_000))
"""


@pytest.fixture
def endless(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A RunEngine that counts for ever, and says each event's number."""
    command = [sys.executable, "-c", SCAN_FOR_EVER, str(tmp_path / "killed.h5")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def points(path: Path) -> int:
    """How many points a plain reader finds."""
    try:
        with h5py.File(path, "r") as file:
            return len(file[f"{PRIMARY}/det/value"])
    except (OSError, KeyError):
        return 0


def test_a_killed_run_engine_leaves_all_points_that_readers_had_seen(
    endless: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    assert endless.stdout is not None
    path = tmp_path / "killed.h5"
    while select.select([endless.stdout], [], [], 60)[0]:
        if int(endless.stdout.readline()) >= 20:
            break
    seen = wait_for(lambda: points(path) >= 20 and points(path), what="points in the file")
    os.kill(endless.pid, signal.SIGKILL)
    endless.wait()
    done = CliRunner().invoke(app, ["recover", str(path), "--final"])
    assert done.exit_code in (0, 1), done.output
    with h5py.File(path, "r") as file:
        values = file[f"{PRIMARY}/det/value"][()]
        assert len(values) >= seen
        assert (values == 1.0).all()
        assert file["entry/writer/status"][()] == b"FAILED"
