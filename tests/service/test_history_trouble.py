"""A history in trouble: old versions, full disks, kills, several writers."""

import multiprocessing
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from tests.support_history import NOON, ended, names, over, recorded, running
from tests.support_waiting import wait_for

from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service import history as module
from nexus_writer_service.service.history import History

_OLD = """
    CREATE TABLE scans (
        key TEXT PRIMARY KEY, name TEXT, session TEXT, file TEXT, entries TEXT, started TEXT,
        ended TEXT, state TEXT, outcome TEXT, summary TEXT, verdict TEXT, warnings TEXT);
    CREATE INDEX scans_by_end ON scans (ended);
    INSERT INTO scans VALUES ('scan:test_session:1', '1_ascan', 'test_session', '/data/sample.h5',
        '["1.1"]', '2026-11-21T12:00:00.000000+00:00', '2026-11-21T12:01:00.000000+00:00', 'OFF',
        'complete', 'complete: 10 points in 1 channels', '{"outcome": "complete", "reasons": [],
        "warnings": [], "channels": {"axis:robx": {"published": 10, "written": 10}}}', '[]');
    INSERT INTO scans VALUES ('scan:test_session:2', '2_ascan', 'test_session', '/data/sample.h5',
        '[]', '2026-11-21T12:00:00.000000+00:00', '2026-11-21T12:02:00.000000+00:00', 'FAULT',
        'failed', 'failed: 0 points in 0 channels; no room', '{"outcome": "failed", "reasons":
        ["no room"], "warnings": [], "channels": {}}', '[]');
"""


@pytest.fixture
def old(path):
    """A file of the version that kept only scans that were over."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as base:
        base.executescript(_OLD)
    return path


# ------------------------------------------------------------------------ files of old versions


def test_a_file_of_an_old_version_is_read_as_it_is(old):
    before = old.read_bytes()
    history = History(old)
    assert names(history.scans()) == ["2_ascan", "1_ascan"]
    assert names(history.scans(failed=True)) == ["2_ascan"]
    assert history.unfinished() == []
    assert history.settled() == {"scan:test_session:1"}
    assert history.scans()[0].states == ()
    assert old.read_bytes() == before


def test_a_file_of_an_old_version_is_written_on(old):
    again = running(2, started=3, now=4)
    history = recorded(old, running(1, started=5), again, running(3, started=-1))
    assert [(scan.name, scan.verdict.outcome) for scan in history.scans()] == [
        ("2_ascan", Outcome.RUNNING),
        ("3_ascan", Outcome.RUNNING),
        ("1_ascan", Outcome.COMPLETE),
    ]
    assert history.scans()[0].states == again.states
    recorded(old, over(4))
    assert history.settled() == {"scan:test_session:1", "scan:test_session:4"}


def test_an_old_and_a_new_file_are_laid_out_alike(old, tmp_path):
    new = tmp_path / "new.sqlite"
    recorded(old, over(3))
    recorded(new, over(3))

    def layout(file):
        with closing(sqlite3.connect(file)) as base:
            indexes = base.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
            return set(indexes), list(base.execute("PRAGMA table_info(scans)"))

    assert layout(old) == layout(new)


def test_a_row_that_this_version_does_not_understand_does_not_stop_the_writer(path):
    history = recorded(path, over(1))
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE scans SET states = '[[\"SPLENDID\", 3, 4]]'")
    recorded(path, over(1), over(2))
    assert names(history.scans()) == ["2_ascan", "1_ascan"]


# ---------------------------------------------------------------------------------- trouble


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"session": "test_session"},
        {"scan": "1_ascan"},
        {"session": "test_session", "scan": "1_ascan"},
        {"failed": True},
        {"session": "test_session", "failed": True},
        {"unfinished": True},
        {"session": "test_session", "unfinished": True},
        {"session": "test_session", "since": NOON},
    ],
    ids=str,
)
def test_every_question_is_answered_by_an_index(path, chosen, monkeypatch):
    history = recorded(path, over(1), over(2, written=3), running(3))
    asked = []
    question = module._question

    def remembered(*arguments):
        asked.append(question(*arguments))
        return asked[-1]

    monkeypatch.setattr(module, "_question", remembered)
    history.scans(**chosen)
    history.settled(chosen.get("session"))
    parameters = {"session": None, "scan": None, "since": None, "limit": 1}
    with closing(sqlite3.connect(path)) as base:
        plans = [
            " ".join(row[3] for row in base.execute("EXPLAIN QUERY PLAN " + one, parameters))
            for one in asked
        ]
    plan, settled_plan = plans
    narrow = {"unfinished": "scans_unfinished", "failed": "scans_failed", "scan": "scans_by_name"}
    others = {"session": "scans_of_session"}
    index = next((name for key, name in {**narrow, **others}.items() if key in chosen), None)
    assert (index or "scans_newest") in plan
    assert "scans_settled" in settled_plan


def test_a_full_disk_costs_nothing_once_there_is_room_again(path, caplog, monkeypatch):
    monkeypatch.setattr(module, "_RETRY", 0.05)
    recorded(path, over(1))
    history = History(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        for number in range(2, 100):
            history.record(over(number, warnings=("x" * 1000,)))
        wait_for(lambda: "tried again" in caplog.text, what="warning")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    # Nothing more is recorded: time alone brings the next attempt.
    wait_for(lambda: len(history.scans()) == 99, what="all scans in the file")
    history.close()
    assert {one.key for one in History(path).scans()} == {over(n).key for n in range(1, 100)}


_KILLED = """
import os, sys
from pathlib import Path
from tests.support_history import ended, over, recorded, running
path = Path(sys.argv[1])
for number in range(int(sys.argv[2]), 10_000):
    scan = running(number, started=number, now=number)
    recorded(path, scan)
    print("began", number, flush=True)
    recorded(path, ended(scan, over(number, minute=number + 1)))
    print("ended", number, flush=True)
