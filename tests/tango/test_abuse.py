"""What a device survives: nonsense, crowds, wrong moments, a Tango database that goes away."""

import contextlib
import itertools
import threading

import pytest
import tango
from tests.support_device_server import await_scan, finish
from tests.support_session import check_values
from tests.support_waiting import wait_for
from tests.tango.conftest import begun
from tests.tango.test_commands import QUERIES

from nexus_writer_service.testing.simulation import designs

pytestmark = pytest.mark.integration

NONSENSE = ["", " ", "\n", "x" * 1_000_000, "\xe9\xff\x80", "../../etc", "%s%n{0}", "1_loopscan "]
OUTSIDE = [
    *("", " ", ".", "relative/path", "~", "~root", "/etc", "/etc/nexus", "/proc/self/new"),
    *("/proc/../etc/new", "/\xe9\xff", "/" + "x" * 1_000_000, "/a" * 500_000),
]
CLIENTS = 50


def test_nonsense_for_a_name_is_a_scan_that_nobody_knows(device, half_a_scan):
    for command, text in itertools.product(QUERIES, NONSENSE):
        with pytest.raises(tango.DevFailed) as caught:
            device.command_inout(command, text)
        error = caught.value.args[0]
        assert error.reason == "NexusWriter_UnknownScan", (command, text[:20])
        assert len(error.desc) < 1000, (command, text[:20])
    assert not any(device.scan_exists(text) for text in NONSENSE)
    finish(half_a_scan)
    await_scan(device, "1_loopscan", "OFF")
    check_values(half_a_scan.record)


def test_directories_that_are_none_of_the_session_are_refused(device, half_a_scan):
    for path in OUTSIDE:
        with pytest.raises(tango.DevFailed) as caught:
            device.makedirs(path)
        error = caught.value.args[0]
        assert error.reason == "NexusWriter_FilePath", path[:20]
        assert len(error.desc) < 1000, path[:20]
    device.makedirs("/")  # it is there
    finish(half_a_scan)
    await_scan(device, "1_loopscan", "OFF")


def test_a_link_leads_nowhere_else(device, half_a_scan, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    folder = half_a_scan.record.path.parent
    (folder / "link").symlink_to(outside)
    for path in ("link/new", "link/../link/new", "./link//new/", "link/../../outside/new"):
        with pytest.raises(tango.DevFailed) as caught:
            device.makedirs(f"{folder}/{path}")
        assert caught.value.args[0].reason == "NexusWriter_FilePath", path
    assert list(outside.iterdir()) == []
    (folder / "link").unlink()
    finish(half_a_scan)
    await_scan(device, "1_loopscan", "OFF")


def test_a_value_that_an_attribute_does_not_have_is_refused(device):
    for name in ("writer_log_level", "tango_log_level", "resource_profiling"):
        before = device.read_attribute(name).value
        for number in (10, 32767):
            with pytest.raises(tango.DevFailed):
                device.write_attribute(name, number)
        assert device.read_attribute(name).value == before
    assert device.state() == tango.DevState.ON


def test_fifty_clients_at_once_are_answered_and_the_scan_is_written(server, device, session):
    scan = begun(device, session)
    name = scan.record.name
    failures: list[str] = []

    def ask() -> None:
        proxy = server.device
        proxy.set_timeout_millis(30_000)
        try:
            for _ in range(10):
                assert proxy.scan_exists(name)
                assert proxy.scan_state(name) == tango.DevState.ON
                assert proxy.scan_disk_space_error(name) == ""
                assert list(proxy.scan_names) == [name]
                proxy.purge_scans()
                assert proxy.state() == tango.DevState.RUNNING
        except (tango.DevFailed, AssertionError) as error:
            failures.append(str(error))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    scan.publish(3)
    for client in clients:
        client.join()
    assert failures == []
    finish(scan)
    await_scan(device, name, "OFF")
    check_values(scan.record)


def test_stop_and_init_at_any_moment_around_the_end_of_a_scan_lose_nothing(server, device, session):
    for command in ("stop", "Init", "stop"):
        scan = session.open(lambda setting: designs.loopscan(setting, 10))
        scan.prepare()
        scan.start()
        await_scan(device, scan.record.name, "ON")
        publishing = threading.Thread(target=finish, args=[scan])
        publishing.start()

        def accepted(command: str = command) -> bool:
            with contextlib.suppress(tango.DevFailed):
                device.command_inout(command)
                return True
            return False

        wait_for(accepted, what=command)
        publishing.join()
        device.start()
        server.await_state("ON")
        await_scan(device, scan.record.name, "OFF")
        check_values(scan.record)


@pytest.fixture
def database_away(tango_server):
    """Ends the Tango database; it is started again, with what it held, at the end of the test."""
    tango_server.stop()
    try:
        yield tango_server.start
    finally:
        tango_server.start()


def test_scans_are_saved_while_the_tango_database_is_away_and_after(
    server, device, session, half_a_scan, request
):
    back = request.getfixturevalue("database_away")
    finish(half_a_scan)
    await_scan(device, "1_loopscan", "OFF")
    during = session.loopscan(3)
    await_scan(device, during.name, "OFF")
    back()
    wait_for(server.answers, what="an answer by name")
    after = session.loopscan(3)
    await_scan(server.device, after.name, "OFF")
    for record in (half_a_scan.record, during, after):
        check_values(record)


def test_init_while_the_tango_database_is_away_can_be_repeated_when_it_is_back(device, request):
    back = request.getfixturevalue("database_away")
    with contextlib.suppress(tango.DevFailed):
        device.Init()
    back()

    def works() -> bool:
        with contextlib.suppress(tango.DevFailed):
            device.Init()
            wait_for(lambda: device.state() != tango.DevState.INIT, what="start")
            # Clients of the database wait a second before they connect again.
            assert device.state() != tango.DevState.FAULT or "Tango database" in device.status()
            return bool(device.state() == tango.DevState.ON)
        return False

    wait_for(works, what="Init", timeout=60)
    assert device.state() == tango.DevState.ON
    assert "Tango database" not in device.status()


@pytest.mark.timeout(240)
def test_a_subscription_outlives_a_restart_of_the_server(server, device, session):
    seen: list[tuple[str, ...]] = []

    def hear(event: tango.EventData) -> None:
        if not event.err:
            seen.append(tuple(event.attr_value.value or ()))

    number = device.subscribe_event("scan_names", tango.EventType.CHANGE_EVENT, hear)
    first = session.loopscan(3)
    wait_for(lambda: (first.name,) in seen, what="the first scan")
    server.kill()
    server.start()
    server.await_state("ON")

    def heard() -> bool:
        # Tango subscribes again by itself, some ten seconds later.
        record = session.loopscan(1)
        await_scan(device, record.name, "OFF")
        return any(record.name in names for names in seen)

    wait_for(heard, what="an event of the new server", timeout=120)
    device.unsubscribe_event(number)
    assert seen[-1][-1] != first.name
