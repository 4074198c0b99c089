"""Under policy ``power`` no acknowledged commit is lost when the power goes."""

import json

import pytest
from tests.support_hdf5 import run_python

pytestmark = [
    pytest.mark.nonconforming("trees that try the file, not NeXus"),
    pytest.mark.timeout(240),
]

IMAGES = 60
SEEDS = ["0", "1"]
"""Without and with a reader inside, for which several commits wait in the journal."""


def losses(seed, *deaf):
    code = "from tests.support_power import main; main()"
    done = run_python(code, seed, str(IMAGES), *deaf, timeout=200)
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("seed", SEEDS)
def test_no_loss_of_power_costs_what_was_acknowledged(seed):
    found, said = losses(seed)
    assert found["failures"] == [], said
    assert found["images"] == IMAGES
    # All of it happened: something was promised, replayed, and lost again during the recovery.
    assert found["promised"] > IMAGES / 2
    assert found["replayed"] > IMAGES / 4
    assert found["twice"] > 3


@pytest.mark.parametrize("deaf", ["file", "journal", "folder"])
@pytest.mark.parametrize("seed", SEEDS)
def test_leaving_out_any_of_the_synchronizations_is_noticed(seed, deaf):
    found, _ = losses(seed, deaf)
    assert found["failures"]
