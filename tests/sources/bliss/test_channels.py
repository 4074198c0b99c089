"""Streams of all generations as channels."""

from typing import Any

import numpy as np
import pytest

from nexus_writer_service.model.description import Channel, ChannelName, Content, ImageFiles
from nexus_writer_service.sources.bliss.channels import channel
from nexus_writer_service.sources.bliss.fields import Fields

JSON = {"type": "json"}
COUNTS = {"type": "numeric", "dtype_str": "<u4", "shape": []}
SHAPE = {"dtype": "uint16", "shape": [32, 48]}
LIMA = {
    "protocol_version": 1,
    "file_path": "/data/scan0001/cam_%04d.h5",
    "data_path": "/entry_0000/ESRF/cam/data",
    "file_format": "HDF5",
    "file_offset": 1,
    "frame_per_file": 10,
    "frame_per_acquisition": 100,
}
LIMA2 = {
    "protocol_version": 1,
    "directory": "/data/100%/scan0001",
    "path_template": "{filename_prefix}_{filename_rank}_{file_number:05d}{filename_suffix}",
    "prefix": "cam",
    "rank": 0,
    "suffix": ".h5",
    "data_path": "/entry_0000/cam/data",
    "file_format": "hdf5",
    "frame_per_file": 10,
    "frame_per_acquisition": 100,
}


def made(
    encoding: Any, announced: dict[str, Any] | None = None, **info: Any
) -> tuple[Channel | str, list[str]]:
    warnings: list[str] = []
    place = "scan 1_ct, channel cam:image"
    stream = Fields({"encoding": encoding, "info": info}, place, warnings)
    found = channel("cam:image", stream, Fields(announced or {}, place, warnings), "1:cam")
    return found, warnings


def files(encoding: Any = JSON, **info: Any) -> ImageFiles | None:
    found, warnings = made(encoding, **{**SHAPE, **info})
    assert isinstance(found, Channel)
    assert found.content is Content.IMAGES
    assert (found.dtype, found.shape) == (np.dtype("uint16"), (32, 48))
    assert warnings == []
    return found.images


@pytest.mark.parametrize("info", [{}, {"plugin": "hdf5_fallback", "file_path": "/x", "save": True}])
def test_numbers_are_as_they_are_encoded(info: dict[str, Any]) -> None:
    encoding = {"type": "numeric", "dtype_str": ">f4", "shape": [-1, 3]}
    found, warnings = made(encoding, {"unit": "mm", "dim": 2, "display_name": "x"}, **info)
    assert warnings == []
    assert found == Channel(
        name=ChannelName("cam:image"),
        dtype=np.dtype(">f4"),
        shape=(-1, 3),
        unit="mm",
        device="1:cam",
        dim=2,
        display_name="x",
    )


def test_an_announced_device_counts_before_the_list_of_devices() -> None:
    found, _ = made(COUNTS, {"device": "2:other"})
    assert isinstance(found, Channel)
    assert found.device == "2:other"


@pytest.mark.parametrize("info", [{"plugin": "lima"}, {"format": "lima_v1"}])
def test_images_of_lima_are_in_the_files_it_names(info: dict[str, Any]) -> None:
    assert files(**info, lima_info=LIMA) == ImageFiles(
        "/data/scan0001/cam_%04d.h5", "/entry_0000/ESRF/cam/data", "hdf5", 10, 100, 1
    )


def test_lima_s_counts_have_two_spellings() -> None:
    lima = {k: v for k, v in LIMA.items() if not k.startswith("frame_")}
    found = files(plugin="lima", lima_info={**lima, "frames_per_file": 3})
    assert found is not None
    assert (found.frames_per_file, found.frames_per_acquisition) == (3, 0)


@pytest.mark.parametrize("info", [{"plugin": "lima2"}, {"format": "lima_v2"}])
def test_images_of_the_first_lima2_have_a_template_with_names(info: dict[str, Any]) -> None:
    found = files(**info, lima_info=LIMA2)
    assert found == ImageFiles(
        "/data/100%%/scan0001/cam_0_%05d.h5", "/entry_0000/cam/data", "hdf5", 10, 100
    )
    assert found.path_template % 7 == "/data/100%/scan0001/cam_0_00007.h5"


