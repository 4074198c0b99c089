"""The device class BlissWriter, driven as BLISS 2.4 drives it: by scan keys, on request."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import tango
from tests.support_device_server import finish
from tests.support_session import check_values
from tests.support_waiting import wait_for

from nexus_writer_service.testing.simulation import Faults, SimulatedSession, designs, devices

pytestmark = pytest.mark.integration

DIODE = f"{devices.SAMPLING_CONTROLLER}:diode1"
KEY = "esrf:scan:01M7X526WE80KHX19SPTAZ2NDR"


@pytest.fixture
def session(simulated_session):
    """A session that has selected the writer of maps."""
    simulated_session.data_writer = "mapping"
    return simulated_session


@pytest.fixture
def server(new_server, session):
    """A server with the BlissWriter of the session, which accepts scans."""
    server = new_server(session.name, device_class="BlissWriter")
    server.start()
    server.await_state("ON")
    return server


@pytest.fixture
def device(server):
    """The device, as BLISS has it."""
    proxy = server.device
    proxy.set_timeout_millis(3000)
    return proxy


def prepared_as_bliss_does(device, scan) -> None:
    """What BLISS asks between the creation of a scan and its preparation."""
    key = scan.record.key
    wait_for(lambda: device.SaveScan(key), what="SaveScan")
    wait_for(lambda: device.scan_state(key) != tango.DevState.UNKNOWN, what="registered")
    wait_for(lambda: device.scan_state(key) == tango.DevState.ON, what="running")


def await_state(device, key: str, state: str) -> str:
    wait_for(lambda: str(device.scan_state(key)) == state, what=f"{key} {state}")
    return str(device.scan_state_reason(key))


def warnings(device, key: str) -> list[str]:
    """All warnings, fetched one by one."""
    return [
        device.GetWarning(json.dumps({"scan_key": key, "index": index}))
        for index in range(device.GetWarningCount(key))
    ]


def failure(call) -> str:
    with pytest.raises(tango.DevFailed) as caught:
        call()
    return str(caught.value.args[0].desc)


def test_the_commands_of_bliss_have_the_types_of_the_lineage(device):
    found = {one.cmd_name: one for one in device.command_list_query()}
    types = {
        name: (str(found[name].in_type), str(found[name].out_type))
        for name in ("SaveScan", "scan_state", "scan_state_reason", "GetWarningCount", "GetWarning")
    }
    assert types == {
        "SaveScan": ("DevString", "DevBoolean"),
        "scan_state": ("DevString", "DevState"),
        "scan_state_reason": ("DevString", "DevString"),
        "GetWarningCount": ("DevString", "DevLong64"),
        "GetWarning": ("DevString", "DevString"),
    }
    assert device.info().dev_class == "BlissWriter"


def test_a_scan_is_saved_as_bliss_asks_for_it(device, session):
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    assert device.state() in (tango.DevState.ON, tango.DevState.RUNNING)
    prepared_as_bliss_does(device, scan)
    assert scan.record.path.parent.is_dir()  # before it is prepared, as detectors need it
    scan.prepare()
    scan.start()
    scan.publish(4)
    assert device.scan_state(scan.record.key) == tango.DevState.ON
    assert device.SaveScan(scan.record.key)  # once more does no harm
    finish(scan)
    assert await_state(device, scan.record.key, "OFF").startswith("complete")
    assert warnings(device, scan.record.key) == []
    check_values(scan.record)


def test_a_scan_that_nobody_asked_for_is_saved_if_it_names_this_writer(device, session):
    record = session.loopscan(3)
    await_state(device, record.key, "OFF")
    check_values(record)


def test_scans_for_other_writers_are_unknown_until_they_are_asked_for(device, session):
    session.data_writer = "external"
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    session.data_writer = "mapping"
    after = session.loopscan(3)
    await_state(device, after.key, "OFF")
    assert device.scan_state(scan.record.key) == tango.DevState.UNKNOWN
    scan.prepare()
    scan.start()
    scan.publish(4)  # before it is asked for
    assert device.SaveScan(scan.record.key)
    finish(scan)
    await_state(device, scan.record.key, "OFF")
    check_values(scan.record)


def test_a_scan_can_be_asked_for_when_it_is_over(device, session):
    session.data_writer = "external"
    record = session.loopscan(3)
    assert device.SaveScan(record.key)
    assert await_state(device, record.key, "OFF").startswith("complete")
    check_values(record)


def test_what_is_no_scan_is_not_saved(device, session):
    record = session.loopscan(3)
    await_state(device, record.key, "OFF")
    for key in (KEY, "", "_SCAN_HISTORY_", "no key at all"):
        assert not device.SaveScan(key)
        assert device.scan_state(key) == tango.DevState.UNKNOWN
        assert "no scan" in device.scan_state_reason(key)
        assert device.GetWarningCount(key) == 0
    assert device.state() == tango.DevState.ON


def test_scans_that_are_not_to_be_saved_are_refused(device, session):
    record = session.ct()
    assert not device.SaveScan(record.key)


def test_stopped_it_refuses_scans_until_it_is_started(server, device, session):
    device.Stop()
    scan = session.open(lambda setting: designs.loopscan(setting, 3))
    assert device.state() == tango.DevState.OFF
    assert not device.SaveScan(scan.record.key)
    device.Start()
    server.await_state("RUNNING")  # it names this writer
    assert device.SaveScan(scan.record.key)
    scan.prepare()
    scan.start()
    finish(scan)
    await_state(device, scan.record.key, "OFF")
    check_values(scan.record)


def test_too_little_room_is_a_fault_before_the_scan_is_prepared(new_server, session):
    server = new_server(session.name, device_class="BlissWriter", required_disk_space=1e12)
    server.start()
    server.await_state("ON")
    scan = session.open(lambda setting: designs.loopscan(setting, 3))
    assert server.device.SaveScan(scan.record.key)
    assert "Free disk space below" in await_state(server.device, scan.record.key, "FAULT")
    scan.close("USER_ABORT")


def test_a_file_that_may_not_be_made_is_a_fault_before_the_scan_is_prepared(
    device, session, tmp_path
):
    (tmp_path / session.name).write_text("a file where a directory should be")
    scan = session.open(lambda setting: designs.loopscan(setting, 3))
    device.SaveScan(scan.record.key)
    reason = await_state(device, scan.record.key, "FAULT")
    assert reason == f"no permission to write {scan.record.path}"
    scan.close("USER_ABORT")


def test_a_scan_without_a_file_is_a_fault_before_it_is_prepared(device, session):
    faults = Faults(info={"filename": "relative.h5"})
    scan = session.open(lambda setting: designs.loopscan(setting, 3), faults=faults)
    device.SaveScan(scan.record.key)
    reason = await_state(device, scan.record.key, "FAULT")
    assert "no absolute file path" in reason
    scan.close("USER_ABORT")


def test_warnings_are_numbered_and_keep_their_numbers(new_server, session):
    server = new_server(session.name, device_class="BlissWriter", recommended_disk_space=1e12)
    server.start()
    server.await_state("ON")
    device = server.device
    with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        key = scan.record.key
        prepared_as_bliss_does(device, scan)
        wait_for(lambda: device.GetWarningCount(key), what="a warning")
        before = warnings(device, key)
        assert "Free disk space below" in before[0]
        scan.prepare()
        scan.start()
        scan.publish(4)
        assert warnings(device, key)[: len(before)] == before
        count = device.GetWarningCount(key)
        for question in (
            json.dumps({"scan_key": key, "index": count}),
            json.dumps({"scan_key": key, "index": -1}),
            json.dumps({"scan_key": KEY, "index": 0}),
            json.dumps({"index": 0}),
            "no JSON",
            "[]",
        ):
            text = failure(lambda question=question: device.GetWarning(question))
            assert "Traceback" not in text


def test_a_lost_channel_that_does_not_stop_the_scan_is_a_warning(new_server, session):
    server = new_server(session.name, device_class="BlissWriter", fault_policy="scan only")
    server.start()
    server.await_state("ON")
    device = server.device
    faults = Faults(garbage={DIODE: 2})
    scan = session.open(lambda setting: designs.loopscan(setting, 10), faults=faults)
    prepared_as_bliss_does(device, scan)
    scan.prepare()
    scan.start()
    scan.publish(4)
    wait_for(lambda: any("diode1" in text for text in warnings(device, scan.record.key)))
    assert device.scan_state(scan.record.key) == tango.DevState.ON
    finish(scan)
    assert await_state(device, scan.record.key, "OFF").startswith("incomplete")


def test_a_server_that_was_killed_goes_on_with_scans_nobody_asks_for_again(server, session):
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    prepared_as_bliss_does(server.device, scan)
    scan.prepare()
    scan.start()
    scan.publish(4)
    server.kill()
    missed = session.loopscan(3)
    scan.publish(2)
    server.start()
    await_state(server.device, scan.record.key, "ON")
    assert server.device.GetWarningCount(scan.record.key) == 0
    finish(scan)
    for record in (scan.record, missed):
        assert await_state(server.device, record.key, "OFF").startswith("complete")
        check_values(record)


def test_a_requested_scan_that_names_no_writer_is_resumed_too(server, session):
    session.data_writer = ""
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    prepared_as_bliss_does(server.device, scan)
    scan.prepare()
    scan.start()
    scan.publish(4)
    server.await_state("RUNNING")
    await_state(server.device, scan.record.key, "ON")
    wait_for(lambda: list(server.device.scan_progress) == ["1_loopscan: 4pts-4pts"])
    server.kill()
    server.start()
    await_state(server.device, scan.record.key, "ON")
    finish(scan)
    assert await_state(server.device, scan.record.key, "OFF").startswith("complete")
    check_values(scan.record)


def test_more_than_32_scans_are_saved_at_a_time(device, session):
    session.publisher = "pipeline"  # that of blissdata has a connection for each scan
    opened = []
    for number in range(40):
        session.filename = f"dataset{number:02}"
        opened.append(session.open(lambda setting: designs.loopscan(setting, 4)))
    with ThreadPoolExecutor(8) as bliss:
        list(bliss.map(lambda scan: prepared_as_bliss_does(device, scan), opened))
    for scan in opened:
        scan.prepare()
        scan.start()
        scan.publish(2)
    wait_for(lambda: device.active_scans == 40, what="40 scans at a time")
    for scan in opened:
        finish(scan)
    for scan in opened:
        await_state(device, scan.record.key, "OFF")
        check_values(scan.record)


def test_without_a_session_it_saves_the_scans_of_all_sessions(
    new_server, session, redis_url, tmp_path
):
    server = new_server("", device_class="BlissWriter")
    server.start()
    server.await_state("ON")
    with SimulatedSession(
        redis_url, "other_session", data_root=tmp_path / "other", data_writer="mapping"
    ) as other:
        for record in (session.loopscan(3), other.loopscan(4)):
            assert server.device.SaveScan(record.key)
            await_state(server.device, record.key, "OFF")
            check_values(record)


def test_both_classes_save_their_scans_of_one_session_in_one_server(new_server, session):
    server = new_server(session.name, device_class="BlissWriter")
    both = new_server(session.name)
    both.start()
    server.start()
    both.await_state("ON")
    server.await_state("ON")
    mapped = session.loopscan(3)
    session.data_writer = "nexus"
    classic = session.loopscan(3)
    await_state(server.device, mapped.key, "OFF")
    wait_for(lambda: str(both.device.scan_state(classic.name)) == "OFF")
    assert server.device.scan_state(classic.key) == tango.DevState.UNKNOWN
    check_values(mapped)
    check_values(classic)
