"""The trees of all kinds of scans are as in the checked-in texts, and as the guide shows them.

A change that is meant: ``make trees``, and read what ``git diff`` says.
"""

import pytest
from tests.golden_trees import GOLDEN, GUIDE, golden_text, guide_with_trees
from tests.support_bliss import recorded_scans
from tests.support_kinds import SAVED, UNSAVED


@pytest.mark.parametrize("kind", SAVED)
def test_the_tree_of_a_kind_is_the_checked_in_one(kind: str) -> None:
    golden = (GOLDEN / f"{kind}.txt").read_text(encoding="utf-8")
    assert golden_text(SAVED[kind]).splitlines() == golden.splitlines()


def test_every_checked_in_tree_is_that_of_a_kind() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == SAVED.keys()


@pytest.mark.parametrize("kind", UNSAVED)
def test_recordings_without_a_tree_are_of_scans_that_are_not_saved(kind: str) -> None:
    assert [scan.described.save for scan in recorded_scans(kind)] == [False]


def test_the_guide_shows_the_trees_as_they_are() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    assert guide.count("<!-- tree ") > 5
    assert guide_with_trees(guide) == guide