def test_images_of_today_s_lima2_are_in_one_master_file() -> None:
    found = files(COUNTS, plugin="lima2", protocol_version=2, master_file=["/d/5%/m.h5", "/a/b"])
    assert found is not None
    assert (found.path_template % 0, found.data_path) == ("/d/5%/m.h5", "/a/b")
    assert (found.file_format, found.frames_per_file) == ("hdf5", 0)


def test_a_template_without_number_is_one_file() -> None:
    lima2 = {**LIMA2, "path_template": "{filename_prefix!s:>5}.h5"}
    found = files(plugin="lima2", lima_info=lima2)
    assert found is not None
    assert found.path_template % 3 == "/data/100%/scan0001/  cam.h5"


@pytest.mark.parametrize(
    ("encoding", "info"),
    [
        (JSON, {"plugin": "lima"}),
        (JSON, {"plugin": "lima", "lima_info": {"protocol_version": 1}}),
        (JSON, {"plugin": "lima", "lima_info": {**LIMA, "file_format": ""}}),
        (JSON, {"plugin": "lima2", "lima_info": {**LIMA2, "file_format": None}}),
        (JSON, {"plugin": "lima2", "lima_info": {"protocol_version": 1, "name": "cam"}}),
        (COUNTS, {"plugin": "lima2", "protocol_version": 2, "master_file": None}),
        (COUNTS, {"plugin": "lima2", "protocol_version": 2}),
    ],
)
def test_images_that_are_not_saved_have_no_files(encoding: Any, info: dict[str, Any]) -> None:
    assert files(encoding, **info) is None


def test_images_that_bliss_calls_unsaved_have_no_files() -> None:
    found, _ = made(JSON, {"no_saving": True}, **{**SHAPE, "plugin": "lima", "lima_info": LIMA})
    assert isinstance(found, Channel)
    assert found.images is None


@pytest.mark.parametrize(
    ("plugin", "lima", "words"),
    [
        ("lima", {**LIMA, "file_path": "cam_%04d.h5"}, "not absolute"),
        ("lima2", {**LIMA2, "path_template": "{what}"}, "unusable"),
        ("lima2", {**LIMA2, "path_template": "{"}, "unusable"),
        ("lima2", {**LIMA2, "path_template": "{file_number}{file_number}"}, "more than one"),
        ("lima2", {**LIMA2, "directory": "scan0001"}, "not absolute"),
    ],
)
def test_images_that_cannot_be_found_are_told(plugin: str, lima: Any, words: str) -> None:
    found, (warning,) = made(JSON, **{**SHAPE, "plugin": plugin, "lima_info": lima})
    assert isinstance(found, Channel)
    assert found.images is None
    assert words in warning
    assert "channel cam:image" in warning


@pytest.mark.parametrize("info", [{"plugin": "scan_sequence"}, {"format": "subscan"}])
def test_references_to_scans_are_a_channel(info: dict[str, Any]) -> None:
    found, _ = made(JSON, **info)
    assert isinstance(found, Channel)
    assert found.content is Content.SCANS


@pytest.mark.parametrize(
    ("encoding", "info", "words"),
    [
        (JSON, {}, "encoding 'json'"),
        ({}, {}, "encoding ''"),
        ({"type": "parquet"}, {}, "encoding 'parquet'"),
        (COUNTS, {"plugin": "of the future"}, "plugin 'of the future'"),
        (JSON, {"plugin": "hdf5_fallback"}, "plugin 'hdf5_fallback'"),
        ({"type": "numeric", "dtype_str": "?!", "shape": []}, {}, "unusable"),
        ({"type": "numeric", "dtype_str": "<U3", "shape": []}, {}, "unusable"),
        ({"type": "numeric", "shape": []}, {}, "unusable"),
        ({"type": "numeric", "dtype_str": "<f8", "shape": 3}, {}, "unusable"),
        ({"type": "numeric", "dtype_str": "<f8", "shape": [-2]}, {}, "unusable"),
        ({"type": "numeric", "dtype_str": "<f8", "shape": ["a"]}, {}, "unusable"),
        (JSON, {"plugin": "lima", "lima_info": LIMA}, "unusable"),
    ],
)
def test_streams_that_nobody_understands_are_left_out_and_told(
    encoding: Any, info: dict[str, Any], words: str
) -> None:
    found, _ = made(encoding, **info)
    assert isinstance(found, str)
    assert words in found
