"""What the nodes of a scan say of it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from tests.support_any_scan import spoilt_documents

from nexus_writer_service.model.description import Content
from nexus_writer_service.sources.bliss1.description import (
    ChannelNode,
    db_name_of,
    describe_scan,
    end_reason,
    scan_key,
)
from nexus_writer_service.sources.bliss1.nodes import Info, Node
from nexus_writer_service.sources.bliss1.pickles import Named

NODE = Node("test_session:data:4_ascan", "scan", "4_ascan")
INFO: dict[str, Any] = {
    "scan_nb": 4,
    "title": "ascan robx 0 1 4 0.1",
    "filename": "/data/file.h5",
    "save": True,
    "data_writer": "nexus",
    "start_timestamp": 1795260447.5,
    "npoints": 5,
    "scan_meta_categories": [],
    "acquisition_chain": {"axis": {"devices": ["1:axis"]}},
    "devices": {"1:axis": {"channels": ["axis:robx"]}},
}
LIMA: dict[str, Any] = {
    "fullname": "cam:image",
    "dtype": Named("uint16"),
    "shape": (1, 32, 64),
    "saving_mode": "AUTO_FRAME",
    "saving_format": "HDF5BS",
    "saving_directory": "/data/50%/scan0004",
    "saving_prefix": "cam_",
    "saving_suffix": ".h5",
    "saving_index_format": "%04d",
    "saving_next_number": 1,
    "saving_frame_per_file": 10,
    "saving_frame_per_acquisition": 25,
    "lima_version": "1.9.9",
    "user_detector_name": "cam",
    "user_instrument_name": "instrument",
}


def described(info: dict[str, Any], *channels: ChannelNode, exception: str | None = None) -> Any:
    said = Info(info)
    scan, warnings = describe_scan(scan_key(NODE.db_name, said), NODE, said, channels, exception)
    return scan, warnings


def channel(kind: str, name: str, **info: Any) -> ChannelNode:
    return ChannelNode(Node(f"{NODE.db_name}:{name}", kind, name), Info({"fullname": name, **info}))


def test_a_scan_is_known_by_its_node_and_its_start() -> None:
    scan, warnings = described(INFO)
    assert scan.key == "test_session:data:4_ascan@1795260447.5"
    assert db_name_of(scan.key) == NODE.db_name
    assert (scan.name, scan.number, scan.session) == ("4_ascan", 4, "test_session")
    assert (scan.path, scan.save, scan.data_writer) == ("/data/file.h5", True, "nexus")
    assert scan.devices["1:axis"].name == "axis"
    assert scan.start_time is not None
    assert warnings == ()


@pytest.mark.parametrize(
    ("exception", "reason"),
    [
        ("", "SUCCESS"),
        ("KeyboardInterrupt", "USER_ABORT"),
        ("<class 'KeyboardInterrupt'>", "USER_ABORT"),
        ("RuntimeError", "FAILURE"),
    ],
)
def test_what_ended_a_scan_is_said_in_the_words_of_today(exception: str, reason: str) -> None:
    assert end_reason(exception) == reason
    assert described(INFO, exception=exception)[0].end_reason == reason


def test_a_scan_without_number_is_number_0_with_a_warning() -> None:
    scan, warnings = described({**INFO, "scan_nb": None})
    assert scan.number == 0
    assert any("'scan_nb' is missing" in text for text in warnings)


def test_a_negative_number_is_kept() -> None:
    assert described({**INFO, "scan_nb": -1})[0].number == -1


def test_a_scan_that_is_to_be_saved_without_file_name_is_told_so() -> None:
    scan, warnings = described({**INFO, "filename": ""})
    assert scan.path is None
    assert any("no absolute file path" in text for text in warnings)


def test_channels_are_what_their_nodes_say() -> None:
    scan, _ = described(
        INFO,
        channel("channel", "axis:robx", dtype=Named("float"), shape=(), unit="mm"),
        channel("channel", "mca:det0", dtype=Named("uint32"), shape=(1024,)),
        channel("node_ref_channel", "scans", dtype=Named("str"), shape=()),
    )
    assert scan.channels["axis:robx"].dtype == np.float64
    assert scan.channels["axis:robx"].device == "1:axis"
    assert (scan.channels["mca:det0"].dtype, scan.channels["mca:det0"].shape) == ("u4", (1024,))
    assert scan.channels["scans"].content is Content.SCANS


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"dtype": Named("str"), "shape": ()}, "are not numbers"),
        ({"shape": ()}, "are not numbers"),
        ({"dtype": "no type", "shape": ()}, "are unknown"),
        ({"dtype": Named("float"), "shape": ("a",)}, "are not possible"),
    ],
)
def test_a_channel_of_something_else_is_not_saved_and_says_why(
    info: dict[str, Any], message: str
) -> None:
    scan, _ = described(INFO, channel("channel", "odd", **info))
    assert not scan.channels
    assert message in scan.unusable["odd"]


def test_the_files_of_a_lima_server_are_found() -> None:
    scan, _ = described(INFO, channel("lima", "cam:image", **LIMA))
    image = scan.channels["cam:image"]
    assert (image.content, image.dtype, image.shape) == (Content.IMAGES, np.uint16, (32, 64))
    assert image.images is not None
    assert image.images.path_template % 3 == "/data/50%/scan0004/cam_0003.h5"
    assert image.images.data_path == "/entry_0000/instrument/cam/data"
    assert (image.images.file_format, image.images.first_file) == ("hdf5", 1)
    assert (image.images.frames_per_file, image.images.frames_per_acquisition) == (10, 25)


def test_an_old_lima_has_its_frames_elsewhere_in_the_file() -> None:
    scan, _ = described(INFO, channel("lima", "cam:image", **{**LIMA, "lima_version": "<1.9.1"}))
    images = scan.channels["cam:image"].images
    assert images.data_path == "/entry_0000/instrument/cam/data/array"


@pytest.mark.parametrize("mode", ["NOSAVING", None])
def test_frames_that_are_not_saved_have_no_files(mode: str | None) -> None:
    info = {**LIMA, "saving_mode": mode} if mode else {}
    said = {**info, "dtype": Named("uint16"), "shape": (1, 32, 64)}
    scan, _ = described(INFO, channel("lima", "cam:image", **said))
    assert scan.channels["cam:image"].images is None


def test_what_cannot_be_read_of_the_info_is_left_out_and_told() -> None:
    hostile = b"\x80\x02cos\nsystem\n."
    info = Info.decoded("k_info", {b"title": hostile, b"scan_nb": b"\x80\x02K\x04."})
    scan, warnings = describe_scan(scan_key(NODE.db_name, info), NODE, info)
    assert scan.number == 4
    assert scan.title is None
    assert not scan.save
    assert info.warnings == (
        "'title' of k_info in Redis is left out: the pickle names os.system, which is not allowed",
    )
    assert warnings == ()


@given(spoilt_documents())
def test_any_info_describes_a_scan(document: Any) -> None:
    found = document.get("info")
    info = found if isinstance(found, dict) else {}
    channels = [
        ChannelNode(Node(f"{NODE.db_name}:{name}", "channel", name), Info(one))
        for name, one in info.items()
        if isinstance(one, dict)
    ]
    scan, _ = describe_scan(scan_key(NODE.db_name, Info(info)), NODE, Info(info), channels)
    assert scan.key.startswith(NODE.db_name)
