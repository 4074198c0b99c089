"""A writer process as systemd sees it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support_systemd import Listener
from tests.support_tango import add_device

from nexus_writer_service.testing.redis_server import URL_VARIABLE, RedisServer, initialise
from nexus_writer_service.testing.simulation import designs

pytestmark = pytest.mark.integration


@pytest.fixture
def listener(tmp_path) -> Iterator[Listener]:
    one = Listener(str(tmp_path / "notify"))
    yield one
    one.close()


@contextmanager
def service(
    url: str,
    listener: Listener,
    command: tuple[str, str] = ("NexusSessionWriter", "test_session"),
    **variables: str,
) -> Iterator[subprocess.Popen[str]]:
    """A command as systemd would start it."""
    program, argument = command
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(program)), argument],
        env={
            **os.environ,
            "REDIS_DATA_URL": url,
            "NOTIFY_SOCKET": listener.address,
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(listener: Listener, wanted: Callable[[str], bool]) -> list[str]:
    """The messages up to the first one that is wanted."""
    messages = [listener.next()]
    while not wanted(messages[-1]):
        messages.append(listener.next())
    return messages


def test_it_is_ready_when_it_listens_and_shows_the_state_of_its_session(
    redis_url, simulated_session, listener
):
    with service(redis_url, listener) as process:
        start = told(listener, "READY=1".__eq__)
        assert start[-2] == "STATUS=session test_session ON: listening for scans"
        simulated_session.data_writer = "external"
        with simulated_session.open(lambda setting: designs.loopscan(setting, 3)) as scan:
            scan.prepare()
            told(listener, lambda one: one.startswith("STATUS=session test_session RUNNING"))
        told(listener, lambda one: one.startswith("STATUS=session test_session ON"))
        process.send_signal(signal.SIGTERM)
        told(listener, "STOPPING=1".__eq__)
        assert process.wait(20) == 0


def test_it_is_not_ready_and_says_why_while_redis_is_away(listener, monkeypatch):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with RedisServer() as server:
        url = server.url
        server.stop()
        with service(url, listener):
            why = told(listener, lambda one: "cannot be reached" in one)
            assert why[-1].startswith("STATUS=session test_session INIT: ")
            assert "READY=1" not in why
            server.start()
            initialise(url)
            told(listener, "READY=1".__eq__)


def test_the_watchdog_is_pinged_while_scans_can_be_written(redis_url, listener):
    with service(redis_url, listener, WATCHDOG_USEC="300000") as process:
        for _ in range(3):
            assert told(listener, "WATCHDOG=1".__eq__)[-1] == "WATCHDOG=1"
        assert process.poll() is None


def test_a_tango_server_is_ready_when_its_devices_answer_and_tells_their_states(
    redis_url, tango_database, listener
):
    for session in ("first", "second"):
        add_device(
            tango_database,
            f"id00/bliss_nxwriter/{session}",
            server="nexuswriter/both",
            properties={"session": session},
        )
    command = ("NexusWriterService", "both")
    with service(redis_url, listener, command, WATCHDOG_USEC="300000") as process:
        told(listener, "READY=1".__eq__)
        told(listener, lambda one: one.startswith("STATUS=") and one.count(" ON") == 2)
        for _ in range(3):
            told(listener, "WATCHDOG=1".__eq__)
        process.send_signal(signal.SIGTERM)
        told(listener, "STOPPING=1".__eq__)
        assert process.wait(20) == 0


def test_a_tango_server_in_fault_says_why_and_is_not_restarted(redis_url, tango_database, listener):
    add_device(
        tango_database,
        "id00/bliss_nxwriter/nameless",
        server="nexuswriter/faulty",
        properties={"session": ""},
    )
    command = ("NexusWriterService", "faulty")
    with service(redis_url, listener, command, WATCHDOG_USEC="300000") as process:
        told(listener, "READY=1".__eq__)
        status = told(listener, lambda one: one.startswith("STATUS=") and "FAULT" in one)[-1]
        assert "the property session is not set" in status
        for _ in range(3):
            assert told(listener, "WATCHDOG=1".__eq__)[-1] == "WATCHDOG=1"
        assert process.poll() is None
