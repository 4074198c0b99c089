import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.verdict import ChannelTally, Gap, Outcome, Verdict, judge


def tally(published, written, problems=(), missing=()):
    return ChannelTally(ChannelName("axis:robx"), published, written, problems, missing)


def test_all_published_points_written_is_complete():
    verdict = judge([tally(11, 11)])
    assert verdict.outcome is Outcome.COMPLETE
    assert verdict.reasons == ()
    assert verdict.summary == "complete: 11 points in 1 channels"


def test_a_missing_point_is_never_called_complete():
    verdict = judge([tally(11, 10)])
    assert verdict.outcome is Outcome.INCOMPLETE
    assert verdict.reasons == ("channel axis:robx: 10 of 11 points written",)


def test_a_channel_whose_end_was_not_seen_is_never_called_complete():
    verdict = judge([tally(None, 10)])
    assert verdict.outcome is Outcome.INCOMPLETE
    assert "end of the channel not seen" in verdict.summary


def test_a_gap_is_told_with_its_points():
    gap = Gap(3, 8, "trimmed")
    verdict = judge([ChannelTally(ChannelName("axis:robx"), 11, 11, gaps=(gap,))])
    assert verdict.outcome is Outcome.INCOMPLETE
    assert verdict.reasons == ("channel axis:robx: points 3 to 7 lost: trimmed",)


def test_a_failed_scan_says_why_first():
    verdict = judge([], failure="no room", problems=["a plot is missing"])
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reasons == ("no room", "a plot is missing")


@pytest.mark.parametrize(
    ("verdict", "summary"),
    [
        (Verdict(Outcome.RUNNING), "running"),
        (Verdict(Outcome.INTERRUPTED, ("its writer died",)), "interrupted: its writer died"),
        (Verdict(Outcome.COMPLETE), "complete: 0 points in 0 channels"),
        (judge([], failure="no room"), "failed: no room"),
        (judge([tally(3, 2)]), "incomplete: 2 points in 1 channels; channel axis:robx: 2 of 3"),
    ],
)
def test_points_that_nobody_counted_are_not_called_none(verdict, summary):
    assert verdict.summary.startswith(summary)
    assert ("points in" in verdict.summary) == ("points in" in summary)


def test_warnings_alone_leave_a_scan_complete():
    assert judge([tally(1, 1)], warnings=["little room"]).outcome is Outcome.COMPLETE


def test_missing_files_are_named_but_not_all_of_thousands():
    verdict = judge([tally(9, 9, missing=tuple(f"f{i}.h5" for i in range(9)))])
    assert verdict.outcome is Outcome.INCOMPLETE
    assert "f0.h5, f1.h5, f2.h5 and 6 more" in verdict.reasons[0]


texts = st.lists(st.text(min_size=1), max_size=2).map(tuple)
gaps = st.lists(st.builds(Gap, st.integers(0), st.integers(0), st.text()), max_size=2).map(tuple)
tallies = st.builds(
    ChannelTally,
    st.text(min_size=1),
    st.none() | st.integers(0, 1000),
    st.integers(0, 1000),
    texts,
    texts,
    gaps,
    texts,
)
# By chance alone, hardly any channel would be whole, or lack one thing only.
whole = st.builds(
    lambda name, points: ChannelTally(name, points, points), st.text(min_size=1), st.integers(0)
)
almost_whole = st.one_of(
    st.builds(replace, whole, problems=texts),
    st.builds(replace, whole, files_missing=texts),
    st.builds(replace, whole, gaps=gaps),
    st.builds(replace, whole, external=texts),
    st.builds(replace, whole, published=st.none()),
)


@given(st.lists(tallies | almost_whole, max_size=3), texts)
def test_complete_means_exactly_that_nothing_is_missing(channels, problems):
    verdict = judge(channels, problems=problems)
    whole = all(
        one.published == one.written and not (one.problems or one.files_missing or one.gaps)
        for one in channels
    )
    assert (verdict.outcome is Outcome.COMPLETE) == (whole and not problems)
    assert bool(verdict.reasons) == (verdict.outcome is not Outcome.COMPLETE)


@given(st.lists(tallies))
def test_the_json_tells_each_channel(channels):
    document = json.loads(judge(channels).as_json())
    assert set(document["channels"]) == {one.channel for one in channels}


def test_a_verdict_comes_back_from_its_json():
    tallies = [
        ChannelTally(ChannelName("axis:robx"), 11, 10, ("it ended",)),
        ChannelTally(ChannelName("cam:image"), None, 3, (), ("/data/cam_0001.h5",)),
    ]
    verdict = judge(tallies, failure="no room", problems=["no plot"], warnings=["little room"])
    assert Verdict.from_json(verdict.as_json()) == verdict
