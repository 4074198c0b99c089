"""Where the channels of every type of device go."""

from typing import Any

import pytest
from tests.support_description import channel, line_scan

from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.slots import Slot, slots_of
from nexus_writer_service.model.description import ChannelName, DeviceRecord


def slot_of(name: str, record: DeviceRecord, unit: str | None = None) -> Slot:
    return slots({name: record}, unit=unit)[name]


def slots(found: dict[str, DeviceRecord], *, unit: str | None = None) -> dict[str, Slot]:
    detectors = [channel(name, unit=unit) for name in found]
    scan = line_scan(
        *detectors, device_records={ChannelName(name): record for name, record in found.items()}
    )
    made, warnings = slots_of(
        scan, scan.subscans[0], scan.channels, configurable=True, multivalue=False
    )
    assert warnings == ()
    return {slot.channel.name: slot for slot in made}


def record(kind: str, data_type: str = "", of: Any = None) -> DeviceRecord:
    return DeviceRecord(device_type=kind, data_type=data_type, channel=of)


@pytest.mark.parametrize(
    ("name", "known", "path", "link", "alias"),
    [
        ("x:y:diode", record(""), "diode/data", "diode", ""),
        ("x:y:diode", record("of the future"), "diode/data", "diode", ""),
        ("ctl:diode", record("samplingcounter", "signal"), "diode/signal", "diode", "data"),
        ("ctl:diode_N", record("samplingcounter"), "diode/N", "diode_N", ""),
        ("ctl:my_diode_std", record("samplingcounter"), "my_diode/std", "my_diode_std", ""),
        ("ctl:my_diode", record("samplingcounter"), "my_diode/signal", "my_diode", "data"),
        ("xmap:spectrum_det0", record("mca"), "xmap_det0/spectrum", "xmap_det0", "data"),
        (
            "xmap:realtime_det0",
            record("mca"),
            "xmap_det0/elapsed_time",
            "xmap_det0_elapsed_time",
            "",
        ),
        (
            "xmap:trigger_livetime_det0",
            record("mca"),
            "xmap_det0/trigger_live_time",
            "xmap_det0_trigger_live_time",
            "",
        ),
        ("xmap:roi1_det0", record("mca"), "xmap_det0/roi1", "xmap_det0_roi1", ""),
        ("xmap:roi1", record("mca"), "xmap_sum/roi1", "xmap_sum_roi1", ""),
        ("fx:spectrum:det01", record("mosca"), "fx_det1/spectrum", "fx_det1", "data"),
        (
            "fx:stat:icr_det01",
            record("mosca"),
            "fx_det1/trigger_count_rate",
            "fx_det1_trigger_count_rate",
            "",
        ),
        ("fx:roi:Fe_det01", record("mosca", of=1), "fx_det1/Fe", "fx_det1_Fe", ""),
        ("fx:roi:Fe_det12", record("mosca"), "fx_det12/Fe", "fx_det12_Fe", ""),
        ("fx:roi:Fe_sum_all", record("mosca", of=-1), "fx_sum_all/Fe", "fx_sum_all_Fe", ""),
        ("fx:roi:Fe_sum_0_3", record("mosca", of=[0, 3]), "fx_sum_0_3/Fe", "fx_sum_0_3_Fe", ""),
        ("fx:roi:Fe_sum_0_3", record("mosca"), "fx_sum_0_3/Fe", "fx_sum_0_3_Fe", ""),
        ("fx:roi:Fe", record("mosca"), "Fe/data", "Fe", ""),
        ("fx:what", record("mosca"), "what/data", "what", ""),
        ("fx:spectrum:all", record("mosca"), "fx_all/spectrum", "fx_all", "data"),
        ("mythen1:spectrum", record("mythen"), "mythen1/spectrum", "mythen1", "data"),
        ("mythen1:roi1", record("mythen"), "mythen1/roi1", "mythen1_roi1", ""),
        ("mythen1", record("mythen"), "mythen1/data", "mythen1", ""),
        ("cam:image", record("lima"), "cam/image", "cam", "data"),
        ("cam:roi_counters:R_1_sum", record("lima"), "cam_R_1/sum", "cam_R_1", "data"),
        ("cam:roi_counters:R_1_avg", record("lima"), "cam_R_1/avg", "cam_R_1_avg", ""),
        ("cam:roi_profiles:R", record("lima"), "cam_R/sum", "cam_R", "data"),
        (
            "cam:roi_collection:X",
            record("lima"),
            "cam_roi_collection/sum",
            "cam_roi_collection",
            "data",
        ),
        ("cam:bpm:fwhm_x", record("lima"), "cam_bpm/fwhm_x", "cam_bpm_fwhm_x", ""),
        ("cam:other:thing", record("lima"), "thing/data", "thing", ""),
        ("cam:frame", record("lima2"), "cam/frame", "cam", "data"),
        ("cam:raw_frame", record("lima2"), "cam/raw_frame", "cam_raw_frame", ""),
        ("cam:roi:R:sum", record("lima2"), "cam/roi_R_sum", "cam_roi_R_sum", ""),
        ("cam", record("lima2"), "cam/data", "cam", ""),
        ("af:ratio", record("autofilter"), "af/ratio", "af_ratio", ""),
        ("af:a:b", record("autofilter"), "b/data", "b", ""),
    ],
)
def test_a_channel_has_the_place_of_its_device_type(
    name: str, known: DeviceRecord, path: str, link: str, alias: str
) -> None:
    slot = slot_of(name, known)
    assert (slot.path, slot.link, slot.alias) == (f"instrument/{path}", link, alias)
    assert slot.nx_class == "NXdetector"


