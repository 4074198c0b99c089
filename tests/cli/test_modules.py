"""The commands as ``python -m``, under every name that they had."""

import subprocess
import sys

import pytest

from nexus_writer_service.app import register_service

FORMS = {
    "nexus_writer_service": "--log_tango",
    "nexus_writer_service.nexus_writer_service": "--log_tango",
    "nexus_writer_service.app.service": "--log_tango",
    "nexus_writer_service.nexus_session_writer": "--data_writer",
    "nexus_writer_service.app.process": "--data_writer",
    "nexus_writer_service.nexus_register_writer": "--beacon-host",
    "nexus_writer_service.app.register_service": "--beacon-host",
}


@pytest.mark.parametrize("module", FORMS)
def test_every_module_form_is_the_command(module):
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert FORMS[module] in done.stdout
    assert done.stderr == ""


def test_bliss_finds_what_it_imports():
    assert register_service.find_session_writer.__name__ == "find_session_writer"
    assert register_service.get_uri.__name__ == "get_uri"
