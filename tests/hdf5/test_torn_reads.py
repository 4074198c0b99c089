"""Readers that come at any time find a whole file; ``python -m bench.torn_reads`` counts more."""

import json

import pytest
from tests.support_hdf5 import run_python

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

OPENS = 300


def test_no_reader_finds_half_a_commit(tmp_path):
    code = "import typer; from bench.torn_reads import main; typer.run(main)"
    done = run_python(code, "--writer", "ours", "--opens", str(OPENS), "--json")
    (found,) = json.loads(done.stdout)
    short, long, applies = found["short"], found["long"], found["applies"]
    assert short["opens"] == OPENS
    assert short["bad"] == 0, short["examples"]
    assert applies["applied"] > 0
    # A reader who stays longer than commits wait may find one that had to come in.
    assert long["bad"] <= applies["forced"], long["examples"]
