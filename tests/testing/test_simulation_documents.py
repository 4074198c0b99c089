"""A simulated session announces its scans like BLISS: compared with what BLISS 2.2 published."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blissdata import DataStore
from blissdata.h5map.hdf5_items import Group

from nexus_writer_service.testing.simulation import (
    Camera,
    Clock,
    EsrfSaving,
    ScanOptions,
    ScanRecord,
    SimulatedSession,
    designs,
)
from nexus_writer_service.testing.simulation.designs import ScanDesign, Setting
from nexus_writer_service.testing.simulation.options import ScanOptionsKeywords

pytestmark = pytest.mark.integration

RECORDED = Path(__file__).parents[1] / "data" / "bliss" / "scans"

NAMES_OF_THE_SESSION = {
    ("devices",),
    ("channels",),
    ("acquisition_chain",),
    ("nexuswriter", "devices"),
    ("positioners", "positioners_start"),
    ("positioners", "positioners_dial_start"),
    ("positioners", "positioners_end"),
    ("positioners", "positioners_dial_end"),
    ("positioners", "positioners_units"),
}
"""Where the keys are names that somebody chose."""

CHOSEN_BY_THE_USER = {("sample",), ("lab_seq",), ("display_extra", "plotselect_time")}

Scan = Callable[[SimulatedSession], ScanRecord]


def small_sequence(session: SimulatedSession) -> ScanRecord:
    scans = [lambda sequence: session.loopscan(2, sequence=sequence)]
    return session.sequence(scans, custom_channel="mychannel")


SAME_AS_RECORDED: dict[str, tuple[str, int, Scan]] = {
    "ct": ("k01_ct_unsaved", 0, lambda session: session.ct()),
    "loopscan": ("k03_loopscan", 0, lambda session: session.loopscan(2)),
    "timescan": ("k04_timescan", 0, lambda session: session.timescan(2)),
    "ascan": ("k05_ascan", 0, lambda session: session.ascan()),
    "amesh": ("k08_amesh", 0, lambda session: session.amesh()),
    "mca": ("k11_mca", 1, lambda session: session.mca(2, counters=())),
    "sequence": ("k18_sequence", 0, small_sequence),
    "subscan": ("k18_sequence", 1, lambda session: small_sequence(session).subscans[0]),
    "two_top_masters": ("k20_multi_top_master", 0, lambda session: session.two_top_masters()),
    "aborted": ("k22_aborted_ctrl_c", 0, lambda session: session.ascan(abort_after=3)),
    "failing": ("k25_fail_in_prepare", 0, lambda session: session.failing_in_prepare()),
    "unsaved": ("k27_save_false", 0, lambda session: session.unsaved()),
}


def key_paths(value: Any, at: tuple[str, ...] = ()) -> set[str]:
    """All keys of a document, with a star for names that somebody chose."""
    found = set()
    if isinstance(value, dict):
        for key, item in value.items():
            below = (*at, "*" if at in NAMES_OF_THE_SESSION else key)
            if below not in CHOSEN_BY_THE_USER:
                found |= {".".join(below)} | key_paths(item, below)
    elif isinstance(value, list):
        found = set().union(*(key_paths(item, (*at, "[]")) for item in value))
    return found


def document(session: SimulatedSession, record: ScanRecord) -> dict[str, Any]:
    """What Redis holds of a scan."""
    found: dict[str, Any] = session._client.json().get(record.key)
    return found


@pytest.mark.parametrize("kind", SAME_AS_RECORDED)
def test_a_scan_info_has_the_keys_that_bliss_gives(kind, simulated_session):
    recorded_kind, index, scan = SAME_AS_RECORDED[kind]
    recorded = json.loads((RECORDED / f"{recorded_kind}.json").read_text())[index]["document"]
    published = document(simulated_session, scan(simulated_session))
    assert key_paths(published["info"]) - {"type"} == key_paths(recorded["info"]) - {"type"}
    identity = {key for key, value in published["id"].items() if value is not None} - {"pk"}
    assert identity == {key for key, value in recorded["id"].items() if value is not None}


@pytest.mark.parametrize("kind", ["loopscan", "ascan", "amesh", "mca", "unsaved", "sequence"])
def test_streams_are_described_like_those_of_bliss(kind, simulated_session):
    recorded_kind, index, scan = SAME_AS_RECORDED[kind]
    recorded = json.loads((RECORDED / f"{recorded_kind}.json").read_text())[index]["document"]
    record = scan(simulated_session)
    published = document(simulated_session, record)["data_streams"]
    common = recorded["data_streams"].keys() & published.keys()
    assert len(common) >= 2
    for name in common:
        ours, theirs = published[name], recorded["data_streams"][name]
        assert ours["encoding"] == theirs["encoding"]
        assert ours["info"].keys() == theirs["info"].keys()
        if "data_path" in theirs["info"]:
            entry, path = theirs["info"]["data_path"].split("/", 1)
            assert entry.endswith(".1")
            assert ours["info"]["data_path"] == f"{record.number}.1/{path}"


@pytest.mark.parametrize("scan", ["ascan", "mca", "two_top_masters", "aborted", "failing"])
def test_both_ways_of_publishing_leave_the_same_in_redis(scan, redis_url, tmp_path):
    documents, entries = [], []
    for publisher in ("blissdata", "pipeline"):
        clock = Clock(now=lambda: 1_800_000_000.0)
        with SimulatedSession(
            redis_url, data_root=tmp_path, publisher=publisher, clock=clock
        ) as session:
            record = SAME_AS_RECORDED[scan][2](session)
            published = document(session, record)
            documents.append(json.loads(without_identifiers(published)))
            entries.append(
                {
                    name: session._client.xrange(f"esrf:stream:{stream['pk']}")
                    for name, stream in published["data_streams"].items()
                }
                | {"states": states(session, published)}
            )
    assert documents[0] == documents[1]
    assert entries[0] == entries[1]


def states(session: SimulatedSession, published: dict[str, Any]) -> list[int]:
    key = f"esrf:stream:{published['state_stream']['pk']}"
    return [int(fields[b"state"]) for _, fields in session._client.xrange(key)]


def without_identifiers(published: dict[str, Any]) -> str:
    """A document as text, whose device numbers and keys are those of the first device."""
    text = json.dumps({"id": published["id"], "info": published["info"]})
    for index, key in enumerate(published["info"]["devices"]):
        text = text.replace(key.partition(":")[0], f"device{index}")
    streams = {
        name: {"encoding": stream["encoding"], "info": stream["info"]}
        for name, stream in published["data_streams"].items()
    }
    whole = json.loads(text) | {"data_streams": streams}
    whole["id"].pop("pk", None)
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("scan", "expected"),
    [("ascan", [0, 1, 2, 3, 4]), ("aborted", [0, 1, 2, 4]), ("failing", [0, 4])],
)
def test_states_come_in_the_order_of_bliss(scan, expected, simulated_session):
    record = SAME_AS_RECORDED[scan][2](simulated_session)
    assert states(simulated_session, document(simulated_session, record)) == expected


def test_the_info_grows_from_created_to_closed(simulated_session):
    with simulated_session.open(three_points, comments=("one", "two")) as scan:
        created = set(scan.record.info)
        scan.prepare()
        prepared = set(scan.record.info)
        scan.start()
        scan.publish()
        scan.stop()
        scan.close()
    assert prepared - created == {"comments"}
    assert set(scan.record.info) - prepared == {"end_reason", "end_time"}
    assert [note["message"] for note in scan.record.info["comments"]] == ["one", "two"]
    assert document(simulated_session, scan.record)["info"] == scan.record.info


def three_points(setting: Setting) -> ScanDesign:
    return designs.loopscan(setting, 3)


def test_a_scan_moves_the_motors_of_the_session(simulated_session):
    simulated_session.ascan("robz", 1.0, 3.0, 4)
    moved = simulated_session.ascan("m0", 0.0, 10.0, 10, abort_after=4)
    positioners = moved.info["positioners"]
    assert positioners["positioners_start"]["robz"] == 3.0
    assert positioners["positioners_end"] == {"robx": 0.0, "roby": 0.0, "robz": 3.0, "m0": 4.0}
    assert simulated_session.motors["m0"] == 4.0


def test_metadata_of_the_user_are_listed_as_categories(simulated_session):
    simulated_session.metadata["sample"] = {"name": "LaB6", "@NX_class": "NXsample"}
    info = simulated_session.loopscan(1, metadata={"beam": {"energy": np.float32(12.5)}}).info
    assert info["sample"]["name"] == "LaB6"
    assert info["beam"] == {"energy": 12.5}
    assert set(info["scan_meta_categories"]) == {
        "technique", "nexuswriter", "instrument", "positioners", "sample", "beam"
    }  # fmt: skip


def test_numbers_that_are_not_finite_become_null(simulated_session):
    info = simulated_session.loopscan(1, metadata={"x": {"a": [float("nan"), 1.0]}}).info
    assert info["x"] == {"a": [None, 1.0]}


def test_storage_options_are_announced(simulated_session, tmp_path):
    simulated_session.chunk_options = {"compression_scheme": "gzip"}
    simulated_session.separate_scan_files = True
    info = simulated_session.loopscan(1).info
    assert info["writer_options"] == {
        "chunk_options": {"compression_scheme": "gzip"},
        "separate_scan_files": True,
    }
    dataset = str(tmp_path / "test_session" / "dataset.h5")
    assert info["nexuswriter"]["masterfiles"] == {"dataset": dataset}
    assert info["filename"] == dataset


def test_the_esrf_policy_counts_scans_by_dataset_and_names_master_files(
    simulated_session, tmp_path
):
    simulated_session.dataset_metadata = {"Sample_name": "LaB6"}
    records = []
    for dataset in ("first", "second"):
        simulated_session.saving = EsrfSaving(tmp_path, dataset=dataset)
        records.append(simulated_session.loopscan(1))
    assert [record.name for record in records] == ["1_loopscan", "1_loopscan"]
    raw_data = tmp_path / "blc00001" / "id00" / "20261101" / "RAW_DATA"
    assert records[1].path == raw_data / "sample" / "sample_second" / "sample_second.h5"
    info = records[1].info
    assert info["nexuswriter"]["masterfiles"] == {
        "dataset_collection": str(raw_data / "sample" / "blc00001_sample.h5"),
        "proposal": str(raw_data / "blc00001_id00.h5"),
    }
    assert info["dataset_metadata_snapshot"] == {"Sample_name": "LaB6"}
    identity = document(simulated_session, records[1])["id"]
    assert (identity["proposal"], identity["collection"]) == ("blc00001", "sample")
    assert (identity["dataset"], identity["data_policy"]) == ("second", "ESRF")


def test_scans_that_are_not_saved_are_counted_apart(simulated_session):
    scans = [simulated_session.loopscan(1), simulated_session.unsaved(1), simulated_session.ct()]
    scans.append(simulated_session.loopscan(1))
    assert [scan.name for scan in scans] == ["1_loopscan", "_1_loopscan", "_2_ct", "2_loopscan"]
    assert [scan.path is None for scan in scans] == [False, True, True, False]
    assert scans[1].entries == ()


def test_a_scan_of_unknown_length_announces_no_points(simulated_session):
    assert simulated_session.timescan(3).info["npoints"] == 0
    assert simulated_session.loopscan(3).info["npoints"] == 3


def test_scans_of_style_2_4_may_bring_a_map_that_blissdata_reads(simulated_session, tmp_path):
    simulated_session.style, simulated_session.h5maps = "2.4", True
    info = simulated_session.two_top_masters().info
    mapped: Any
    (mapped,) = [Group.model_validate(item) for item in info["h5maps"].values()]
    assert list(info["h5maps"]) == [str(tmp_path / "test_session" / "dataset.h5")]
    assert sorted(mapped.children) == ["1.1", "1.2"]
    slow = mapped.children["1.2"].children["instrument"].children["diode2"].children["signal"]
    assert slow.value.stream == "simulation_diode_sampling_controller:diode2"
    assert info["publisher_version"].startswith("2.4")


def test_an_unsaved_camera_is_marked_in_style_2_4(simulated_session):
    camera = Camera(saving=False)
    assert "no_saving" not in simulated_session.camera(2, camera).info["channels"]["cam:image"]
    simulated_session.style = "2.4"
    assert simulated_session.camera(2, camera).info["channels"]["cam:image"]["no_saving"] is True


def test_thousands_of_channels_fit_into_a_scan_info(simulated_session):
    simulated_session.publisher = "pipeline"
    counters = tuple(f"ctl:c{index:04}" for index in range(2000))
    record = simulated_session.loopscan(2, counters=counters)
    assert len(DataStore(simulated_session.url).load_scan(record.key).streams) == 2002


def test_options_and_keywords_are_the_same():
    names = [field.name for field in fields(ScanOptions)]
    assert list(ScanOptionsKeywords.__annotations__) == names
