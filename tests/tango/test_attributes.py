"""Every attribute of the device, and the events of those that have them."""

import queue
import re

import pytest
import tango
from tests.support_device_server import await_scan, finish
from tests.support_waiting import wait_for

from nexus_writer_service.testing.simulation import designs

pytestmark = pytest.mark.integration

OF_THE_LINEAGE = {
    "resource_profiling": ("DevEnum", "SCALAR", "READ_WRITE"),
    "writer_log_level": ("DevEnum", "SCALAR", "READ_WRITE"),
    "tango_log_level": ("DevEnum", "SCALAR", "READ_WRITE"),
    "scan_states": ("DevState", "SPECTRUM", "READ"),
    "scan_urls": ("DevString", "SPECTRUM", "READ"),
    "scan_uris": ("DevString", "SPECTRUM", "READ"),
    "scan_names": ("DevString", "SPECTRUM", "READ"),
    "scan_start": ("DevString", "SPECTRUM", "READ"),
    "scan_end": ("DevString", "SPECTRUM", "READ"),
    "scan_info": ("DevString", "SPECTRUM", "READ"),
    "scan_duration": ("DevString", "SPECTRUM", "READ"),
    "scan_progress": ("DevString", "SPECTRUM", "READ"),
    "scan_states_info": ("DevString", "SPECTRUM", "READ"),
    "State": ("DevState", "SCALAR", "READ"),
    "Status": ("DevString", "SCALAR", "READ"),
}
OURS = {
    "active_scans": ("DevLong64", "SCALAR", "READ"),
    "points_per_second": ("DevDouble", "SCALAR", "READ"),
    "lag_seconds": ("DevDouble", "SCALAR", "READ"),
    "bytes_written": ("DevLong64", "SCALAR", "READ"),
    "last_error": ("DevString", "SCALAR", "READ"),
}
WITH_EVENTS = (
    *("State", "Status", "scan_names", "scan_states"),
    *("active_scans", "points_per_second", "lag_seconds", "bytes_written", "last_error"),
)
SPAN = r"0:00:\d\d\.\d{6}"
LISTS = [name for name, kind in OF_THE_LINEAGE.items() if kind[1] == "SPECTRUM"]


def test_the_attributes_have_the_names_and_types_of_the_lineage(device):
    found = {
        one.name: (str(tango.CmdArgType.values[one.data_type]), str(one.data_format))
        for one in device.attribute_list_query()
    }
    assert found == {name: kind[:2] for name, kind in (OF_THE_LINEAGE | OURS).items()}
    access = {one.name: str(one.writable) for one in device.attribute_list_query()}
    assert access == {name: kind[2] for name, kind in (OF_THE_LINEAGE | OURS).items()}


def test_lists_of_a_session_without_scans_are_empty(device):
    assert {name: list(getattr(device, name) or ()) for name in LISTS} == {
        name: [] for name in LISTS
    }


def test_a_scan_is_described_while_it_runs_and_afterwards(device, half_a_scan):
    path = half_a_scan.record.path
    assert list(device.scan_names) == ["1_loopscan"]
    assert list(device.scan_states) == [tango.DevState.ON]
    assert list(device.scan_states_info) == ["1_loopscan: ON accepting data"]
    assert list(device.scan_urls) == [f"1_loopscan: ['{path}::/1.1']"]
    assert list(device.scan_uris) == list(device.scan_urls)
    assert list(device.scan_progress) == ["1_loopscan: 4pts-4pts"]
    assert list(device.scan_end) == ["1_loopscan: not finished"]
    (line,) = device.scan_info
    assert line.startswith("1_loopscan: ON 4pts-4pts 128.0B duration: 0:00:")
    assert re.search(rf"start: \d{{4}}.* \(delay: -?{SPAN} \+ {SPAN}\) end: not finished", line)
    assert line.endswith("(delay: NaN)")
    finish(half_a_scan)
    await_scan(device, "1_loopscan", "OFF")
    assert list(device.scan_states) == [tango.DevState.OFF]
    assert list(device.scan_progress) == ["1_loopscan: 10pts-10pts"]
    (start,), (end,) = device.scan_start, device.scan_end
    assert start.startswith("1_loopscan: 20")
    assert end.startswith("1_loopscan: 20")
    (line,) = device.scan_info
    assert re.search(rf"end: \d{{4}}.* \(delay: -?{SPAN}\)$", line)
    (duration,) = device.scan_duration
    assert duration.startswith("1_loopscan: 0:00:")