"""


def test_what_was_saved_outlives_kills_at_any_instant(path):
    began: set[int] = set()
    over_with: set[int] = set()
    for first, lines in ((0, 1), (100, 7), (200, 12), (300, 2), (400, 5)):
        with subprocess.Popen(
            [sys.executable, "-c", _KILLED, path, str(first)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline() for _ in range(lines)]
            writer.kill()
            said += [line for line in writer.stdout.read().splitlines() if line]
        for word, number in map(str.split, said):
            (began if word == "began" else over_with).add(int(number))
    history = History(path)
    known = {int(scan.name.split("_")[0]): scan for scan in history.scans()}
    assert began <= set(known)
    # Each kill may have come between what was saved and what was said.
    assert over_with <= {number for number, scan in known.items() if scan.ended}
    assert len(known) <= len(began) + 5
    assert len(history.unfinished()) + len(history.settled()) == len(known)
    assert list(path.parent.glob("*.damaged*")) == []


def _tell_one_scan(path, minutes):
    for minute in minutes:
        scan = running(1, started=minute, now=minute + 0.1)
        recorded(path, running(1, started=minute, file=None))
        recorded(path, scan)
        recorded(path, ended(scan, over(1, failure="refused", minute=minute + 0.2)))
        recorded(path, ended(scan, over(1, written=minute, minute=minute + 0.3)))


def test_processes_that_tell_of_one_scan_at_the_same_time_lose_nothing(path):
    context = multiprocessing.get_context("spawn")
    shares = [range(start, 8, 2) for start in (0, 1)]
    writers = [context.Process(target=_tell_one_scan, args=(path, share)) for share in shares]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    (scan,) = History(path).scans()
    assert scan.verdict.channels[0].written == 7
    assert scan.started == NOON
    # INIT, ON, failed, and what it ended with after all: of each of the eight.
    assert len(scan.states) == 32
