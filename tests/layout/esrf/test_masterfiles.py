"""Which file holds a scan, and which other files link to it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support_description import line_scan

from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.tree import ExternalLink, Node

RAW = "/visitor/blc00001/id00/20261101/RAW_DATA"
DATASET = f"{RAW}/sampleA/sampleA_first/sampleA_first.h5"
MASTERS = {
    "dataset_collection": f"{RAW}/sampleA/blc00001_sampleA.h5",
    "proposal": f"{RAW}/blc00001_id00.h5",
}
IMAGES = f"{RAW}/sampleA/sampleA_first/scan0007/{{img_acq_device}}_"
CHANNEL = ChannelName("SUBSCANS")
NOW = datetime(2026, 11, 20, 19, tzinfo=UTC)


def links(**scan: Any) -> dict[str, dict[str, Node]]:
    configurable = scan.pop("configurable", True)
    made = plan(line_scan(**scan), EsrfOptions(configurable=configurable))
    return {file: dict(tree.children) for file, tree in made.links(NOW).items()}


def to(file: str, target: str) -> ExternalLink:
    """A link that takes nobody's place."""
    return ExternalLink(file, target, makes_way=True)


def test_master_files_link_to_the_dataset_s_entries_by_relative_paths() -> None:
    assert links(path=DATASET, master_files=MASTERS) == {
        f"{RAW}/sampleA/blc00001_sampleA.h5": {
            "sampleA_first_7.1": to("sampleA_first/sampleA_first.h5", "/7.1")
        },
        f"{RAW}/blc00001_id00.h5": {
            "sampleA_first_7.1": to("sampleA/sampleA_first/sampleA_first.h5", "/7.1")
        },
    }


def test_a_scan_with_a_file_of_its_own_is_linked_from_the_dataset_s_file() -> None:
    found = links(path=DATASET, images_path=IMAGES, separate_files=True)
    assert found == {DATASET: {"7.1": to("scan0007/bliss_master.h5", "/7.1")}}


def test_scans_with_files_of_their_own_keep_different_names_in_master_files() -> None:
    masters = {"dataset": DATASET, **MASTERS}
    found = links(path=DATASET, images_path=IMAGES, separate_files=True, master_files=masters)
    assert set(found) == {DATASET, *MASTERS.values()}
    assert set(found[DATASET]) == {"7.1"}
    assert found[MASTERS["proposal"]] == {
        "sampleA_first_7.1": to("sampleA/sampleA_first/scan0007/bliss_master.h5", "/7.1")
    }


def test_without_configuration_only_the_dataset_s_file_links() -> None:
    assert links(path=DATASET, master_files=MASTERS, configurable=False) == {}
    found = links(
        path=DATASET,
        images_path=IMAGES,
        separate_files=True,
        master_files=MASTERS,
        configurable=False,
    )
    assert set(found) == {DATASET}


def test_a_file_with_links_tells_when_it_was_changed() -> None:
    made = plan(line_scan(path=DATASET, master_files=MASTERS), EsrfOptions())
    changed = {"file_update_time": "2026-11-20T19:00:00.000000+00:00"}
    assert [tree.attributes for tree in made.links(NOW).values()] == [changed, changed]


def test_a_file_never_links_to_itself() -> None:
    assert links(path=DATASET, master_files={"dataset": DATASET, "proposal": DATASET}) == {}


def test_relative_master_files_stand_beside_the_dataset() -> None:
    found = links(path=DATASET, master_files={"proposal": "../p.h5"})
    assert set(found) == {f"{RAW}/sampleA/p.h5"}


@pytest.mark.parametrize(
    ("images_path", "file"),
    [
        ("/data/sample/scan0007/{img_acq_device}_", "/data/sample/scan0007/bliss_master.h5"),
        ("/data/sample/a/b{x}/{y}", "/data/sample/a/bliss_master.h5"),
        ("scan0007/{img_acq_device}_", "/data/sample/scan0007/bliss_master.h5"),
        ("/images/scan0007/{img_acq_device}_", "/images/scan0007/bliss_master.h5"),
        ("{x}", "/data/sample/bliss_master.h5"),
        ("", "/data/sample/scan0007/bliss_master.h5"),
    ],
)
def test_the_file_of_a_scan_stands_with_its_images(images_path: str, file: str) -> None:
    scan = line_scan(images_path=images_path, separate_files=True)
    assert plan(scan, EsrfOptions()).file == file


def reference(number: int, path: str | None, *entries: str) -> ScanReference:
    return ScanReference(ScanKey(f"esrf:scan:{number}"), number, path, entries)


def test_scans_of_a_sequence_in_other_files_are_linked_from_the_root() -> None:
    found = plan(line_scan(), EsrfOptions())
    scans = (
        reference(8, "/data/sample/other.h5", "8.1", "8.2"),
        reference(9, "/data/sample/sample_1.h5", "9.1"),
        reference(10, None),
        reference(11, "/data/more/x.h5"),
    )
    (tree,) = found.references(CHANNEL, scans).values()
    assert {name: node for name, node in tree.children.items() if name != "7.1"} == {
        "other_8.1": to("./other.h5", "/8.1"),
        "other_8.2": to("./other.h5", "/8.2"),
        "x_11.1": to("../more/x.h5", "/11.1"),
    }
    assert found.references(CHANNEL, scans[2:3]) == {}


def test_scans_of_one_number_in_different_files_keep_their_links() -> None:
    found = plan(line_scan(), EsrfOptions())
    for path, entry, name in (
        ("/data/sample/a.h5", "7.1", "a_7.1"),
        ("/data/sample/a.h5", "8.1", "a_8.1"),
        ("/data/sample/b.h5", "8.1", "b_8.1"),
        ("/data/other/b.h5", "8.1", "b_8.1_2"),
        ("/data/sample/a.h5", "8.1", "a_8.1"),
    ):
        (tree,) = found.references(CHANNEL, (reference(8, path, entry),)).values()
        assert set(tree.children) == {name, "7.1"}
