import pytest
from tests.metadata import bliss_stand_ins as bliss

from nexus_writer_service.metadata.devices import device_records

MCA = {"device_info": {"type": "mca"}, "device_type": "mca"}
MOSCA = {"device_info": {"type": "mca"}, "device_type": "mosca"}
MYTHEN = {"device_info": {"type": "mythen"}, "device_type": "mythen"}
LIMA = {"device_info": {"type": "lima"}, "device_type": "lima"}
LIMA2 = {"device_info": {"type": "lima"}, "device_type": "lima2"}
SAMPLING = {"device_info": {"type": "samplingcounter", "mode": "MEAN"}}
SAMPLING["device_type"] = "samplingcounter"  # type: ignore[assignment]


def records(*counters, alias=None):
    return device_records(counters, lambda _: alias)


def in_mode(name):
    return {
        "device_info": {"type": "samplingcounter", "mode": name},
        "device_type": "samplingcounter",
    }


@pytest.mark.parametrize(
    ("kind", "name", "record"),
    [
        (bliss.SpectrumMcaCounter, "xmap:spectrum_det0", MCA),
        (bliss.StatisticsMcaCounter, "xmap:icr_det0", MCA),
        (bliss.RoiMcaCounter, "xmap:roi1_det0", MCA),
        (bliss.RoiSumMcaCounter, "xmap:roi1", MCA),
        (bliss.MythenCounter, "mythen1:spectrum", MYTHEN),
        (bliss.RoiMythenCounter, "mythen1:roi1", MYTHEN),
        (bliss.LimaImage, "cam:image", LIMA),
        (bliss.LimaBpm, "cam:bpm:fwhm_x", LIMA),
        (bliss.LimaRoi, "cam:roi_counters:roi1_sum", LIMA),
        (bliss.LimaProfile, "cam:roi_profiles:roi1", LIMA),
        (bliss.LimaCollection, "cam:roi_collection:rois", LIMA),
        (bliss.Lima2Frame, "cam:frame", LIMA2),
        (bliss.Lima2Roi, "cam:roi:sum", LIMA2),
        (
            bliss.AutoFilterCalcCounter,
            "filters:ratio",
            {"device_info": {"type": "autofilter"}, "device_type": "autofilter"},
        ),
        (bliss.Unknown, "own:value", {}),
    ],
)
def test_a_counter_is_known_by_its_class(kind, name, record):
    assert records(kind(name)) == {name: record}


def test_a_sampling_counter_tells_its_mode_and_which_channel_is_its_signal():
    found = records(bliss.SoftCounter("ctl:diode", bliss.mode("MEAN")))
    assert found == {"ctl:diode": in_mode("MEAN") | {"data_type": "signal"}}


@pytest.mark.parametrize(
    ("mode", "endings"),
    [("STATS", ["N", "std", "var", "min", "max", "p2v"]), ("SAMPLES", ["samples"])],
)
def test_what_a_sampling_counter_publishes_beside_its_signal_is_of_its_device(mode, endings):
    found = records(bliss.SamplingCounter("ctl:diode", bliss.mode(mode)))
    signal = in_mode(mode) | {"data_type": "signal"}
    assert found == {"ctl:diode": signal} | {f"ctl:diode_{end}": in_mode(mode) for end in endings}


@pytest.mark.parametrize(
    ("counter", "channels"),
    [
        (bliss.MoscaSpectrum("falconx:spectrum", active=(3,)), ["spectrum:det03"]),
        (bliss.MoscaStat("falconx:icr", active=(0, 12)), ["stat:icr_det00", "stat:icr_det12"]),
        (bliss.MoscaStat("falconx:icr"), []),
    ],
    ids=["spectrum", "statistics", "no detector is active"],
)
def test_each_detector_of_an_analyser_has_a_channel(counter, channels):
    assert records(counter) == {f"falconx:{name}": MOSCA for name in channels}


@pytest.mark.parametrize("channel", [3, -1, (1, 2)])
def test_a_region_of_an_analyser_tells_its_detectors(channel):
    roi = type("Roi", (), {"channel": channel})
    found = records(bliss.MoscaRoi("falconx:roi:Fe_sum_1_2", roi=roi))
    assert found == {"falconx:roi:Fe_sum_1_2": MOSCA | {"channel": channel}}


def test_dots_in_a_name_are_colons_in_redis():
    assert list(records(bliss.LimaImage("cam.image"))) == ["cam:image"]


def test_an_alias_is_also_that_of_what_is_published_beside_the_signal():
    found = records(bliss.SamplingCounter("ctl:d", bliss.mode("SAMPLES")), alias="I0")
    assert {name: one["alias"] for name, one in found.items()} == {
        "ctl:d": "I0",
        "ctl:d_samples": "I0_samples",
    }


def test_a_plain_detector_may_have_an_alias():
    assert records(bliss.Unknown("own:value"), alias="I1") == {"own:value": {"alias": "I1"}}


def test_of_the_many_channels_of_an_analyser_the_alias_names_none():
    found = records(bliss.MoscaSpectrum("falconx:spectrum", active=(0, 1)), alias="mca")
    assert found == {"falconx:spectrum:det00": MOSCA, "falconx:spectrum:det01": MOSCA}


def test_a_counter_that_cannot_be_asked_is_a_plain_detector_and_costs_no_other(caplog):
    found = records(
        bliss.SamplingCounter("ctl:broken", mode=None),
        bliss.SamplingCounter("ctl:good", mode=bliss.mode("MEAN")),
    )
    assert found == {"ctl:broken": {}, "ctl:good": in_mode("MEAN") | {"data_type": "signal"}}
    (warning,) = caplog.messages
    assert warning.startswith("counter ctl:broken: its type is not known (AttributeError: ")
    assert warning.endswith("its data are written as those of a plain detector")


def test_what_has_no_full_name_is_no_channel():
    assert records(bliss.Unknown(None), object()) == {}
