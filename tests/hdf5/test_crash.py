"""Writers that die at any moment lose nothing, and those that go on end with the same file.

``python -m bench.kill_campaign`` does the same a thousand times.
"""

import json

import pytest
from tests.support_hdf5 import run_python

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

KILLS = 26


def campaign(seed, *options):
    code = "from tests.support_kills import main; main()"
    done = run_python(code, str(seed), str(KILLS), "8", *options)
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("seed", [0, 1001, 2000, 3002])
def test_writers_killed_one_after_the_other_lose_nothing_and_end_as_if_undisturbed(seed):
    tally, said = campaign(seed)
    assert tally["failures"] == [], said
    kills = tally["kills"]
    assert sum(kills.values()) == KILLS == tally["sound"] + tally["left"]
    assert tally["identical"] == tally["files"]
    # All of it happened: at instants, at steps, with something to replay.
    assert kills["instant"] > 0
    assert len(kills) > 3
    assert tally["replayed"] > 0


def test_writers_without_a_journal_are_found_out():
    tally, _ = campaign(0, "no journal")
    assert tally["failures"]