def test_progress_is_told_of_each_subscan(device, session):
    record = session.two_top_masters(fast=6, slow=3)
    await_scan(device, record.name, "OFF")
    lines = [line.split() for line in device.scan_progress]
    fast, slow = (f"{record.name}:{name}:" for name in ("fast", "slow"))
    assert lines == [[fast, "6pts-6pts"], [slow, "3pts-3pts"]]
    (line,) = device.scan_info
    assert " 3pts-6pts " in line


def test_the_numbers_follow_what_is_written(device, half_a_scan):
    wait_for(lambda: device.active_scans == 1)
    wait_for(lambda: device.bytes_written == 4 * 4 * 8)
    wait_for(lambda: device.points_per_second > 0)
    finish(half_a_scan)
    wait_for(lambda: device.active_scans == 0)
    wait_for(lambda: device.bytes_written == 10 * 4 * 8)
    wait_for(lambda: device.lag_seconds == 0)
    assert device.last_error == ""
    wait_for(lambda: device.points_per_second == 0)


def test_the_log_levels_can_be_read_and_changed(device):
    assert device.read_attribute("writer_log_level").value == 2  # the server's --log=info
    for name in ("writer_log_level", "tango_log_level"):
        for level in (1, 5, 3):
            device.write_attribute(name, level)
            assert device.read_attribute(name).value == level
        labels = list(device.get_attribute_config(name).enum_labels)
        assert labels == ["NOTSET", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]


def test_the_next_scan_is_profiled_when_that_is_chosen(server, device, session):
    labels = list(device.get_attribute_config("resource_profiling").enum_labels)
    assert labels[:3] == ["OFF", "CPU30", "CPU50"]
    assert labels[-1] == "MEM100"
    device.write_attribute("resource_profiling", labels.index("CPU30"))
    assert device.read_attribute("resource_profiling").value == 1
    record = session.loopscan(3)
    await_scan(device, record.name, "OFF")
    wait_for(lambda: "CPU profile of scan 1_loopscan" in server.output)


@pytest.mark.parametrize(
    "kind",
    [tango.EventType.CHANGE_EVENT, tango.EventType.ARCHIVE_EVENT],
    ids=["for clients", "for archivers"],
)
def test_changes_of_the_main_attributes_are_pushed_as_events(device, session, kind):
    events: queue.Queue[tango.EventData] = queue.Queue()
    numbers = [device.subscribe_event(name, kind, events.put) for name in WITH_EVENTS]
    seen: dict[str, list[object]] = {name.lower(): [] for name in WITH_EVENTS}

    def told(name: str, value: object) -> bool:
        while not events.empty():
            event = events.get()
            assert not event.err, event
            found = event.attr_value.value
            if event.attr_value.data_format == tango.AttrDataFormat.SPECTRUM:
                found = [] if found is None else list(found)
            seen[event.attr_value.name.lower()].append(found)
        return seen[name][-1:] == [value]

    wait_for(lambda: told("state", tango.DevState.ON) and all(seen.values()), what="first values")
    with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        wait_for(lambda: told("state", tango.DevState.RUNNING), what="RUNNING")
        wait_for(lambda: told("active_scans", 1), what="a scan")
        wait_for(lambda: told("scan_names", ["1_loopscan"]), what="its name")
        wait_for(lambda: told("bytes_written", 4 * 4 * 8), what="its bytes")
        device.stop_scan("1_loopscan")
        finish(scan)
    wait_for(lambda: told("active_scans", 0), what="its end")
    wait_for(lambda: told("scan_states", [tango.DevState.FAULT]), what="its last state")
    wait_for(lambda: told("state", tango.DevState.ON), what="ON again")
    wait_for(lambda: told("points_per_second", 0.0), what="no points any more")
    wait_for(lambda: told("lag_seconds", 0.0), what="nothing left to commit")
    assert "stopped by the command stop_scan" in str(seen["last_error"][-1])
    assert any("being written: 1_loopscan" in str(text) for text in seen["status"])
    assert any(rate != 0 for rate in seen["points_per_second"])
    for number in numbers:
        device.unsubscribe_event(number)
