"""Every command of the device: what it answers, and what it says when it cannot."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tango
from tests.support_device_server import await_scan, finish
from tests.support_session import check_values, opened
from tests.support_waiting import wait_for

from nexus_writer_service.testing.simulation import (
    EsrfSaving,
    Faults,
    PlainSaving,
    designs,
    devices,
)

pytestmark = pytest.mark.integration

DIODE = f"{devices.SAMPLING_CONTROLLER}:diode1"
QUERIES = (
    *("scan_state", "scan_state_reason", "scan_url", "scan_uri"),
    *("scan_has_write_permissions", "scan_has_required_disk_space"),
    *("scan_disk_space_error", "scan_disk_space_warning", "stop_scan", "kill_scan"),
)
COMMANDS = {
    "Init": ("DevVoid", "DevVoid"),
    "State": ("DevVoid", "DevState"),
    "Status": ("DevVoid", "DevString"),
    "makedirs": ("DevString", "DevVoid"),
    "purge_scans": ("DevVoid", "DevVoid"),
    "scan_disk_space_error": ("DevString", "DevString"),
    "scan_disk_space_warning": ("DevString", "DevString"),
    "scan_exists": ("DevString", "DevBoolean"),
    "scan_has_required_disk_space": ("DevString", "DevBoolean"),
    "scan_has_write_permissions": ("DevString", "DevBoolean"),
    "scan_state": ("DevString", "DevState"),
    "scan_state_reason": ("DevString", "DevString"),
    "scan_url": ("DevString", "DevVarStringArray"),
    "scan_uri": ("DevString", "DevVarStringArray"),
    "start": ("DevVoid", "DevVoid"),
    "stop": ("DevVoid", "DevVoid"),
    "stop_scan": ("DevString", "DevVoid"),
    "kill_scan": ("DevString", "DevVoid"),
}


def failure(call) -> tango.DevError:
    """The first error with which a call fails."""
    with pytest.raises(tango.DevFailed) as caught:
        call()
    error: tango.DevError = caught.value.args[0]
    return error


def test_the_commands_have_the_names_and_types_of_the_lineage(device):
    found = {one.cmd_name: (one.in_type, one.out_type) for one in device.command_list_query()}
    assert {name: tuple(map(str, types)) for name, types in found.items()} == COMMANDS


def test_a_scan_is_asked_about_as_bliss_does(device, session):
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    folder = scan.record.path.parent
    device.makedirs(str(folder))
    assert folder.is_dir()
    assert device.scan_exists("1_loopscan")
    assert device.state() == tango.DevState.RUNNING
    assert device.scan_has_write_permissions("1_loopscan")
    assert device.scan_has_required_disk_space("1_loopscan")
    assert device.scan_disk_space_error("1_loopscan") == ""
    assert device.scan_state("1_loopscan") == tango.DevState.INIT
    scan.prepare()
    await_scan(device, "1_loopscan", "ON")
    assert list(device.scan_url("1_loopscan")) == [f"{scan.record.path}::/1.1"]
    assert list(device.scan_uri("1_loopscan")) == [f"{scan.record.path}::/1.1"]
    scan.start()
    scan.publish(4)
    assert device.scan_disk_space_warning("1_loopscan") == ""
    finish(scan)
    assert await_scan(device, "1_loopscan", "OFF").startswith("complete")
    check_values(scan.record)


@pytest.mark.parametrize("command", QUERIES)
def test_a_scan_that_nobody_knows_is_a_clear_error(device, command):
    error = failure(lambda: device.command_inout(command, "7_nothing"))
    assert error.reason == "NexusWriter_UnknownScan"
    assert "no scan '7_nothing' is known here" in error.desc
    assert not device.scan_exists("7_nothing")


def test_directories_of_a_scan_that_is_created_meanwhile_are_made(device, session):
    folder = PlainSaving(session.data_root, session.name, session.filename).file.parent
    with ThreadPoolExecutor(1) as asker:
        answer = asker.submit(device.makedirs, str(folder))
        with session.open(lambda setting: designs.loopscan(setting, 1)):
            answer.result(20)
    assert folder.is_dir()


def test_of_two_scans_with_one_name_the_one_that_runs_is_meant(device, session):
    session.saving = EsrfSaving(session.data_root, dataset="0001")
    first = session.loopscan(3)
    await_scan(device, "1_loopscan", "OFF")
    session.saving = EsrfSaving(session.data_root, dataset="0002")
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    assert scan.record.name == first.name
    scan.prepare()
    scan.start()
    await_scan(device, "1_loopscan", "ON")
    assert list(device.scan_url("1_loopscan")) == [f"{scan.record.path}::/1.1"]
    assert list(device.scan_url(first.key)) == [f"{first.path}::/1.1"]
    assert device.scan_state(first.key) == tango.DevState.OFF
    assert list(device.scan_names) == ["1_loopscan", "1_loopscan"]
    finish(scan)
    await_scan(device, scan.record.key, "OFF")
    assert list(device.scan_url("1_loopscan")) == [f"{scan.record.path}::/1.1"]


def test_stop_scan_ends_a_scan_with_what_it_has(device, half_a_scan):
    device.stop_scan("1_loopscan")
    assert device.scan_state("1_loopscan") == tango.DevState.FAULT
    assert "stopped by the command stop_scan" in device.scan_state_reason("1_loopscan")
    assert device.state() == tango.DevState.ON
    check_values(half_a_scan.record)
    with opened(half_a_scan.record) as file:
        assert "end_time" in file["1.1"]
        said = file["1.1/writer/description"].asstr()[()]
    assert said.startswith("incomplete: 16 points in 4 channels; stopped by the command stop_scan")
    finish(half_a_scan)
    device.stop_scan("1_loopscan")  # it is over: nothing happens


def test_kill_scan_abandons_a_scan_and_leaves_a_sound_file(device, session, half_a_scan):
    device.kill_scan("1_loopscan")
    assert device.scan_state("1_loopscan") == tango.DevState.FAULT
    assert "kill_scan" in device.scan_state_reason("1_loopscan")
    check_values(half_a_scan.record)
    with opened(half_a_scan.record) as file:
        assert "end_time" not in file["1.1"]
        assert file["1.1/writer/description"].asstr()[()] == "running"
    finish(half_a_scan)
    following = session.loopscan(3)
    await_scan(device, following.name, "OFF")
    check_values(following)


def test_init_goes_on_with_a_scan_that_was_killed(device, half_a_scan):
    device.kill_scan("1_loopscan")
    device.init()
    await_scan(device, "1_loopscan", "ON")
    finish(half_a_scan)
    await_scan(device, "1_loopscan", "OFF")
    check_values(half_a_scan.record)


def test_init_leaves_a_scan_that_was_stopped_as_it_is(device, half_a_scan):
    device.stop_scan("1_loopscan")
    reason = device.scan_state_reason("1_loopscan")
    device.init()
    wait_for(lambda: device.state() == tango.DevState.ON, what="ON")
    check_values(half_a_scan.record)
    finish(half_a_scan)
    assert await_scan(device, "1_loopscan", "FAULT") == reason
    assert list(device.scan_progress) == ["1_loopscan: 4pts-4pts"]


def test_a_lost_channel_is_a_fault_at_the_next_question_and_the_others_go_on(device, session):
    faults = Faults(garbage={DIODE: 2})
    scan = session.open(lambda setting: designs.loopscan(setting, 10), faults=faults)
    scan.prepare()
    scan.start()
    scan.publish(4)
    reason = await_scan(device, scan.record.name, "FAULT")
    assert "diode1" in reason
    assert device.state() == tango.DevState.RUNNING
    finish(scan)
    wait_for(lambda: device.state() == tango.DevState.ON)
    assert device.scan_state_reason(scan.record.name).startswith("incomplete")
    check_values(scan.record, but=(DIODE,))
    wait_for(lambda: "diode1" in device.last_error)


def test_a_property_lets_a_scan_with_a_lost_channel_go_on(new_server, session):
    server = new_server(fault_policy="scan only")
    server.start()
    server.await_state("ON")
    faults = Faults(garbage={DIODE: 2})
    scan = session.open(lambda setting: designs.loopscan(setting, 10), faults=faults)
    scan.prepare()
    scan.start()
    scan.publish(4)
    wait_for(lambda: "diode1" in server.device.last_error)
    assert server.device.scan_state(scan.record.name) == tango.DevState.ON
    assert "diode1" in server.device.scan_state_reason(scan.record.name)
    finish(scan)
    assert await_scan(server.device, scan.record.name, "OFF").startswith("incomplete")


def test_the_policy_can_be_changed_while_a_scan_runs(server, device, session):
    faults = Faults(garbage={DIODE: 2})
    with session.open(lambda setting: designs.loopscan(setting, 10), faults=faults) as scan:
        name = scan.record.name
        scan.prepare()
        scan.start()
        scan.publish(4)
        await_scan(device, name, "FAULT")
        server.set_property("fault_policy", "scan only")
        device.start()
        assert device.scan_state(name) == tango.DevState.ON
        assert device.state() == tango.DevState.RUNNING


def test_a_scan_that_cannot_be_saved_is_a_fault_under_any_policy(new_server, session):
    server = new_server(fault_policy="scan only", required_disk_space=1e12)
    server.start()
    server.await_state("ON")
    device = server.device
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    name = scan.record.name
    wait_for(lambda: not device.scan_has_required_disk_space(name), what="an answer of the disk")
    assert "Free disk space below" in device.scan_disk_space_error(name)
    assert "Free disk space below" in device.scan_disk_space_warning(name)
    scan.prepare()
    assert "Free disk space below" in await_scan(device, name, "FAULT")
    scan.close("USER_ABORT")


def test_little_room_is_a_warning(new_server, session):
    server = new_server(recommended_disk_space=1e12)
    server.start()
    server.await_state("ON")
    record = session.loopscan(3)
    wait_for(lambda: server.device.scan_disk_space_warning(record.name))
    assert server.device.scan_disk_space_error(record.name) == ""
    await_scan(server.device, record.name, "OFF")


def test_scans_that_are_over_can_be_purged_after_five_seconds(device, session):
    record = session.loopscan(3)
    await_scan(device, record.name, "OFF")
    device.purge_scans()
    assert list(device.scan_names) == [record.name]
    deadline = time.monotonic() + 20

    def purged() -> bool:
        assert time.monotonic() < deadline
        device.purge_scans()
        return not device.scan_names

    wait_for(purged, what="purged")
    assert failure(lambda: device.scan_state(record.name)).reason == "NexusWriter_UnknownScan"


def test_directories_are_made_where_scans_are_saved_and_nowhere_else(device, session, tmp_path):
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    below = scan.record.path.parent / "scan0001"
    device.makedirs(str(below))
    assert below.is_dir()
    device.makedirs(str(below))  # it is there: fine
    elsewhere = tmp_path / "elsewhere"
    assert "may not be made" in failure(lambda: device.makedirs(str(elsewhere))).desc
    way_out = f"{below}/../../../elsewhere"
    assert "may not be made" in failure(lambda: device.makedirs(way_out)).desc
    assert not elsewhere.exists()
    assert "no absolute path" in failure(lambda: device.makedirs("relative")).desc
    scan.close("USER_ABORT")


def test_roots_given_as_a_property_decide_where_directories_and_files_are_made(
    new_server, session, tmp_path
):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    server = new_server(data_roots=root)
    server.start()
    server.await_state("ON")
    server.device.makedirs(str(root / "new" / "one"))
    assert (root / "new" / "one").is_dir()
    led_out = failure(lambda: server.device.makedirs(str(root / "link" / "out")))
    assert "outside the allowed roots" in led_out.desc
    assert not (tmp_path / "out").exists()
    record = session.loopscan(3)
    assert "outside the allowed roots" in await_scan(server.device, record.name, "FAULT")
    assert record.path is not None
    assert not record.path.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told_before_the_scan(device, session, tmp_path):
    tmp_path.chmod(0o500)
    try:
        scan = session.open(lambda setting: designs.loopscan(setting, 10))
        wait_for(lambda: not device.scan_has_write_permissions(scan.record.name))
        folder = Path(scan.record.path).parent
        assert "cannot make" in failure(lambda: device.makedirs(str(folder))).desc
        scan.close("USER_ABORT")
    finally:
        tmp_path.chmod(0o700)


def test_scans_for_another_writer_are_known_and_not_written(device, session):
    session.data_writer = "external"
    record = session.loopscan(3)
    assert "not for this writer" in await_scan(device, record.name, "OFF")
    assert record.path is not None
    assert not record.path.exists()
