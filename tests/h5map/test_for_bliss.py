"""What a BLISS session asks of the writer's package: devices, paths, maps, URLs."""

import subprocess
import sys
from copy import deepcopy

import pytest
from tests.support_bliss import recorded_scan
from tests.support_kinds import RECORDED, UNSAVED

from nexus_writer_service import h5map
from nexus_writer_service.h5map import (
    all_devices_info,
    get_primary_dataset_path,
    scan_info_to_h5map,
    scan_url_info,
)
from nexus_writer_service.layout.esrf import EsrfOptions, plan


@pytest.mark.parametrize("kind", [name for name in RECORDED if name not in UNSAVED])
def test_the_path_of_each_channel_is_where_the_layout_puts_it(kind):
    recorded = recorded_scan(kind)
    info = recorded.document["info"]
    devices = all_devices_info(deepcopy(info["nexuswriter"]["devices"]), info)
    made = plan(recorded.described, EsrfOptions())
    known = {name: found for subscan in devices.values() for name in subscan for found in [subscan]}
    paths = {name: get_primary_dataset_path(name, known[name]) for name in made.places}
    assert {n: place.path.split("/", 2)[2] for n, place in made.places.items()} == paths
    assert set(devices) == set(info["acquisition_chain"])


def test_a_channel_of_no_device_has_a_path_too():
    assert get_primary_dataset_path("ctl:a.b", {}) == "instrument/a_b/data"


def test_a_device_says_what_it_is():
    info = recorded_scan("k11_mca").document["info"]
    devices = all_devices_info(info["nexuswriter"]["devices"], info)
    found = next(iter(devices.values()))["mca1:spectrum_det0"]
    assert found["device_type"] == "mca"
    assert found["device_name"] == "mca1_det0"
    assert (found["data_name"], found["data_alias"]) == ("spectrum", "data")


def test_an_unsaved_scan_has_no_maps():
    info = recorded_scan("k27_save_false").document["info"]
    assert scan_info_to_h5map(info) == {}


def test_the_maps_are_models_that_bliss_can_dump():
    info = recorded_scan("k05_ascan").document["info"]
    ((path, found),) = scan_info_to_h5map(info, configurable=True, flat=True).items()
    assert path == info["filename"]
    assert found.model_dump()["type"] == "group"


def test_urls_name_the_file_and_each_entry():
    info = recorded_scan("k20_multi_top_master").document["info"]
    number, file = info["scan_nb"], info["filename"]
    assert scan_url_info.scan_urls(info) == [f"{file}::/{number}.1", f"{file}::/{number}.2"]
    assert scan_url_info.subscan_url(info, 2) == f"{file}::/{number}.2"
    assert scan_url_info.scan_name({"scan_nb": -1}) is None


def test_urls_of_raw_data_name_the_file_of_the_scan_itself():
    recorded = recorded_scan("k33_separate_scan_files")
    info = recorded.document["info"]
    made = plan(recorded.described, EsrfOptions())
    assert scan_url_info.scan_filename(info, raw=True) == made.file
    assert scan_url_info.scan_filename(info) == info["filename"] != made.file
    assert scan_url_info.scan_filenames(info)["scan"] == made.file


def test_a_bliss_process_imports_no_hdf5_redis_or_tango_for_it():
    code = (
        "import sys, nexus_writer_service.h5map; "
        "print([m for m in ('h5py', 'redis', 'tango', 'blissdata', 'msgpack') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_names_that_bliss_imports_are_there():
    assert {"all_devices_info", "get_primary_dataset_path", "scan_info_to_h5map"} <= set(
        h5map.__all__
    )
