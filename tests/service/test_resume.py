"""A writer that is started again goes on with what an earlier one left."""

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import run_python
from tests.support_resume import (
    COUNT,
    IMAGE,
    ROBY,
    SEQUENCE,
    STORIES,
    cases,
    end,
    grid,
    line,
    lost,
    numbers,
    prepare,
    seal,
)
from tests.support_resumed import go_on, note, some, suspended, undisturbed
from tests.support_same_file import contents, unequal
from tests.support_scan_writer import DIODE, ROBX, Bench

from nexus_writer_service.model.events import Announced, Vanished
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Gap, Outcome

_KILL = "from tests.support_resume import main; main()"


def tally(bench, name):
    return next(one for one in bench.status.verdict.channels if one.channel == name)


@pytest.mark.nonconforming("a channel of text, links into files that are not there")
@pytest.mark.parametrize("kind", STORIES)
def test_a_scan_whose_writer_was_killed_at_any_moment_ends_as_if_undisturbed(tmp_path, kind):
    expected = undisturbed(tmp_path, kind)
    run_python(_KILL, str(tmp_path), kind)
    for story, number, moment in cases(tmp_path, kind):
        bench = story.bench()
        story.tell(bench)
        assert bench.status.verdict.outcome is Outcome.COMPLETE, (number, moment)
        assert bench.status.state is ScanState.OFF
        assert unequal(contents(bench.path), expected) == [], (number, moment)


@pytest.mark.nonconforming("a channel of text, links into files that are not there")
@pytest.mark.parametrize("kind", STORIES)
def test_a_scan_that_was_suspended_at_any_step_ends_as_if_undisturbed(tmp_path, kind):
    expected = undisturbed(tmp_path, kind)
    for number in range(len(STORIES[kind](tmp_path / "any").steps)):
        story = STORIES[kind](tmp_path / f"{number}")
        first = story.bench()
        story.tell_some(first, number + 1)
        if not first.writer.over:
            first.writer.suspend("the writer was stopped")
            first.settle()
            over = number + 1 == len(story.steps)  # all but the last commit
            outcome = Outcome.COMPLETE if over else Outcome.INTERRUPTED
            assert first.status.verdict.outcome is outcome
        first.disk.stop()
        again = story.bench()
        story.tell(again)
        assert unequal(contents(again.path), expected) == [], number


# ---------------------------------------------------------------- suspended by the writer itself


@pytest.mark.nonconforming("the entry is not ended")
def test_a_suspended_scan_says_in_file_board_and_history_that_it_can_be_gone_on_with(tmp_path):
    bench = suspended(tmp_path, numbers(ROBX, 0, 3))
    assert bench.status.state is ScanState.FAULT
    assert bench.status.reason.startswith("suspended: ")
    assert "the writer was stopped" in bench.status.reason
    assert bench.status.over
    assert bench.recorded[-1] == bench.status
    assert bench.status.verdict.outcome is Outcome.INTERRUPTED
    left = note(bench.path)
    assert not left.over
    assert left.verdict == bench.status.verdict
    with h5py.File(bench.path, "a") as file:  # nobody holds it any more
        assert "end_time" not in file["7.1"]
        assert len(file["7.1/measurement/robx"]) == 3


def test_a_scan_that_is_suspended_before_it_is_prepared_leaves_no_file(tmp_path):
    bench = Bench(tmp_path)
    bench.writer.suspend("the writer was stopped")
    assert bench.writer.over
    assert bench.status.verdict.outcome is Outcome.INTERRUPTED
    assert not bench.path.exists()


def test_a_scan_that_was_over_when_it_was_suspended_keeps_its_verdict(tmp_path):
    bench = some(tmp_path, seal(ROBX, 0), seal(DIODE, 0))
    end(bench)
    bench.writer.suspend("the writer was stopped")
    bench.settle()
    bench.disk.stop()
    assert bench.status.verdict.outcome is Outcome.COMPLETE


# ------------------------------------------------------------------------- lost in the meantime


def test_points_that_were_trimmed_after_they_had_been_written_are_not_lost(tmp_path):
    suspended(tmp_path, numbers(DIODE, 0, 5))
    bench = go_on(
        tmp_path,
        lost(DIODE, 0, 4),
        numbers(DIODE, 4, 2),
        seal(DIODE, 6),
        seal(ROBX, 0),
        end,
    )
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert tally(bench, DIODE).written == 6


