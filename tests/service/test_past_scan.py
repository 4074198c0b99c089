"""What is known of a scan does not depend on which of its writers told first."""

from datetime import timedelta
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support_history import NOON, ended, left, over, recorded, running

from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service import past_scan as module
from nexus_writer_service.service.past_scan import REAL, account, together
from nexus_writer_service.service.status import StateChange

reproducible = settings(derandomize=True, deadline=None)

HOWS = ("killed early", "killed", "left", "complete", "incomplete", "failed")


def life(how, minutes):
    """What one writer tells of a scan, in order, at these three minutes past noon."""
    first, second, third = sorted(minutes)
    begun, accepting = running(started=first, file=None), running(started=first, now=second)
    match how:
        case "killed early":
            return [begun]
        case "killed":
            return [begun, accepting]
        case "left":
            return [begun, accepting, left(accepting, third)]
        case "failed":
            return [begun, ended(begun, over(minute=third, failure="it was refused"))]
        case _:
            end = over(minute=third, written=10 if how == "complete" else 5)
            return [begun, accepting, ended(accepting, end)]


@st.composite
def writers(draw):
    """What up to three writers of one scan tell; no two say something at the same moment."""
    hows = draw(st.lists(st.sampled_from(HOWS), min_size=1, max_size=3))
    minutes = draw(st.permutations(range(3 * len(hows))))
    return [life(how, minutes[3 * index : 3 * index + 3]) for index, how in enumerate(hows)]


def in_any_order(draw, told):
    """Each writer's statuses in order, those of several writers in any."""
    turns = [index for index, life in enumerate(told) for _ in life]
    iterators = [iter(life) for life in told]
    return [next(iterators[turn]) for turn in draw(st.permutations(turns))]


def told_by(status):
    told = account(status)
    assert told is not None
    return told


def known(statuses):
    return reduce(together, map(told_by, statuses))


def moment(status):
    return status.ended or status.states[-1].time


@reproducible
@given(st.data())
def test_the_newest_real_verdict_holds_else_the_newest_account(data):
    told = data.draw(writers())
    scan = known(in_any_order(data.draw, told))
    statuses = [status for life in told for status in life]
    real = [one for one in statuses if one.verdict and one.verdict.outcome in REAL]
    newest = max(real or statuses, key=moment)
    assert scan.verdict == told_by(newest).verdict
    assert scan.state is newest.state
    assert scan.ended == (newest.ended if newest.verdict else None)


@reproducible
@given(st.data())
def test_the_order_in_which_writers_tell_changes_nothing(data):
    told = data.draw(writers())
    assert known(in_any_order(data.draw, told)) == known(in_any_order(data.draw, told))


@reproducible
@given(st.data())
def test_telling_something_again_changes_nothing(data):
    statuses = in_any_order(data.draw, data.draw(writers()))
    again = data.draw(st.lists(st.sampled_from(statuses)))
    assert known([*statuses, *again]) == known(statuses)


@reproducible
@given(st.data())
def test_the_states_of_all_writers_are_kept_by_time(data):
    told = data.draw(writers())
    scan = known(in_any_order(data.draw, told))
    changes = [change for life in told for change in life[-1].states]
    assert list(scan.states) == sorted(changes, key=lambda one: one.time)
    assert scan.started == min(life[0].started for life in told)


@reproducible
@given(st.data())
def test_where_a_scan_was_written_is_not_forgotten_by_a_writer_that_only_begins(data):
    told = data.draw(writers())
    scan = known(in_any_order(data.draw, told))
    files = {status.file for life in told for status in life}
    assert (scan.file is None) == (files == {None})
    assert bool(scan.entries) == bool(scan.file)


@settings(reproducible, max_examples=25)
@given(st.data())
def test_the_file_of_the_history_tells_the_same(tmp_path_factory, data):
    statuses = in_any_order(data.draw, data.draw(writers()))
    path = tmp_path_factory.mktemp("history") / "history.sqlite"
    cut = data.draw(st.integers(0, len(statuses)))
    recorded(path, *statuses[:cut])
    history = recorded(path, *statuses[cut:])
    (scan,) = history.scans()
    assert scan == known(statuses)
    assert history.settled() == ({scan.key} if scan.verdict.outcome in REAL else set())
    unfinished = scan.verdict.outcome in (Outcome.RUNNING, Outcome.INTERRUPTED)
    assert bool(history.unfinished()) == unfinished


@pytest.mark.parametrize(
    ("hows", "outcome"),
    [
        (("left", "complete"), Outcome.COMPLETE),  # resumed
        (("killed", "killed early"), Outcome.RUNNING),
        (("failed", "complete"), Outcome.COMPLETE),  # tried again
        (("failed", "killed"), Outcome.RUNNING),
        (("complete", "killed"), Outcome.COMPLETE),  # seen again by a writer started again
        (("complete", "left"), Outcome.COMPLETE),
        (("incomplete", "failed"), Outcome.INCOMPLETE),
        (("killed", "failed"), Outcome.FAILED),
    ],
)
def test_a_scan_passes_from_one_writer_to_the_next(hows, outcome):
    told = [life(how, range(3 * index, 3 * index + 3)) for index, how in enumerate(hows)]
    assert known([status for life in told for status in life]).verdict.outcome is outcome


def test_a_clock_that_was_put_back_does_not_hide_how_a_scan_failed():
    begun = running(started=5, now=6)
    scan = known([begun, ended(begun, over(minute=1, failure="no room"))])
    assert scan.verdict.outcome is Outcome.FAILED


def test_a_scan_that_each_new_writer_fails_to_save_does_not_grow_for_ever():
    told = [
        status
        for minute in range(0, 600, 3)
        for status in life("failed", range(minute, minute + 3))
    ]
    scan = known(told)
    assert len(scan.states) == module._MOST_STATES
    assert scan.states[-1].time == NOON + timedelta(minutes=599)


def test_a_status_that_names_no_states_tells_the_one_it_is_in():
    scan = told_by(over(1, minute=3))
    assert scan.states == (
        StateChange(ScanState.OFF, NOON + timedelta(minutes=3), scan.verdict.summary),
    )
