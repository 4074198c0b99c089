"""Verdicts are kept for ever, and keeping them never costs a scan."""

import logging
import multiprocessing
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support_history import NOON, over, recorded
from tests.support_waiting import wait_for

from nexus_writer_service.errors import FileError
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service import history as module
from nexus_writer_service.service.history import History


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "history.sqlite"


def names(scans):
    return [scan.name for scan in scans]


def test_all_that_is_known_of_a_scan_comes_back_in_another_process_s_history(path):
    status = over(4, written=8, warnings=("little room",))
    recorded(path, status)
    (scan,) = History(path).scans()
    assert scan.verdict == status.verdict
    assert scan.verdict.outcome is Outcome.INCOMPLETE
    assert (scan.key, scan.name, scan.session) == (status.key, "4_ascan", "test_session")
    assert (scan.started, scan.ended) == (NOON, status.ended)
    assert scan.urls == status.urls
    assert (scan.state, scan.warnings) == (ScanState.FAULT, ("little room",))


def test_scans_come_newest_first_and_can_be_chosen(path):
    history = recorded(
        path, over(2, written=1), over(1), over(3, failure="no room"), over(4, session="other")
    )
    assert names(history.scans()) == ["4_ascan", "3_ascan", "2_ascan", "1_ascan"]
    assert names(history.scans("other")) == ["4_ascan"]
    assert names(history.scans(failed=True)) == ["3_ascan", "2_ascan"]
    assert names(history.scans(since=NOON + timedelta(minutes=3))) == ["4_ascan", "3_ascan"]
    assert names(history.scans(limit=1)) == ["4_ascan"]
    assert names(history.scans("test_session", failed=True, limit=1)) == ["3_ascan"]


def test_scans_are_found_by_name_and_by_key(path):
    history = recorded(path, over(1, key="a", minute=1), over(1, key="b", minute=2), over(2))
    assert [scan.key for scan in history.find("1_ascan")] == ["b", "a"]
    assert [scan.key for scan in history.find("a")] == ["a"]
    assert history.find("'; DROP TABLE scans") == []


@pytest.mark.parametrize("reverse", [False, True], ids=["in_order", "late"])
def test_the_newest_verdict_on_a_scan_holds(path, reverse):
    first, second = over(1, written=5, minute=1), over(1, minute=2)
    history = recorded(path, *((second, first) if reverse else (first, second)))
    (scan,) = history.scans()
    assert scan.verdict.outcome is Outcome.COMPLETE
    recorded(path, second)
    assert len(history.scans()) == 1


@pytest.mark.parametrize("minute", [1, 3])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_writer_that_was_refused_does_not_hide_what_the_other_one_saved(path, minute, reverse):
    both = over(1, minute=2), over(1, failure="another writer is writing it", minute=minute)
    history = recorded(path, *(both[::-1] if reverse else both))
    (scan,) = history.scans()
    assert scan.verdict.outcome is Outcome.COMPLETE


def test_a_scan_without_a_verdict_is_not_recorded(path):
    recorded(path, replace(over(1), verdict=None))
    assert not path.exists()


def test_names_that_are_no_text_are_kept_readable(path):
    history = recorded(path, replace(over(1), file="/data/\udcff.h5"))
    assert history.scans()[0].file == "/data/\\udcff.h5"


def test_reading_makes_no_file_and_says_what_is_missing(path):
    with pytest.raises(FileError, match="there is no history"):
        History(path).scans()
    assert not path.exists()


def test_reading_what_is_no_history_says_so(tmp_path):
    (tmp_path / "other").write_text("no database at all, only text" * 100)
    with pytest.raises(FileError, match="cannot be read"):
        History(tmp_path / "other").scans()


def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(path, caplog):
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 1000)
    history = recorded(path, over(1))
    assert names(history.scans()) == ["1_ascan"]
    (aside,) = path.parent.glob("history.sqlite.damaged-*")
    assert aside.read_bytes().startswith(b"this is not")
    assert "was damaged" in caplog.text


def test_a_file_that_is_damaged_inside_is_moved_aside(path):
    recorded(path, *(over(number) for number in range(200)))
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xaa" * (len(content) - 4096))
    history = recorded(path, over(1000))
    assert names(history.scans()) == ["1000_ascan"]
    assert len(list(path.parent.glob("*.damaged-*"))) == 1


def test_a_locked_file_is_told_once_and_tried_again_with_the_next_scan(path, caplog, monkeypatch):
    monkeypatch.setattr(module, "_BUSY", 0.01)
    recorded(path, over(1))
    history = History(path)

    def complaints():
        return caplog.text.count("tried again")

    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        history.record(over(2))
        wait_for(complaints, what="warning")
        history.record(over(3))
        history.record(over(4))
    history.record(over(5))
    history.close()
    assert names(History(path).scans()) == [f"{number}_ascan" for number in (5, 4, 3, 2, 1)]
    assert complaints() == 1


def test_what_could_not_be_saved_until_the_end_is_counted(tmp_path, caplog):
    (tmp_path / "file").touch()
    recorded(tmp_path / "file" / "history.sqlite", over(1), over(2))
    assert "the verdicts of 2 scans are not in it" in caplog.text
    assert [one.levelno for one in caplog.records] == [logging.WARNING] * 2


def test_what_waits_is_bounded(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    (tmp_path / "file").touch()
    recorded(tmp_path / "file" / "history.sqlite", *(over(number) for number in range(5)))
    assert "the verdicts of 5 scans are not in it" in caplog.text


def _record_many(path, session):
    recorded(path, *(over(number, session=session) for number in range(20)))


def test_several_processes_share_a_file(path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_record_many, args=(path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(History(path).scans()) == 60


def test_a_verdict_of_an_unknown_kind_is_an_error_that_names_the_file(path):
    history = recorded(path, over(1))
    with closing(sqlite3.connect(path)) as base, base:
        base.execute('UPDATE scans SET verdict = \'{"outcome": "splendid"}\'')
    with pytest.raises(FileError, match=r"history\.sqlite cannot be read.*splendid"):
        history.scans()
