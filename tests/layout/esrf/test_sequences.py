"""Sequences and groups of scans: what their own entry says of their scans."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
from tests.support_description import at, channel, line_scan
from tests.support_scan_writer import Bench

from nexus_writer_service.layout.esrf import EsrfOptions, EsrfPlan, plan
from nexus_writer_service.model.description import ChannelName, Content, ScanKey
from nexus_writer_service.model.events import ScanReference, Scans
from nexus_writer_service.model.tree import Dataset, ExternalLink, Group, SoftLink
from nexus_writer_service.model.verdict import Outcome

FILE = "/data/sample/sample_1.h5"
SCANS = ChannelName("SUBSCANS")
NOW = datetime(2026, 11, 20, 19, tzinfo=UTC)


def reference(number: int, path: str | None = FILE, *entries: str) -> ScanReference:
    return ScanReference(ScanKey(f"esrf:scan:{number}"), number, path, entries)


def sequence(**more: Any) -> Any:
    about = {"channels": {SCANS: channel(SCANS, content=Content.SCANS)}, "is_sequence": True}
    return line_scan(**{**about, "devices": {}, "subscans": (), **more})


def record(made: EsrfPlan, *scans: ScanReference) -> Group:
    node = at(made.references(SCANS, scans)[FILE], "7.1/scans")
    assert isinstance(node, Group)
    return node


def test_the_entry_links_to_each_entry_of_its_scans() -> None:
    found = record(
        plan(sequence(), EsrfOptions()),
        reference(8, FILE, "8.1", "8.2"),
        reference(9),
        reference(10, "/data/sample/other.h5", "10.1"),
    )
    assert found == Group(
        {
            "8.1": SoftLink("/8.1"),
            "8.2": SoftLink("/8.2"),
            "9.1": SoftLink("/9.1"),
            "other_10.1": ExternalLink("./other.h5", "/10.1", makes_way=True),
        },
        {"NX_class": "NXcollection"},
    )


def test_at_the_end_the_numbers_tell_the_order_also_of_scans_that_are_not_saved() -> None:
    made = plan(sequence(), EsrfOptions())
    made.references(SCANS, (reference(12), reference(3, None)))
    made.references(SCANS, (reference(8),))
    node = at(made.finish(sequence(), NOW)[FILE], "7.1/scans/scan_numbers")
    assert isinstance(node, Dataset)
    assert node.value.tolist() == [12, 3, 8]  # type: ignore[union-attr]


def test_a_scan_without_scans_has_no_record() -> None:
    made = plan(sequence(), EsrfOptions())
    assert made.references(SCANS, (reference(8, None),)) == {}
    entry = at(plan(sequence(), EsrfOptions()).finish(sequence(), NOW)[FILE], "7.1")
    assert isinstance(entry, Group)
    assert "scans" not in entry.children


def test_a_sequence_never_refers_to_itself() -> None:
    found = record(plan(sequence(), EsrfOptions()), reference(7), reference(8))
    assert found.children.keys() == {"8.1"}


def test_metadata_keep_a_name_that_they_have() -> None:
    made = plan(sequence(categories={"scans": {"mine": 1}}), EsrfOptions())
    tree = made.references(SCANS, (reference(8),))[FILE]
    assert at(tree, "7.1/scans_2/8.1") == SoftLink("/8.1")


def test_the_record_is_in_the_file_and_leads_to_the_scans(tmp_path: Path) -> None:
    first = Bench(tmp_path, number=6)
    first.whole_scan()
    first.settle_until_over()
    bench = Bench(
        tmp_path,
        key=ScanKey("esrf:scan:02"),
        channels={SCANS: channel(SCANS, content=Content.SCANS)},
        devices={},
        subscans=(),
    )
    bench.prepare()
    scans = (reference(6, str(first.path), "6.1"), reference(5, None))
    bench.writer.feed(Scans(bench.scan.key, SCANS, 0, scans))
    bench.seal(SCANS, 2)
    bench.end()
    bench.settle_until_over()
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    with h5py.File(bench.path) as file:
        found = file["7.1/scans"]
        assert found["scan_numbers"][:].tolist() == [6, 5]
        assert found["6.1"]["instrument/diode/data"][:].tolist() == [1, 2, 3, 4]
