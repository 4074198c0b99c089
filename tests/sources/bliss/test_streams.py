"""A stream tells each point once, at its index, whatever the reads and whatever is missing."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_bliss_events import CHANNEL, SCAN, HeardChannel, entry, seal

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.events import Frames, Lost, Points, Sealed
from nexus_writer_service.sources.bliss.streams import ChannelStream, follow_stream

FLOATS = {"type": "numeric", "dtype_str": "<f8", "shape": []}
JSON = {"type": "json"}


def floats() -> ChannelStream:
    return follow_stream(SCAN, CHANNEL, FLOATS, {})


def lima() -> ChannelStream:
    return follow_stream(SCAN, CHANNEL, JSON, {"plugin": "lima"})


def numbers(start: int, length: int = 1) -> list[Any]:
    """An entry whose points are their own indexes."""
    payload = np.arange(start, start + length, dtype="<f8").tobytes()
    return entry(start, payload, length)


def status(index: int, taken: int, saved: int = 0) -> list[Any]:
    document = {"last_index": taken - 1, "last_index_saved": saved - 1}
    return entry(index, json.dumps(document).encode())


def after(entries: list[Any], last_id: bytes) -> list[Any]:
    """What Redis has after an id."""
    index, minor = map(int, last_id.split(b"-"))
    return [one for one in entries if tuple(map(int, one[0].split(b"-"))) > (index, minor)]


def consecutive(lengths: list[int]) -> list[Any]:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(int).tolist()
    entries = [numbers(start, length) for start, length in zip(starts, lengths, strict=False)]
    return [*entries, seal(starts[-1])]


LENGTHS = st.lists(st.integers(1, 4), max_size=20)


@given(LENGTHS, st.data())
def test_any_chopping_into_reads_tells_the_same(lengths, data):
    entries, stream, heard = consecutive(lengths), floats(), HeardChannel()
    while stream.open:
        rest = after(entries, stream.next_id)
        for event in stream.receive(rest[: data.draw(st.integers(1, len(rest)))]):
            heard.add(event)
    total = sum(lengths)
    assert heard.sealed == total
    assert heard.lost == []
    if total:
        np.testing.assert_array_equal(heard.values, np.arange(total))


@given(LENGTHS, st.data())
def test_trimming_between_reads_loses_what_it_takes_and_moves_nothing(lengths, data):
    entries, stream, heard = consecutive(lengths), floats(), HeardChannel()
    while stream.open:
        # The seal always stays.
        entries = entries[data.draw(st.integers(0, len(entries) - 1)) :]
        rest = after(entries, stream.next_id)
        for event in stream.receive(rest[: data.draw(st.integers(1, len(rest)))]):
            heard.add(event)
    total = sum(lengths)
    assert heard.sealed == total
    told = heard.values.astype(int).tolist() if heard.batches else []
    missing = [index for lost in heard.lost for index in range(lost.start, lost.stop or total)]
    assert sorted(told + missing) == list(range(total))
    assert told == sorted(told)


def test_entries_of_one_read_become_one_array():
    (points,) = floats().receive([numbers(0, 3), numbers(3), numbers(4, 2)])
    assert isinstance(points, Points)
    assert points.start == 0
    (array,) = points.batches
    np.testing.assert_array_equal(array, np.arange(6))


def test_a_gap_in_the_middle_of_a_read_is_told_where_it_is():
    events = floats().receive([numbers(0, 2), numbers(5), seal(6)])
    assert [type(event) for event in events] == [Points, Lost, Points, Sealed]
    lost = events[1]
    assert isinstance(lost, Lost)
    assert (lost.start, lost.stop) == (2, 5)


def test_a_stream_of_which_only_the_seal_is_left_is_lost():
    lost, sealed = floats().receive([seal(7)])
    assert isinstance(lost, Lost)
    assert (lost.start, lost.stop) == (0, 7)
    assert sealed == Sealed(SCAN, CHANNEL, 7)


def test_an_unreadable_entry_ends_the_stream_after_what_is_before_it():
    stream = floats()
    bad = entry(2, bytes(7), 2)
    points, lost = stream.receive([numbers(0, 2), bad, numbers(4), seal(5)])
    assert isinstance(points, Points)
    assert points.count == 2
    assert lost == Lost(
        SCAN,
        CHANNEL,
        2,
        None,
        "channel ctl:a, entry 2-1: 7 bytes are not a whole number of points of 8 bytes",
    )
    assert not stream.open


def test_an_entry_that_holds_other_than_it_says_ends_the_stream():
    stream = floats()
    (lost,) = stream.receive([entry(0, bytes(16), 3)])
    assert isinstance(lost, Lost)
    assert "2 points where 3 are announced" in lost.reason
    assert not stream.open


@pytest.mark.parametrize("bad", [[b"x-1", [b"payload", bytes(8)]], [b"0-1", [b"other", b""]]])
def test_an_entry_without_index_or_payload_ends_the_stream(bad):
    (lost,) = floats().receive([bad])
    assert isinstance(lost, Lost)
    assert lost.stop is None


@pytest.mark.parametrize("stream", [floats(), lima()])
def test_a_seal_without_length_is_no_seal(stream):
    broken = seal(0)
    broken[1][1] = b"x"
    (lost,) = stream.receive([broken])
    assert isinstance(lost, Lost)
    assert not stream.open


def test_of_a_detector_only_the_last_status_is_told():
    stream = lima()
    entries = [status(index, index + 1, index // 2) for index in range(9)]
    assert stream.receive(entries) == [Frames(SCAN, CHANNEL, 9, 4)]
    assert stream.receive([status(9, 9, 4)]) == []
    assert stream.receive([status(10, 9, 9), seal(11)]) == [
        Frames(SCAN, CHANNEL, 9, 9),
        Sealed(SCAN, CHANNEL, 9),
    ]


def test_counts_of_frames_never_go_back():
    stream = lima()
    stream.receive([status(0, 5, 3)])
    assert stream.receive([status(1, 4, 4)]) == [Frames(SCAN, CHANNEL, 5, 4)]


def test_a_trimmed_stream_of_a_detector_loses_nothing():
    assert lima().receive([status(6, 8, 8), seal(7)]) == [
        Frames(SCAN, CHANNEL, 8, 8),
        Sealed(SCAN, CHANNEL, 8),
    ]


def test_a_detector_whose_last_status_was_trimmed_is_lost_from_there():
    stream = lima()
    stream.receive([status(0, 3, 3)])
    (lost,) = stream.receive([seal(5)])
    assert isinstance(lost, Lost)
    assert (lost.start, lost.stop) == (3, None)
    assert not stream.open


def test_an_unreadable_status_ends_the_stream():
    stream = lima()
    (lost,) = stream.receive([entry(0, b"{"), entry(1, b"{}")])
    assert isinstance(lost, Lost)
    assert "last_index" in lost.reason


def test_an_unknown_encoding_is_refused():
    with pytest.raises(DecodeError):
        follow_stream(SCAN, CHANNEL, {"type": "morse"}, {})


def test_the_size_of_entries_is_followed():
    stream = floats()
    assert stream.entry_bytes < 1000
    stream.receive([numbers(0, 10_000)])
    assert stream.entry_bytes > 80_000
    for index in range(10):
        stream.receive([numbers(10_000 + index)])
    assert stream.entry_bytes < 1000


def test_a_stream_that_is_given_up_keeps_what_was_received():
    stream = floats()
    stream.receive([numbers(0, 3)])
    assert stream.give_up("it is gone") == Lost(SCAN, CHANNEL, 3, None, "it is gone")
    assert not stream.open


def test_a_detector_that_is_given_up_keeps_its_frames():
    stream = lima()
    stream.receive([status(0, 5)])
    assert stream.give_up("it is gone") == Lost(SCAN, CHANNEL, 5, None, "it is gone")


@pytest.mark.parametrize("stream", [floats(), lima()])
def test_a_stream_has_begun_with_its_first_entry(stream):
    before = stream.begun
    stream.receive([status(0, 5) if "Frame" in type(stream).__name__ else numbers(0)])
    assert (before, stream.begun) == (False, True)
