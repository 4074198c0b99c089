import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pytest
from tests.support_systemd import Listener
from tests.support_waiting import wait_for

from nexus_writer_service.service.sd_notify import Heartbeat, ServiceManager


@pytest.fixture(params=["file", "abstract"])
def listener(request, tmp_path) -> Iterator[Listener]:
    name = str(tmp_path / "notify") if request.param == "file" else f"@notify-{os.getpid()}"
    one = Listener(name)
    yield one
    one.close()


# ---------------------------------------------------------------------------------- telling


def test_systemd_is_told_that_the_service_is_ready_how_it_is_and_that_it_ends(listener):
    manager = ServiceManager.of({"NOTIFY_SOCKET": listener.address})
    manager.ready()
    manager.status("test_session ON: listening for scans")
    manager.alive()
    manager.stopping()
    assert [listener.next() for _ in range(4)] == [
        "READY=1",
        "STATUS=test_session ON: listening for scans",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_what_has_been_told_is_not_told_again(listener):
    manager = ServiceManager(listener.address)
    for _ in range(3):
        manager.ready()
        manager.status("ON")
    manager.status("RUNNING")
    assert listener.waiting() == ["READY=1", "STATUS=ON", "STATUS=RUNNING"]


def test_a_status_is_one_line_whatever_the_reason_holds(listener):
    ServiceManager(listener.address).status("FAULT: a\nREADY=1\n  b")
    assert listener.next() == "STATUS=FAULT: a READY=1 b"


def test_without_systemd_nothing_is_told():
    manager = ServiceManager.of({})
    manager.ready()
    manager.status("ON")
    manager.alive()
    assert manager.watchdog is None


def test_a_socket_that_is_gone_costs_a_warning_and_no_more(tmp_path, caplog):
    manager = ServiceManager(str(tmp_path / "gone"))
    manager.ready()
    manager.status("ON")
    assert len(caplog.records) == 1


def test_a_manager_that_does_not_read_holds_nobody_up(listener):
    manager = ServiceManager(listener.address)
    for _ in range(10_000):  # more than the queue of any socket
        manager.alive()
    told = listener.waiting()
    assert set(told) == {"WATCHDOG=1"}
    assert len(told) < 10_000


@pytest.mark.parametrize(
    ("variables", "watchdog"),
    [
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_for_the_process_that_it_names(variables, watchdog):
    assert ServiceManager.of({"NOTIFY_SOCKET": "@x", **variables}).watchdog == watchdog


# -------------------------------------------------------------------------------- heartbeat


class Worker:
    """A thread that does one thing after the other, as the scribe does."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def sign_of_life(self) -> "Future[None]":
        return self._pool.submit(lambda: None)

    def hang_until(self, event: threading.Event) -> None:
        self._pool.submit(event.wait)

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


def test_the_watchdog_is_pinged_while_the_worker_works_and_not_while_it_hangs(
    listener, worker, caplog
):
    heart = Heartbeat(ServiceManager(listener.address, watchdog=0.03), worker.sign_of_life)
    heart.start()
    again = threading.Event()
    try:
        assert [listener.next() for _ in range(3)] == ["WATCHDOG=1"] * 3
        worker.hang_until(again)
        wait_for(lambda: "no sign of life" in caplog.text, what="silence noticed")
        listener.waiting()  # pings from before
        caplog.clear()
        wait_for(lambda: caplog.text.count("no sign of life") >= 5, what="silence for longer")
        assert listener.waiting() == []
        again.set()
        assert listener.next() == "WATCHDOG=1"
    finally:
        again.set()
        heart.stop()


def test_a_dead_worker_is_not_pinged_for(listener, caplog):
    asked: SimpleQueue[Future[None]] = SimpleQueue()

    def sign_of_life() -> "Future[None]":
        future: Future[None] = Future()
        asked.put(future)
        return future

    heart = Heartbeat(ServiceManager(listener.address, watchdog=0.03), sign_of_life)
    heart.start()
    asked.get().set_exception(RuntimeError("died"))
    assert heart._thread is not None
    heart._thread.join(10)
    assert not heart._thread.is_alive()
    assert listener.waiting() == []
    assert "died" in caplog.text
    heart.stop()


def test_nobody_is_asked_for_signs_of_life_when_nobody_watches(listener):
    def sign_of_life() -> "Future[None]":
        raise AssertionError("asked")

    heart = Heartbeat(ServiceManager(listener.address), sign_of_life)
    heart.start()
    heart.stop()
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]
