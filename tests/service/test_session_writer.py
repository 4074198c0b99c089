"""The states of a session, with a source that does what the test says."""

import queue
from dataclasses import replace

import pytest
from tests.support_clock import FakeClock
from tests.support_description import line_scan
from tests.support_waiting import wait_for

from nexus_writer_service.errors import SettingsError, SourceUnavailableError
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.events import Announced, Ended, Prepared, Vanished
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.service.backoff import Backoff
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scribe import Scribe
from nexus_writer_service.service.session_writer import Owner, SessionWriter
from nexus_writer_service.service.status import PURGE_AFTER, StatusBoard
from nexus_writer_service.service.surroundings import Surroundings


class ScriptedSource:
    """Tells what is put into it: events, or an error to raise."""

    def __init__(self) -> None:
        self.script: queue.Queue[object] = queue.Queue()
        self.closed = False
        self.away = False
        self.connected = True
        self.dropped: list[str] = []
        self.told: list[str] = []

    def read(self, timeout):
        try:
            item = self.script.get(timeout=min(timeout, 0.05))
        except queue.Empty:
            self.connected = not self.away
            return []
        self.connected = not self.away and not isinstance(item, Exception)
        if isinstance(item, Exception):
            raise item
        return [item]

    def drop(self, key):
        self.dropped.append(key)

    def tell(self, key):
        self.told.append(key)

    def interrupt(self):
        pass

    def close(self):
        self.closed = True


class Desk:
    """A session writer on a scripted source."""

    def __init__(self, tmp_path, connect=None, *, shows_others=True) -> None:
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
        self.missing: list[tuple[str, str]] = []
        self.session = SessionWriter(
            "test_session",
            connect or (lambda: self.source),
            self.scribe,
            self.around,
            Owner(
                accepts=lambda scan: scan.key in self.accepted,
                on_state=lambda state, _reason: self.states.append(state),
                on_missing=lambda key, reason: self.missing.append((key, reason)),
                shows_others=shows_others,
            ),
        )
        self.scan = line_scan(path=str(tmp_path / "data.h5"), session="test_session")
        self.accepted = {self.scan.key}
        self.scribe.start()

    def tell(self, kind):
        self.source.script.put(kind(self.scan.key, self.scan))

    def reaches(self, state):
        def reached():
            # What fails for once (a commit, say) is tried again when time has passed.
            self.clock.advance(0.01)
            return self.session.state is state

        wait_for(reached, what=f"session {state}")

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
    assert desk.session.state is SessionState.ON


def test_a_session_is_running_from_the_announcement_of_a_scan_to_its_end(desk):
    desk.session.start()
    desk.reaches(SessionState.ON)
    desk.tell(Announced)
    desk.reaches(SessionState.RUNNING)
    desk.tell(Prepared)
    desk.tell(Ended)
    desk.reaches(SessionState.ON)
    status = desk.around.board.get(desk.scan.key)
    assert status is not None
    assert status.over
    assert desk.session.state is SessionState.ON


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


def test_events_of_a_source_that_is_away_do_not_make_the_session_listen(desk):
    desk.source.away = True
    desk.session.start()
    desk.tell(Announced)
    desk.tell(Prepared)
    desk.source.script.put(Vanished(desk.scan.key, "it is gone"))
    wait_for(lambda: [one for one in desk.around.board if one.state.final])
    assert desk.session.state is SessionState.INIT
    desk.source.away = False
    desk.reaches(SessionState.ON)


def test_a_session_that_waits_for_its_source_stops_at_once(desk):
    desk.session._backoff = Backoff(first=3600, longest=3600)
    desk.source.script.put(SourceUnavailableError("Redis is away"))
    desk.session.start()
    wait_for(lambda: desk.session.reason == "Redis is away")
    desk.session.stop()
    assert desk.session.state is SessionState.OFF


def test_a_session_that_is_started_again_goes_on_with_its_source(tmp_path):
    made = []

    def connect():
        made.append(ScriptedSource())
        return made[-1]

    desk = Desk(tmp_path, connect)
    for _ in range(2):
        desk.session.start()
        desk.reaches(SessionState.ON)
        desk.session.stop()
    assert len(made) == 1
    desk.close()


def test_a_scan_whose_writer_has_let_go_of_the_file_is_not_read_on(desk):
    desk.session.start()
    desk.tell(Announced)
    wait_for(lambda: desk.around.board.get(desk.scan.key))
    assert desk.source.dropped == []
    status = desk.around.board.get(desk.scan.key)
    desk.around.board.put(replace(status, over=True))
    wait_for(lambda: desk.source.dropped)
    assert desk.source.dropped == [desk.scan.key]


def test_a_scan_that_ended_is_not_dropped_as_well(desk):
    desk.session.start()
    for kind in (Announced, Prepared, Ended):
        desk.tell(kind)
    wait_for(lambda: [one for one in desk.around.board if one.over])
    desk.reaches(SessionState.ON)
    assert desk.source.dropped == []


def test_a_scan_that_vanished_unannounced_is_told_to_the_owner(desk):
    desk.session.start()
    desk.source.script.put(Vanished(desk.scan.key, "it is gone"))
    wait_for(lambda: desk.missing)
    assert desk.missing == [(desk.scan.key, "it is gone")]
    desk.tell(Announced)
    wait_for(lambda: list(desk.around.board))
    desk.source.script.put(Vanished(desk.scan.key, "it is gone"))
    wait_for(lambda: [one for one in desk.around.board if one.state.final])
    assert len(desk.missing) == 1


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


@pytest.fixture
def picky_desk(tmp_path):
    """One that passes over what it is not to save, which is everything at first."""
    desk = Desk(tmp_path, shows_others=False)
    desk.accepted.clear()
    desk.session.start()
    desk.reaches(SessionState.ON)
    yield desk
    desk.close()


def test_scans_that_are_passed_over_are_neither_followed_nor_shown(picky_desk):
    picky_desk.tell(Announced)
    wait_for(lambda: picky_desk.source.dropped == [picky_desk.scan.key], what="dropped")
    picky_desk.tell(Prepared)
    picky_desk.tell(Ended)
    wait_for(picky_desk.source.script.empty, what="told")
    assert list(picky_desk.around.board) == []
    assert picky_desk.session.state is SessionState.ON


def test_a_scan_that_was_passed_over_is_asked_for_and_saved(picky_desk):
    picky_desk.tell(Announced)
    wait_for(lambda: picky_desk.source.dropped == [picky_desk.scan.key], what="dropped")
    picky_desk.accepted.add(picky_desk.scan.key)
    picky_desk.session.want(picky_desk.scan.key)
    wait_for(lambda: picky_desk.source.told == [picky_desk.scan.key], what="asked for")
    for kind in (Announced, Prepared, Ended):
        picky_desk.tell(kind)

    def over():
        picky_desk.clock.advance(0.01)
        status = picky_desk.around.board.get(picky_desk.scan.key)
        return status is not None and status.over

    wait_for(over, what="saved")
    assert picky_desk.session.state is SessionState.ON
