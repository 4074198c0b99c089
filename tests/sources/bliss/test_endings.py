"""Scans that are found to be over at the same time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_description import line_scan

from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Announced, Ended
from nexus_writer_service.sources.bliss.endings import ends_in_order


def announced(name):
    return Announced(ScanKey(name), line_scan(key=ScanKey(name)))


def ended(name, second):
    """End of a scan in a second of some minute, None: at an unknown time."""
    time = None if second is None else f"2026-11-21T10:00:{second:02}.5+01:00"
    return Ended(ScanKey(name), line_scan(key=ScanKey(name), end_time=time))


def test_a_sequence_ends_after_its_scans():
    events = [announced("sequence"), ended("sequence", 9), announced("scan"), ended("scan", 8)]
    assert ends_in_order(events) == [events[0], events[2], events[3], events[1]]


def test_scans_one_after_the_other_stay_as_they_are():
    events = [announced("a"), ended("a", 1), announced("b"), ended("b", 2)]
    assert ends_in_order(events) == events


@pytest.mark.parametrize("count", [0, 1])
def test_so_do_those_that_have_nothing_to_be_compared_to(count):
    events = [ended("a", 1)][:count]
    assert ends_in_order(events) == events


@given(st.lists(st.one_of(st.just(-1), st.none(), st.integers(0, 59)), max_size=12))
def test_nothing_is_lost_and_only_ends_are_put_off(seconds):
    events = [
        announced(f"scan{number}") if second == -1 else ended(f"scan{number}", second)
        for number, second in enumerate(seconds)
    ]
    found = ends_in_order(events)
    assert sorted(map(id, found)) == sorted(map(id, events))
    others = [event for event in found if isinstance(event, Announced)]
    assert others == [event for event in events if isinstance(event, Announced)]
    times = [event.scan.end_time or "~" for event in found if isinstance(event, Ended)]
    assert times == sorted(times)
    for event in events:  # none is told earlier than it was
        before = [id(one) for one in events[: events.index(event)] if isinstance(one, Announced)]
        place = [id(one) for one in found].index(id(event))
        assert {id(one) for one in found[:place]} >= set(before)
