"""A writer takes a session over from one that died or stands still, in the middle of a scan."""

import signal

import pytest
import redis
import tango
from tests.support_device_server import await_scan, finish
from tests.support_session import check_values
from tests.support_waiting import wait_for
from tests.tango.conftest import begun

from nexus_writer_service.sources.bliss.lease import lease_key

pytestmark = pytest.mark.integration


@pytest.fixture
def first(new_server, session):
    """The server that serves the session."""
    server = new_server(session.name)
    server.start()
    server.await_state("ON")
    return server


@pytest.fixture
def second(new_server, session, first):
    """Another server for the session, which does not serve it."""
    server = new_server(session.name)
    server.start()
    assert first.names[0] in server.await_state("FAULT")
    return server


def test_when_the_first_was_killed_the_second_finishes_its_scan(first, second, session):
    scan = begun(first.device, session)
    first.kill()
    scan.publish(3)
    second.device.Init()
    await_scan(second.device, scan.record.name, "ON")
    finish(scan)
    assert await_scan(second.device, scan.record.name, "OFF").startswith("complete")
    check_values(scan.record)


def test_one_that_stood_still_for_too_long_writes_no_more_and_nothing_is_lost(
    first, second, session
):
    scan = begun(first.device, session)
    name = scan.record.name
    first.process.send_signal(signal.SIGSTOP)
    try:
        second.device.Init()
        second.await_state("RUNNING")
        scan.publish(3)
        # The first one has the file until it wakes.
        assert "another NeXus writer" in await_scan(second.device, name, "FAULT")
        late = session.loopscan(3)
    finally:
        first.process.send_signal(signal.SIGCONT)
    assert second.names[0] in first.await_state("FAULT")
    await_scan(second.device, name, "ON")
    finish(scan)
    assert await_scan(second.device, name, "OFF").startswith("complete")
    await_scan(second.device, late.name, "OFF")
    check_values(scan.record)
    check_values(late)
    assert f"scan {late.name}: announced" not in first.output
    assert "suspended" in first.device.scan_state_reason(name)


def test_when_redis_forgets_the_lease_one_of_two_serves(first, second, session, redis_url):
    with redis.Redis.from_url(redis_url) as client:
        client.delete(lease_key(session.name))
        second.device.Init()
        wait_for(
            lambda: sorted(str(one.device.state()) for one in (first, second)) == ["FAULT", "ON"],
            what="one that serves",
        )
        wait_for(lambda: client.get(lease_key(session.name)), what="its lease")
    record = session.loopscan(3)
    serving = first if first.device.state() == tango.DevState.ON else second
    await_scan(serving.device, record.name, "OFF")
    check_values(record)
