"""The trees of recorded scans against the files that the writer of BLISS 2.2 made of them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pytest
from tests.support_bliss import (
    KINDS,
    recorded_scans,
    reference_files,
    reference_files_of_esrf_policy,
)
from tests.support_kinds import below_esrf_policy
from tests.support_listing import Row, rows
from tests.support_written import written

from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.tree import Group

MADE_BY_OTHERS = frozenset({"/end_time", "/writer/date"})
"""Values that are the moment of writing."""

ALLOWED = {
    # The verdict stands in the file; NXnote has these fields.
    r"/\d+\.\d+/writer/(type|data|description): only ours": "*",
    # The reference cannot store complex numbers and ragged images, and gives up all channels.
    r"/1[58]\.1/writer/status: value 'SUCCEEDED'": "k14*",
    r"/15\.1/instrument/x/data: only ours": "k14c*",
    r"/15\.1/measurement/x: only ours": "k14c*",
    r"/15\.1/instrument/(elapsed_time|epoch)/value: shape": "k14c*",
    r"/18\.1/instrument/(elapsed_time|epoch)/value: shape": "k14e*",
    # A misprint of the reference leaves one of the two count rates without unit.
    r".*/event_count_rate: attrs": "k11_mca",
    # The reference does not draw the plots that a scan describes.
    r"/23\.1/lab_(curve|scatter).*: only ours": "k17_*",
    # The reference keeps no list of the scans of a sequence or group.
    r"/(24|30)\.1/scans(/.*)?: only ours": "k1[89]_*",
    # Points are to show while a chunk grows, which then is compressed again.
    r"/\d+\.1/instrument/img/data: chunks": "k3[14]_*",
    # The name of the files' maker, and a misprint of the reference put right (both are written).
    r": root creator": "*",
    r": root create_version": "*",
    r": root creator_version": "*",
    r": root file_time": "*",
    # NXroot has it; the reference does not.
    r": root file_update_time": "*",
}
"""Differences that are meant, with the kinds of scans that have them."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_equals_what_the_reference_writer_wrote(kind: str) -> None:
    files = _written(kind)
    reference = reference_files(kind)
    assert files.keys() == reference.keys()
    found = [
        difference
        for path, (tree, lengths) in files.items()
        for difference in _differences(tree, lengths, reference[path])
    ]
    assert [text for text in found if not _is_allowed(text, kind)] == []


def test_every_allowed_difference_occurs() -> None:
    found: dict[str, list[str]] = {
        kind: [
            difference
            for path, (tree, lengths) in _written(kind).items()
            for difference in _differences(tree, lengths, reference_files(kind)[path])
        ]
        for kind in KINDS
    }
    for pattern, kinds in ALLOWED.items():
        texts = [t for k, ts in found.items() if PurePosixPath(k).match(kinds) for t in ts]
        assert any(re.fullmatch(pattern + ".*", text) for text in texts), pattern


@pytest.mark.parametrize("kind", KINDS)
def test_channels_stand_where_bliss_tells_readers_to_look_for_them(kind: str) -> None:
    for recorded in recorded_scans(kind):
        made = plan(recorded.described, EsrfOptions())
        for name, place in made.places.items():
            info = recorded.document["data_streams"][name]["info"]
            if "data_path" in info:
                # BLISS takes all entries for the first one.
                published = info["data_path"].partition("/")[2]
                assert place.path.split("/", 2)[2] == published


def test_below_the_esrf_data_policy_there_are_samples_and_master_files() -> None:
    reference = reference_files_of_esrf_policy()
    dataset, *masters = reference
    recorded = below_esrf_policy(recorded_scans("k28_many_in_one_file")[0], dataset, masters)
    files = written([recorded])
    found = _structure(rows(files[dataset].ended, files[dataset].lengths))
    expected = reference[dataset]["rows"]
    assert {path for path in found if "/writer/" not in path} == {
        row["path"] for row in expected if "/writer/" not in row["path"]
    }
    for row in expected:
        assert found[row["path"]] == _structure({row["path"]: row})[row["path"]]
    for path in masters:
        (ours,) = rows(files[path].ended, {}).values()
        assert ours in reference[path]["rows"]


def _structure(found: Mapping[str, Row]) -> dict[str, Row]:
    """Rows without the values, which another scan had."""
    return {path: {k: v for k, v in row.items() if k != "value"} for path, row in found.items()}


def _written(kind: str) -> dict[str, tuple[Group, dict[str, int]]]:
    """What all scans of a kind write, by file, and the lengths of its datasets by path."""
    files = written(recorded_scans(kind))
    return {path: (file.ended, file.lengths) for path, file in files.items()}


def _differences(
    tree: Group, lengths: Mapping[str, int], reference: Mapping[str, Any]
) -> Iterator[str]:
    """One line for each thing that is different, "path: what"."""
    root, expected_root = dict(tree.attributes), reference["root"]
    for name in sorted({*root, *expected_root}):
        if root.get(name) != expected_root.get(name):
            yield f": root {name} {root.get(name)!r} instead of {expected_root.get(name)!r}"
    found, expected = rows(tree, lengths), {row["path"]: row for row in reference["rows"]}
    yield from (f"{path}: only ours" for path in found if path not in expected)
    yield from (f"{path}: not ours" for path in expected if path not in found)
    for path in found.keys() & expected.keys():
        ours, theirs = found[path], expected[path]
        for key in sorted({*ours, *theirs}):
            if not _equal(path, key, ours.get(key), theirs.get(key)):
                yield f"{path}: {key} {ours.get(key)!r} instead of {theirs.get(key)!r}"


def _equal(path: str, key: str, ours: Any, theirs: Any) -> bool:
    if key == "value" and path.endswith(tuple(MADE_BY_OTHERS)):
        return bool(ours)
    if key == "shape" and -1 in ours:
        same = (a in (b, -1) for a, b in zip(ours, theirs, strict=False))
        return len(ours) == len(theirs) and all(same)
    if key == "virtual":
        return [target for _, target in ours] == [target for _, target in theirs] and all(
            PurePosixPath(file).match(f"*/{name}")
            for (file, _), (name, _) in zip(ours, theirs, strict=True)
        )
    return bool(ours == theirs)


def _is_allowed(difference: str, kind: str) -> bool:
    return any(
        PurePosixPath(kind).match(kinds) and re.fullmatch(pattern + ".*", difference)
        for pattern, kinds in ALLOWED.items()
    )
