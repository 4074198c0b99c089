"""The states of the device: every way from one to another, and what keeps it from where."""

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import tango
from tests.support_beacon import beacon, free_address
from tests.support_device_server import await_scan, finish
from tests.support_session import check_values
from tests.support_waiting import wait_for
from tests.tango.conftest import begun

from nexus_writer_service.testing.redis_server import URL_VARIABLE, RedisServer, initialise
from nexus_writer_service.testing.simulation import SimulatedSession, designs

pytestmark = pytest.mark.integration


@pytest.fixture
def own_redis(monkeypatch):
    """A Redis that keeps its data over a restart, for this test alone."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with RedisServer(persistent=True) as server:
        initialise(server.url)
        yield server


def told_of(server: RedisServer) -> bytes:
    """What Beacon answers where this server is: host and port, or path of a socket."""
    parts = urlsplit(server.url)
    return f"{parts.hostname or 'localhost'}|{parts.port or parts.path}".encode()


def refused(call) -> str:
    with pytest.raises(tango.DevFailed) as caught:
        call()
    return str(caught.value.args[0].desc)


def test_on_becomes_running_with_a_scan_and_on_again_with_its_end(server, half_a_scan):
    assert "1_loopscan" in server.await_state("RUNNING")
    finish(half_a_scan)
    assert server.await_state("ON") == "listening for scans"


def test_while_scans_are_written_it_cannot_be_stopped_or_initialized(device, half_a_scan):
    for call in (device.stop, device.Init):
        assert "scans are being written: 1_loopscan" in refused(call)
        assert device.state() == tango.DevState.RUNNING
    finish(half_a_scan)
    await_scan(device, "1_loopscan", "OFF")
    check_values(half_a_scan.record)


def test_stopped_it_is_off_and_takes_no_scans_until_it_is_started(server, device, session):
    before = session.loopscan(3)
    await_scan(device, before.name, "OFF")
    device.stop()
    assert device.state() == tango.DevState.OFF
    assert device.scan_state(before.name) == tango.DevState.OFF
    device.stop()  # once is enough
    meanwhile = session.loopscan(3)
    assert not device.scan_exists(meanwhile.name)
    device.start()
    server.await_state("ON")
    await_scan(device, meanwhile.name, "OFF")  # Redis still had it
    check_values(meanwhile)
    device.start()  # once is enough
    assert device.state() == tango.DevState.ON


def test_initialized_it_takes_new_properties_and_goes_on(server, device, session):
    server.set_property("data_writers", "external")
    device.Init()
    server.await_state("ON")
    session.data_writer = "external"
    record = session.loopscan(3)
    await_scan(device, record.name, "OFF")
    check_values(record)


def test_initialized_again_and_again_it_leaves_nothing_behind(server, device, session):
    record = session.loopscan(3)
    await_scan(device, record.name, "OFF")
    device.Init()
    server.await_state("ON")
    before = left_behind(server)
    for _ in range(10):
        device.Init()
        server.await_state("ON")
    # What was replaced ends in its own time; then no more is left than of one more Init.
    assert wait_for(lambda: not_more(left_behind(server), before), what=f"no more than {before}")


def not_more(now: tuple[int, int], before: tuple[int, int]) -> bool:
    """Whether there are no more threads and open files than there were, or two that pass."""
    return all(one <= then + 2 for one, then in zip(now, before, strict=True))


def left_behind(server) -> tuple[int, int]:
    """Threads and open files of the server."""
    process = Path(f"/proc/{server.process.pid}")
    return len(list((process / "task").iterdir())), len(list((process / "fd").iterdir()))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("session", "", "the property session is not set"),
        ("required_disk_space", "much", "required_disk_space"),
        ("recommended_disk_space", "nan", "the property recommended_disk_space is nan"),
        ("reader_patience", "-1", "the property reader_patience is -1"),
        ("fault_policy", "never", "the property fault_policy is 'never'"),
        ("durability", "eternal", "the property durability is 'eternal'"),
        ("source", "bliss3", "the property source is 'bliss3'"),
        ("compression", "zip", "the property compression is 'zip'"),
        ("data_roots", "data", "relative"),
        ("templates", "xas.yml", "relative"),
        ("templates", "/nowhere/xas.yml", "template /nowhere/xas.yml cannot be read"),
        ("history", "history.sqlite", "relative"),
        ("beacon_host", "localhost:1", "they have to be the same text"),
        ("redis_url", "nonsense", "nonsense"),
    ],
)
def test_a_property_that_cannot_be_used_is_a_fault_until_it_is_corrected(
    new_server, session, name, value, told
):
    server = new_server(**{name: value})
    server.start(BEACON_HOST="localhost:2")
    assert told in server.await_state("FAULT")
    wait_for(lambda: told in server.device.last_error)
    server.set_property(name, {"session": session.name}.get(name, ""))
    server.database.delete_device_property(server.names[0], [name] if name != "session" else [])
    server.device.start()
    server.await_state("ON")


def test_init_leads_out_of_fault_too_and_start_says_what_is_wrong(new_server, session):
    server = new_server(fault_policy="never")
    server.start()
    server.await_state("FAULT")
    assert "fault_policy" in refused(server.device.start)
    server.device.Init()
    assert "fault_policy" in server.await_state("FAULT")
    server.set_property("fault_policy", "scan only")
    server.device.Init()
    server.await_state("ON")


def test_while_redis_is_away_it_is_init_and_recovers_by_itself(own_redis, new_server, tmp_path):
    own_redis.stop()
    server = new_server(redis=own_redis.url)
    server.start()
    wait_for(lambda: "cannot be reached" in server.device.status())
    assert server.device.state() == tango.DevState.INIT
    own_redis.start()
    server.await_state("ON")
    with SimulatedSession(
        own_redis.url, data_root=tmp_path, data_writer="nexus", publisher="pipeline"
    ) as session:
        scan = session.open(lambda setting: designs.loopscan(setting, 10))
        scan.prepare()
        scan.start()
        scan.publish(4)
        await_scan(server.device, scan.record.name, "ON")
        own_redis.stop()
        server.await_state("INIT")
        assert server.device.scan_state(scan.record.name) == tango.DevState.ON
        server.device.Init()  # does no harm
        own_redis.start()
        server.await_state("RUNNING")
        finish(scan)
        await_scan(server.device, scan.record.name, "OFF")
        check_values(scan.record)


def test_back_in_mid_scan_while_redis_is_away_it_gives_bliss_no_reason_to_stop(
    own_redis, new_server, tmp_path
):
    server = new_server(redis=own_redis.url)
    server.start()
    server.await_state("ON")
    with SimulatedSession(
        own_redis.url, data_root=tmp_path, data_writer="nexus", publisher="pipeline"
    ) as session:
        scan = begun(server.device, session)
        name = scan.record.name
        server.kill()
        own_redis.stop()
        server.start()
        assert server.device.scan_disk_space_warning(name) == ""
        assert server.device.scan_state(name) == tango.DevState.INIT
        assert "not known yet" in server.device.scan_state_reason(name)
        assert not server.device.scan_exists(name)
        assert "no scan" in refused(lambda: server.device.stop_scan(name))
        own_redis.start()
        await_scan(server.device, name, "ON")
        finish(scan)
        assert await_scan(server.device, name, "OFF").startswith("complete")
        check_values(scan.record)


def test_while_beacon_is_away_it_is_init(new_server, session):
    server = new_server(beacon_host="127.0.0.1:9")
    server.start(REDIS_DATA_URL="")
    wait_for(lambda: "Beacon at 127.0.0.1:9 cannot be reached" in server.device.status())
    assert server.device.state() == tango.DevState.INIT
    started = time.monotonic()
    server.device.stop()
    assert server.device.state() == tango.DevState.OFF
    assert time.monotonic() - started < 3  # what a Tango client waits for


def test_a_beacon_that_comes_later_is_found(own_redis, new_server, tmp_path):
    with free_address() as address:
        server = new_server(beacon_host=address)
        server.start(REDIS_DATA_URL="")
        wait_for(lambda: f"Beacon at {address} cannot be reached" in server.device.status())
        assert server.device.state() == tango.DevState.INIT
    with beacon(told_of(own_redis), address=address):
        server.await_state("ON")
    # Beacon is asked for the address only.
    with SimulatedSession(own_redis.url, data_root=tmp_path, data_writer="nexus") as session:
        record = session.loopscan(3)
        await_scan(server.device, record.name, "OFF")
        check_values(record)
        own_redis.stop()
        server.await_state("INIT")
        own_redis.start()
        server.await_state("ON")
        assert record.name in server.device.scan_names


def test_a_beacon_that_is_named_by_the_environment_and_the_property_alike_is_fine(
    own_redis, new_server
):
    with beacon(told_of(own_redis)) as address:
        server = new_server(beacon_host=address)
        server.start(REDIS_DATA_URL="", BEACON_HOST=address)
        server.await_state("ON")
        assert server.device.state() == tango.DevState.ON
