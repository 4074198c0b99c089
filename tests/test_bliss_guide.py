"""What docs/bliss.md shows works as written."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.support_tango import add_device, properties_of, server_of

from nexus_writer_service.cli import main, register_writer, session_writer, writer_service
from nexus_writer_service.cli.command import grouped
from nexus_writer_service.errors import SessionTakenError
from nexus_writer_service.tango.attributes import WatchedDevice
from nexus_writer_service.tango.configuration import ConfiguredDevice
from nexus_writer_service.tango.discovery import find_session_writer

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "bliss.md").read_text(encoding="utf-8")
UNITS = sorted((ROOT / "packaging" / "systemd").glob("*.service"))
STARTER = ROOT / "packaging" / "tango-starter" / "nexuswriter"
NAME = "id00/bliss_nxwriter/test_session"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def one_block(language: str, part: str) -> str:
    (block,) = [block for block in blocks(language) if part in block]
    return block


# ------------------------------------------------------------------------------- register


def test_the_command_registers_the_device_and_says_what_the_guide_shows(tango_database):
    (command,) = blocks("bash")
    program, *arguments = shlex.split(command)
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == one_block("text", "is now registered")
    assert server_of(tango_database, NAME) == "nexuswriter/nexuswriters"
    assert properties_of(tango_database, NAME) == {"session": ["test_session"]}


def test_sessions_that_bring_much_are_advised_to_have_an_instance_each():
    assert "Sessions that bring much data at the same time are better off with an instance" in GUIDE


def devices_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The devices in a file of Beacon, each with its server, as Beacon reads it."""
    content = yaml.safe_load(text)
    servers = content if isinstance(content, list) else [content]
    found = []
    for server in servers:
        assert isinstance(server["device"], list)  # nosqltangodb reads nothing else
        name = f"{server['server']}/{server['personal_name']}"
        found += [(name, device) for device in server["device"]]
    return found


@pytest.mark.parametrize("text", blocks("yaml"), ids=["as in the seeds", "several"])
def test_the_files_for_beacon_register_the_session(tango_database, text):
    for server, device in devices_of(text):
        assert device.keys() == {"tango_name", "class", "properties"}
        add_device(
            tango_database,
            device["tango_name"],
            server=server,
            device_class=device["class"],
            properties=device["properties"],
        )
        session = device["properties"]["session"]
        assert find_session_writer(session) == device["tango_name"]
    assert find_session_writer("test_session", beacon_host="id00:25000") == NAME


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_what_is_done_by_hand_registers_the_session(tango_database):
    look = one_block("python", "find_session_writer")
    assert run_python(look) == "None\n"
    run_python(one_block("python", "DbDevInfo"))
    assert server_of(tango_database, NAME) == "nexuswriter/nexuswriters"
    assert properties_of(tango_database, NAME) == {"session": ["test_session"]}
    assert run_python(look) in blocks("text")


def test_the_message_about_another_writer_is_the_one_of_the_program():
    shown = one_block("text", "is served by another writer").strip()
    owner = re.search(r"another writer: (.*?)\. Only", shown)
    assert owner is not None
    assert shown == str(SessionTakenError("test_session", owner[1]))


# --------------------------------------------------------------------------------- start


def commands() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["scripts"])


def test_every_command_of_the_guide_exists():
    text = GUIDE + "".join(unit.read_text() for unit in UNITS) + STARTER.read_text()
    named = set(
        re.findall(r"\b(?:NexusWriterService|NexusSessionWriter|RegisterNexusWriter)\b", text)
    )
    assert named <= commands()
    assert "nexus-writer" in commands()


def click_command(run: Callable[..., object]) -> typer.core.TyperCommand:
    app = typer.Typer(add_completion=False)
    app.command()(grouped(run))
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperCommand)
    return command


def options_in(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z_-]+", text))


def test_every_option_that_the_guide_and_what_starts_the_writer_name_exists():
    tools = typer.main.get_command(main.app)
    assert isinstance(tools, typer.core.TyperGroup)
    ours = [click_command(one.run) for one in (register_writer, session_writer, writer_service)]
    known = {
        name for one in (*ours, *tools.commands.values()) for p in one.params for name in p.opts
    }
    text = GUIDE + "".join(unit.read_text() for unit in UNITS) + STARTER.read_text()
    of_others = {"--now", "--host", "--port", "--tango-port"}  # systemctl, PyDatabaseds, Beacon
    assert options_in(text) - of_others - known == set()


def test_the_guide_names_every_option_of_a_registration():
    section = GUIDE.split("### By command")[1].split("### ")[0]
    options = {name for one in click_command(register_writer.run).params for name in one.opts}
    log = {name for name in options if "log" in name or "file" in name or "redirect" in name}
    wanted = {name for name in options if name.startswith("--")} - log - {"--help"}
    assert len(wanted) == 7
    assert wanted - options_in(section) == set()


def test_the_properties_that_the_guide_names_exist():
    section = GUIDE.split("### The properties")[1].split("## ")[0]
    names = set(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))
    found = {name for cell in names for name in re.findall(r"`(\w+)`", cell)}
    assert {"session", "data_roots", "fault_policy"} <= found
    assert [name for name in sorted(found) if not hasattr(ConfiguredDevice, name)] == []


def test_the_attributes_that_the_guide_names_exist():
    section = GUIDE.split("### The attributes")[1].split("### ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    found = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert len(found) > 10
    assert [name for name in sorted(found) if not hasattr(WatchedDevice, name)] == []


def test_every_file_that_the_guide_links_to_exists():
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def options_of(unit: Path) -> dict[str, str]:
    lines = [line for line in unit.read_text().splitlines() if re.match(r"\w+=", line)]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_comes_back_recovers_and_is_watched(unit):
    options = options_of(unit)
    assert options["Restart"] == "always"
    assert options["StartLimitIntervalSec"] == "0"
    assert options["Type"] == "notify"
    assert int(options["WatchdogSec"]) > 0
    assert "nexus-writer recover --unfinished --quick" in options["ExecStopPost"]
    assert options["ReadWritePaths"] == "/data"
    for key in ("ExecStart", "ExecStopPost"):
        programs = re.findall(r"/usr/local/nexus-writer/bin/(\S+)", options[key])
        assert programs
        assert set(programs) <= commands()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_a_unit(unit, tmp_path):
    copy = tmp_path / unit.name
    # systemd looks whether the programs are there.
    copy.write_text(re.sub(r"/usr/local/nexus-writer/bin/\S+", "/bin/true", unit.read_text()))
    instance = copy.with_name(unit.name.replace("@.", "@one."))
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", instance], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("no systemd here")
    assert done.returncode == 0, done.stderr
    assert copy.name not in done.stderr


def test_the_starter_s_script_runs_the_server_of_its_name_and_it_comes_back(tmp_path):
    program = tmp_path / "NexusWriterService"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [STARTER, "nexuswriters"],
        env={"NEXUS_WRITER_BIN": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        "nexuswriters",
        "--server",
        "nexuswriter",
        "--respawn",
        "--log=info",
    ]
