"""Two servers for one session: one serves it, the other one says who does."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
import tango
from tests.support_tango import add_device
from tests.support_waiting import wait_for

from nexus_writer_service.sources.bliss.holder import Holder
from nexus_writer_service.sources.bliss.lease import lease_key

pytestmark = pytest.mark.integration

SESSION = "test_session"
FIRST, SECOND = "id00/bliss_nxwriter/first", "id00/bliss_nxwriter/second"


@pytest.fixture
def two_devices(tango_database, redis_url, monkeypatch) -> None:
    """Two devices for one session, in a server each."""
    monkeypatch.setenv("REDIS_DATA_URL", redis_url)
    for name in (FIRST, SECOND):
        server = f"nexuswriter/{name.rpartition('/')[2]}"
        add_device(tango_database, name, server=server, properties={"session": SESSION})


@contextmanager
def serving(name: str) -> Iterator[tuple["subprocess.Popen[bytes]", tango.DeviceProxy]]:
    """The server of a device, and the device."""
    instance = name.rpartition("/")[2]
    command = [sys.executable, "-m", "nexus_writer_service", instance, "--log=info"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            device = tango.DeviceProxy(name)
            wait_for(lambda: _answers(device), what=f"{name} answers")
            yield process, device
        finally:
            process.kill()


def _answers(device: tango.DeviceProxy) -> bool:
    try:
        return bool(device.state() is not tango.DevState.INIT)
    except tango.DevFailed:
        return False


def state_becomes(device: tango.DeviceProxy, state: tango.DevState) -> str:
    """The status, once the state is this one."""
    wait_for(lambda: device.state() == state, what=f"{device.dev_name()} {state}")
    status: str = device.status()
    return status


def test_the_second_server_is_in_fault_and_says_who_holds_the_session(two_devices):
    with serving(FIRST) as (first, one), serving(SECOND) as (_, two):
        state_becomes(one, tango.DevState.ON)
        status = state_becomes(two, tango.DevState.FAULT)
        assert FIRST in status
        assert str(first.pid) in status
        two.command_inout("Init")
        assert FIRST in state_becomes(two, tango.DevState.FAULT)
        assert one.state() == tango.DevState.ON


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_the_second_server_serves_when_the_first_has_ended(two_devices, end):
    with serving(FIRST) as (first, one), serving(SECOND) as (_, two):
        state_becomes(one, tango.DevState.ON)
        state_becomes(two, tango.DevState.FAULT)
        first.send_signal(end)
        first.wait()
        two.command_inout("Init")
        status = state_becomes(two, tango.DevState.ON)
        assert FIRST not in status


def test_a_server_that_was_killed_serves_again_when_it_is_back(two_devices):
    with serving(FIRST) as (first, one):
        state_becomes(one, tango.DevState.ON)
        first.kill()
        first.wait()
    with serving(FIRST) as (again, one):
        state_becomes(one, tango.DevState.ON)
        assert again.pid != first.pid
        assert one.state() == tango.DevState.ON


def test_a_server_that_lost_its_session_says_to_whom(two_devices, redis_url):
    with serving(FIRST) as (_, one), redis.Redis.from_url(redis_url) as client:
        state_becomes(one, tango.DevState.ON)
        # As it is after the server has stood still for too long.
        client.set(lease_key(SESSION), Holder.this_process("somebody else").encoded())
        assert "somebody else" in state_becomes(one, tango.DevState.FAULT)
