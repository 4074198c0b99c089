"""Channels of one scan that differ in length stay as they are, and the verdict says so."""

import h5py
import numpy as np
from tests.support_description import channel, mesh
from tests.support_scan_writer import DIODE, ROBX, Bench

from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.description import ChannelName, Subscan
from nexus_writer_service.model.events import Points
from nexus_writer_service.model.verdict import Outcome

ROBY = ChannelName("axis:roby")


def run(bench: Bench, **lengths: int) -> Bench:
    """The scan from start to end, with so many points of each channel."""
    bench.prepare()
    for name in bench.scan.channels:
        count = lengths[name.rpartition(":")[2]]
        if count:
            values = np.arange(1.0, count + 1)
            bench.writer.feed(Points(bench.scan.key, name, 0, (values,)))
        bench.seal(name, count)
    bench.end("USER_ABORT")
    bench.settle_until_over()
    return bench


def test_channels_of_an_aborted_scan_keep_their_lengths_and_the_verdict_tells(tmp_path):
    bench = run(Bench(tmp_path), robx=3, diode=2)
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert bench.status.verdict.warnings == (
        "the channels of entry 7.1 differ in length: 3 points of axis:robx; 2 points of card:diode",
    )
    with h5py.File(bench.path) as file:
        assert file["7.1/instrument/robx/value"][:].tolist() == [1, 2, 3]
        assert file["7.1/instrument/diode/data"][:].tolist() == [1, 2]
        assert b"differ in length" in file["7.1/writer/data"][()]


def test_a_channel_without_points_has_no_dataset_and_is_told(tmp_path):
    bench = run(Bench(tmp_path), robx=3, diode=0)
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    (warning,) = bench.status.verdict.warnings
    assert warning.endswith("3 points of axis:robx; 0 points of card:diode")
    with h5py.File(bench.path) as file:
        assert "diode" not in file["7.1/instrument"]


def test_channels_of_one_length_are_nothing_to_tell(tmp_path):
    assert run(Bench(tmp_path), robx=3, diode=3).status.verdict.warnings == ()


def test_of_many_channels_some_are_named(tmp_path):
    names = [f"card:c{number}" for number in range(5)]
    detectors = [channel(name) for name in names]
    bench = run(
        Bench(tmp_path, *detectors), robx=2, **dict.fromkeys(("c0", "c1", "c2", "c3", "c4"), 1)
    )
    (warning,) = bench.status.verdict.warnings
    assert warning.endswith("1 points of card:c0, card:c1, card:c2 and 2 more")


def test_entries_of_one_scan_may_differ(tmp_path):
    subscans = (Subscan("axis", ("1:axis",)), Subscan("card", ("2:card",)))
    bench = run(Bench(tmp_path, subscans=subscans), robx=3, diode=6)
    assert bench.scan.channels.keys() == {ROBX, DIODE}
    assert bench.status.verdict.warnings == ()


def test_a_kept_grid_has_its_shape_whatever_its_channels_have(tmp_path):
    scan = mesh(channel("card:diode"))
    about = {"devices": scan.devices, "channels": scan.channels, "subscans": scan.subscans}
    bench = Bench(
        tmp_path, options=EsrfOptions(keepshape=True), shape=scan.shape, plotted=("diode",), **about
    )
    run(bench, robx=5, roby=4, diode=2)
    (warning,) = bench.status.verdict.warnings
    assert "5 points of axis:robx; 4 points of axis:roby; 2 points of card:diode" in warning
    with h5py.File(bench.path) as file:
        assert file["7.1/instrument/robx/value"].shape == (2, 3)
        diode = file["7.1/instrument/diode/data"][...]
        assert diode.shape == (2, 3)
        assert np.array_equal(diode.ravel()[:2], [1, 2])
        assert np.isnan(diode.ravel()[2:]).all()
        assert list(file["7.1/plotselect"].attrs["axes"]) == [".", "."]
