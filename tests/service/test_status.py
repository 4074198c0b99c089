import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.service.status import ScanStatus, StatusBoard

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def scan(key: str, state: ScanState = ScanState.ON, name: str = "1_ascan") -> ScanStatus:
    ended = NOW if state.final else None
    return ScanStatus(ScanKey(key), name, "session", state, "why", NOW, ended=ended)


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ((ScanState.OFF, ScanState.ON), 1),
        ((ScanState.ON, ScanState.OFF), 0),
        ((ScanState.OFF, ScanState.FAULT), 1),
        ((ScanState.ON, ScanState.INIT), 1),
        ((ScanState.ON, ScanState.ON, ScanState.OFF), 1),
    ],
)
def test_of_scans_with_one_name_the_newest_unfinished_is_found_else_the_newest(states, found):
    board = StatusBoard()
    for number, state in enumerate(states):
        board.put(scan(str(number), state))
    status = board.find("1_ascan")
    assert status is not None
    assert status.key == str(found)


def test_a_scan_is_found_by_its_key_too():
    board = StatusBoard()
    board.put(scan("a"))
    board.put(scan("b"))
    assert board.find("a") == scan("a")
    assert board.find("c") is None


def test_who_waits_is_woken_by_a_change():
    board = StatusBoard()
    threading.Timer(0.05, board.put, args=[scan("a")]).start()
    assert board.wait_for(lambda: board.find("1_ascan"), 20) == scan("a")


def test_waiting_has_an_end():
    assert StatusBoard().wait_for(lambda: False, 0.01) is False


def test_only_scans_that_ended_long_ago_are_purged():
    board = StatusBoard()
    board.put(scan("a", ScanState.OFF))
    board.put(replace(scan("b", ScanState.FAULT), ended=NOW + timedelta(seconds=2)))
    board.put(scan("c"))
    changes = board.changes
    assert board.purge(NOW) == set()
    assert board.changes == changes
    assert board.purge(NOW + timedelta(seconds=1)) == {"a"}
    assert board.changes > changes
    assert [one.key for one in board] == ["b", "c"]


def test_a_scan_that_was_purged_is_found_no_more_and_its_namesake_is():
    board = StatusBoard()
    board.put(scan("a", ScanState.OFF))
    board.put(scan("b"))
    board.purge(NOW + timedelta(seconds=1))
    assert board.find("a") is None
    assert board.find("1_ascan") == scan("b")
    board.put(scan("b", ScanState.OFF))
    board.purge(NOW + timedelta(seconds=1))
    assert board.find("1_ascan") is None
    assert list(board) == []


def test_what_runs_follows_the_states():
    board = StatusBoard()
    for key in "abc":
        board.put(scan(key))
    board.put(scan("b", ScanState.FAULT))
    assert [one.key for one in board.running()] == ["a", "c"]
    # A scan that is gone on with runs again, and is not purged for having ended before.
    board.put(scan("b", ScanState.INIT))
    assert [one.key for one in board.running()] == ["a", "c", "b"]
    assert board.purge(NOW + timedelta(seconds=1)) == set()
    board.put(replace(scan("b", ScanState.OFF), ended=NOW + timedelta(seconds=5)))
    assert board.purge(NOW + timedelta(seconds=1)) == set()
    assert board.purge(NOW + timedelta(seconds=6)) == {"b"}
