"""What the live lists of the device forget by themselves, and what the history keeps."""

from pathlib import Path

import pytest
import tango
from tests.support_device_server import await_scan, finish
from tests.support_waiting import wait_for
from tests.tango.conftest import begun

from nexus_writer_service.service.history import History

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parent / "clocked_server.py"
MINUTES = 60


@pytest.fixture
def ahead(tmp_path):
    """How many seconds the clock of the server is ahead; replaced at once, never half written."""
    file = tmp_path / "ahead"

    def set_to(seconds: float) -> None:
        new = tmp_path / "ahead.new"
        new.write_text(str(seconds))
        new.replace(file)

    set_to(0)
    return set_to


@pytest.fixture
def clocked(new_server, session, tmp_path, ahead):
    server = new_server(session.name, program=(str(PROGRAM), str(tmp_path / "ahead")))
    server.start()
    server.await_state("ON")
    return server


def test_after_five_minutes_a_scan_leaves_the_lists_and_stays_in_the_history(
    clocked, session, tmp_path, ahead
):
    device = clocked.device
    record = session.loopscan(3)
    await_scan(device, record.name, "OFF")
    running = begun(device, session)
    ahead(4 * MINUTES)
    other = session.loopscan(3)
    await_scan(device, other.name, "OFF")
    names = [record.name, running.record.name, other.name]
    assert list(device.scan_names) == names
    ahead(6 * MINUTES)
    wait_for(lambda: list(device.scan_names) == names[1:], what=f"{record.name} forgotten")
    assert len(device.scan_states) == len(device.scan_urls) == len(device.scan_info) == 2
    with pytest.raises(tango.DevFailed, match="no scan '1_loopscan' is known here"):
        device.scan_state(record.name)
    assert not device.scan_exists(record.name)
    ahead(60 * MINUTES)
    wait_for(lambda: list(device.scan_names) == names[1:2], what="only the scan that runs")
    assert device.scan_state(running.record.name) == tango.DevState.ON
    finish(running)
    await_scan(device, running.record.name, "OFF")
    clocked.end()
    history = History(tmp_path / "state" / "nexus_writer_service" / "history.sqlite")
    assert sorted(scan.name for scan in history.scans(session.name)) == sorted(names)
    history.close()


def test_a_session_that_is_stopped_forgets_its_scans_too(clocked, session, ahead):
    device = clocked.device
    record = session.loopscan(3)
    await_scan(device, record.name, "OFF")
    device.stop()
    assert list(device.scan_names) == [record.name]
    ahead(6 * MINUTES)
    wait_for(lambda: not device.scan_names, what=f"{record.name} forgotten")
    with pytest.raises(tango.DevFailed, match="no scan '1_loopscan' is known here"):
        device.scan_state(record.name)


def test_events_tell_that_a_scan_was_forgotten(clocked, session, ahead):
    device = clocked.device
    told: list[list[str]] = []

    def hear(event: tango.EventData) -> None:
        if not event.err:
            told.append(list(event.attr_value.value or ()))

    number = device.subscribe_event("scan_names", tango.EventType.CHANGE_EVENT, hear)
    record = session.loopscan(3)
    await_scan(device, record.name, "OFF")
    wait_for(lambda: told and told[-1] == [record.name], what="its name")
    ahead(6 * MINUTES)
    wait_for(lambda: told[-1] == [], what="an empty list")
    device.unsubscribe_event(number)
    # Its name once, and once more that nothing is left.
    assert [names for names in told if names] == [[record.name]]
    assert told[-1] == list(device.scan_names) == []


def test_directories_of_forgotten_scans_may_still_be_made(clocked, session, ahead):
    device = clocked.device
    record = session.loopscan(3)
    await_scan(device, record.name, "OFF")
    ahead(6 * MINUTES)
    wait_for(lambda: not device.scan_names, what="forgotten")
    below = record.path.parent / "scan0001"
    device.makedirs(str(below))
    assert below.is_dir()
    clocked.end()
    clocked.start()  # it knows from its history
    clocked.await_state("ON")
    wait_for(lambda: _makes(device, below / "deeper"), what="a directory of an earlier scan")


def _makes(device: tango.DeviceProxy, path: Path) -> bool:
    try:
        device.makedirs(str(path))
    except tango.DevFailed:
        return False
    return path.is_dir()
