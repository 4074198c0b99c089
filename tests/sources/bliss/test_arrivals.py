"""Live scans come first; what is of no concern does not come at all."""

import json

import pytest

from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.sources.bliss.arrivals import GLIMPSED, Arrivals

SESSION = "test_session"


def key(number):
    return ScanKey(f"esrf:scan:{number:04}")


def text(*, session=SESSION, writer="external", end=None):
    """What Redis answers to a glimpse."""
    values = {"session": session, "data_writer": writer, "end_reason": end, "filename": "/a.h5"}
    found = {path.decode(): values.get(path.decode().rpartition(".")[2]) for path in GLIMPSED}
    return json.dumps({p: [] if value is None else [value] for p, value in found.items()}).encode()


OVER = text(end="SUCCESS")


def following(arrivals, live=10, over=10):
    """All that would be followed now."""
    keys = arrivals.next(live, over)
    for one in keys:
        arrivals.taken(one)
    return keys


def arrivals(past=(), new=(), *, session=SESSION, **backlog):
    """Scans that were found, with what a glimpse shows."""
    found = Arrivals(session, Backlog(since="0-0", **backlog))
    for is_past, texts in ((True, past), (False, new)):
        start = 0 if is_past else 100
        for number, one in enumerate(texts, start):
            found.add(key(number), past=is_past)
            if key(number) in found.unseen(1):
                found.glimpsed(key(number), one)
    return found


def test_live_scans_come_before_those_that_are_over():
    found = arrivals([OVER, OVER, text(), OVER, text()])
    assert following(found) == [key(2), key(4), key(0), key(1), key(3)]
    assert not found


def test_live_scans_do_not_wait_for_room_among_the_others():
    found = arrivals([OVER, text()])
    assert following(found, over=0) == [key(1)]
    assert found
    assert following(found, live=0) == [key(0)]


def test_negative_room_is_none():
    found = arrivals([OVER, text()])
    assert following(found, live=-3, over=-1) == []


def test_scans_of_other_sessions_are_passed_over():
    found = arrivals([text(session="other"), text(session=None), text()])
    assert following(found) == [key(2)]
    assert following(arrivals([text(session="other")], session=None)) == [key(0)]


def test_older_scans_of_no_concern_are_passed_over():
    def concerns(scan):
        assert scan.session == SESSION
        assert scan.path == "/a.h5"
        assert scan.save
        return scan.data_writer == "external"

    nexus, over = text(writer="nexus"), text(writer="nexus", end="SUCCESS")
    found = arrivals([over, OVER, nexus, text()], [over, nexus], concerns=concerns)
    # Those that are created now are announced as ever.
    assert following(found) == [key(3), key(100), key(101), key(1)]


def test_a_scan_that_is_heard_of_comes_without_a_glimpse():
    found = Arrivals(SESSION, Backlog())
    found.add(key(0), past=False)
    assert found.unseen(10) == []
    assert following(found) == [key(0)]


def test_scans_that_are_known_to_be_done_are_not_even_glimpsed():
    found = Arrivals(SESSION, Backlog(skip={key(0)}.__contains__))
    found.add(key(0), past=True)
    assert not found
    assert found.unseen(10) == []


def test_each_scan_is_taken_in_once():
    found = arrivals([text()])
    following(found)
    found.add(key(0), past=True)
    found.add(key(0), past=False)
    assert not found


def test_scans_that_are_known_already_never_come():
    found = Arrivals(SESSION, Backlog())
    assert not found.know(key(0))
    assert found.know(key(0))
    found.add(key(0), past=True)
    assert not found


def test_the_memory_of_known_scans_is_bounded(monkeypatch):
    monkeypatch.setattr("nexus_writer_service.sources.bliss.arrivals._REMEMBERED", 3)
    found = Arrivals(SESSION, Backlog())
    for number in range(5):
        found.know(key(number))
    assert [found.know(key(number)) for number in (4, 3, 2, 0)] == [True, True, True, False]


def test_expected_scans_come_wherever_they_are_and_whatever_they_are():
    expected = frozenset({key(0), key(1), key(2)})
    found = Arrivals(
        SESSION, Backlog(skip=lambda _key: True, concerns=lambda _scan: False, expected=expected)
    )
    assert found.unseen(10) == [key(0), key(1), key(2)]
    found.glimpsed(key(0), OVER)
    found.glimpsed(key(1), text())
    assert found.gone(key(2))
    assert following(found) == [key(1), key(0)]


def test_a_scan_that_is_gone_is_missed_only_when_it_is_expected():
    found = Arrivals(SESSION, Backlog(expected=frozenset({key(0)})))
    found.add(key(1), past=True)
    assert not found.gone(key(1))
    assert found.gone(key(0))
    assert not found.gone(key(0))
    assert not found


def test_expected_scans_that_are_given_up_never_come():
    found = Arrivals(SESSION, Backlog(expected=frozenset({key(0), key(1), key(2)})))
    found.glimpsed(key(0), text())
    found.glimpsed(key(1), OVER)
    found.add(key(3), past=False)
    assert found.give_up_expected() == [key(0), key(1), key(2)]
    assert found.unseen(10) == []
    assert following(found) == [key(3)]
    assert found.give_up_expected() == []


def test_a_scan_that_was_found_is_no_longer_to_be_given_up():
    found = Arrivals(SESSION, Backlog(expected=frozenset({key(0)})))
    found.glimpsed(key(0), text())
    following(found)
    assert found.resolve(key(0))
    assert found.give_up_expected() == []


@pytest.mark.parametrize("answer", [b"[]", b"no JSON", b'"text"', b"{}", b'{"$.id.session": 3}'])
def test_a_glimpse_of_something_strange_belongs_to_no_session(answer):
    assert following(arrivals([answer])) == []
    assert following(arrivals([answer], session=None)) == [key(0)]


def test_a_scan_that_cannot_be_glimpsed_is_looked_at_as_a_whole():
    found = Arrivals(SESSION, Backlog())
    found.add(key(0), past=True)
    found.unclear(key(0))
    assert following(found) == [key(0)]


def test_a_scan_that_is_asked_for_comes_once_also_if_it_was_passed_over():
    found = Arrivals(SESSION, Backlog(since="0-0", skip=lambda one: one == key(1)))
    for number in (1, 2):
        found.add(key(number), past=True)
    assert following(found) == []
    for _ in range(2):
        found.want(key(1))  # was skipped
        found.want(key(2))  # was not glimpsed yet
    assert found.unseen(10) == []
    assert following(found) == [key(1), key(2)]
    assert not found
