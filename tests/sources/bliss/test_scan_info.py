"""From the documents that BLISS publishes to descriptions; nothing wrong there is an error."""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_bliss import RecordedScan, recorded_scan, recorded_scans

from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.description import (
    ChannelName,
    Content,
    Device,
    DeviceRecord,
    Note,
    ScanDescription,
    ScanKey,
    StorageOptions,
    Subscan,
)
from nexus_writer_service.sources.bliss.scan_info import describe

KEY = ScanKey("esrf:scan:01M7X526WE80KHX19SPTAZ2NDR")
NOW = datetime(2026, 11, 20, 19, tzinfo=UTC)


def ascan() -> dict[str, Any]:
    return copy.deepcopy(recorded_scan("k05_ascan").document)


def described(document: Any, warnings: int = 0) -> ScanDescription:
    scan, found = describe(KEY, document)
    assert len(found) == warnings, found
    return scan


def changed(**info: Any) -> dict[str, Any]:
    """The document of an ascan with other scan info; None takes a key away."""
    document = ascan()
    document["info"] = {k: v for k, v in {**document["info"], **info}.items() if v is not None}
    return document


# -------------------------------------------------------------------------- what BLISS publishes


def test_a_line_scan_is_described() -> None:
    scan = described(ascan())
    assert (scan.key, scan.name, scan.number, scan.session) == (KEY, "4_ascan", 4, "test_session")
    assert scan.path == "/data/test_session/k05_ascan/k05_ascan.h5"
    assert (scan.save, scan.data_writer, scan.separate_files) == (True, "nexus", False)
    assert scan.title == "ascan robx 0.00000 1.00000 10 0.02"
    assert scan.start_time == "2026-11-20T18:56:21.871404+00:00"
    assert (scan.end_time, scan.end_reason) == ("2026-11-20T18:56:26.359402+00:00", "SUCCESS")
    assert (scan.shape, scan.count_time) == ((11,), 0.02)
    assert [subscan.name for subscan in scan.subscans] == ["axis"]
    assert len(scan.subscans[0].devices) == 6
    assert len(scan.devices) == 6
    assert len(scan.channels) == 7
    assert scan.positioners.end["robx"] == 1.0
    assert scan.positioners.units["m0"] == "deg"
    assert set(scan.categories) == {"technique", "instrument"}
    assert scan.instrument_info == {"name": "ESRF-id00", "name@short_name": "id00"}
    assert scan.plotted == ()
    assert scan.storage == StorageOptions()
    assert (scan.publisher, scan.publisher_version) == ("bliss", "2.2.1")
    assert scan.data_policy == "None"
    assert not scan.is_sequence


def test_a_motor_has_its_device_its_unit_and_its_axis() -> None:
    motor = described(ascan()).channels[ChannelName("axis:robx")]
    assert (motor.dtype, motor.shape, motor.content) == (np.dtype("<f8"), (), Content.NUMBERS)
    assert (motor.unit, motor.dim, motor.display_name) == ("mm", 0, "robx")
    assert motor.device == "139915560282832:axis"
    assert motor.axis == {"start": 0.0, "stop": 1.0, "points": 11}


def test_devices_have_their_channels_and_what_they_trigger() -> None:
    scan = described(ascan())
    assert scan.devices["139915560282832:axis"] == Device(
        "axis", (ChannelName("axis:robx"),), ("139915551094608:timer",)
    )


def test_the_session_s_words_on_devices_are_kept() -> None:
    records = described(ascan()).device_records
    assert records[ChannelName("simulation_diode_sampling_controller:diode1")] == DeviceRecord(
        "samplingcounter", "signal", {"type": "samplingcounter", "mode": "MEAN"}
    )
    assert records[ChannelName("calc_mean:mean_diodes")] == DeviceRecord()


def test_a_grid_has_its_slow_axis_first() -> None:
    scan = recorded_scan("k08_amesh").described
    assert scan.shape == (4, 6)
    assert scan.channels[ChannelName("axis:robx")].axis["axis_id"] == 0
    assert scan.channels[ChannelName("axis:roby")].axis["axis_kind"] == "forth"


