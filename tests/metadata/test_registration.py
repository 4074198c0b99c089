import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tests.metadata.bliss_stand_ins import LimaImage, Saving

from nexus_writer_service.errors import StateError
from nexus_writer_service.metadata import (
    register_all_metadata_generators,
    register_metadata_generators,
)

HEAVY = ("h5py", "numpy", "redis", "blissdata", "tango", "bliss", "gevent", "yaml", "asyncio")


class SessionMetadata:
    """The metadata of a session, as BLISS keeps them: generators by category and name."""

    def __init__(self) -> None:
        self.categories = {"instrument", "positioners", "technique"}
        self.generators: dict[str, dict[str, Any]] = {}

    def add_categories(self, names):
        self.categories |= set(names)

    def __getattr__(self, category: str) -> Any:
        if category not in self.categories:
            raise AttributeError(category)
        return SimpleNamespace(set=self.generators.setdefault(category, {}).__setitem__)

    def made(self, scan):
        """What a scan is told: the parts are merged."""
        parts = [generate(scan) for generate in self.generators["nexuswriter"].values()]
        return {key: value for part in parts for key, value in part.items()}


@pytest.fixture
def metadata():
    return SessionMetadata()


@pytest.fixture
def config():
    return {"synchrotron": "ESRF", "beamline": "id00"}


@pytest.fixture
def bliss(monkeypatch, metadata, config):
    """A process with a BLISS session."""
    session = SimpleNamespace(scan_saving_config={}, scan_saving=Saving())
    counters = [LimaImage("cam:image")]
    global_map = SimpleNamespace(
        get_counters_iter=lambda: iter(counters),
        aliases=SimpleNamespace(get_alias=lambda _: None),
    )
    static = SimpleNamespace(get_config=lambda: SimpleNamespace(root=config))
    modules: dict[str, dict[str, Any]] = {
        "bliss": {"current_session": session, "global_map": global_map},
        "bliss.config": {"static": static},
        "bliss.scanning": {},
        "bliss.scanning.scan_meta": {"get_user_scan_meta": lambda: metadata},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return SimpleNamespace(session=session, counters=counters)


def scan(**info):
    return SimpleNamespace(identifier="12_ascan", scan_saving=Saving(), scan_info=info)


def test_a_scan_brings_what_the_session_knows(bliss, metadata):
    register_all_metadata_generators()
    found = metadata.made(scan(save=True))
    assert found == {
        "instrument_info": {"name": "ESRF-id00", "name@short_name": "id00"},
        "devices": {"cam:image": {"device_info": {"type": "lima"}, "device_type": "lima"}},
        "masterfiles": found["masterfiles"],
    }
    assert list(found["masterfiles"]) == ["dataset_collection", "proposal"]


def test_a_scan_that_is_not_saved_has_no_master_files(bliss, metadata):
    register_all_metadata_generators()
    assert list(metadata.made(scan(save=False))) == ["instrument_info", "devices"]


def test_the_technique_is_that_of_the_dataset_of_the_scan(bliss, metadata, config):
    techniques = {"align": None, "xrf": None}
    config["nexus_definitions"] = {"technique": {"default": "align", "techniques": techniques}}
    register_all_metadata_generators()
    one = scan(save=True)
    one.scan_saving.dataset["definition"] = "XRF"
    assert metadata.made(one)["technique"]["name"] == "xrf"
    one.scan_info["save"] = False
    assert metadata.made(one)["technique"]["name"] == "align"


def test_without_a_data_policy_there_is_no_dataset_to_ask(bliss, metadata, config):
    config["nexus_definitions"] = {"technique": {"default": "align"}}
    register_all_metadata_generators()
    one = scan(save=True)
    del one.scan_saving.dataset
    assert metadata.made(one)["technique"]["name"] == "align"


def test_metadata_can_be_tried_without_a_scan(bliss, metadata):
    """As the command ``metadata_profiling()`` of BLISS does."""
    register_all_metadata_generators()
    assert list(metadata.made(None)) == ["instrument_info", "devices", "masterfiles"]


def test_to_register_again_changes_nothing(bliss, metadata):
    register_all_metadata_generators()
    once = metadata.made(scan())
    names = list(metadata.generators["nexuswriter"])
    register_all_metadata_generators()
    assert metadata.made(scan()) == once
    assert list(metadata.generators["nexuswriter"]) == names
    assert names == ["instrument_info", "device_info", "masterfiles", "technique"]


def test_a_generator_that_fails_is_named_and_costs_neither_the_scan_nor_the_others(
    bliss, metadata, caplog
):
    failing = scan(save=True)
    failing.scan_saving = None
    register_all_metadata_generators()
    assert list(metadata.made(failing)) == ["instrument_info", "devices"]
    (warning,) = caplog.messages
    assert warning == (
        "scan 12_ascan: the metadata 'masterfiles' could not be made (AttributeError: 'NoneType' "
        "object has no attribute 'writer_object'). The scan goes on; its file will lack links in "
        "the files of the collection and the proposal"
    )


def test_without_types_of_devices_the_scan_still_starts(bliss, metadata, caplog):
    """BLISS 2.2 looks into ``devices``, whatever the writer."""
    register_all_metadata_generators()
    sys.modules["bliss"].__dict__["global_map"] = None
    assert metadata.made(scan())["devices"] == {}
    assert "its file will lack types of devices" in caplog.text


def test_without_bliss_it_says_where_to_call_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "bliss", None)
    with pytest.raises(StateError, match=r"BLISS is not there .* Call this in a BLISS session"):
        register_all_metadata_generators()


def test_what_has_no_categories_is_no_metadata_of_a_session():
    with pytest.raises(StateError, match="object is no scan metadata of BLISS 2"):
        register_metadata_generators(object())  # type: ignore[arg-type]


def test_to_import_it_brings_nothing_heavy():
    program = (
        "import sys\nbefore = set(sys.modules)\n"
        "from nexus_writer_service import metadata\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    brought = done.stdout.split()
    assert [name for name in brought if name.partition(".")[0] in HEAVY] == []
    ours = {name for name in brought if name.startswith("nexus_writer_service.")}
    assert {name.split(".")[1] for name in ours} == {"metadata", "errors"}
