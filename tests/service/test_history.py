"""What became of scans is kept for ever, and keeping it never costs a scan."""

import logging
import multiprocessing
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support_history import NOON, ended, left, names, over, recorded, running
from tests.support_waiting import wait_for

from nexus_writer_service.errors import FileError
from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import ChannelTally, Gap, Outcome, Verdict
from nexus_writer_service.service import history as module
from nexus_writer_service.service.history import History


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


def test_a_scan_that_is_not_to_be_saved_is_not_recorded(path):
    history = recorded(path, replace(over(1), verdict=None, state=ScanState.OFF))
    assert history.unfinished() == []
    assert history.settled() == frozenset()


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


def test_a_locked_file_is_told_once_and_tried_again(path, caplog, monkeypatch):
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
    assert "2 changes of scans are not in it" in caplog.text
    assert [one.levelno for one in caplog.records] == [logging.WARNING] * 2


def test_what_waits_is_bounded(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    (tmp_path / "file").touch()
    recorded(tmp_path / "file" / "history.sqlite", *(over(number) for number in range(5)))
    assert "5 changes of scans are not in it" in caplog.text


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


# ------------------------------------------------------------------------- unfinished scans


def test_a_scan_is_known_from_its_start_with_all_its_states(path):
    scan = running(1, started=0.5, now=1)
    history = recorded(path, running(1, started=0.5, file=None))
    (known,) = history.scans()
    assert (known.verdict, known.ended, known.file) == (Verdict(Outcome.RUNNING), None, None)
    recorded(path, scan)
    (known,) = history.scans()
    assert (known.state, known.urls) == (ScanState.ON, scan.urls)
    recorded(path, ended(scan, over(1, minute=2)))
    (known,) = history.scans()
    assert [(one.state, one.time) for one in known.states] == [
        (ScanState.INIT, NOON + timedelta(minutes=0.5)),
        (ScanState.ON, NOON + timedelta(minutes=1)),
        (ScanState.OFF, NOON + timedelta(minutes=2)),
    ]
    assert known.states[1].reason == "accepting data"
    assert (known.started, known.ended) == (known.states[0].time, known.states[2].time)


def test_what_a_scan_lost_and_where_its_images_are_comes_back(path):
    tally = ChannelTally(
        *(ChannelName("cam:image"), 100, 100),
        gaps=(Gap(3, 7, "trimmed"),),
        external=("/data/img_0000.h5", "/data/img_0001.h5"),
    )
    verdict = Verdict(Outcome.INCOMPLETE, ("a gap",), (), (tally,))
    (scan,) = recorded(path, replace(over(1), verdict=verdict)).scans()
    assert scan.verdict == verdict


def test_unfinished_scans_are_those_that_run_or_were_left(path):
    history = recorded(
        path,
        running(1, started=1),
        running(2, started=3, session="other"),
        left(running(3, started=2, now=2), minute=4),
        over(4),
        over(5, written=3),
        over(6, failure="no room"),
    )
    assert names(history.unfinished()) == ["2_ascan", "1_ascan", "3_ascan"]
    assert names(history.unfinished("test_session")) == ["1_ascan", "3_ascan"]
    assert names(history.scans(unfinished=True)) == names(history.unfinished())
    assert names(history.scans(unfinished=True, failed=True)) == ["3_ascan"]


def test_settled_scans_are_those_of_which_the_file_tells_how_they_ended(path):
    history = recorded(
        path,
        running(1),
        left(running(2, now=2), minute=4),
        over(3),
        over(4, written=3),
        over(5, failure="no room"),
        over(6, session="other"),
    )
    assert history.settled("test_session") == {"scan:test_session:3", "scan:test_session:4"}
    assert history.settled() - history.settled("test_session") == {"scan:other:6"}
    assert history.settled("none") == frozenset()


def test_scans_that_run_come_first_and_a_moment_does_not_hide_them(path):
    history = recorded(path, running(1), over(2), over(3, failure="no room"), over(4, written=1))
    assert names(history.scans()) == ["1_ascan", "4_ascan", "3_ascan", "2_ascan"]
    assert names(history.scans(since=NOON + timedelta(minutes=4))) == ["1_ascan", "4_ascan"]
    assert names(history.scans(failed=True)) == ["4_ascan", "3_ascan"]


def test_a_scan_that_was_refused_is_failed_before_it_ends(path):
    refused = replace(
        over(1, failure="no room"),
        verdict=None,
        reason="another writer is writing it",
    )
    (scan,) = recorded(path, refused).scans(failed=True)
    assert scan.verdict == Verdict(Outcome.FAILED, ("another writer is writing it",))


def test_without_a_file_nothing_is_unfinished_and_nothing_settled(path):
    assert History(path).unfinished() == []
    assert History(path).settled() == frozenset()
    assert not path.exists()


def test_a_writer_killed_with_its_first_scan_leaves_an_empty_file_which_is_no_error(path):
    path.parent.mkdir()
    path.touch()
    assert History(path).unfinished() == []
    assert History(path).settled() == frozenset()
    with pytest.raises(FileError, match="there is no history"):
        History(path).scans()


@pytest.mark.parametrize("question", ["unfinished", "settled", "scans"])
def test_a_damaged_file_is_an_error_and_not_an_empty_one(path, question):
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(FileError, match="cannot be read"):
        getattr(History(path), question)()


@pytest.mark.parametrize("question", ["unfinished", "settled", "scans"])
def test_a_directory_in_its_place_is_an_error(path, question):
    path.mkdir(parents=True)
    with pytest.raises(FileError, match="cannot be read"):
        getattr(History(path), question)()
