"""The moments of a scan: what is written when."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from tests.support_description import at, channel, images, line_scan, mesh, paths

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.layout.esrf import EsrfOptions, EsrfPlan, plan
from nexus_writer_service.layout.plan import Place, ScanPlan
from nexus_writer_service.layout.writer_note import WriterNote, read_writer_note, writer_note
from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    Content,
    Device,
    DeviceRecord,
    Note,
    Positioners,
    ScanDescription,
    StorageOptions,
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
from nexus_writer_service.model.verdict import ChannelTally, Outcome, Verdict, judge

NOW = datetime(2026, 11, 20, 19, 0, 0, 5, tzinfo=UTC)
FILE = "/data/sample/sample_1.h5"


def made(scan: ScanDescription, **options: Any) -> EsrfPlan:
    return plan(scan, EsrfOptions(**options))


def started(scan: ScanDescription, **options: Any) -> Group:
    return made(scan, **options).start(NOW)[FILE]


def first_points(found: EsrfPlan) -> Group:
    return merged(*(tree for name in found.places for tree in found.first_point(name).values()))


def finished(scan: ScanDescription, end: ScanDescription | None = None) -> Group:
    return made(scan).finish(end or scan, NOW)[FILE]


def value(group: Group, path: str) -> Any:
    node = at(group, path)
    assert isinstance(node, Dataset)
    return node.value


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
    assert node.chunks == ((1, 128, 512) if storage == "copy" else ())
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


# ------------------------------------------------------------------------------------ metadata


def test_categories_are_groups_of_the_entry() -> None:
    scan = line_scan(
        categories={
            "sample": {"@NX_class": "NXsample", "name": "LaB6"},
            "technique": {"@NX_class": "NXcollection"},
            "instrument": {"slit": {"gap": 1}, "machine": {"@NX_class": "NXsource"}},
        }
    )
    tree = started(scan)
    assert at(tree, "7.1/sample") == Group({"name": Dataset("LaB6")}, {"NX_class": "NXsample"})
    assert at(tree, "7.1/instrument/slit/gap") == Dataset(1)
    assert not {"7.1/technique", "7.1/instrument/machine"} & paths(tree)
    assert paths(tree) <= paths(finished(scan)) | paths(started(line_scan()))


def test_metadata_of_a_device_come_with_its_first_point() -> None:
    scan = line_scan(
        channel("cam:diode"),
        motors=("axis:robx",),
        categories={
            "instrument": {
                "diode": {"@NX_class": "NXfoo", "gain": 4, "data": "mine"},
                "robx": {"speed": 2.0},
                "diode2": {"gain": 5},
                "robx@note": "x",
            }
        },
    )
    scan.devices["2:card"] = Device("card", (ChannelName("cam:diode"),), metadata={"type": "x"})
    found = made(scan)
    assert "7.1/instrument/diode" not in paths(found.start(NOW)[FILE])
    assert "7.1/instrument/diode2/gain" in paths(found.start(NOW)[FILE])
    tree = first_points(found)
    assert value(tree, "7.1/instrument/diode/gain") == 4
    assert value(tree, "7.1/instrument/diode/type") == "x"
    assert value(tree, "7.1/instrument/robx/speed") == 2.0
    diode = at(tree, "7.1/instrument/diode")
    assert isinstance(diode, Group)
    assert diode.attributes == {"NX_class": "NXdetector"}
    assert value(diode, "data_metadata") == "mine"
    assert any("instrument/diode/data" in warning for warning in found.warnings)


def test_metadata_at_the_end_are_those_of_the_end() -> None:
    scan = line_scan(channel("card:diode"))
    device = Device("card", (ChannelName("card:diode"),), metadata={"exposure": 2})
    end = replace(
        scan,
        devices={**scan.devices, "2:card": device},
        categories={"sample": {"name": "b"}},
        positioners=Positioners(end={"robx": 2.0}, dial_end={"robx": 3.0}),
        notes=(Note("2026", "a"), Note("2027", "b")),
        end_reason="SUCCESS",
    )
    tree = finished(scan, end)
    assert value(tree, "7.1/instrument/diode/exposure") == 2
    assert value(tree, "7.1/sample/name") == "b"
    assert value(tree, "7.1/instrument/positioners_end/robx") == 2.0
    assert value(tree, "7.1/instrument/positioners_dial_end/robx") == 3.0
    assert value(tree, "7.1/notes/note_02/data") == "b"
    assert value(tree, "7.1/end_reason") == "SUCCESS"
    assert "7.1/instrument/robx" not in paths(tree)


def test_a_scan_whose_end_nobody_saw_says_so() -> None:
    assert value(finished(line_scan()), "7.1/end_reason") == "NOT STARTED"


def test_a_region_of_interest_has_its_own_metadata_only() -> None:
    name = ChannelName("cam:roi_counters:R_sum")
    regions = {"R": {"kind": "rect", "x": 1}, "S": {"kind": "rect", "x": 2}}
    scan = line_scan(channel(name), device_records={name: DeviceRecord("lima")})
    scan.devices["2:card"] = Device("card", (name,), metadata=regions)
    tree = first_points(made(scan))
    assert at(tree, "7.1/instrument/cam_R/selection") == Group(
        {"kind": Dataset("rect"), "x": Dataset(1)}, {"NX_class": "NXcollection"}
    )
    scan.devices["2:card"] = Device("card", (name,), metadata={"R": 1})
    assert "7.1/instrument/cam_R/selection" not in paths(first_points(made(scan)))


def test_metadata_never_hide_what_the_layout_writes() -> None:
    name = ChannelName("xmap:type_det0")
    scan = line_scan(
        channel(name),
        device_records={name: DeviceRecord("mca", device_info={"type": "mca"})},
        categories={"title": {"a": 1}, "writer": {"status": "mine", "more": 1}},
    )
    found = made(scan)
    tree = merged(found.start(NOW)[FILE], first_points(found))
    assert isinstance(at(tree, "7.1/instrument/xmap_det0/type"), StreamDataset)
    assert value(tree, "7.1/instrument/xmap_det0/type_metadata") == "mca"
    assert value(tree, "7.1/title_metadata/a") == 1
    assert value(tree, "7.1/writer/status") == "RUNNING"
    assert value(tree, "7.1/writer/more") == 1
    assert len(found.warnings) == 2


def test_the_verdict_s_note_belongs_to_the_layout_from_the_start() -> None:
    scan = line_scan(categories={"writer": {"data": "mine"}, "plotselect": {"a": 1}})
    found = made(scan)
    assert value(found.start(NOW)[FILE], "7.1/writer/data_metadata") == "mine"


def test_the_sample_of_an_esrf_dataset_is_written_and_the_user_s_own_words_count() -> None:
    snapshot = {"Sample_name": "a", "Sample_description": "b"}
    scan = line_scan(data_policy="ESRF", dataset_metadata=snapshot)
    sample = at(started(scan), "7.1/sample")
    assert sample == Group(
        {"name": Dataset("a"), "description": Dataset("b")}, {"NX_class": "NXsample"}
    )
    scan = replace(scan, categories={"sample": {"name": "c"}})
    assert value(started(scan), "7.1/sample/name") == "c"
    assert "7.1/sample" not in paths(started(replace(scan, data_policy="None", categories={})))


# ------------------------------------------------------------------------------- verdict, root


def test_the_verdict_stands_in_every_entry() -> None:
    scan = line_scan(subscans=(Subscan("a", ("1:axis",)), Subscan("b", ())))
    bad = judge([ChannelTally(ChannelName("axis:robx"), 4, 3)])
    tree = made(scan).verdict(bad)[FILE]
    for entry in ("7.1", "7.2"):
        assert at(tree, f"{entry}/writer") == writer_note(scan.key, bad)
    tree = made(scan).verdict(judge(()))[FILE]
    assert value(tree, "7.1/writer/status") == "SUCCEEDED"


def test_the_root_names_the_file_and_its_makers() -> None:
    found = made(line_scan(publisher="bliss", publisher_version="2.2.1"))
    versions = {"HDF5_Version": "2.0.0", "h5py_version": "3.16.0", "creator_version": "1.2"}
    assert found.root(NOW, versions) == {
        "NX_class": "NXroot",
        "file_time": "2026-11-20T19:00:00.000005+00:00",
        "file_name": FILE,
        "HDF5_Version": "2.0.0",
        "h5py_version": "3.16.0",
        "creator": "nexus_writer_service",
        "creator_version": "1.2",
        "create_version": "1.2",
        "publisher": "bliss",
        "publisher_version": "2.2.1",
    }
    assert found.root(NOW, {}, "/data/master.h5")["file_name"] == "/data/master.h5"
    assert not {"publisher", "create_version"} & made(line_scan()).root(NOW, {}).keys()


def test_the_file_tells_when_a_scan_began_or_ended_in_it() -> None:
    for tree in (started(line_scan()), finished(line_scan())):
        assert tree.attributes["file_update_time"] == "2026-11-20T19:00:00.000005+00:00"


def test_an_unknown_compression_is_told_and_replaced() -> None:
    found = made(line_scan(storage=StorageOptions(compression="zip")))
    (warning,) = found.warnings
    assert "'zip'" in warning
    assert made(line_scan(storage=StorageOptions(compression="gzip"))).warnings == ()


def test_channels_of_scans_have_no_place() -> None:
    sequence = Channel(ChannelName("SUBSCANS"), np.dtype(object), (), Content.SCANS)
    assert ChannelName("SUBSCANS") not in made(line_scan(sequence)).places