@pytest.mark.parametrize(
    ("info", "shape"),
    [
        ({"data_dim": 2, "npoints1": 6, "npoints2": 0}, (11,)),
        ({"data_dim": 2, "npoints1": 6}, (11,)),
        ({"npoints": 0}, (0,)),
        ({"npoints": None}, (0,)),
        ({"npoints": -1}, (0,)),
        ({"data_dim": 3, "npoints1": 2, "npoints2": 3, "npoints3": 4}, (4, 3, 2)),
        ({"data_dim": 10**9}, (11,)),
    ],
)
def test_a_grid_of_unknown_length_is_a_line(info: dict[str, Any], shape: tuple[int, ...]) -> None:
    assert described(changed(**info)).shape == shape


def test_metadata_comments_and_selected_channels_are_described() -> None:
    scan = recorded_scan("k17_metadata_presets_plots").described
    assert scan.categories["sample"]["temperature@units"] == "K"
    assert scan.plotted == ("simulation_diode_sampling_controller:diode1",)
    assert len(scan.notes) == 4
    assert scan.notes[0] == Note("2026-11-20T18:56:47.641442+00:00", "user comment before run")


def test_a_sequence_has_a_channel_of_scans() -> None:
    scan = recorded_scan("k18_sequence").described
    assert scan.is_sequence
    assert scan.channels[ChannelName("SUBSCANS")].content is Content.SCANS
    assert scan.channels[ChannelName("mychannel")].content is Content.NUMBERS


def test_top_masters_are_in_the_order_of_the_chain() -> None:
    scan = recorded_scan("k20_multi_top_master").described
    assert [subscan.name for subscan in scan.subscans] == ["fast", "slow"]


def test_a_scan_that_failed_before_it_was_prepared_has_no_channels() -> None:
    scan = recorded_scan("k25_fail_in_prepare").described
    assert scan.channels == {}
    assert (scan.end_reason, len(scan.devices)) == ("FAILURE", 2)


def test_writer_options_are_described() -> None:
    options = {"compression_scheme": "gzip", "chunk_nbytes": 10, "chunk_split": None}
    chosen = {"chunk_options": {**options, "compression_limit_nbytes": 0}}
    scan = described(changed(writer_options=chosen))
    assert scan.storage == StorageOptions("gzip", 10, 0)
    assert recorded_scan("k33_separate_scan_files").described.separate_files


def test_master_files_and_dataset_metadata_are_described() -> None:
    document = changed(data_policy="ESRF", dataset_metadata_snapshot={"Sample_name": "a"})
    document["info"]["nexuswriter"]["masterfiles"] = {"proposal": "/data/p.h5", "x": None}
    scan = described(document)
    assert scan.master_files == {"proposal": "/data/p.h5"}
    assert (scan.data_policy, scan.dataset_metadata) == ("ESRF", {"Sample_name": "a"})


def test_scans_that_are_not_saved_are_described_without_warnings() -> None:
    for kind in ("k01_ct_unsaved", "k27_save_false"):
        scan = recorded_scan(kind).described
        assert not scan.save
        assert scan.path is None
        assert scan.channels


def test_a_document_with_the_path_in_its_identity_only_is_saved_there() -> None:
    document = changed(filename=None, save=None)
    scan = described(document)
    assert (scan.path, scan.save) == (document["id"]["path"], True)


def test_a_document_of_bliss_1_has_times_as_numbers_and_its_own_names() -> None:
    scan = described(
        changed(
            start_time=None,
            start_timestamp=0.5,
            end_time=None,
            end_timestamp=1,
            display_extra=None,
            _display_extra={"plotselect": ["a:b"]},
            comments=[{"timestamp": 2, "message": "hello"}],
        )
    )
    assert scan.start_time == "1970-01-01T00:00:00.500000+00:00"
    assert scan.end_time == "1970-01-01T00:00:01.000000+00:00"
    assert scan.plotted == ("a:b",)
    assert scan.notes == (Note("1970-01-01T00:00:02.000000+00:00", "hello"),)


def test_displayed_channels_count_before_selected_ones() -> None:
    extra = {"plotselect": ["a"], "displayed_channels": ["b"]}
    assert described(changed(display_extra=extra)).plotted == ("b",)


