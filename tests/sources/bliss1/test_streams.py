"""The data of a channel: points at their index, whatever is told twice, late, or not at all."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.model.description import Channel, ChannelName, ScanKey
from nexus_writer_service.model.events import Frames, Lost, Points, Scans, Sealed
from nexus_writer_service.sources.bliss1.nodes import Entry
from nexus_writer_service.sources.bliss1.streams import (
    FrameStream,
    Grown,
    NumberStream,
    SequenceStream,
)

KEY, NAME = ScanKey("s:1_scan@1.5"), ChannelName("diode")
FLOATS = Channel(NAME, np.dtype("f8"), ())


def block(index: int, value: Any, count: int | None = None) -> Entry:
    """What BLISS 1 publishes of points that begin with this index."""
    points = len(value) if count is None else count
    return [
        b"%d-0" % (index + 1),
        [
            *(b"__EVENT__", b"CHANNELDATA"),
            *(b"__DESC__", pickle.dumps({"reference": False}, protocol=4)),
            *(b"__NPOINTS__", b"%d" % points),
            *(b"__DATA__", pickle.dumps(value, protocol=4)),
        ],
    ]


def lists_in_lists() -> Any:
    """A few bytes of pickle that would be 10 ** 20 numbers."""
    value: Any = [1.0]
    for _ in range(20):
        value = [value] * 10
    return value


def point(index: int, value: float) -> Entry:
    return block(index, np.float64(value), 1)


def told(events: list[Any]) -> list[tuple[int, list[Any]]]:
    """Start and values of each event with points."""
    return [
        (one.start, np.concatenate(one.batches).tolist())
        for one in events
        if isinstance(one, Points)
    ]


def test_points_one_by_one_and_in_blocks_are_told_as_one() -> None:
    stream = NumberStream(KEY, FLOATS)
    entries = [point(0, 1), block(1, np.array([2.0, 3.0])), block(3, np.array(4.0), 1)]
    assert told(stream.receive(entries)) == [(0, [1, 2, 3, 4])]
    assert stream.next_id == b"4-0"
    assert stream.end() == Sealed(KEY, NAME, 4)


def test_the_entry_with_which_a_stream_is_made_is_no_event() -> None:
    stream = NumberStream(KEY, FLOATS)
    assert stream.receive([[b"0-1", [b"key", b"value"]]]) == []
    assert not stream.begun


def test_trimmed_points_are_lost_and_the_others_keep_their_place() -> None:
    stream = NumberStream(KEY, FLOATS)
    events = stream.receive([point(0, 1), point(5, 6)])
    assert told(events) == [(0, [1]), (5, [6])]
    assert [(one.start, one.stop) for one in events if isinstance(one, Lost)] == [(1, 5)]


def test_integers_are_taken_as_the_floats_that_were_announced() -> None:
    (event,) = NumberStream(KEY, FLOATS).receive([block(0, [1, 2])])
    assert isinstance(event, Points)
    assert event.batches[0].dtype == np.float64


def test_spectra_of_another_length_make_the_length_vary() -> None:
    stream = NumberStream(KEY, Channel(NAME, np.dtype("u4"), (4,)))
    longer = block(1, np.zeros((2, 6), "u4"))
    first, grown, second = stream.receive([block(0, np.zeros(4, "u4"), 1), longer])
    assert isinstance(grown, Grown)
    assert grown.channel.shape == (-1,)
    assert isinstance(first, Points)
    assert isinstance(second, Points)
    assert (second.start, second.count) == (1, 2)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (block(0, np.array(["text"])), "<U4 where float64 is announced"),
        (block(0, np.array([1j])), "complex128 where float64"),
        (block(0, np.zeros((2, 3))), "a point of shape"),
        (block(0, np.zeros(2), 3), "where 3 points are announced"),
        ([b"1-0", [b"__EVENT__", b"CHANNELDATA"]], "__NPOINTS__ is missing"),
        ([b"x-0", block(0, [1.0])[1]], "does not say which points"),
        (block(-1, [1.0]), "points from -1"),
        (block(0, [[1.0], [1.0, 2.0]]), "points of different lengths"),
        (block(0, lists_in_lists(), 10), "more than 1000000 values"),
        (block(0, [[]], 1), "a point of shape"),
        ([b"1-0", [*block(0, [1.0])[1][:-1], b"\x80\x02cos\nsystem\n."]], "names os.system"),
    ],
)
def test_an_entry_that_cannot_be_used_costs_what_follows_of_its_channel(
    entry: Entry, message: str
) -> None:
    stream = NumberStream(KEY, FLOATS)
    (lost,) = stream.receive([entry, point(1, 1)])
    assert isinstance(lost, Lost)
    assert (lost.start, lost.stop) == (0, None)
    assert message in lost.reason
    assert "channel diode" in lost.reason
    assert not stream.open


@st.composite
def _published(draw: st.DrawFn) -> list[tuple[int, list[float]]]:
    """Blocks of points 0, 1, 2... whose value is their index."""
    lengths = draw(st.lists(st.integers(1, 5), max_size=8))
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    return [
        (start, [float(one) for one in range(start, start + length)])
        for start, length in zip(starts, lengths, strict=True)
    ]


@given(_published(), st.data())
def test_each_point_is_told_once_at_its_place_or_told_to_be_lost(
    published: list[tuple[int, list[float]]], data: st.DataObject
) -> None:
    """Blocks told twice, or not at all, and answers of any size."""
    kept = [one for one in published if data.draw(st.integers(0, 4))]
    again = [data.draw(st.integers(0, place)) for place in range(len(kept))]
    entries: list[Entry] = []
    for place, (start, values) in enumerate(kept):
        entries.append(block(start, np.array(values)))
        if data.draw(st.booleans()):
            twice = kept[again[place]]
            entries.append(block(twice[0], np.array(twice[1])))
    stream, events = NumberStream(KEY, FLOATS), []
    while entries:
        count = data.draw(st.integers(1, len(entries)))
        events += stream.receive(entries[:count])
        entries = entries[count:]
    found = {start + n: value for start, values in told(events) for n, value in enumerate(values)}
    expected = {int(value): value for _, values in kept for value in values}
    assert found == expected
    lost = [
        index
        for one in events
        if isinstance(one, Lost)
        for index in range(one.start, one.stop or one.start)
    ]
    end = max(expected, default=-1) + 1
    assert sorted([*lost, *found]) == list(range(end))
    assert stream.end() == Sealed(KEY, NAME, end)


def test_a_sequence_tells_the_nodes_of_its_scans() -> None:
    stream = SequenceStream(KEY, NAME)
    one, two = stream.receive([block(0, np.str_("s:2_ct"), 1), block(1, np.array(["s:3", "s:4"]))])
    assert isinstance(one, Scans)
    assert isinstance(two, Scans)
    assert [reference.key for reference in one.references] == ["s:2_ct"]
    assert (two.start, [reference.key for reference in two.references]) == (1, ["s:3", "s:4"])
    assert stream.end() == Sealed(KEY, NAME, 3)


def status(number: int, ready: Any, saved: int) -> Entry:
    """What BLISS 1 publishes of a Lima server."""
    said = {"server_url": "cam", "last_image_ready": ready, "last_image_saved": saved}
    fields = [b"__EVENT__", b"LIMAIMAGESTATUS", b"__STATUS__", pickle.dumps(said, protocol=4)]
    return [b"%d-0" % number, fields]


def test_of_a_detector_only_the_newest_status_counts() -> None:
    stream = FrameStream(KEY, NAME)
    assert stream.receive([status(1, 0, -1), status(2, 4, 2)]) == [Frames(KEY, NAME, 5, 3)]
    assert stream.receive([status(3, 3, 2)]) == []
    assert stream.next_id == b"3-0"
    assert stream.end() == Sealed(KEY, NAME, 5)


def test_a_status_that_cannot_be_read_costs_the_images_that_follow() -> None:
    stream = FrameStream(KEY, NAME)
    stream.receive([status(1, 3, 3)])
    (lost,) = stream.receive([status(2, "many", 3)])
    assert isinstance(lost, Lost)
    assert (lost.start, lost.stop) == (4, None)
    assert "last_image_ready is no number" in lost.reason


@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False).map(np.float64),
            st.floats(allow_nan=False),
            st.integers(0, 9).map(np.uint32),
        ),
        max_size=30,
    ),
    st.integers(3, 5),
)
def test_values_of_like_pickles_are_those_of_each_pickle(values: list[Any], protocol: int) -> None:
    entries = [block(index, value, 1) for index, value in enumerate(values)]
    for (_, fields), value in zip(entries, values, strict=True):
        fields[-1] = pickle.dumps(value, protocol=protocol)
    found = [
        value for _, part in told(NumberStream(KEY, FLOATS).receive(entries)) for value in part
    ]
    assert found == [float(value) for value in values]


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2), max_size=20))
def test_spectra_of_like_pickles_are_those_of_each_pickle(spectra: list[list[int]]) -> None:
    stream = NumberStream(KEY, Channel(NAME, np.dtype("u4"), (2,)))
    entries = [block(n, np.array(one, "u4"), 1) for n, one in enumerate(spectra)]
    assert [row for _, part in told(stream.receive(entries)) for row in part] == spectra


def test_fortran_order_is_kept_in_like_pickles() -> None:
    stream = NumberStream(KEY, Channel(NAME, np.dtype("f8"), (2, 3)))
    images = [np.asfortranarray(np.arange(6.0).reshape(2, 3) * n) for n in range(3)]
    ((_, found),) = told(stream.receive([block(n, one, 1) for n, one in enumerate(images)]))
    assert found == [one.tolist() for one in images]