@pytest.mark.parametrize(
    ("name", "kind", "unit"),
    [
        ("xmap:icr_det0", "mca", "hertz"),
        ("xmap:ocr_det0", "mca", "hertz"),
        ("xmap:realtime_det0", "mca", "s"),
        ("xmap:energy_livetime_det0", "mca", "s"),
        ("fx:stat:trigger_livetime_det00", "mosca", "s"),
        ("xmap:events_det0", "mca", None),
        ("xmap:spectrum_det0", "mca", None),
        ("cam:image", "lima", "mm"),
        ("ctl:diode", "samplingcounter", "mm"),
        ("ctl:diode", "", "mm"),
    ],
)
def test_mca_statistics_have_units_of_their_own(name: str, kind: str, unit: str | None) -> None:
    assert slot_of(name, record(kind), unit="mm").unit == unit


def test_devices_of_one_name_at_two_controllers_are_told_apart() -> None:
    kind = record("samplingcounter", "signal")
    found = slots({"a:diode": kind, "b:diode": kind, "a:diode_N": record("samplingcounter")})
    assert [slot.path for slot in found.values() if not slot.is_positioner] == [
        "instrument/a_diode/signal",
        "instrument/b_diode/signal",
        "instrument/diode/N",
    ]


def positioners(scan: Any, **options: Any) -> dict[str, str]:
    chosen = EsrfOptions(**options)
    made, _ = slots_of(
        scan,
        scan.subscans[0],
        scan.channels,
        configurable=chosen.configurable,
        multivalue=chosen.multivalue_positioners,
    )
    return {slot.link: slot.path for slot in made if slot.is_positioner}


def test_the_channels_of_the_device_that_triggers_others_are_positioners() -> None:
    scan = line_scan(channel("card:diode"), channel("timer:epoch"), motors=("axis:robx",))
    assert positioners(scan) == {"robx": "instrument/robx/value"}


def test_motors_that_move_together_stay_apart_unless_wanted_otherwise() -> None:
    scan = line_scan(motors=("axis:robx", "axis:roby"))
    assert positioners(scan) == {"robx": "instrument/robx/value", "roby": "instrument/roby/value"}
    assert positioners(scan, multivalue_positioners=True) == {
        "axis": "instrument/axis/value",
        "axis_roby": "instrument/axis/roby",
    }


def test_axes_of_a_grid_are_never_put_together() -> None:
    scan = line_scan(motors=("axis:robx", "axis:roby"), shape=(4, 5))
    assert len(positioners(scan, multivalue_positioners=True)) == 2
    assert "axis" not in positioners(scan, multivalue_positioners=True)


def test_arrays_and_channels_of_unknown_devices_are_no_positioners() -> None:
    scan = line_scan(channel("card:x"))
    spectrum = channel("axis:robx", shape=(5,))
    scan.channels[spectrum.name] = spectrum
    assert positioners(scan) == {}
    scan.devices.clear()
    assert positioners(scan) == {}


def test_an_unannounced_number_of_dimensions_is_that_of_the_stream() -> None:
    scan = line_scan()
    scan.channels[ChannelName("axis:robx")] = channel("axis:robx", dim=None)
    assert positioners(scan) == {"robx": "instrument/robx/value"}


def test_without_configuration_every_channel_is_a_detector_of_its_own() -> None:
    scan = line_scan(channel("ctl:diode"), device_records={ChannelName("ctl:diode"): record("mca")})
    made, _ = slots_of(scan, scan.subscans[0], scan.channels, configurable=False, multivalue=False)
    assert {slot.path for slot in made} == {"instrument/robx/data", "instrument/diode/data"}
    assert {slot.nx_class for slot in made} == {"NXdetector"}
