"""What is broken costs what is broken: a clear word about it, and everything else is saved."""

import os

import numpy as np
import pytest
from tests.support_session import check_values, opened, running_writer
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.testing.redis_server import reset
from nexus_writer_service.testing.simulation import Faults, designs, number_channel

pytestmark = pytest.mark.integration

DIODE = "simulation_diode_sampling_controller:diode1"
OTHER = "simulation_diode_sampling_controller:diode2"


def texts(status):
    """All that people are told of a scan, in one text."""
    return "\n".join([status.reason, *status.warnings, *status.verdict.reasons])


def test_an_unknown_encoding_costs_that_channel(writer, session):
    record = session.loopscan(5, faults=Faults(encodings={DIODE: {"type": "morse"}}))
    status = writer.over(record)
    assert DIODE in texts(status)
    assert "morse" in texts(status)
    check_values(record, but=(DIODE,))
    assert status.verdict.outcome is Outcome.INCOMPLETE
    assert status.state is ScanState.FAULT


def test_bytes_that_do_not_decode_cost_the_channel_from_there_on(writer, session):
    record = session.loopscan(10, faults=Faults(garbage={DIODE: 4}))
    status = writer.over(record)
    assert status.verdict.outcome is Outcome.INCOMPLETE
    assert DIODE in texts(status)
    check_values(record, but=(DIODE,))
    with opened(record) as file:
        written = file[record.channels[DIODE].dataset][()]
    np.testing.assert_array_equal(written, record.channels[DIODE].values()[: len(written)])


def test_a_trimmed_stream_leaves_a_gap_and_shifts_nothing(writer, session):
    record = session.loopscan(10, block=1, faults=Faults(trimmed={DIODE: 4}))
    status = writer.over(record)
    check_values(record, but=(DIODE,))
    first = record.channels[DIODE].first
    with opened(record) as file:
        written = file[record.channels[DIODE].dataset][()]
    values = record.channels[DIODE].values()
    lost = np.isnan(written)
    np.testing.assert_array_equal(written[~lost], values[~lost])
    if lost.any():  # unless our writer was faster than the trimming
        assert lost.sum() <= first
        assert status.verdict.outcome is Outcome.INCOMPLETE
        assert "trimmed" in texts(status)


def test_a_stream_that_is_never_sealed_is_not_called_complete(writer, session):
    record = session.loopscan(5, faults=Faults(unsealed=frozenset({DIODE})))
    status = writer.over(record)
    assert status.verdict.outcome is Outcome.INCOMPLETE
    assert "end of the channel not seen" in texts(status)
    check_values(record)


@pytest.mark.parametrize(
    "key",
    [
        "title",
        "start_time",
        "npoints",
        "acquisition_chain",
        "devices",
        "channels",
        "positioners",
        "scan_meta_categories",
        "nexuswriter",
        "instrument",
        "display_extra",
        "writer_options",
        "name",
        "publisher",
        "images_path",
    ],
)
def test_a_missing_key_costs_no_data(writer, session, key):
    record = session.ascan(faults=Faults(without=(key,)))
    status = writer.over(record)
    assert status.verdict.outcome is Outcome.COMPLETE, texts(status)
    with opened(record) as file:
        assert list(file) == list(record.entries)
        written = {
            tuple(node[()].tolist())
            for node in (
                file[record.entries[0]]["measurement"][name]
                for name in file[record.entries[0]]["measurement"]
            )
        }
    for channel in record.channels.values():
        assert tuple(channel.values().tolist()) in written, channel.name


@pytest.mark.parametrize("key", ["title", "start_time"])
def test_a_missing_title_or_start_time_is_warned_of(writer, session, key):
    record = session.loopscan(3, faults=Faults(without=(key,)))
    assert any(key in text for text in writer.over(record).warnings)


@pytest.mark.parametrize(
    "info",
    [
        {"devices": []},
        {"channels": "none"},
        {"positioners": 3},
        {"npoints": "many"},
        {"acquisition_chain": [1, 2]},
        {"writer_options": {"chunk_options": {"compression_scheme": "magic"}}},
        {"nexuswriter": {"devices": 5, "instrument_info": "x", "masterfiles": []}},
        {"scan_meta_categories": ["nothing", 7]},
        {"title": 5},
        {"start_time": {"a": 1}},
        {"count_time": "long"},
        {"display_extra": {"plotselect": "diode"}},
        {"comments": [{"x": 1}, "hello"]},
    ],
    ids=lambda info: next(iter(info)),
)
def test_a_key_of_the_wrong_type_costs_no_data(writer, session, info):
    record = session.loopscan(3, faults=Faults(info=info))
    status = writer.over(record)
    assert status.verdict.outcome is Outcome.COMPLETE, texts(status)
    assert status.entries == record.entries


