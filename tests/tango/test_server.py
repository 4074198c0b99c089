"""The device server: several sessions in a process, its end in order, its sudden death."""

import subprocess
import sys
import time

import pytest
import tango
from tests.support_device_server import await_scan, finish
from tests.support_session import check_values
from tests.support_waiting import wait_for
from tests.tango.conftest import begun

from nexus_writer_service.testing.simulation import SimulatedSession, designs

pytestmark = pytest.mark.integration


def test_a_server_saves_the_scans_of_several_sessions(new_server, session, redis_url):
    server = new_server(session.name, "other_session")
    server.start()
    with SimulatedSession(
        redis_url, name="other_session", data_root=session.data_root, data_writer="nexus"
    ) as other:
        server.await_state("ON", 0)
        server.await_state("ON", 1)
        scan, its = begun(server.proxy(0), session), begun(server.proxy(1), other)
        assert list(server.proxy(0).scan_url("1_loopscan")) == [f"{scan.record.path}::/1.1"]
        assert list(server.proxy(1).scan_url("1_loopscan")) == [f"{its.record.path}::/1.1"]
        finish(its)
        await_scan(server.proxy(1), "1_loopscan", "OFF")
        server.proxy(1).stop()
        assert server.proxy(0).state() == tango.DevState.RUNNING
        finish(scan)
        await_scan(server.proxy(0), "1_loopscan", "OFF")
        check_values(scan.record)
        check_values(its.record)


def test_a_device_that_cannot_be_used_does_not_keep_others_from_working(new_server, session):
    server = new_server(session.name, "other_session")
    server.set_property("durability", "eternal")
    server.start()
    assert "durability" in server.await_state("FAULT", 0)
    assert "durability" not in server.await_state("ON", 1)


def test_after_kill_9_the_file_becomes_complete(server, device, session, half_a_scan):
    server.kill()
    half_a_scan.publish(3)
    server.start()
    await_scan(device, "1_loopscan", "ON")
    finish(half_a_scan)
    following = session.loopscan(3)
    assert await_scan(device, "1_loopscan", "OFF").startswith("complete")
    await_scan(device, following.name, "OFF")
    check_values(half_a_scan.record)
    check_values(following)


def test_scans_that_ended_while_it_was_dead_are_saved_too(server, device, session, half_a_scan):
    server.kill()
    finish(half_a_scan)
    missed = session.loopscan(3)
    server.start()
    assert await_scan(device, "1_loopscan", "OFF").startswith("complete")
    await_scan(device, missed.name, "OFF")
    check_values(half_a_scan.record)
    check_values(missed)


def test_on_sigterm_scans_are_suspended_and_gone_on_with_at_the_next_start(
    server, device, half_a_scan
):
    started = time.monotonic()
    assert server.end() == 0
    assert time.monotonic() - started < 20
    assert "suspended" in server.output
    check_values(half_a_scan.record)
    server.start()
    await_scan(device, "1_loopscan", "ON")
    finish(half_a_scan)
    await_scan(device, "1_loopscan", "OFF")
    check_values(half_a_scan.record)


def test_a_disk_that_does_not_answer_delays_no_command(new_server, session):
    server = new_server(required_disk_space=200, recommended_disk_space=1024)
    server.start("--patch=slowdisk")
    server.await_state("ON")
    device = server.device
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    took = {}
    for command in ("scan_exists", "scan_disk_space_error", "scan_disk_space_warning"):
        began = time.monotonic()
        device.command_inout(command, scan.record.name)
        took[command] = time.monotonic() - began
    assert max(took.values()) < 2, took  # the disk would take 10 s
    scan.prepare()
    scan.start()
    finish(scan)
    await_scan(device, scan.record.name, "OFF")
    check_values(scan.record)


def test_the_device_is_there_before_what_takes_long_to_import():
    code = "import nexus_writer_service.cli.writer_service, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"tango", "nexus_writer_service.tango.device"} <= set(done.stdout.split())
    assert not {"h5py", "redis", "hiredis", "blissdata"} & set(done.stdout.split())


def test_a_server_that_is_not_registered_says_so(tango_database, redis_url):
    command = [sys.executable, "-m", "nexus_writer_service", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "nexuswriter/nobody" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_without_a_tango_database_it_says_so(monkeypatch):
    monkeypatch.setenv("TANGO_HOST", "127.0.0.1:9")
    command = [sys.executable, "-m", "nexus_writer_service", "nexuswriters"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "host 127.0.0.1 with port 9" in done.stderr
    assert "TANGO_HOST" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_options_of_the_lineage_are_accepted(new_server, session, tmp_path):
    server = new_server(session.name)  # registered as nexuswriter: capitals do not matter
    log, out, err = (tmp_path / name for name in ("all.log", "out.log", "err.log"))
    server.start(
        *("--server", "NexusWriter", "--log_tango", "INFO", "--logfile", str(log)),
        *("--logfileout", str(out), "--logfileerr", str(err), "--filesize", "1"),
        *("--filebackups", "2", "--nologstdout", "--redirectstdout", "--redirectstderr"),
    )
    server.await_state("ON")
    wait_for(lambda: "listening for scans" in log.read_text())
    assert server.device.read_attribute("tango_log_level").value == 2
    assert server.end() == 0


def test_the_instance_has_to_be_given():
    command = [sys.executable, "-m", "nexus_writer_service"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "instance" in done.stderr.lower()
