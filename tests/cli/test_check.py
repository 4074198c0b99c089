"""``nexus-writer check``: what it says, and the exit status that scripts see."""

import importlib.util

import h5py
import pytest
from tests.support_damage import add_damaged_dataset
from tests.support_left import begin, entry_tree, left_by_a_killed_writer
from tests.support_nexus import bluesky_file, esrf_file
from typer.testing import CliRunner

from nexus_writer_service.cli.check import Status, worst
from nexus_writer_service.cli.main import app
from nexus_writer_service.model.tree import Group
from nexus_writer_service.model.verdict import Outcome, Verdict

_BROKEN = pytest.mark.nonconforming("a file with something to find")


def check(*arguments, color=False):
    run = CliRunner().invoke(app, ["check", *map(str, arguments)], color=color)
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    return run.exit_code, run.output


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.h5"


def written(path, *verdicts):
    file = begin(path)
    for number, verdict in enumerate(verdicts, 1):
        file.merge(Group({f"{number}.1": entry_tree(f"scan:{number}", verdict)}))
    file.close()
    return path


DONE = Verdict(Outcome.COMPLETE)


def test_a_sound_file_with_complete_scans_is_0(path):
    status, output = check(written(path, DONE))
    assert status == 0, output
    assert "/1.1: complete: 0 points in 0 channels" in output
    assert "sound: 12 objects" in output


def test_files_of_other_programs_are_judged_without_a_verdict(tmp_path):
    status, output = check(esrf_file(tmp_path / "a.h5"), bluesky_file(tmp_path / "b.h5"))
    assert status == 0, output
    assert "/1.1: no verdict, another program wrote it" in output
    assert "/entry: no verdict" in output


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(Outcome.INCOMPLETE, ("a channel is missing",)),
        Verdict(Outcome.FAILED, ("no room",)),
        Verdict(Outcome.INTERRUPTED, ("stopped",)),
        Verdict(Outcome.RUNNING),
    ],
)
def test_a_sound_file_with_a_scan_that_is_not_complete_is_3(path, verdict):
    status, output = check(written(path, DONE, verdict))
    assert status == 3, output
    assert f"/2.1: {verdict.summary}" in output


def test_a_file_that_is_being_written_is_checked_and_its_writer_named(path):
    file = begin(path, e1="scan:1")
    status, output = check(path)
    file.close()
    assert status == 3, output
    assert "is being written by process" in output
    assert "but no writer" not in output
    assert "but no writer" in check(path)[1]


def test_a_journal_that_is_left_is_a_finding(path):
    left_by_a_killed_writer(path, e1="scan:1")
    status, output = check(path)
    assert status == 1
    assert "a journal is left: run nexus-writer recover" in output
    assert "/1.1: running, but no writer" in output


@_BROKEN
@pytest.mark.parametrize("quiet", [False, True])
def test_what_is_damaged_missing_or_not_conforming_is_1(path, quiet):
    written(path, DONE)
    with h5py.File(path, "a") as file:
        file["1.1/dangling"] = h5py.SoftLink("nothing")
        file["1.1/away"] = h5py.ExternalLink("away.h5", "/x")
        file["1.1/data/x"].attrs["units"] = "florps"
    status, output = check(path, *(["--quiet"] if quiet else []))
    lines = [line.removeprefix(f"{path}: ") for line in output.splitlines()]
    assert status == 1
    assert "/1.1/away: external link to away.h5, a file that is not there [unresolved]" in lines
    assert sum("dangling" in line for line in lines) == 1  # the gate sees it too
    assert sum("florps" in line for line in lines) == 1
    assert ("/1.1: complete: 0 points in 0 channels" in lines) is not quiet


@pytest.mark.parametrize("content", [None, "", "no HDF5 at all"])
@_BROKEN
def test_a_file_that_cannot_be_opened_is_2_and_others_are_checked(path, tmp_path, content):
    if content is not None:
        path.write_text(content)
    status, output = check(path, written(tmp_path / "good.h5", DONE))
    assert status == 2
    assert f"cannot read {path}" in output
    assert "good.h5: sound" in output


def test_a_directory_and_no_file_are_2(tmp_path):
    assert check(tmp_path)[0] == 2
    assert check()[0] == 2


@_BROKEN
def test_the_gate_is_not_let_near_a_damaged_file(path):
    written(path, DONE)
    add_damaged_dataset(path, "1.1/z")
    status, output = check(path)
    assert status == 1
    assert "/1.1/z:" in output
    assert "conformance not checked: the file is damaged" in output


def test_without_the_gate_s_packages_that_is_said_and_fails_only_if_strict(path, monkeypatch):
    written(path, DONE)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for options, expected in ([], 0), (["--strict"], 1), (["--quiet"], 0):
        status, output = check(path, *options)
        assert status == expected
        assert ("install nexus_writer_service[testing]" in output) is (options != ["--quiet"])


def test_colours_are_for_terminals_only(path):
    written(path, Verdict(Outcome.FAILED, ("no room",)))
    assert "\x1b[" not in check(path)[1]
    assert "\x1b[" in check(path, color=True)[1]


def test_names_that_are_no_text_can_be_printed(path, tmp_path):
    odd = tmp_path / "odd\udcff.txt"
    odd.touch()
    status, output = check(odd)
    assert status == 2
    assert "odd\\udcff.txt" in output


def test_of_several_files_the_worst_counts():
    order = [Status.SOUND, Status.UNFINISHED, Status.FINDINGS, Status.UNUSABLE]
    for count in range(1, 5):
        assert worst(order[:count]) is order[count - 1]
    assert worst([]) is Status.SOUND
