"""A writer that dies at any moment loses nothing that it had committed."""

import json

import pytest
from tests.support_hdf5 import run_python

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

_RUN = "from tests.support_crash import main; main()"


def results(folder, kind, first, last):
    done = run_python(_RUN, str(folder), kind, str(first), str(last))
    found = json.loads((folder / "results.json").read_text())
    said = done.stdout + done.stderr
    assert [one for one in found if one["failed"] or not one["sound"]] == [], said
    return found, said


@pytest.mark.parametrize("first", [0, 24, 48])
def test_a_kill_at_any_step_of_a_commit_loses_nothing(tmp_path, first):
    found, said = results(tmp_path, "steps", first, first + 24)
    assert sum(one["killed"] for one in found) >= 15
    assert "replayed" in said


def test_a_kill_at_a_random_moment_loses_nothing(tmp_path):
    found, _ = results(tmp_path, "random", 0, 20)
    assert all(one["killed"] for one in found)
    assert any(one["commits"] > 3 for one in found)