# ------------------------------------------------------------------------- what is wrong with it


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"title": None}, ["4_ascan", "'title'", "the entry gets the title"]),
        ({"title": 3}, ["'title'", "a number, not text"]),
        ({"start_time": None}, ["'start_time'", "without"]),
        ({"start_time": None, "start_timestamp": 1e300}, ["start_timestamp", "no time"]),
        ({"scan_nb": None}, ["'scan_nb'", "4.1"]),
        ({"scan_nb": 1.5}, ["'scan_nb'", "not a whole number"]),
        ({"scan_meta_categories": None}, ["'scan_meta_categories'", "instrument, technique"]),
        ({"scan_meta_categories": 1}, ["'scan_meta_categories'", "not a list"]),
        ({"scan_meta_categories": ["instrument", 1]}, ["not str", "left out"]),
        ({"technique": ["x"]}, ["'technique'", "a list, not an object"]),
        ({"acquisition_chain": None}, ["'acquisition_chain'", "one entry"]),
        ({"acquisition_chain": {"axis": 1}}, ["acquisition_chain", "'axis'", "left out"]),
        ({"filename": "sample.h5"}, ["'sample.h5'", "not absolute"]),
        ({"devices": {"a": "b"}}, ["devices", "'a'", "text, not an object"]),
        ({"npoints": "many"}, ["'npoints'", "text, not a number"]),
        ({"count_time": float("inf")}, ["'count_time'", "inf"]),
        ({"count_time": True}, ["'count_time'", "true or false, not a number"]),
        ({"save": "yes"}, ["'save'", "text, not true or false"]),
        ({"positioners": {"positioners_start": []}}, ["positioners_start", "a list"]),
        ({"comments": [{"date": "x"}]}, ["comment 0", "'message'"]),
        ({"writer_options": {"chunk_options": {"chunk_split": 0}}}, ["'chunk_split'", "4 is used"]),
        ({"writer_options": {"chunk_options": {"chunk_nbytes": "1"}}}, ["'chunk_nbytes'"]),
        ({"display_extra": {"plotselect": "diode"}}, ["'plotselect'", "text, not a list"]),
    ],
)
def test_what_is_missing_or_strange_is_told(info: dict[str, Any], words: list[str]) -> None:
    scan, warnings = describe(KEY, changed(**info))
    assert scan.name == "4_ascan"
    told = [text for text in warnings if all(word in text for word in words)]
    assert len(told) == 1, warnings


def test_a_scan_to_be_saved_without_a_path_says_what_to_do() -> None:
    document = changed(filename=None)
    del document["id"]["path"]
    scan, (warning,) = describe(KEY, document)
    assert scan.path is None
    assert "SCAN_SAVING" in warning


def test_each_thing_is_told_once() -> None:
    _, warnings = describe(KEY, {"info": {"save": True}})
    assert len(set(warnings)) == len(warnings) == 6


@pytest.mark.parametrize("document", [None, [], {}, {"info": 1}, {"id": [], "data_streams": ""}])
def test_no_document_is_too_bad_to_be_described(document: Any) -> None:
    scan, warnings = describe(KEY, document)
    assert (scan.name, scan.number, scan.channels, scan.save) == (KEY, 0, {}, False)
    assert warnings == ()


def test_the_categories_that_are_usual_are_written_when_no_list_says_which() -> None:
    scan, _ = describe(KEY, changed(scan_meta_categories=None, sample={"name": "a"}))
    assert set(scan.categories) == {"instrument", "technique", "sample"}


def test_subscans_keep_the_devices_that_are_names() -> None:
    chain = {"axis": {"devices": ["a", 1]}}
    assert described(changed(acquisition_chain=chain), 1).subscans == (Subscan("axis", ("a",)),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a document."""
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in members:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def samples() -> list[RecordedScan]:
    kinds = ("k16_fakelima", "k17_metadata_presets_plots", "k18_sequence")
    return [recorded_scans(kind)[0] for kind in kinds]


@given(st.data())
def test_whatever_stands_in_a_document_the_scan_is_described_and_laid_out(data: Any) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(samples())).document)
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from(list(places(document))))
        node = document
        for key in above:
            node = node[key]
        node[last] = data.draw(JSON)
    scan, warnings = describe(KEY, document)
    assert all(isinstance(text, str) for text in warnings)
    if scan.path is None:
        return
    made = plan(scan, EsrfOptions())
    made.start(NOW)
    made.first_points(made.places)
    made.plots(dict.fromkeys(made.places, 1), final=True)
    made.finish(scan, NOW)


def test_a_time_without_zone_is_the_time_of_this_machine() -> None:
    naive = "2026-07-01T12:00:00.250000"
    zoned = datetime.fromisoformat(naive).astimezone()
    scan = described(changed(start_time=naive))
    assert scan.start_time == zoned.isoformat(timespec="microseconds")


def test_a_time_that_is_none_is_kept_and_told() -> None:
    scan, (warning,) = describe(KEY, changed(start_time="yesterday"))
    assert scan.start_time == "yesterday"
    assert "'yesterday'" in warning
