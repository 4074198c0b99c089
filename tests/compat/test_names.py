"""``compat/``: the names that BLISS imports from its writer's package, and what they do."""

import logging
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from blisswriter.io.os_utils import has_required_disk_space, has_write_permissions
from blisswriter.mapping.devices import all_devices_info, get_primary_dataset_path
from blisswriter.parameters import default_saveoptions
from blisswriter.utils.logging_utils import CustomLogger
from blisswriter.writer.main import ScanWriterWithState
from blisswriter.writer.scan_url_info import scan_urls
from blisswriter.writer.types import Channel, ChannelDataType

TOP = Path(__file__).parents[2]
NAMES = {
    "app.register_service": ("find_session_writer", "get_uri"),
    "io.os_utils": ("has_required_disk_space", "has_write_permissions"),
    "mapping.devices": ("all_devices_info", "get_primary_dataset_path"),
    "mapping.h5map": ("scan_info_to_h5map",),
    "mapping.publish": ("register_metadata_generators",),
    "mapping.scan_url_info": ("scan_urls",),
    "nexus.devices": ("device_info",),
    "nexus.mapping": ("get_primary_dataset_path",),
    "nexus.scan_meta": ("register_all_metadata_generators",),
    "parameters": ("default_saveoptions",),
    "utils.logging_utils": ("CustomLogger",),
    "writer.main": ("ScanWriterWithState",),
    "writer.scan_url_info": ("scan_urls",),
    "writer.types": ("Channel", "ChannelDataType"),
}
"""What BLISS 2.2.1 and 2.4.0 import."""
SCAN_INFO = {
    "name": "4_ascan",
    "scan_nb": 4,
    "save": True,
    "filename": "/data/sample.h5",
    "acquisition_chain": {"axis": {"devices": ["m", "d"]}},
    "devices": {
        "m": {"name": "axis", "channels": ["axis:robx"], "triggered_devices": ["d"]},
        "d": {"name": "ctl", "channels": ["ctl:diode1"], "triggered_devices": []},
    },
    "channels": {"axis:robx": {"device": "m", "dim": 0}, "ctl:diode1": {"device": "d", "dim": 0}},
}


@pytest.mark.parametrize("module", NAMES)
def test_all_names_that_bliss_imports_are_there(module):
    found = import_module(f"blisswriter.{module}")
    assert [name for name in NAMES[module] if not callable(getattr(found, name, None))] == []


def test_the_table_for_people_has_the_same_names():
    readme = (TOP / "compat" / "README.md").read_text()
    missing = [name for names in NAMES.values() for name in names if f"`{name}`" not in readme]
    assert missing == []


def test_the_distribution_needs_the_writer_and_nothing_else():
    project = tomllib.loads((TOP / "compat" / "pyproject.toml").read_text())["project"]
    ours = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == [f"nexus_writer_service[tango]>={ours['version']}"]
    assert project["version"] == ours["version"]


def test_what_a_session_imports_is_light():
    modules = [f"blisswriter.{name}" for name in NAMES if not name.startswith("app.")]
    program = (
        f"import sys\nfrom importlib import import_module\n"
        f"for name in {modules}: import_module(name)\n"
        "print(*[name for name in ('h5py', 'redis', 'blissdata', 'tango', 'typer', 'bliss') "
        "if name in sys.modules])"
    )
    paths = os.pathsep.join(map(str, (TOP / "compat" / "src", TOP / "src")))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == []


def test_paths_and_urls_are_those_of_the_file():
    devices = all_devices_info({}, SCAN_INFO)
    assert get_primary_dataset_path("axis:robx", devices["axis"]) == "instrument/robx/value"
    assert get_primary_dataset_path("ctl:diode1", devices["axis"]) == "instrument/diode1/data"
    assert scan_urls(SCAN_INFO) == ["/data/sample.h5::/4.1"]
    assert scan_urls({**SCAN_INFO, "save": False, "filename": None}) == []


def test_room_and_permissions_are_told_also_where_nothing_is_yet(tmp_path, monkeypatch):
    path = str(tmp_path / "a" / "b" / "file.h5")
    assert has_required_disk_space(path, 0)
    assert has_required_disk_space(path, 1)
    assert not has_required_disk_space(path, 1e12)
    assert has_write_permissions(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # nothing is forbidden to root
    assert not has_write_permissions(path)


def test_a_slow_disk_counts_as_large_enough(tmp_path):
    class Pool:
        def execute(self, _function, args, default):
            assert args == (str(tmp_path),)
            return default

    assert has_required_disk_space(str(tmp_path), 1e12, Pool())


def test_the_writer_inside_bliss_is_refused_with_a_message_that_names_the_others():
    options = default_saveoptions(configurable=True)
    options.pop("resource_profiling")
    logger = CustomLogger(logging.getLogger("bliss"), "4_ascan")
    writer = ScanWriterWithState("key", "4_ascan", parent_logger=logger, query_pool=None, **options)
    for arguments in ((SCAN_INFO,), (SCAN_INFO, None)):  # BLISS 2.4, 2.2
        with pytest.raises(RuntimeError, match=r"SCAN_SAVING\.writer = 'nexus'"):
            writer.initialize(*arguments)


def test_channels_and_log_lines_are_as_bliss_makes_them(caplog):
    channel = Channel(name="axis:robx", data_type=ChannelDataType.NUMERIC_DATA, info={})
    assert channel.data_type not in (ChannelDataType.LIMA1_STATUS, ChannelDataType.LIMA2_STATUS)
    CustomLogger(logging.getLogger("bliss"), "4_ascan").warning("late")
    assert caplog.messages == ["[4_ascan] late"]
