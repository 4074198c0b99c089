"""A simulated session announces its scans like BLISS: compared with what BLISS 2.2 published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blissdata import DataStore
from blissdata.h5map import Group

from nexus_writer_service.testing.simulation import (
    Camera,
    Clock,
    EsrfSaving,
    ScanOptions,
    ScanRecord,
    SimulatedSession,
    number_channel,
)
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

SAME_AS_RECORDED: dict[str, tuple[str, int, Scan]] = {
    "ct": ("k01_ct_unsaved", 0, lambda session: session.ct()),
    "loopscan": ("k03_loopscan", 0, lambda session: session.loopscan(2)),
    "timescan": ("k04_timescan", 0, lambda session: session.timescan(2)),
    "ascan": ("k05_ascan", 0, lambda session: session.ascan()),
    "amesh": ("k08_amesh", 0, lambda session: session.amesh()),
    "mca": ("k11_mca", 1, lambda session: session.mca(2)),
    "sequence": ("k18_sequence", 0, lambda session: small_sequence(session)),
    "subscan": ("k18_sequence", 1, lambda session: small_sequence(session).subscans[0]),
    "two_top_masters": ("k20_multi_top_master", 0, lambda session: session.two_top_masters()),
    "aborted": ("k22_aborted_ctrl_c", 0, lambda session: session.ascan(abort_after=3)),
    "failing": ("k25_fail_in_prepare", 0, lambda session: session.failing_in_prepare()),
    "unsaved": ("k27_save_false", 0, lambda session: session.unsaved()),
}


def small_sequence(session: SimulatedSession) -> ScanRecord:
    scans = [lambda sequence: session.loopscan(2, sequence=sequence)]
    return session.sequence(scans, custom_channel="mychannel")


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
    assert key_paths(published["info"]) >= key_paths(recorded["info"]) - {
        "type",
        "nexuswriter.devices.*.device_info.type",
    }
    extra = key_paths(published["info"]) - key_paths(recorded["info"])
    assert extra <= {"type"}
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


def test_info_grows_from_created_to_closed(simulated_session):
    with simulated_session.open(
        lambda setting: __import__("nexus_writer_service").testing, **{}
    ) if False else simulated_session.open(SAMPLE_DESIGN, comments=("one", "two")) as scan:
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
