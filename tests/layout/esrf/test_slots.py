"""No two channels get the same place, and none gets lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.support_description import channel, images, line_scan

from nexus_writer_service.layout.esrf.slots import Slot, slots_of
from nexus_writer_service.model.description import Channel, ChannelName, Content, DeviceRecord

TYPES = ["", "samplingcounter", "mca", "mosca", "mythen", "lima", "lima2", "autofilter"]


def made(
    *detectors: Channel, records: dict[str, DeviceRecord] | None = None
) -> tuple[tuple[Slot, ...], tuple[str, ...]]:
    known = {ChannelName(name): one for name, one in (records or {}).items()}
    scan = line_scan(*detectors, device_records=known)
    return slots_of(scan, scan.subscans[0], scan.channels, configurable=True, multivalue=False)


def test_the_second_of_two_equal_names_gets_its_full_name() -> None:
    slots, warnings = made(channel("a:x y"), channel("b:x-y"))
    assert [(slot.path, slot.link) for slot in slots[1:]] == [
        ("instrument/x_y/data", "x_y"),
        ("instrument/b_x_y/data", "b_x_y"),
    ]
    (warning,) = warnings
    assert "b:x-y" in warning
    assert "a:x y" in warning


def test_channels_of_a_renamed_device_stay_together() -> None:
    signal, extra = DeviceRecord("samplingcounter", "signal"), DeviceRecord("samplingcounter")
    slots, _ = made(
        channel("a:x-y"),
        channel("b:x_y"),
        channel("b:x_y_N"),
        channel("a:x-y_N"),
        records={"a:x-y": signal, "b:x_y": signal, "b:x_y_N": extra, "a:x-y_N": extra},
    )
    assert [slot.path for slot in slots[1:]] == [
        "instrument/x_y/signal",
        "instrument/b_x_y/signal",
        "instrument/b_x_y/N",
        "instrument/x_y/N",
    ]
    assert len({slot.link for slot in slots}) == 5


def test_full_names_that_are_equal_too_are_counted() -> None:
    slots, _ = made(channel("a b"), channel("a:b"), channel("a-b"))
    assert [slot.group for slot in slots[1:]] == ["a_b", "b", "a_b_2"]


def test_no_device_takes_a_name_of_the_instrument_itself() -> None:
    slots, warnings = made(channel("x:positioners"), channel("x:name"))
    assert [slot.group for slot in slots[1:]] == ["x_positioners", "x_name"]
    assert len(warnings) == 2
    assert "the instrument itself" in warnings[0]


def test_a_positioner_and_a_detector_never_share_a_group() -> None:
    slots, _ = made(channel("robx"), channel("other:robx"))
    assert len({slot.group for slot in slots}) == 3


def test_several_regions_in_one_group_have_datasets_of_their_own() -> None:
    lima = DeviceRecord("lima")
    names = ("cam:roi_collection:X", "cam:roi_collection:Y")
    slots, warnings = made(*map(channel, names), records=dict.fromkeys(names, lima))
    assert [slot.path for slot in slots[1:]] == [
        "instrument/cam_roi_collection/sum",
        "instrument/cam_roi_collection/cam_roi_collection_Y",
    ]
    assert len(warnings) == 2


def test_an_alias_does_not_hide_a_dataset() -> None:
    lima2 = DeviceRecord("lima2")
    slots, _ = made(
        channel("cam:data"),
        channel("cam:frame"),
        records={"cam:data": lima2, "cam:frame": lima2},
    )
    assert [(slot.dataset, slot.alias) for slot in slots[1:]] == [("data", ""), ("frame", "")]


def test_a_channel_without_a_name_stands_in_measurement() -> None:
    slots, warnings = made(channel(""), channel("x:"))
    assert [slot.path for slot in slots[1:]] == ["measurement/data", "instrument/x_/data"]
    assert warnings == ()


def test_channels_that_are_not_saved_here_have_no_slot() -> None:
    sequence = Channel(ChannelName("SUBSCANS"), np.dtype(object), (), Content.SCANS)
    unsaved = channel("cam:image", "u2", (4, 4), content=Content.IMAGES)
    saved = channel("cam2:image", "u2", (4, 4), content=Content.IMAGES, images=images("cam2"))
    slots, _ = made(sequence, unsaved, saved)
    assert [slot.channel.name for slot in slots] == ["axis:robx", "cam2:image"]


@given(st.lists(st.text(":_-ab0", max_size=6), unique=True, max_size=12), st.sampled_from(TYPES))
def test_every_channel_gets_a_place_of_its_own(names: list[str], kind: str) -> None:
    records = dict.fromkeys(names, DeviceRecord(kind))
    slots, _ = made(*(channel(name) for name in names if name != "axis:robx"), records=records)
    assert {slot.channel.name for slot in slots} == {"axis:robx", *names}
    assert len({slot.path for slot in slots}) == len(slots)
    links = [slot.link for slot in slots if slot.link]
    links += [slot.dataset for slot in slots if not slot.group]
    assert len(set(links)) == len(slots)
    aliases = {f"instrument/{slot.group}/{slot.alias}" for slot in slots if slot.alias}
    assert not aliases & {slot.path for slot in slots}
    groups = {slot.group: slot.nx_class for slot in slots}
    assert all(groups[slot.group] == slot.nx_class for slot in slots)
