import threading
from dataclasses import replace

import pytest
from tests.support_description import line_scan
from tests.support_history import over, recorded, running
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions, SessionProcess
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.session_service import acceptor


@pytest.mark.parametrize(
    ("names", "data_writer", "accepted"),
    [
        (("external",), "external", True),
        (("external",), "nexus", False),
        (("external", "nexus"), "nexus", True),
        (("any",), "nexus", True),
        (("any",), "", True),
        (("external",), "", False),
    ],
)
def test_scans_are_accepted_by_the_writer_that_bliss_selected(names, data_writer, accepted):
    assert acceptor(names)(line_scan(data_writer=data_writer)) is accepted


@pytest.mark.parametrize("names", [("any",), ("null",)])
def test_scans_of_the_null_writer_have_no_file_and_are_never_saved(names):
    assert not acceptor(names)(line_scan(data_writer="null", path=None))


def test_scans_that_are_not_to_be_saved_never_are():
    assert not acceptor(("any",))(line_scan(data_writer="external", save=False))


class Listening:
    """A source that nothing ever happens at."""

    connected = True

    def read(self, timeout):
        self.waiting = threading.Event()
        self.waiting.wait(min(timeout, 0.05))
        return []

    def drop(self, key):
        pass

    def tell(self, key):
        pass

    def interrupt(self):
        pass

    def close(self):
        pass


def backlog_of(options: ProcessOptions) -> Backlog:
    """What the process asks its source to tell of the past."""
    asked: list[Backlog] = []

    def connect(backlog: Backlog) -> Listening:
        asked.append(backlog)
        return Listening()

    process = SessionProcess(options, connect, DiskWatch(required=0, recommended=0))
    process.start()
    wait_for(lambda: process.session.state is SessionState.ON)
    process.stop()
    return asked[0]


def test_by_default_all_that_was_missed_is_caught_up():
    backlog = backlog_of(ProcessOptions("test_session"))
    assert backlog.since == "0-0"
    assert backlog.expected == frozenset()
    assert not backlog.skip(ScanKey("scan:1"))
    assert backlog.concerns(line_scan(data_writer="external"))
    assert not backlog.concerns(line_scan(data_writer="nexus"))


def test_catching_up_can_be_forgone(tmp_path):
    history = tmp_path / "history.sqlite"
    recorded(history, running(1))
    options = ProcessOptions("test_session", catch_up=False, history=history)
    backlog = backlog_of(options)
    assert backlog.since is None
    assert backlog.expected == frozenset()


def test_the_history_tells_which_scans_need_a_writer(tmp_path):
    history = tmp_path / "history.sqlite"
    complete, refused, left, foreign = over(1), over(2, failure="no"), running(3), running(4)
    recorded(history, complete, refused, left, replace(foreign, session="other"))
    backlog = backlog_of(ProcessOptions("test_session", history=history))
    assert backlog.skip(complete.key)
    assert not backlog.skip(refused.key)
    assert backlog.expected == {left.key}


def test_a_history_that_cannot_be_read_does_not_keep_the_writer_from_catching_up(tmp_path, caplog):
    history = tmp_path / "history.sqlite"
    history.write_bytes(b"no database" * 1000)
    backlog = backlog_of(ProcessOptions("test_session", history=history))
    assert backlog.since == "0-0"
    assert "what earlier writers left is not known" in caplog.text
