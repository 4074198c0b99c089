"""Scans gone on with after trouble with the disk."""

import pytest
from tests.support_resume import (
    COUNT,
    end,
    line,
    numbers,
    seal,
)
from tests.support_resumed import go_on, note, some, undisturbed
from tests.support_same_file import contents, unequal
from tests.support_scan_writer import DIODE, ROBX, FullDisk

from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.scan_file import ScanFile
from nexus_writer_service.service.scan_writer import COMMIT_PATIENCE


@pytest.mark.nonconforming("a channel of text")
@pytest.mark.parametrize("told", range(1, 24, 3))
def test_a_disk_that_is_full_for_a_while_changes_nothing(tmp_path, told):
    expected = undisturbed(tmp_path, "line")
    story = line(tmp_path / "full")
    disk = FullDisk()
    bench = story.bench(disk=disk)
    story.tell_some(bench, told)
    disk.full = True
    for step in story.steps[told:]:
        step(bench)
        bench.settle()
    bench.settle()
    assert disk.refused
    assert not bench.writer.over
    assert "No space left" in bench.status.fault
    disk.full = False
    bench.settle_until_over()
    bench.disk.stop()
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert any("No space left" in text for text in bench.status.warnings)
    found = contents(bench.path)
    for name in ("data", "description"):
        for entry in ("7.1", "7.2"):
            found[f"/{entry}/writer/{name}"] = expected[f"/{entry}/writer/{name}"]  # the warning
    assert unequal(found, expected) == []


@pytest.mark.nonconforming("a channel of text")
@pytest.mark.parametrize("how", ["patience", "suspended"])
def test_a_scan_whose_last_commit_never_succeeds_can_be_gone_on_with(tmp_path, how):
    expected = undisturbed(tmp_path, "line")
    story = line(tmp_path / "full")
    disk = FullDisk()
    bench = story.bench(disk=disk)
    story.tell_some(bench, 9)
    disk.full = True
    for step in story.steps[9:]:
        step(bench)
        bench.settle()
    bench.settle()
    assert bench.status.reason.startswith("ended; its last commit is tried again until 03:10:00")
    if how == "patience":
        bench.clock.advance(COMMIT_PATIENCE + 1)
    else:
        bench.writer.suspend("the writer was stopped")
    bench.settle()
    bench.disk.stop()
    assert bench.writer.over
    outcome = {"patience": Outcome.FAILED, "suspended": Outcome.INTERRUPTED}[how]
    assert bench.status.verdict.outcome is outcome
    assert "No space left" in bench.status.reason
    assert not note(bench.path).over
    again = story.bench()
    story.tell(again)
    assert again.status.verdict.outcome is Outcome.COMPLETE
    assert unequal(contents(again.path), expected) == []


@pytest.mark.nonconforming("the entry is ended, its note says that it is not over")
def test_a_disk_that_has_room_in_the_very_last_moment_does_not_contradict_the_verdict(
    tmp_path, monkeypatch
):
    disk = FullDisk()
    bench = some(tmp_path, seal(DIODE, 0), seal(ROBX, 0), disk=disk)
    disk.full = True
    end(bench)
    bench.settle()
    bench.clock.advance(COMMIT_PATIENCE + 1)
    close = ScanFile.close

    def close_with_room(file):
        disk.full = False
        close(file)

    monkeypatch.setattr(ScanFile, "close", close_with_room)
    bench.settle()
    bench.disk.stop()
    assert bench.status.verdict.outcome is Outcome.FAILED
    assert note(bench.path).verdict.outcome is Outcome.INTERRUPTED
    again = go_on(tmp_path, seal(DIODE, 0), seal(ROBX, 0), end)
    assert again.status.verdict.outcome is Outcome.COMPLETE


def test_a_disk_that_is_full_for_long_is_one_warning(tmp_path):
    disk = FullDisk()
    bench = some(tmp_path, disk=disk)
    disk.full = True
    for number in range(10):
        numbers(COUNT if number > 8 else DIODE, number, 1)(bench)
        bench.settle()
    assert len(bench.status.warnings) == 1
    disk.full = False
    bench.settle()
    assert bench.status.fault is None
    bench.writer.stop("the end of the test")
    bench.settle()
    bench.disk.stop()