def test_points_of_a_grid_that_were_trimmed_after_they_had_been_written_are_not_lost(tmp_path):
    expected = undisturbed(tmp_path, "grid")
    story = grid(tmp_path / "trimmed")
    first = story.bench()
    story.tell_some(first, 5)  # two points of each channel
    first.writer.suspend("the writer was stopped")
    first.settle()
    first.disk.stop()
    story.steps[1:5] = [lost(name, 0, 2) for name in (ROBX, ROBY, DIODE, COUNT)]
    again = story.bench()
    story.tell(again)
    assert again.status.verdict.outcome is Outcome.COMPLETE
    assert unequal(contents(again.path), expected) == []


def test_only_what_was_neither_written_nor_kept_is_a_gap(tmp_path):
    suspended(tmp_path, numbers(DIODE, 0, 3))
    bench = go_on(
        tmp_path,
        lost(DIODE, 0, 5),
        numbers(DIODE, 5, 2),
        seal(DIODE, 7),
        seal(ROBX, 0),
        end,
    )
    assert bench.status.verdict.outcome is Outcome.INCOMPLETE
    assert tally(bench, DIODE).gaps == (Gap(3, 5, "trimmed"),)
    assert tally(bench, DIODE).written == 5
    with h5py.File(bench.path, "r") as file:
        np.testing.assert_array_equal(
            file["7.1/measurement/diode"], [0, 3, 6, np.nan, np.nan, 1, 4]
        )


def test_all_that_follows_being_lost_takes_nothing_of_what_is_there(tmp_path):
    suspended(tmp_path, numbers(DIODE, 0, 3))
    bench = go_on(tmp_path, lost(DIODE, 0, None), seal(ROBX, 0), end)
    assert tally(bench, DIODE).written == 3
    assert tally(bench, DIODE).problems == ("lost after 3 points: trimmed",)


@pytest.mark.nonconforming("entries are not ended")
def test_a_gap_is_in_the_file_with_the_next_commit(tmp_path):
    bench = some(tmp_path, lost(DIODE, 0, 2), numbers(DIODE, 2, 1))
    (gap,) = next(one for one in note(bench.path).verdict.channels if one.channel == DIODE).gaps
    assert gap == Gap(0, 2, "trimmed")
    assert note(bench.path).verdict.outcome is Outcome.RUNNING
    bench.writer.fail(KeyError("the end of the test"))
    bench.disk.stop()


def test_a_gap_outlives_its_writer_and_counts_once(tmp_path):
    suspended(tmp_path, lost(DIODE, 0, 2), numbers(DIODE, 2, 1))
    # This writer learns of the same gap only when it is told; the next one of none at all.
    suspended(tmp_path, lost(DIODE, 0, 2))
    bench = go_on(tmp_path, seal(DIODE, 3), seal(ROBX, 0), end)
    assert tally(bench, DIODE).gaps == (Gap(0, 2, "trimmed"),)
    assert tally(bench, DIODE).written == 1


@pytest.mark.nonconforming("entries are not ended")
def test_a_gap_is_in_the_file_again_with_the_first_commit_of_the_next_writer(tmp_path):
    suspended(tmp_path, lost(DIODE, 0, 2), numbers(DIODE, 2, 1))
    bench = some(tmp_path)
    left = note(bench.path).verdict
    assert left.outcome is Outcome.RUNNING
    assert [one.gaps for one in left.channels if one.channel == DIODE] == [(Gap(0, 2, "trimmed"),)]
    bench.writer.fail(KeyError("the end of the test"))
    bench.disk.stop()


def test_gaps_that_touch_are_one(tmp_path):
    suspended(tmp_path, lost(DIODE, 0, 2))
    bench = go_on(tmp_path, lost(DIODE, 0, 4), seal(DIODE, 4), seal(ROBX, 0), end)
    assert tally(bench, DIODE).gaps == (Gap(0, 4, "trimmed"),)
    assert tally(bench, DIODE).written == 0


@pytest.mark.nonconforming("links of the sequence lead into files that are not there")
def test_scans_of_a_sequence_that_were_trimmed_are_not_lost_when_their_links_are_there(tmp_path):
    story = STORIES["sequence"](tmp_path)
    first = story.bench()
    story.tell_some(first, 2)
    first.writer.suspend("the writer was stopped")
    first.settle()
    first.disk.stop()
    story.steps[1] = lost(SEQUENCE, 0, 1)
    again = story.bench()
    story.tell(again)
    assert again.status.verdict.outcome is Outcome.COMPLETE
    assert tally(again, SEQUENCE).written == 3


