"""``nexus-writer recover --unfinished``: the history tells which files were being written."""

import os

import pytest
from tests.support_history import over, recorded, running
from tests.support_left import begin, entry_tree, left_by_a_killed_writer
from tests.support_recover import ALL, recover, values, verdict_of

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.writer_note import NOTE, writer_note
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.tree import Group, at
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.history import History

_LONG_AGO = -1e6
"""Minutes past the noon of the scans."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.h5"


@pytest.fixture
def history(tmp_path, path):
    """Knows four scans as running: in a file that is left, in a sound one, in none, in one away."""
    left_by_a_killed_writer(path, e1="scan:1")
    file = begin(tmp_path / "sound.h5")
    file.merge(Group({"2.1": entry_tree("scan:2", Verdict(Outcome.COMPLETE))}))
    file.close()
    files = [str(path), str(tmp_path / "sound.h5"), None, str(tmp_path / "away.h5")]
    scans = [
        running(number, key=f"scan:{number}", started=_LONG_AGO, now=_LONG_AGO, file=file)
        for number, file in enumerate(files, 1)
    ]
    recorded(tmp_path / "history.sqlite", *scans, over(5))
    return tmp_path / "history.sqlite"


def outcomes(history):
    return {scan.name[0]: scan.verdict.outcome for scan in History(history).scans()}


def test_all_files_of_unfinished_scans_are_recovered_and_the_history_told(path, history):
    status, output = recover("--unfinished", f"--history={history}")
    assert status == 0, output
    assert len(values(path)) == ALL
    assert "sound.h5: readable" in output
    assert "away.h5: it is not there any more" in output
    assert outcomes(history) == {
        "1": Outcome.INTERRUPTED,
        "2": Outcome.COMPLETE,
        "3": Outcome.RUNNING,
        "4": Outcome.RUNNING,
        "5": Outcome.COMPLETE,
    }
    recover(path, f"--history={history}", "--final")
    (scan,) = History(history).find("scan:1")
    assert scan.verdict.outcome is Outcome.INCOMPLETE
    assert scan.file == str(path)


def test_the_other_files_of_an_unfinished_scan_are_recovered_with_its_own(path):
    left_by_a_killed_writer(path, e1="scan:1")
    other = path.with_name("other.h5")
    begin(other, e1="scan:1").close()
    for one, elsewhere in ((path, "other.h5"), (other, "file.h5")):
        file = NexusFile.open(str(one))
        note = writer_note(ScanKey("scan:1"), Verdict(Outcome.RUNNING), others=[elsewhere])
        file.merge(at(f"/1.1/{NOTE}", note))
        file.close()
    status, output = recover(path, "--final")
    assert status == 0, output
    assert output.count("readable: ") == 2
    assert verdict_of(path).outcome is Outcome.INCOMPLETE
    assert verdict_of(other).outcome is Outcome.INCOMPLETE


def test_without_a_history_nothing_is_unfinished_and_none_is_made(tmp_path):
    status, output = recover("--unfinished", f"--history={tmp_path / 'none.sqlite'}")
    assert status == 0
    assert "no such history" in output
    assert os.listdir(tmp_path) == []


def test_a_history_that_cannot_be_read_is_told_and_named_files_are_recovered(path, tmp_path):
    left_by_a_killed_writer(path, e1="scan:1")
    damaged = tmp_path / "history.sqlite"
    damaged.write_text("not a data base" * 100)
    status, output = recover("--unfinished", f"--history={damaged}", path)
    assert status == 1
    assert "cannot be read" in output
    assert len(values(path)) == ALL
