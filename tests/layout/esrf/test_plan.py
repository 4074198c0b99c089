"""The moments of a scan: what is written when."""

import numpy as np
import pytest
from tests.support_description import at, channel, images, line_scan, mesh, paths
from tests.support_plans import FILE, finished, first_points, made, started, value

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.layout.plan import Place, ScanPlan
from nexus_writer_service.layout.writer_note import WriterNote, read_writer_note
from nexus_writer_service.model.description import (
    ChannelName,
    Content,
    DeviceRecord,
    Note,
    Positioners,
    Subscan,
)
from nexus_writer_service.model.tree import (
    Dataset,
    Group,
    ImageStack,
    SoftLink,
    StreamDataset,
    merged,
)
from nexus_writer_service.model.verdict import Outcome, Verdict


def test_it_is_a_plan() -> None:
    found: ScanPlan = made(line_scan())
    assert found.file == FILE
    assert found.entries == ("7.1",)


# ------------------------------------------------------------------------------------- start


def test_the_start_has_all_that_is_known_and_no_data() -> None:
    scan = line_scan(
        channel("card:diode"),
        count_time=0.1,
        positioners=Positioners({"robx": 1.0}, {"robx": 2.0}, units={"robx": "mm"}),
        instrument_info={"name": "ESRF-id00", "name@short_name": "id00"},
        notes=(Note("2026-11-20T19:00:00+00:00", "hello"),),
    )
    tree = started(scan)
    assert paths(tree) == {
        "7.1",
        "7.1/title",
        "7.1/start_time",
        "7.1/scan_parameters",
        "7.1/scan_parameters/count_time",
        "7.1/instrument",
        "7.1/instrument/name",
        "7.1/instrument/positioners",
        "7.1/instrument/positioners/robx",
        "7.1/instrument/positioners_start",
        "7.1/instrument/positioners_start/robx",
        "7.1/instrument/positioners_dial_start",
        "7.1/instrument/positioners_dial_start/robx",
        "7.1/notes",
        "7.1/notes/note_01",
        "7.1/notes/note_01/data",
        "7.1/notes/note_01/date",
        "7.1/notes/note_01/type",
        "7.1/writer",
        "7.1/writer/status",
        "7.1/writer/date",
        "7.1/writer/type",
        "7.1/writer/data",
        "7.1/writer/description",
    }
    assert value(tree, "7.1/writer/status") == "RUNNING"
    assert read_writer_note(value(tree, "7.1/writer/data")) == WriterNote(
        scan.key, Verdict(Outcome.RUNNING)
    )
    assert value(tree, "7.1/writer/date") == "2026-11-20T19:00:00.000005+00:00"
    assert at(tree, "7.1/instrument/positioners_dial_start/robx") == Dataset(2.0, {"units": "mm"})
    assert at(tree, "7.1/instrument/name") == Dataset("ESRF-id00", {"short_name": "id00"})


def test_an_entry_without_title_and_start_time_is_written_all_the_same() -> None:
    tree = started(line_scan(title=None, start_time=None))
    assert value(tree, "7.1/title") == "7_ascan"
    assert "7.1/start_time" not in paths(tree)


def test_positions_that_are_no_numbers_are_kept_as_they_are() -> None:
    tree = started(line_scan(positioners=Positioners({"a": "ERR", "b": None, "c/d": 1, "e": 2.0})))
    positions = at(tree, "7.1/instrument/positioners")
    assert isinstance(positions, Group)
    assert value(positions, "a") == "ERR"
    assert np.isnan(value(positions, "b"))
    assert value(positions, "c_d") == 1
    assert positions.children["e"] == Dataset(2.0)


def test_the_session_s_instrument_counts_only_when_configurable() -> None:
    scan = line_scan(instrument_info={"name": "ESRF-id00"})
    assert "7.1/instrument/name" in paths(started(scan))
    assert "7.1/instrument/name" not in paths(started(scan, configurable=False))


def test_a_scan_that_fails_before_it_is_prepared_has_an_entry_with_its_end() -> None:
    scan = line_scan(channels={}, end_reason="FAILURE")
    tree = merged(started(scan), finished(scan))
    assert value(tree, "7.1/end_reason") == "FAILURE"
    assert value(tree, "7.1/end_time") == "2026-11-20T19:00:00.000005+00:00"
    assert "7.1/measurement" not in paths(tree)
    assert tree.attributes["default"] == "7.1"


def test_a_scan_without_absolute_path_cannot_be_planned() -> None:
    for path in (None, "sample_1.h5"):
        with pytest.raises(LayoutError, match="7_ascan cannot be saved"):
            made(line_scan(path=path))


# ------------------------------------------------------------------------------ first points


def test_a_channel_brings_its_device_and_the_links_to_it() -> None:
    scan = line_scan(
        channel("ctl:diode", unit="A"),
        device_records={
            ChannelName("ctl:diode"): DeviceRecord("samplingcounter", "signal", {"mode": "MEAN"})
        },
    )
    found = made(scan)
    assert found.places[ChannelName("ctl:diode")] == Place(FILE, "/7.1/instrument/diode/signal")
    tree = found.first_point(ChannelName("ctl:diode"))[FILE]
    dataset = at(tree, "7.1/instrument/diode/signal")
    assert isinstance(dataset, StreamDataset)
    assert dataset.attributes == {"units": "A"}
    assert dataset.scan == (0,)
    assert at(tree, "7.1/instrument/diode/data") == SoftLink("signal")
    assert at(tree, "7.1/instrument/diode/mode") == Dataset("MEAN")
    assert at(tree, "7.1/measurement/diode") == SoftLink("/7.1/instrument/diode/signal")
    assert tree.children["7.1"] == Group(
        {
            "instrument": at(tree, "7.1/instrument"),
            "measurement": at(tree, "7.1/measurement"),
        },
        {"NX_class": "NXentry"},
    )