def test_an_entry_that_exists_is_left_alone_and_the_session_goes_on(writer, session):
    first = session.loopscan(5)
    writer.over(first)
    with opened(first) as file:
        before = file[first.channels[DIODE].dataset][()]
    again = session.loopscan(5, faults=Faults(info={"scan_nb": first.number}))
    status = writer.over(again)
    assert status.state is ScanState.FAULT
    assert status.verdict.outcome is Outcome.FAILED
    assert "exists already" in texts(status)
    with opened(first) as file:
        assert list(file) == list(first.entries)
        np.testing.assert_array_equal(file[first.channels[DIODE].dataset][()], before)
    assert writer.verdict(session.loopscan(5)).outcome is Outcome.COMPLETE


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_write_permission_fails_the_scan_with_a_clear_word(
    writer, session, tmp_path
):
    tmp_path.chmod(0o500)
    try:
        status = writer.over(session.loopscan(3))
    finally:
        tmp_path.chmod(0o700)
    assert status.verdict.outcome is Outcome.FAILED
    assert "ermission" in texts(status)


def test_a_path_below_a_file_fails_the_scan_with_a_clear_word(writer, session, tmp_path):
    (tmp_path / session.name).write_text("a file where a directory should be")
    status = writer.over(session.loopscan(3))
    assert status.verdict.outcome is Outcome.FAILED
    assert str(tmp_path) in texts(status)


def test_a_relative_path_fails_the_scan_with_a_clear_word(writer, session):
    record = session.loopscan(3, faults=Faults(info={"filename": "data/file.h5"}))
    status = writer.over(record)
    assert status.verdict.outcome is Outcome.FAILED
    assert "no absolute file path" in texts(status)


def test_a_path_outside_the_allowed_roots_is_refused(redis_url, session, tmp_path):
    options = ProcessOptions(session.name, roots=(str(tmp_path / "allowed"),))
    with running_writer(redis_url, options) as writer:
        verdict = writer.verdict(session.loopscan(3))
    assert verdict.outcome is Outcome.FAILED
    assert "outside the allowed roots" in verdict.summary


def test_a_file_that_is_not_hdf5_fails_the_scan_and_stays_as_it_is(writer, session, tmp_path):
    path = tmp_path / session.name / "dataset.h5"
    path.parent.mkdir()
    path.write_text("precious notes")
    status = writer.over(session.loopscan(3))
    assert status.verdict.outcome is Outcome.FAILED
    assert path.read_text() == "precious notes"
    path.unlink()


def test_names_that_collide_or_have_slashes_all_find_their_place(writer, session):
    channels = [
        number_channel("ctl:a/b", np.arange(3.0)),
        number_channel("ctl:a b", np.arange(3.0) + 10),
        number_channel("other:a.b", np.arange(3.0) + 20),
    ]
    record = session.channel_scan(channels, 3)
    status = writer.over(record)
    assert status.verdict.outcome is Outcome.COMPLETE, texts(status)
    with opened(record) as file:
        measurement = file[record.entries[0]]["measurement"]
        starts = {measurement[name][0] for name in measurement}
    assert {0.0, 10.0, 20.0} <= starts


@pytest.mark.nonconforming("NXdetector/data is an NX_NUMBER, which a bool is not")
def test_every_dtype_that_can_be_published_is_saved(writer, session):
    dtypes = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
    channels = [
        number_channel(f"dtypes:x{index}", np.array([0, 1, 1, 0]).astype(dtype))
        for index, dtype in enumerate(dtypes)
    ]
    record = session.channel_scan(channels, 4)
    assert writer.verdict(record).outcome is Outcome.COMPLETE
    check_values(record)


def test_ragged_points_are_padded(writer, session):
    ragged1d = [np.arange(n, dtype="f8") for n in (3, 1, 5)]
    ragged2d = [np.ones((n, 4), dtype="i4") * n for n in (2, 3, 1)]
    record = session.channel_scan(
        [
            number_channel("r:one", ragged1d, shape=(-1,)),
            number_channel("r:two", ragged2d, shape=(-1, 4)),
        ],
        3,
    )
    assert writer.verdict(record).outcome is Outcome.COMPLETE
    check_values(record)
    with opened(record) as file:
        assert file[record.channels["r:one"].dataset].shape == (3, 5)
        assert file[record.channels["r:two"].dataset].shape == (3, 3, 4)


def test_a_scan_deleted_from_redis_ends_with_a_verdict_that_says_so(writer, session, redis_url):
    session.publisher = "pipeline"
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    scan.prepare()
    scan.start()
    scan.publish(4)
    wait_for(lambda: (status := writer.status(scan.record)) and status.fewest_points == 4)
    reset(redis_url)
    status = writer.over(scan.record)
    assert status.verdict.outcome is Outcome.INCOMPLETE
    assert status.fewest_points == 4
    assert "Redis" in texts(status)
