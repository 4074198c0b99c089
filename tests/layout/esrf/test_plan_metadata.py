"""Metadata, verdicts and the root in the plan of a scan."""

from dataclasses import replace

import numpy as np
from tests.support_description import at, channel, line_scan, paths
from tests.support_plans import FILE, NOW, finished, first_points, made, started, value

from nexus_writer_service.layout.writer_note import writer_note
from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    Content,
    Device,
    DeviceRecord,
    Note,
    Positioners,
    StorageOptions,
    Subscan,
)
from nexus_writer_service.model.tree import (
    Dataset,
    Group,
    StreamDataset,
    merged,
)
from nexus_writer_service.model.verdict import ChannelTally, judge

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
