"""Documents told as the events of scans."""

import numpy as np
from tests.support_bluesky import Run, scan

from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Extended,
    Located,
    Lost,
    Points,
    Prepared,
    Sealed,
)
from nexus_writer_service.sources.bluesky.documents import Translator
from nexus_writer_service.sources.bluesky.files import PathMap


def told(documents):
    """All events, each start document with a path."""
    translator = Translator()
    events = []
    for name, document in documents:
        if name == "start":
            events += translator.begin(document, "/data/run.h5")
        else:
            events += translator.feed([(name, document)])
    return events


def kinds(events):
    return [type(event).__name__ for event in events]


def test_a_run_is_announced_described_measured_and_ended():
    events = told(scan(Run(), points=1))
    first = ["Announced", "Prepared", "Extended", "Extended"]
    assert kinds(events) == [*first, *["Points"] * 6, *["Sealed"] * 6, "Ended"]
    start, end = events[0].scan, events[-1].scan
    assert (start.key, start.path, start.name) == (Run().uid, "/data/run.h5", "S0001-scan-0000000")
    assert end.end_reason == "SUCCESS"
    assert set(end.channels) == {
        f"primary/{key}{part}" for key in ("det", "motor") for part in ("", "@EPOCH", "@time")
    }


def test_events_of_one_feed_are_told_together():
    begun, *rest = scan(Run(), points=100)
    translator = Translator()
    translator.begin(begun[1], "/data/run.h5")
    points = [one for one in translator.feed(rest) if isinstance(one, Points)]
    assert [one.count for one in points] == [100] * 6


def test_what_a_column_holds_is_told_before_its_points():
    run = Run()
    descriptor = run.descriptor(["det"])
    events = told(
        [run.start(), descriptor, run.event(descriptor, det=1), run.event(descriptor, det=0.5)]
    )
    types = [
        event.scan.channels[ChannelName("primary/det")].dtype
        for event in events
        if isinstance(event, Extended) and event.scan.channels
    ]
    assert types == [np.dtype(int), np.dtype(float)]


def test_points_that_take_the_place_of_others_say_so():
    run = Run()
    descriptor = run.descriptor(["det"])
    events = told(
        [run.start(), descriptor, *(run.event(descriptor, n, det=1.0) for n in (1, 2, 2))]
    )
    again = [(one.channel, one.start) for one in events if isinstance(one, Points) and one.again]
    assert again == [("primary/det", 1), ("primary/det@EPOCH", 1), ("primary/det@time", 1)]


def test_lost_points_stand_between_the_others():
    run = Run()
    descriptor = run.descriptor(["det"])
    values = (1.0, None, 3.0)
    translator = Translator()
    translator.begin(run.start()[1], "/data/run.h5")
    events = translator.feed([descriptor, *(run.event(descriptor, det=value) for value in values)])
    mine = [
        one for one in events if isinstance(one, Points | Lost) and one.channel == "primary/det"
    ]
    assert [(type(one), one.start) for one in mine] == [(Points, 0), (Lost, 1), (Points, 1)]


def test_a_stream_without_events_has_its_columns_as_described():
    run = Run()
    keys = {
        "n": {"dtype": "integer"},
        "s": {"dtype": "string"},
        "a": {"dtype": "array", "shape": [3]},
    }
    events = told([run.start(), run.descriptor(keys), run.stop()])
    channels = events[-1].scan.channels
    assert {name: (one.dtype.kind, one.shape) for name, one in channels.items()} == {
        "primary/n": ("i", ()),
        "primary/s": ("O", ()),
        "primary/a": ("u", (3,)),
    }
    assert {one.length for one in events if isinstance(one, Sealed)} == {0}


def test_the_newest_value_of_a_baseline_is_in_the_description():
    run = Run()
    baseline = run.descriptor(["t"], "baseline")
    events = told(
        [run.start(), baseline, *(run.event(baseline, t=v) for v in (1.0, 2.0)), run.stop()]
    )
    column = events[-1].scan.streams["baseline"].columns["t"]
    assert (column.first, column.last) == (1.0, 2.0)


def test_a_data_key_that_is_never_read_is_a_problem():
    run = Run()
    descriptor = run.descriptor(["det", "ghost"])
    events = told([run.start(), descriptor, run.event(descriptor, det=1.0), run.stop()])
    problems = [text for one in events if isinstance(one, Extended) for text in one.problems]
    assert problems == ["stream primary: ghost is described and was never read"]


def test_paths_are_mapped_by_the_longest_prefix():
    paths = PathMap({"/a": "/x", "/a/b": "/y/"})
    assert [paths.here(one) for one in ("/a/b/c", "/a/c", "/ab", "/a")] == [
        "/y/c",
        "/x/c",
        "/ab",
        "/x",
    ]


def test_pages_of_datums_are_datums():
    run = Run()
    descriptor = run.descriptor({"cam": {"external": "FILESTORE:", "shape": [1, 2, 2]}})
    resource = {
        "uid": "r",
        "run_start": run.uid,
        "spec": "AD_HDF5",
        "root": "/d",
        "resource_path": "c.h5",
        "resource_kwargs": {},
    }
    page = {"resource": "r", "datum_id": ["r/0", "r/1"], "datum_kwargs": {"point_number": [0, 1]}}
    events = told(
        [
            run.start(),
            descriptor,
            ("resource", resource),
            ("datum_page", page),
            run.event(descriptor, cam="r/0"),
            run.event(descriptor, cam="r/1"),
        ]
    )
    blocks = [block for one in events if isinstance(one, Located) for block in one.blocks]
    assert [(block.path, block.index, block.points) for block in blocks] == [
        ("/d/c.h5", 0, 1),
        ("/d/c.h5", 1, 1),
    ]


def test_runs_know_nothing_of_each_other():
    one, two = Run(1), Run(2)
    first, second = scan(one), scan(two)
    mixed = [item for pair in zip(first, second, strict=True) for item in pair]
    events = told(mixed)
    for run in (one, two):
        own = [event for event in events if event.key == run.uid]
        assert [type(own[0]), type(own[1]), type(own[-1])] == [Announced, Prepared, Ended]
        sealed = {event.length for event in own if isinstance(event, Sealed)}
        assert sealed == {5}
