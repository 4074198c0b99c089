"""Channels whose first points come together begin together, and it is as if one by one."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support_description import channel, line_scan
from tests.support_same_file import differences
from tests.support_scan_writer import Bench

from nexus_writer_service.model.description import ChannelName, DeviceRecord, Positioners
from nexus_writer_service.model.events import Announced, Ended, Lost, Points, Prepared, Sealed
from nexus_writer_service.model.states import ScanState

NAMES = ["card:a", "card:b", "card:c", "mca:spectrum_det0", "mca:realtime_det0", "other:a", "odd"]
RECORDS = {
    ChannelName("card:a"): DeviceRecord("samplingcounter", device_info={"type": "x", "mode": "M"}),
    ChannelName("card:b"): DeviceRecord("samplingcounter", device_info={"type": "x", "mode": "M"}),
    ChannelName("mca:spectrum_det0"): DeviceRecord("mca", device_info={"type": "mca"}),
    ChannelName("mca:realtime_det0"): DeviceRecord("mca", device_info={"type": "mca"}),
}
ROBX = ChannelName("axis:robx")


def bench_in(folder, **more):
    folder.mkdir(parents=True, exist_ok=True)
    detectors = [channel(name) for name in NAMES[:-1]]
    about = {"device_records": RECORDS, "positioners": Positioners({"robx": 1.0}, {"robx": 2.0})}
    return Bench(folder, *detectors, **{**about, **more})


def points(bench, name, start, count):
    values = np.arange(start, start + count) + 100.0 * len(name)
    return Points(bench.scan.key, ChannelName(name), start, (values,))


@st.composite
def scans(draw):
    """Events of channels: points of each in order, with losses and seals between them."""
    reached = dict.fromkeys([*NAMES, ROBX], 0)
    events = []
    for _ in range(draw(st.integers(0, 12))):
        name = draw(st.sampled_from([*NAMES, ROBX]))
        kind = draw(st.sampled_from(["points"] * 6 + ["gap", "lost", "seal"]))
        count = draw(st.integers(1, 3))
        events.append((kind, name, reached[name], count))
        reached[name] += count if kind in ("points", "gap") else 0
    return events


def event(bench, kind, name, start, count):
    key, name = bench.scan.key, ChannelName(name)
    match kind:
        case "points":
            return points(bench, name, start, count)
        case "gap":
            return Lost(key, name, start, start + count, "trimmed")
        case "lost":
            return Lost(key, name, start, None, "unreadable")
        case _:
            return Sealed(key, name, start)


def play(bench, feed, told):
    scan = bench.scan
    ended = Ended(scan.key, line_scan(channel("x"), end_reason="SUCCESS", path=scan.path))
    feed([Announced(scan.key, scan), Prepared(scan.key, scan)])
    feed([event(bench, *one) for one in told])
    bench.settle()
    feed([Ended(scan.key, ended.scan)])
    bench.settle_until_over()
    return bench.status.verdict


@given(scans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_events_taken_together_make_the_file_that_they_make_one_by_one(tmp_path_factory, told):
    folder = tmp_path_factory.mktemp("scans")
    together, alone = bench_in(folder / "together"), bench_in(folder / "alone")
    verdict = play(together, together.writer.feed_all, told)

    def one_by_one(events):
        for one in events:
            alone.writer.feed(one)
            alone.settle()

    other = play(alone, one_by_one, told)
    assert verdict.channels == other.channels
    assert verdict.outcome == other.outcome
    ignored = frozenset({"file_time", "file_update_time", "date", "end_time", "file_name"})
    assert differences(together.path, alone.path, ignored=ignored) == []


@pytest.mark.nonconforming("a dataset of somebody else stands where a device should")
def test_a_channel_whose_place_is_taken_costs_only_itself(tmp_path):
    bench = bench_in(tmp_path)
    bench.prepare()
    bench.settle()
    bench.writer.files[0].edit(lambda file: file["7.1/instrument"].create_dataset("b", data=1))
    bench.writer.feed_all([points(bench, name, 0, 4) for name in ("card:a", "card:b", "card:c")])
    bench.settle()
    assert bench.state() is ScanState.ON
    tallies = {tally.channel: tally for tally in bench.writer._judge().channels}
    assert tallies["card:b"].written == 0
    (problem,) = tallies["card:b"].problems
    assert "/7.1/instrument/b" in problem
    assert bench.writer._judge().reasons[0].count("/7.1/instrument/b") <= 1
    with h5py.File(bench.path) as file:
        assert file["7.1/instrument/card_a/data"][()].tolist() == [600, 601, 602, 603]
        assert file["7.1/instrument/c/data"][()].tolist() == [600, 601, 602, 603]


def test_a_loss_before_the_first_point_keeps_a_channel_out_of_the_file(tmp_path):
    bench = bench_in(tmp_path)
    bench.prepare()
    name = ChannelName("card:b")
    lost = Lost(bench.scan.key, name, 0, None, "unreadable")
    bench.writer.feed_all([points(bench, "card:c", 0, 2), lost, points(bench, name, 0, 4)])
    bench.settle()
    with h5py.File(bench.path) as file:
        assert "b" not in file["7.1/instrument"]
        assert file["7.1/instrument/c/data"].shape == (2,)


@pytest.mark.parametrize("known", [ROBX, ChannelName("card:b")])
def test_channels_that_are_not_saved_are_passed_over(tmp_path, known):
    bench = bench_in(tmp_path)
    bench.prepare()
    bench.writer.feed_all([points(bench, "odd", 0, 2), points(bench, known, 0, 2)])
    bench.settle()
    assert bench.state() is ScanState.ON
    assert [tally.written for tally in bench.writer._judge().channels if tally.written] == [2]
