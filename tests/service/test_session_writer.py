"""The states of a session, with a source that does what the test says."""

import queue

import pytest
from tests.support_clock import FakeClock
from tests.support_description import line_scan
from tests.support_waiting import wait_for

from nexus_writer_service.errors import SettingsError, SourceUnavailableError
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.events import Announced, Ended, Prepared
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scribe import Scribe
from nexus_writer_service.service.session_writer import PURGE_AFTER, SessionWriter
from nexus_writer_service.service.status import StatusBoard
from nexus_writer_service.service.surroundings import Surroundings


class ScriptedSource:
    """Tells what is put into it: events, or an error to raise."""

    def __init__(self) -> None:
        self.script: queue.Queue[object] = queue.Queue()
        self.closed = False

    def read(self, timeout):
        try:
            item = self.script.get(timeout=min(timeout, 0.05))
        except queue.Empty:
            return []
        if isinstance(item, Exception):
            raise item
        return [item]

    def interrupt(self):
        pass

    def close(self):
        self.closed = True


class Desk:
    """A session writer on a scripted source."""

    def __init__(self, tmp_path, connect=None) -> None:
        self.clock = FakeClock()
        self.around = Surroundings(
            files=FilePool(),
            board=StatusBoard(),
            clock=self.clock,
            disk=DiskWatch(required=0, recommended=0),
            layout=lambda scan: plan(scan, EsrfOptions()),
            profiler=Profiler(),
            version="1.2.3",
        )
        self.source = ScriptedSource()
        self.scribe = Scribe(self.around)
        self.states: list[SessionState] = []
        self.session = SessionWriter(
            "test_session",
            connect or (lambda: self.source),
            self.scribe,
            self.around,
            accepts=lambda _scan: True,
            on_state=lambda state, _reason: self.states.append(state),
        )
        self.scan = line_scan(path=str(tmp_path / "data.h5"), session="test_session")
        self.scribe.start()

    def tell(self, kind):
        self.source.script.put(kind(self.scan.key, self.scan))

    def reaches(self, state):
        wait_for(lambda: self.session.state is state, what=f"session {state}")

    def close(self):
        self.session.stop()
        self.scribe.stop()
        self.around.disk.stop()


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_a_session_is_init_until_it_listens_and_off_when_it_is_stopped(desk):
    desk.reaches(SessionState.INIT)
    desk.session.start()
    desk.reaches(SessionState.ON)
    desk.session.stop()
    desk.reaches(SessionState.OFF)
    assert desk.source.closed


def test_a_session_that_was_stopped_can_be_started_again(desk):
    desk.session.start()
    desk.reaches(SessionState.ON)
    desk.session.stop()
    desk.session.start()
    desk.reaches(SessionState.ON)


def test_a_session_is_running_from_the_announcement_of_a_scan_to_its_end(desk):
    desk.session.start()
    desk.reaches(SessionState.ON)
    desk.tell(Announced)
    desk.reaches(SessionState.RUNNING)
    desk.tell(Prepared)
    desk.tell(Ended)
    desk.reaches(SessionState.ON)


def test_a_source_that_is_away_makes_the_session_init_until_it_is_back(desk):
    desk.session.start()
    desk.reaches(SessionState.ON)
    desk.source.script.put(SourceUnavailableError("Redis is away"))
    desk.reaches(SessionState.INIT)
    assert desk.session.reason == "Redis is away"
    desk.reaches(SessionState.ON)
    assert desk.states == [
        SessionState.INIT,
        SessionState.ON,
        SessionState.INIT,
        SessionState.ON,
    ]


def test_an_error_that_nobody_foresaw_makes_the_session_fault(desk):
    desk.session.start()
    desk.reaches(SessionState.ON)
    desk.source.script.put(ZeroDivisionError("a bug"))
    desk.reaches(SessionState.FAULT)
    assert "a bug" in desk.session.reason
    desk.session.stop()
    assert desk.session.state is SessionState.FAULT


def test_unusable_settings_make_the_session_fault_with_the_cure(tmp_path):
    def connect():
        raise SettingsError("set REDIS_DATA_URL")

    desk = Desk(tmp_path, connect)
    desk.session.start()
    desk.reaches(SessionState.FAULT)
    assert desk.session.reason == "set REDIS_DATA_URL"
    desk.close()


def test_a_scan_that_is_over_is_forgotten_after_five_minutes(desk):
    desk.session.start()
    desk.tell(Announced)
    desk.tell(Prepared)
    desk.tell(Ended)
    wait_for(lambda: [one for one in desk.around.board if one.state.final])
    desk.clock.advance(PURGE_AFTER.total_seconds() - 1)
    assert list(desk.around.board)
    desk.clock.advance(2)
    wait_for(lambda: not list(desk.around.board))