def test_a_positioner_takes_its_place_among_the_positions() -> None:
    scan = line_scan(motors=("axis:sam-x",), positioners=Positioners({"sam-x": 1.0}))
    tree = made(scan).first_point(ChannelName("axis:sam-x"))[FILE]
    link = at(tree, "7.1/instrument/positioners/sam-x")
    assert link == SoftLink("/7.1/instrument/sam_x/value")


def test_a_positioner_that_is_no_motor_is_added_to_the_positions() -> None:
    tree = made(line_scan(motors=("timer:epoch",))).first_point(ChannelName("timer:epoch"))[FILE]
    link = at(tree, "7.1/instrument/positioners/epoch")
    assert link == SoftLink("/7.1/instrument/epoch/value")


def test_a_channel_nobody_knows_brings_nothing() -> None:
    assert made(line_scan()).first_point(ChannelName("x")) == {}


def test_a_nameless_channel_stands_in_measurement_itself() -> None:
    found = made(line_scan(channel("")))
    assert found.places[ChannelName("")].path == "/7.1/measurement/data"
    assert isinstance(at(first_points(found), "7.1/measurement/data"), StreamDataset)


def test_points_fill_the_grid_when_its_shape_is_kept() -> None:
    scan = mesh(channel("ctl:mca", "u4", (16,)), channel("ctl:diode"))
    flat, kept = first_points(made(scan)), first_points(made(scan, keepshape=True))
    path = "7.1/instrument/diode/data"
    one, other = at(flat, path), at(kept, path)
    assert isinstance(one, StreamDataset)
    assert isinstance(other, StreamDataset)
    assert (one.scan, one.chunks, one.attributes) == ((0,), (6,), {})
    assert (other.scan, other.chunks) == ((2, 3), (2, 3))
    assert other.attributes == {"interpretation": "image"}
    spectrum = at(kept, "7.1/instrument/mca/data")
    assert isinstance(spectrum, StreamDataset)
    assert spectrum.chunks == (2, 3, 16)


@pytest.mark.parametrize("dtype", ["?", "c16"])
def test_channels_without_a_fill_value_are_like_any_other(dtype: str) -> None:
    node = at(first_points(made(line_scan(channel("a:x", dtype)))), "7.1/instrument/x/data")
    assert isinstance(node, StreamDataset)
    assert node.fill is None
    assert node.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("file_format", "options", "storage"),
    [
        ("hdf5", {}, "virtual"),
        ("hdf5", {"external_hdf5": False}, "uris"),
        ("hdf5", {"external_hdf5": False, "copy_non_external": True}, "copy"),
        ("edf", {}, "uris"),
        ("edf", {"external_nonhdf5": True}, "raw"),
        ("edf", {"copy_non_external": True}, "copy"),
        ("edf", {"copy_non_external": True, "external_nonhdf5": True}, "raw"),
        ("cbf", {"external_nonhdf5": True}, "uris"),
        ("cbf", {"copy_non_external": True}, "copy"),
    ],
)
def test_images_are_mapped_copied_or_referred_to(
    file_format: str, options: dict[str, bool], storage: str
) -> None:
    image = channel(
        "cam:image", "u2", (2048, 2048), content=Content.IMAGES, images=images("cam", file_format)
    )
    tree = first_points(made(line_scan(image), **options))
    node = at(tree, "7.1/instrument/image/data")
    assert isinstance(node, ImageStack)
    assert node.storage == storage
    assert node.attributes == {"interpretation": "image"}
    assert node.chunks == ((1, 512, 512) if storage == "copy" else ())
    assert (node.filters.gzip is not None) == (storage == "copy")
    assert ("7.1/measurement/image" in paths(tree)) == (storage != "uris")


# ------------------------------------------------------------------------------------ entries


def test_top_masters_have_entries_by_name() -> None:
    scan = line_scan(
        channel("card:diode"),
        subscans=(Subscan("slow", ("2:card",)), Subscan("fast", ("1:axis",))),
    )
    found = made(scan)
    assert found.entries == ("7.1", "7.2")
    assert {name: place.path.split("/")[1] for name, place in found.places.items()} == {
        "axis:robx": "7.1",
        "card:diode": "7.2",
    }
    assert found.warnings == ()
    assert finished(scan).attributes["default"] == "7.2"


def test_without_acquisition_chain_there_is_one_entry_with_everything() -> None:
    found = made(line_scan(channel("card:diode"), channel("x:y"), subscans=()))
    assert found.entries == ("7.1",)
    assert len(found.places) == 3
    assert found.places[ChannelName("axis:robx")].path == "/7.1/instrument/robx/value"
    assert found.warnings == ()


def test_channels_of_no_device_are_written_all_the_same() -> None:
    scan = line_scan(channel("card:diode"))
    scan.channels[ChannelName("x:lost")] = channel("x:lost")
    found = made(scan)
    assert found.places[ChannelName("x:lost")].path == "/7.1/instrument/lost/data"
    (warning,) = found.warnings
    assert "x:lost" in warning


def test_a_channel_of_two_top_masters_is_written_once() -> None:
    scan = line_scan(subscans=(Subscan("a", ("1:axis",)), Subscan("b", ("1:axis", "gone"))))
    found = made(scan)
    assert found.entries == ("7.1", "7.2")
    assert [place.path for place in found.places.values()] == ["/7.1/instrument/robx/value"]
