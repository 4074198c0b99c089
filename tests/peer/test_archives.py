"""Runs come out of real archives as they went in: databroker 1 and 2, and Tiled.

These need packages that need others than this project does: ``make test-bluesky-peer``.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import pytest
from tests.support_recordings import recorded, unpack_assets

from nexus_writer_service.bluesky import NXWriter
from nexus_writer_service.sources.bluesky.archive import archived_runs, replay

WHERE = "make test-bluesky-peer runs this: it installs databroker and Tiled"
databroker = pytest.importorskip("databroker", reason=WHERE)
tiled = pytest.importorskip("tiled", reason=WHERE)

RECORDINGS = ("sim_scan", "streams_baseline_monitor", "ad_hdf5")
Told = dict[str, list[Any]]


@pytest.fixture
def runs(tmp_path: Path) -> list[list[Any]]:
    """Documents of some runs."""
    unpack_assets(tmp_path)
    return [list(recorded(name, tmp_path)) for name in RECORDINGS]


@pytest.fixture
def catalog(runs: list[list[Any]]) -> Any:
    """They, in a catalog of databroker."""
    catalog = databroker.temp().v2
    for run in runs:
        for name, doc in run:
            catalog.v1.insert(name, doc)
    return catalog


def gist(documents: Iterator[Any]) -> Told:
    """What a run tells, however its events are packed: values by stream and key, and its frame."""
    told: Told = {}
    streams: dict[str, str] = {}
    for name, doc in documents:
        match name:
            case "descriptor":
                streams[doc["uid"]] = doc["name"]
            case "event":
                for key, value in doc["data"].items():
                    told.setdefault(f"{streams[doc['descriptor']]}/{key}", []).append(value)
            case "event_page":
                for key, values in doc["data"].items():
                    told.setdefault(f"{streams[doc['descriptor']]}/{key}", []).extend(values)
            case "resource" | "stream_resource":
                told.setdefault("resources", []).append(1)
            case "start" | "stop":
                told[name] = [doc["uid"]]
    return {key: sorted(map(str, values)) for key, values in told.items()}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_databroker_tells_what_was_inserted(
    catalog: Any, runs: list[list[Any]], version: str
) -> None:
    for run in runs:
        (archived,) = archived_runs(getattr(catalog, version)[run[0][1]["uid"]])
        assert archived.start["uid"] == run[0][1]["uid"]
        assert gist(archived.documents()) == gist(iter(run))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_runs_of_databroker_are_replayed_in_the_order_of_their_times(
    catalog: Any, runs: list[list[Any]], version: str
) -> None:
    heard: list[Any] = []
    chosen = [getattr(catalog, version)[run[0][1]["uid"]] for run in reversed(runs)]
    replay(chosen, lambda name, doc: heard.append(doc["time"]) if name == "start" else None)
    assert heard == sorted(run[0][1]["time"] for run in runs)


@contextmanager
def tiled_client(folder: Path) -> Iterator[Any]:
    """A client of a Tiled server in this process."""
    from bluesky_tiled_plugins.exporters import json_seq_exporter  # noqa: PLC0415
    from tiled.catalog import in_memory  # noqa: PLC0415
    from tiled.client import from_context  # noqa: PLC0415
    from tiled.client.context import Context  # noqa: PLC0415
    from tiled.media_type_registration import (  # noqa: PLC0415
        default_serialization_registry,
    )
    from tiled.server.app import build_app  # noqa: PLC0415

    default_serialization_registry.register("BlueskyRun", "application/json-seq", json_seq_exporter)
    storage = {"filesystem": str(folder), "sql": f"duckdb:///{folder / 'tables.db'}"}
    app = build_app(in_memory(writable_storage=storage))
    with Context.from_app(app) as context:
        yield from_context(context)


def test_tiled_tells_what_was_written(tmp_path: Path, runs: list[list[Any]]) -> None:
    from bluesky.callbacks.tiled_writer import TiledWriter  # noqa: PLC0415

    with tiled_client(tmp_path) as client:
        writer = TiledWriter(client)
        for name, doc in runs[0]:
            writer(name, doc)
        uid = runs[0][0][1]["uid"]
        (archived,) = archived_runs(client[uid])
        assert archived.start["uid"] == uid
        assert gist(archived.documents()) == gist(iter(runs[0]))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_run_of_a_catalog_becomes_a_file(
    catalog: Any, runs: list[list[Any]], version: str, tmp_path: Path
) -> None:
    for number, run in enumerate(runs):
        file = tmp_path / f"{number}.h5"
        writer = NXWriter()
        writer.file_name = str(file)
        replay(getattr(catalog, version)[run[0][1]["uid"]], writer.receiver)
        with h5py.File(file, "r") as root:
            assert root["entry/writer/status"][()] == b"SUCCEEDED"
            assert root["entry/entry_identifier"][()].decode() == run[0][1]["uid"]


def test_a_run_engine_feeds_a_catalog_a_table_and_the_writer(tmp_path: Path) -> None:
    from bluesky import RunEngine, plans  # noqa: PLC0415
    from bluesky.callbacks.best_effort import BestEffortCallback  # noqa: PLC0415
    from ophyd.sim import det, motor  # noqa: PLC0415

    catalog = databroker.temp().v2
    table = BestEffortCallback()
    table.disable_plots()
    writer = NXWriter()
    writer.file_name = str(tmp_path / "live.h5")
    engine = RunEngine({})
    for callback in (catalog.v1.insert, table, writer.receiver):
        engine.subscribe(callback)
    engine(plans.scan([det], motor, -1, 1, 3))
    (result,) = writer.wait_writer(60)
    assert result.ok
    again = NXWriter()
    again.file_name = str(tmp_path / "again.h5")
    replay(catalog.v1[1], again.receiver)
    for name in ("live", "again"):
        with h5py.File(tmp_path / f"{name}.h5", "r") as file:
            assert file["entry/data/motor"][()].tolist() == [-1, 0, 1]


def test_punx_shows_the_file(tmp_path: Path, runs: list[list[Any]]) -> None:
    pytest.importorskip("punx", reason=WHERE)
    writer = NXWriter()
    writer.file_name = str(tmp_path / "run.h5")
    replay(runs[0], writer.receiver)
    done = subprocess.run(
        [sys.executable, "-m", "punx.main", "tree", str(tmp_path / "run.h5")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "entry:NXentry" in done.stdout
    assert "entry_identifier: --> /entry/instrument/bluesky/metadata/run_start_uid" in done.stdout
