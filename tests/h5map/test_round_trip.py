"""The maps that a session makes, written by our writer, are the files of the classic layout."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blissdata.h5map import Group  # type: ignore[attr-defined]  # it does not say what it exports
from tests.support_bliss import RecordedScan
from tests.support_kind_files import Published, save
from tests.support_kinds import SAVED, Kind
from tests.support_same_file import TIMES, contents, unequal

from nexus_writer_service.h5map import h5maps, scan_info_to_h5map
from nexus_writer_service.layout.choice import CLASSIC, MAPPED

_END = ("end_time", "end_reason")


def begun(recorded: RecordedScan) -> RecordedScan:
    """The scan as it is published when it is prepared."""
    found = replace(recorded, document=deepcopy(recorded.document))
    info = found.document["info"]
    for name in _END:
        info.pop(name, None)
    positioners = info.get("positioners", {})
    for name in [name for name in positioners if name.endswith("_end")]:
        del positioners[name]
    return found


def with_types(kind: Kind) -> Published:
    """Maps by a session that knows the types of its channels."""

    def mapped(recorded: RecordedScan) -> RecordedScan:
        document = deepcopy(recorded.document)
        maps = h5maps(document["info"], kind.options, document["data_streams"])
        document["info"]["h5maps"] = {path: _dumped(one) for path, one in maps.items()}
        return replace(recorded, document=document)

    return lambda recorded: (mapped(begun(recorded)), mapped(recorded))


def as_bliss_does(recorded: RecordedScan) -> RecordedScan:
    """Maps by nothing but the scan info, as BLISS 2.4 asks for them."""
    document = deepcopy(recorded.document)
    maps = scan_info_to_h5map(
        document["info"], configurable=True, flat=True, multivalue_positioners=False
    )
    dumped = {path: _dumped(one.model_dump()) for path, one in maps.items()}
    document["info"]["h5maps"] = dumped
    return replace(recorded, document=document)


def _dumped(item: dict[str, Any]) -> dict[str, Any]:
    """What comes of a map by way of blissdata's model and of the JSON that blissdata makes."""
    dumped = Group.model_validate(item).model_dump()
    found: dict[str, Any] = json.loads(json.dumps(dumped, default=np.ndarray.tolist))
    return found


def differences(kind: Kind, folder: Path, published: Published) -> tuple[list[str], int]:
    """In what the files of a kind differ from those of the classic layout; how much there is."""
    classic = save(kind, folder / "classic", layout=CLASSIC)
    mapped = save(kind, folder / "mapped", layout=MAPPED, published=published)
    found, count = [], 0
    for one, other in zip(classic, mapped, strict=True):
        assert other.verdict.outcome is one.verdict.outcome
        assert [tally.written for tally in other.verdict.channels] == [
            tally.written for tally in one.verdict.channels
        ]
    for path in sorted((folder / "classic").rglob("*.h5")):
        ours = folder / "mapped" / path.relative_to(folder / "classic")
        expected = contents(path)
        count += len(expected)
        found += unequal(expected, contents(ours), ignored=TIMES)
    return found, count


@pytest.mark.parametrize("name", SAVED)
def test_a_map_gives_the_file_of_the_classic_layout(name: str, tmp_path: Path) -> None:
    found, count = differences(SAVED[name], tmp_path, with_types(SAVED[name]))
    assert found == []
    assert count > 10


@pytest.mark.parametrize(
    "name",
    ["k05_ascan", "k13_stats_samples", "k18_sequence", "mesh_plotselect"],
)
def test_a_map_from_the_scan_info_alone_gives_it_too(name: str, tmp_path: Path) -> None:
    assert differences(SAVED[name], tmp_path, from_scan_info)[0] == []


def test_of_a_scan_that_failed_before_its_streams_were_made_the_devices_are_shown(
    tmp_path: Path,
) -> None:
    found, _ = differences(SAVED["k25_fail_in_prepare"], tmp_path, from_scan_info)
    # The scan info names the channels; that their streams were never made it does not say.
    assert found
    assert all(line.startswith("/36.1/instrument/diode1") for line in found), found


@pytest.mark.parametrize("name", ["mca_plotselect", "camera_plotselect"])
def test_without_shapes_only_the_axes_of_detectors_are_missing_in_plots(
    name: str, tmp_path: Path
) -> None:
    found, _ = differences(SAVED[name], tmp_path, from_scan_info)
    assert found
    assert all("/plotselect/datadim" in one or "/plotselect@axes" in one for one in found)


def from_scan_info(recorded: RecordedScan) -> tuple[RecordedScan, RecordedScan]:
    return as_bliss_does(begun(recorded)), as_bliss_does(recorded)
