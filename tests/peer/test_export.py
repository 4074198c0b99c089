"""``nexus-writer export`` reads real archives: catalogs by name, Tiled servers by address.

These need packages that need others than this project does: ``make test-bluesky-peer``.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from tests.support_recordings import recorded, unpack_assets
from tests.support_waiting import wait_for

WHERE = "make test-bluesky-peer runs this: it installs databroker and Tiled"
pytest.importorskip("databroker", reason=WHERE)
pytest.importorskip("tiled", reason=WHERE)

RECORDINGS = ("sim_scan", "streams_baseline_monitor", "ad_hdf5")
CATALOG = """
sources:
  mine:
    driver: bluesky-jsonl-catalog
    args: {{paths: ["{folder}/*.jsonl"]}}
"""
SERVER = """
authentication: {{single_user_api_key: secret, allow_anonymous_access: true}}
trees:
  - path: /
    tree: catalog
    args:
      uri: sqlite:///{folder}/catalog.db
      init_if_not_exists: true
      writable_storage: ["file://localhost{folder}/data", "duckdb:///{folder}/tables.db"]
media_types:
  BlueskyRun: {{application/json-seq: "bluesky_tiled_plugins.exporters:json_seq_exporter"}}
"""


@pytest.fixture
def runs(tmp_path: Path) -> list[list[Any]]:
    """Documents of some runs."""
    unpack_assets(tmp_path)
    return [list(recorded(name, tmp_path)) for name in RECORDINGS]


def uids(runs: list[list[Any]]) -> list[str]:
    return sorted(run[0][1]["uid"] for run in runs)


def export(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the command does, in a process as users start it."""
    return subprocess.run(
        [sys.executable, "-m", "nexus_writer_service.cli.main", "export", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def exported(folder: Path) -> list[str]:
    """Uids of the runs that are complete in the files of a folder."""
    found = []
    for path in folder.iterdir():
        with h5py.File(path, "r") as file:
            if file["entry/writer/status"].asstr()[()] == "SUCCEEDED":
                found.append(file["entry/entry_identifier"].asstr()[()])
    return sorted(found)


# ------------------------------------------------------------------------------ databroker


@pytest.fixture
def known_catalog(tmp_path: Path, runs: list[list[Any]]) -> dict[str, str]:
    """The environment in which databroker knows the runs as the catalog ``mine``."""
    folder = tmp_path / "share" / "intake"
    folder.mkdir(parents=True)
    for run in runs:
        lines = [json.dumps(pair) + "\n" for pair in run]
        (tmp_path / f"{run[0][1]['uid']}.jsonl").write_text("".join(lines))
    (folder / "mine.yml").write_text(CATALOG.format(folder=tmp_path))
    return {"XDG_DATA_HOME": str(tmp_path / "share")}


def test_all_runs_of_a_catalog_are_exported_and_the_second_time_nothing_is_done(
    known_catalog: dict[str, str], runs: list[list[Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("--catalog", "mine", "--out", str(out), "--workers", "2")
    done = export(*arguments, **known_catalog)
    assert done.returncode == 0, done.stderr
    assert exported(out) == uids(runs)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = export(*arguments, **known_catalog)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_runs_of_a_catalog_are_chosen_by_uid_and_time(
    known_catalog: dict[str, str], runs: list[list[Any]], tmp_path: Path
) -> None:
    uid = runs[1][0][1]["uid"]
    out = tmp_path / "out"
    done = export("--catalog", "mine", "--run", uid[:8], "--out", str(out), **known_catalog)
    assert done.returncode == 0, done.stderr
    assert exported(out) == [uid]
    late = export("--catalog", "mine", "--since", "2100-01-01", "--out", str(out), **known_catalog)
    assert late.returncode == 2
    assert "there is no such run" in late.stderr


def test_a_catalog_that_databroker_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    done = export("--catalog", "nobody's", "--out", str(tmp_path / "out"))
    assert done.returncode != 0
    assert "databroker knows no catalog" in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------ Tiled


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def server(tmp_path: Path, runs: list[list[Any]]) -> Iterator[str]:
    """The address of a Tiled server that has the runs but for those with files of detectors."""
    from bluesky.callbacks.tiled_writer import TiledWriter  # noqa: PLC0415 - not everywhere
    from tiled.client import from_uri  # noqa: PLC0415

    folder = tmp_path / "tiled"
    folder.mkdir()
    (folder / "config.yml").write_text(SERVER.format(folder=folder))
    port = free_port()
    program = [sys.executable, "-m", "tiled", "serve", "config", str(folder / "config.yml")]
    options = ["--host", "127.0.0.1", "--port", str(port)]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([*program, *options], stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(lambda: process.poll() is not None or listening(port), 60)
            assert process.poll() is None, (folder / "log").read_text()
            address = f"http://127.0.0.1:{port}"
            writer = TiledWriter(from_uri(address, api_key="secret"))
            for run in runs[:2]:
                for name, doc in run:
                    writer(name, doc)
            yield address
        finally:
            process.terminate()


def test_all_runs_of_a_tiled_server_are_exported(
    server: str, runs: list[list[Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = export("--tiled", server, "--out", str(out), "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert exported(out) == uids(runs[:2])


def test_a_tiled_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    done = export("--tiled", address, "--out", str(tmp_path / "out"))
    assert done.returncode != 0
    assert address in done.stderr
    assert "Traceback" not in done.stderr
