import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support_tango import properties_of, server_of

COMMAND = [str(Path(sys.executable).with_name("RegisterNexusWriter"))]
MODULES = [
    [sys.executable, "-m", f"nexus_writer_service.{name}"]
    for name in ("nexus_register_writer", "app.register_service")
]
NAME = "id00/bliss_nxwriter/test_session"


def run(command: list[str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("command", [COMMAND, *MODULES], ids=["script", "module", "app"])
def test_the_commands_of_the_documentation_register_the_device(tango_database, command):
    done = run(command, "test_session", "--domain", "id00", "--instance", "nexuswriters")
    assert done.returncode == 0, done.stderr
    assert f"{NAME} is now registered in server nexuswriter/nexuswriters" in done.stdout
    assert server_of(tango_database, NAME) == "nexuswriter/nexuswriters"
    assert properties_of(tango_database, NAME) == {"session": ["test_session"]}


def test_all_options_are_taken(tango_database, tmp_path):
    log, out, err = (tmp_path / name for name in ("all.log", "out.log", "err.log"))
    done = run(
        COMMAND,
        "test_session",
        *("--server", "NexusWriter", "--instance", "nexuswriters", "--domain", "ID99"),
        *("--family", "writers", "--member", "one", "--ignore_existing"),
        *("--beacon-host", "localhost:25000", "--log", "info", "--logfile", str(log)),
        *("--logfileout", str(out), "--logfileerr", str(err), "--filesize", "1"),
        *("--filebackups", "2", "--nologstdout", "--redirectstderr"),
    )
    assert done.returncode == 0, done.stderr
    assert server_of(tango_database, "ID99/writers/one") == "NexusWriter/nexuswriters"
    assert properties_of(tango_database, "ID99/writers/one") == {
        "session": ["test_session"],
        "beacon_host": ["localhost:25000"],
    }
    assert "writes session test_session" in out.read_text()
    assert err.read_text() == ""


def test_a_session_that_has_a_writer_is_no_error(tango_database):
    run(COMMAND, "test_session")
    done = run(COMMAND, "test_session", "--member", "another")
    assert done.returncode == 0
    assert f"{NAME} was already registered" in done.stdout
    assert "WARN" in done.stderr
    assert list(tango_database.get_device_name("*", "NexusWriter")) == [NAME]


def test_what_cannot_be_done_is_one_line_and_status_1(tango_database):
    done = run(COMMAND, "test_session", "--member", "a/b")
    assert done.returncode == 1
    assert done.stderr.startswith("RegisterNexusWriter: 'a/b' cannot be the member")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1:1", "cannot be reached"), ("nowhere", "TANGO_HOST is 'nowhere'")]
)
def test_without_a_database_it_says_so_and_ends_with_status_1(monkeypatch, host, said):
    monkeypatch.setenv("TANGO_HOST", host)
    done = run(COMMAND, "test_session")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_tango_host_it_says_what_to_set(tmp_path):
    environ = {key: value for key, value in os.environ.items() if key != "TANGO_HOST"}
    done = subprocess.run(
        [*COMMAND, "test_session"],
        env=environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "TANGO_HOST" in done.stderr


def test_without_a_session_it_is_a_usage_error():
    assert run(COMMAND).returncode == 2
