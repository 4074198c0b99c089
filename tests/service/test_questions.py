"""What is asked of a session is answered from memory: no disk, no Redis, whatever is going on."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from tests.support_waiting import wait_for

from nexus_writer_service.errors import UnknownScanError
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState, SessionState
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.session_control import SessionControl
from nexus_writer_service.service.session_options import SessionOptions
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.simulation import SimulatedScan, SimulatedSession, designs

NAME = "1_loopscan"
QUESTIONS: dict[str, Callable[[SessionControl], object]] = {
    "state": lambda control: control.state,
    "scan_exists": lambda control: control.scan_exists(NAME),
    "scan": lambda control: control.scan(NAME),
    "may_write": lambda control: control.may_write(NAME),
    "disk_space_error": lambda control: control.disk_space_error(NAME),
    "disk_space_warning": lambda control: control.disk_space_warning(NAME),
    "all scans": lambda control: list(control.board),
    "running": lambda control: control.board.running(),
}
OUTSIDE = {
    *("posix", "_io", "io", "_socket", "socket", "select", "selectors"),
    *("hiredis", "redis", "h5py", "sqlite3", "_sqlite3"),
}
"""Modules whose functions reach a disk or a server."""


def status_of(name: str) -> ScanStatus:
    """A scan that was just announced."""
    now = datetime.now(UTC)
    return ScanStatus(ScanKey("key"), name, "test_session", ScanState.INIT, "announced", now)


class Connect:
    """Makes the source of a session, without a lease."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, backlog: Backlog) -> BlissSource:
        return BlissSource(self._url, "test_session", backlog=backlog)

    def release(self) -> None:
        """Nothing is held."""


@contextmanager
def calls_outside() -> Iterator[list[str]]:
    """The calls that this thread makes, within the block, of functions that reach the outside."""
    found: list[str] = []

    def look(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            module = (
                getattr(function, "__module__", None)
                or type(getattr(function, "__self__", None)).__module__
            )
            name = getattr(function, "__qualname__", "")
        elif event == "call":
            module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        else:
            return
        if module.partition(".")[0] in OUTSIDE and name != "fspath":
            found.append(f"{module}.{name}")

    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(None)


@pytest.fixture
def control(redis_url: str, tmp_path) -> Iterator[SessionControl]:
    """A session that listens."""
    control = SessionControl()
    options = SessionOptions("test_session", EsrfOptions(), history=tmp_path / "history.sqlite")
    control.start(options, Connect(redis_url), DiskWatch(required=0, recommended=0))
    wait_for(lambda: control.state[0] is SessionState.ON, what="the session listens")
    yield control
    control.end(0.0)


@pytest.fixture
def scan(control: SessionControl, simulated_session: SimulatedSession) -> Iterator[SimulatedScan]:
    """A scan that is being written."""
    with simulated_session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        wait_for(lambda: control.scan(NAME).most_points == 4, what="4 points in the file")
        # From now on the answers about the disk are at hand.
        wait_for(lambda: control.may_write(NAME) and not control.disk_space_error(NAME))
        yield scan


def test_what_reaches_the_outside_is_noticed(tmp_path):
    with calls_outside() as found:
        os.stat(tmp_path)
        (tmp_path / "file").open("w").close()
    assert any("posix" in name for name in found)
    assert "io.open" in found or "_io.open" in found


@pytest.mark.integration
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.usefixtures("scan")
def test_no_question_reaches_a_disk_or_redis(control, question):
    with calls_outside() as found:
        QUESTIONS[question](control)
    assert found == []


def test_a_question_waits_for_a_scan_that_is_just_being_announced():
    control = SessionControl()
    control._started = control._clock.monotonic()  # it has patience for a while
    asked = threading.Event()

    def announce() -> None:
        asked.wait()
        control.board.put(status_of(NAME))

    thread = threading.Thread(target=announce)
    thread.start()
    find = control.board.find

    def finding(name: str) -> ScanStatus | None:
        found = find(name)
        asked.set()
        return found

    control.board.find = finding  # type: ignore[method-assign]
    assert control.scan_exists(NAME)
    thread.join()
    assert control.scan(NAME).name == NAME
    control.end(0.0)


def test_nobody_waits_for_a_scan_where_nobody_listens(monkeypatch):
    control = SessionControl()
    control.fail("no such property")
    patiences: list[float] = []

    def wait_for(condition: Callable[[], Any], patience: float) -> Any:
        patiences.append(patience)
        return condition()

    monkeypatch.setattr(control.board, "wait_for", wait_for)
    assert not control.scan_exists(NAME)
    with pytest.raises(UnknownScanError, match=NAME):
        control.scan(NAME)
    assert patiences == [0.0, 0.0]
    control.end(0.0)