def test_a_scan_that_vanished_while_its_writer_was_down_is_ended_with_what_is_there(tmp_path):
    suspended(tmp_path, numbers(DIODE, 0, 3))
    bench = some(tmp_path)
    bench.writer.feed(Vanished(bench.scan.key, "deleted from Redis"))
    bench.settle_until_over()
    bench.disk.stop()
    assert bench.status.verdict.outcome is Outcome.INCOMPLETE
    assert "deleted from Redis" in bench.status.verdict.summary
    assert tally(bench, DIODE).written == 3
    assert note(bench.path).over
    with h5py.File(bench.path, "r") as file:
        assert "end_time" in file["7.1"]


@pytest.mark.nonconforming("a file of the detector never comes")
def test_the_images_of_a_scan_that_vanished_are_counted(tmp_path):
    story = line(tmp_path)
    first = story.bench()
    story.tell_some(first, 7)
    first.writer.suspend("the writer was stopped")
    first.settle()
    first.disk.stop()
    again = story.bench()
    prepare(again)
    again.writer.feed(Vanished(again.scan.key, "deleted from Redis"))
    again.clock.advance(60)
    again.settle()
    again.settle()
    again.disk.stop()
    assert tally(again, IMAGE).written == 3
    assert tally(again, IMAGE).files_missing == (str(tmp_path / "cam_0001.h5"),)
    names = [str(tmp_path / f"cam_000{number}.h5") for number in range(2)]
    assert tally(again, IMAGE).external == tuple(names)


# ------------------------------------------------------------------------------- what is there


def test_a_scan_that_is_saved_already_is_left_as_it_is(tmp_path):
    go_on(tmp_path, numbers(DIODE, 0, 2), seal(DIODE, 2), seal(ROBX, 0), end)
    before = (tmp_path / "data.h5").read_bytes()
    bench = go_on(tmp_path, numbers(DIODE, 0, 2), seal(DIODE, 2), end)
    assert bench.status.state is ScanState.OFF
    assert bench.status.reason.startswith("saved already: complete")
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert bench.status.over
    assert bench.status.urls == (f"{bench.path}::/7.1",)
    assert (tmp_path / "data.h5").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_scan_that_was_saved_incompletely_stays_so(tmp_path):
    first = some(tmp_path, numbers(DIODE, 0, 2))
    first.writer.stop("stopped by command")
    first.settle()
    first.disk.stop()
    bench = go_on(tmp_path, numbers(DIODE, 0, 4), seal(DIODE, 4), seal(ROBX, 0), end)
    assert bench.status.state is ScanState.FAULT
    assert bench.status.reason.startswith("saved already: incomplete")
    assert bench.status.verdict == first.status.verdict


def test_a_channel_that_is_announced_otherwise_than_before_is_lost_and_no_other(tmp_path):
    suspended(tmp_path, numbers(ROBX, 0, 2), numbers(DIODE, 0, 2))
    with h5py.File(tmp_path / "data.h5", "a") as file:
        kept = file["7.1/instrument/card/signal"] if "signal" in file else None
        assert kept is None
        path = file["7.1/measurement"].get("diode", getlink=True).path
        del file[path]
        file.create_dataset(path, data=[1, 2], maxshape=(None,), chunks=(4,), dtype="i2")
    bench = go_on(
        tmp_path,
        *(numbers(name, 0, 4) for name in (ROBX, DIODE)),
        *(seal(name, 4) for name in (ROBX, DIODE)),
        end,
    )
    assert tally(bench, ROBX).complete
    assert tally(bench, DIODE).written == 0
    assert "exists with 1 axes of int16" in tally(bench, DIODE).problems[0]
    with h5py.File(bench.path, "r") as file:
        assert list(file["7.1/measurement/diode"]) == [1, 2]
        assert len(file["7.1/measurement/robx"]) == 4


def test_a_file_that_was_taken_away_is_written_anew(tmp_path):
    suspended(tmp_path, numbers(DIODE, 0, 2))
    (tmp_path / "data.h5").unlink()
    bench = go_on(tmp_path, numbers(DIODE, 0, 4), seal(DIODE, 4), seal(ROBX, 0), end)
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    with h5py.File(bench.path, "r") as file:
        assert len(file["7.1/measurement/diode"]) == 4


def test_a_scan_that_was_over_before_it_was_found_is_saved_at_once(tmp_path):
    bench = Bench(tmp_path)
    bench.writer.feed(Announced(bench.scan.key, bench.scan))
    for step in (prepare, numbers(ROBX, 0, 4), seal(ROBX, 4), seal(DIODE, 0), end):
        step(bench)
    bench.settle()
    bench.disk.stop()
    assert bench.status.verdict.outcome is Outcome.COMPLETE
