"""``nexus-writer export``: runs of recordings become files, once, at nobody else's cost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import h5py
import pytest
from tests.support_recordings import long_run, recorded, unpack_assets
from tests.support_waiting import wait_for
from typer.testing import CliRunner, Result

from nexus_writer_service.bluesky import NXWriter
from nexus_writer_service.cli.main import app
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.sources.bluesky.recording import Document, Recorder

SOUND = ("sim_scan", "sim_count", "config_data")


class OwnWriter(NXWriter):
    """A writer of a user's own."""

    instrument_name = "own"


def record(path: Path, documents: Iterable[Document]) -> Path:
    with Recorder(path) as recorder:
        for name, doc in documents:
            recorder(name, doc)
    return path


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder with three recordings."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in SOUND:
        record(folder / f"{name}.jsonl", recorded(name, tmp_path))
    return folder


def export(*arguments: object, workers: int = 1) -> Result:
    return CliRunner().invoke(app, ["export", f"--workers={workers}", *map(str, arguments)])


def uids(folder: Path) -> set[str]:
    found = set()
    for path in folder.glob("*.hdf"):
        with h5py.File(path, "r") as file:
            found.add(file["entry/entry_identifier"][()].decode())
    return found


def test_every_run_becomes_a_file_and_the_second_time_nothing_is_done(
    recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = export(recordings, f"--out={out}")
    assert first.exit_code == 0, first.output
    assert "3 runs: 3 complete" in first.output
    assert len(uids(out)) == 3
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = export(recordings, f"--out={out}")
    assert again.exit_code == 0
    assert "3 runs: 3 there already" in again.output
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_workers_share_the_runs(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export(recordings, f"--out={out}", workers=2)
    assert done.exit_code == 0, done.output
    assert len(uids(out)) == 3


def test_another_file_of_the_name_is_left_alone_unless_told(
    recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    source = recordings / "sim_scan.jsonl"
    export(source, f"--out={out}")
    (path,) = out.iterdir()
    path.write_bytes(b"somebody's thesis")
    refused = export(source, f"--out={out}")
    assert refused.exit_code == 1
    assert "name taken" in refused.output
    assert path.read_bytes() == b"somebody's thesis"
    assert export(source, f"--out={out}", "--overwrite").exit_code == 0
    assert len(uids(out)) == 1
    assert [one.name for one in out.iterdir()] == [path.name]


def test_what_is_not_complete_is_reported_and_tried_again(tmp_path: Path) -> None:
    unpack_assets(tmp_path)
    documents = list(recorded("ad_hdf5_late_close", tmp_path))
    source = record(tmp_path / "run.jsonl", documents)
    (images,) = [doc["resource_path"] for name, doc in documents if name == "resource"]
    hidden = (tmp_path / Path(images).name).rename(tmp_path / "hidden.bin")
    out, report = tmp_path / "out", tmp_path / "report.json"
    arguments = (source, f"--out={out}", f"--report={report}", f"--writer={__name__}:Impatient")
    assert export(*arguments).exit_code == 1
    (told,) = json.loads(report.read_text())
    assert told["fate"] == "incomplete"
    assert "missing files" in told["detail"]
    hidden.rename(tmp_path / Path(images).name)
    assert export(*arguments).exit_code == 0
    assert [path.suffix for path in out.iterdir()] == [".hdf"]


class Impatient(NXWriter):
    """Does not wait long for detectors."""

    _external_file_read_timeout = 0.5


def test_a_file_that_would_get_worse_is_kept(tmp_path: Path) -> None:
    documents = list(recorded("missing_none_value", tmp_path))
    source = record(tmp_path / "run.jsonl", documents)
    out = tmp_path / "out"
    assert export(source, f"--out={out}").exit_code == 1
    (path,) = out.iterdir()
    content = path.read_bytes()
    record(tmp_path / "cut.jsonl", documents[:3])
    report = tmp_path / "report.json"
    worse = export(tmp_path / "cut.jsonl", f"--out={out}", f"--report={report}")
    assert worse.exit_code == 1
    (told,) = json.loads(report.read_text())
    assert told["fate"] == "incomplete"
    assert told["detail"].startswith("worse than before, which is kept: ")
    assert path.read_bytes() == content
    assert list(out.iterdir()) == [path]


def test_a_run_that_was_left_half_written_is_written_again(tmp_path: Path) -> None:
    documents = list(recorded("sim_scan", tmp_path))
    out = tmp_path / "out"
    writer = NXWriter()
    writer.file_path = str(out)
    for name, doc in documents[:6]:
        writer.receiver(name, doc)
    writer.close()
    (result,) = writer.wait_writer(timeout=60)
    assert result.verdict.outcome is Outcome.INTERRUPTED
    assert export(record(tmp_path / "run.jsonl", documents), f"--out={out}").exit_code == 0
    assert list(out.iterdir()) == [result.file]


def test_an_export_that_was_killed_is_finished_by_the_same_command(tmp_path: Path) -> None:
    source = record(tmp_path / "long.jsonl", long_run(10_000))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "nexus_writer_service.cli.main", "export", str(source)]
    process = subprocess.Popen([*command, f"--out={out}", "--workers=1"], stderr=subprocess.DEVNULL)
    wait_for(lambda: list(out.glob("*.hdf")), what="a file that is being written")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = export(source, f"--out={out}")
    assert done.exit_code == 0, done.output
    assert [path.suffix for path in out.iterdir()] == [".hdf"]
    (path,) = out.iterdir()
    with h5py.File(path, "r") as file:
        streams = file["entry/instrument/bluesky/streams/primary"]
        assert streams["motor/value"][-1] == 10_000 - 1
        assert len(streams["det/value"]) == 10_000


def test_runs_that_were_open_at_once_are_files_of_their_own(tmp_path: Path) -> None:
    both = [list(recorded(name, tmp_path)) for name in ("sim_count", "config_data")]
    mixed = [one for pair in zip(*both, strict=False) for one in pair]
    shortest = min(map(len, both))
    mixed += [one for run in both for one in run[shortest:]]
    out = tmp_path / "out"
    assert export(record(tmp_path / "mixed.jsonl", mixed), f"--out={out}").exit_code == 0
    assert uids(out) == {run[0][1]["uid"] for run in both}


def test_runs_are_chosen_by_uid_and_time(recordings: Path, tmp_path: Path) -> None:
    uid = next(recorded("sim_count", tmp_path))[1]["uid"]
    out = tmp_path / "out"
    assert export(recordings, f"--out={out}", f"--run={uid[:8]}").exit_code == 0
    assert uids(out) == {uid}
    assert export(recordings, f"--out={out}", "--since=2999-01-01").exit_code == 2
    assert export(recordings, f"--out={out}", "--until=1999-01-01").exit_code == 2


def test_a_writer_of_one_s_own_is_used(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export(recordings, f"--out={out}", f"--writer={__name__}:OwnWriter")
    assert done.exit_code == 0, done.output
    for path in out.iterdir():
        with h5py.File(path, "r") as file:
            assert file.attrs["instrument"] == "own"
            assert file.attrs["creator"] == "OwnWriter"


def test_one_run_that_cannot_be_read_costs_the_others_nothing(
    recordings: Path, tmp_path: Path
) -> None:
    lines = (recordings / "sim_count.jsonl").read_text().splitlines()
    lines[3] = '{"name": "event", "doc": {"descriptor": {"__nd__": 1}}}'
    (recordings / "sim_count.jsonl").write_text("\n".join(lines))
    out = tmp_path / "out"
    done = export(recordings, f"--out={out}")
    assert done.exit_code == 1
    assert "2 complete, 1 failed" in done.output
    assert "DecodeError" in done.output


def test_archives_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    done = export("--catalog=nowhere", f"--out={tmp_path}")
    assert done.exit_code != 0
    assert "databroker" in str(done.exception)
    assert "no writer" in str(export(tmp_path, "--writer=nonsense:None").exception)
