"""Payloads mean what their stream announces, or are refused with a reason."""

import json
import math
from itertools import pairwise
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tests.support_bliss_events import CHANNEL, SCAN, entry

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Points, ScanReference, Scans
from nexus_writer_service.sources.bliss.encodings import (
    FixedNumbers,
    FrameDecoder,
    ScanReferences,
    VaryingNumbers,
    decoder_for,
    length_of,
)

NUMBERS = st.sampled_from(["?", "|i1", "<u2", ">i4", "<f4", ">f8", "<c16"]).map(np.dtype)


def numeric(dtype: str, *shape: int):
    return {"type": "numeric", "dtype_str": dtype, "shape": list(shape)}


def frames_of(payload, info, encoding=None):
    decoder = decoder_for(encoding or {"type": "json"}, info)
    assert isinstance(decoder, FrameDecoder)
    return decoder.counts(entry(0, payload if isinstance(payload, bytes) else dumps(payload)))


def dumps(document) -> bytes:
    return json.dumps(document).encode()


@given(st.data(), NUMBERS)
def test_numbers_of_one_shape_become_one_array(data, dtype):
    sample = data.draw(npst.array_shapes(min_dims=0, max_dims=3, max_side=3))
    points = data.draw(npst.arrays(dtype, (data.draw(st.integers(1, 20)), *sample)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(points) - 1))) if len(points) > 1 else [])
    bounds = [0, *cuts, len(points)]
    entries = [
        entry(start, points[start:stop].tobytes(), stop - start) for start, stop in pairwise(bounds)
    ]
    decoder = decoder_for(numeric(dtype.str, *sample), {})
    assert isinstance(decoder, FixedNumbers)
    (array,) = batches = decoder.decode(entries)
    np.testing.assert_array_equal(array, points)
    assert array.dtype == dtype
    assert decoder.count(batches) == len(points)
    assert decoder.event(SCAN, CHANNEL, 3, batches) == Points(SCAN, CHANNEL, 3, batches)


@pytest.mark.parametrize(
    ("kilobytes", "lengths"), [(60, [17, 3]), (300, [3] * 6 + [2]), (1100, [1] * 20)]
)
def test_large_points_become_arrays_of_a_megabyte(kilobytes, lengths):
    sample = kilobytes << 7
    points = np.arange(20 * sample, dtype="<f8").reshape(20, sample)
    entries = [entry(index, point.tobytes()) for index, point in enumerate(points)]
    batches = FixedNumbers(points.dtype, (sample,)).decode(entries)
    assert [*map(len, batches)] == lengths
    np.testing.assert_array_equal(np.concatenate(batches), points)


def test_the_order_of_the_fields_does_not_matter():
    payload = np.arange(3, dtype="<i4").tobytes()
    (array,) = FixedNumbers(np.dtype("<i4"), ()).decode(
        [[b"0-1", [b"len", b"3", b"payload", payload]]]
    )
    np.testing.assert_array_equal(array, [0, 1, 2])


def varying(index: int, points: np.ndarray[Any, Any]) -> list[Any]:
    return entry(index, msgpack.packb((points.shape[1:], points.tobytes())), len(points))


def test_neighbours_of_one_shape_become_one_array():
    shapes = [(1, 2, 3), (2, 2, 3), (1, 5, 3), (1, 2, 3)]
    arrays = [np.full(shape, index, "<i8") for index, shape in enumerate(shapes)]
    decoder = decoder_for(numeric("<i8", -1, 3), {})
    assert isinstance(decoder, VaryingNumbers)
    batches = decoder.decode([varying(index, array) for index, array in enumerate(arrays)])
    assert [batch.shape for batch in batches] == [(3, 2, 3), (1, 5, 3), (1, 2, 3)]
    np.testing.assert_array_equal(batches[0], np.concatenate(arrays[:2]))
    assert decoder.count(batches) == 5


def test_points_of_varying_shape_are_read_as_blissdata_2_0_wrote_them():
    payload = b"\x92\x91\x02\xc4\x08\x00\x00\x00\x00\x01\x00\x00\x00"
    (batch,) = VaryingNumbers(np.dtype("<u4"), (-1,)).decode([entry(0, payload)])
    np.testing.assert_array_equal(batch, [[0, 1]])


def test_a_point_may_be_empty():
    (batch,) = VaryingNumbers(np.dtype("f8"), (-1,)).decode(
        [entry(0, msgpack.packb(([0], b"")), 2)]
    )
    assert batch.shape == (2, 0)


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b"", "not msgpack"),
        (b"\x92\x91\x02", "not msgpack"),
        (msgpack.packb(7), "not msgpack"),
        (msgpack.packb(([2], 5)), "not msgpack"),
        (msgpack.packb((["x"], b"")), "not msgpack"),
        (msgpack.packb(([2, 2], bytes(32))), "where \\(-1,\\) is announced"),
        (msgpack.packb(([-2], b"")), "where \\(-1,\\) is announced"),
        (msgpack.packb(([2], bytes(12))), "12 bytes where 1 points"),
    ],
)
def test_unreadable_points_of_varying_shape_are_refused(payload, cause):
    with pytest.raises(DecodeError, match=cause):
        VaryingNumbers(np.dtype("f8"), (-1,)).decode([entry(0, payload)])


def test_a_fixed_length_among_varying_ones_holds():
    with pytest.raises(DecodeError, match="where"):
        VaryingNumbers(np.dtype("i1"), (-1, 3)).decode([varying(0, np.zeros((1, 2, 4), "i1"))])


def test_bytes_that_are_no_whole_number_of_points_are_refused():
    with pytest.raises(DecodeError, match="13 bytes are not a whole number of points of 8 bytes"):
        FixedNumbers(np.dtype("f8"), ()).decode([entry(0, bytes(13))])


def test_an_entry_without_payload_is_refused():
    with pytest.raises(DecodeError, match="payload is missing"):
        FixedNumbers(np.dtype("f8"), ()).decode([[b"0-1", [b"other", b""]]])


@pytest.mark.parametrize("length", [b"", b"0", b"-1", b"x"])
def test_a_length_that_is_not_positive_is_refused(length):
    with pytest.raises(DecodeError, match="length"):
        length_of([b"0-1", [b"payload", b"", b"len", length]])


@pytest.mark.parametrize("info", [{"plugin": "scan_sequence"}, {"format": "subscan"}])
def test_a_sequence_names_its_scans(info):
    decoder = decoder_for({"type": "json"}, info)
    assert isinstance(decoder, ScanReferences)
    references = decoder.decode([entry(0, dumps({"key": "esrf:scan:02", "scan_number": 7}))])
    assert references == (ScanReference(ScanKey("esrf:scan:02"), 7),)
    assert decoder.event(SCAN, CHANNEL, 0, references) == Scans(SCAN, CHANNEL, 0, references)


@pytest.mark.parametrize(
    "payload", [b"{", b"\xff", b"[]", b"{}", dumps({"key": "k", "scan_number": "x"})]
)
def test_an_entry_of_a_sequence_that_names_no_scan_is_refused(payload):
    with pytest.raises(DecodeError):
        ScanReferences().decode([entry(0, payload)])


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ({"last_index": 5, "last_index_saved": 3}, (6, 4)),
        ({"last_index": -1, "last_index_saved": -1}, (0, 0)),
        ({"last_index": 0}, (1, 0)),
    ],
)
@pytest.mark.parametrize("info", [{"plugin": "lima"}, {"format": "lima_v1"}])
def test_lima_counts_frames_by_the_last_index(info, status, counts):
    assert frames_of(status, info) == counts


@pytest.mark.parametrize("info", [{"plugin": "lima2"}, {"format": "lima_v2"}])
def test_lima2_of_blissdata_2_0_counts_frames(info):
    status = {"acq_uuid": "x", "nb_frames_acquired": 7, "nb_frames_xferred": 5}
    assert frames_of(status, info) == (7, 5)
    assert frames_of(status | {"nb_frames_acquired": -1}, info) == (5, 5)


def test_lima2_of_blissdata_2_4_counts_frames_that_follow_on_one_another():
    payload = np.array([3, 8], "<u4").tobytes()
    assert frames_of(payload, {"plugin": "lima2"}, numeric("<u4")) == (8, 8)
    with pytest.raises(DecodeError, match="no count"):
        frames_of(b"", {"plugin": "lima2"}, numeric("<u4"))


@pytest.mark.parametrize(
    "payload", [b"{", dumps([]), dumps({}), dumps({"last_index": "5"}), dumps({"last_index": True})]
)
def test_a_status_without_a_number_of_frames_is_refused(payload):
    with pytest.raises(DecodeError):
        frames_of(payload, {"plugin": "lima"})


@pytest.mark.parametrize(
    ("encoding", "info", "cause"),
    [
        ({"type": "morse"}, {}, "'morse' is not known"),
        ("", {}, "'' is not known"),
        (None, {}, "None is not known"),
        ({"type": "json"}, {}, "is not known"),
        ({"type": "json"}, {"plugin": "lima3"}, "'lima3' is not known"),
        ({"type": "json"}, {"plugin": "lima", "lima_info": {"protocol_version": 9}}, "version 9"),
        ({"type": "numeric"}, {}, "no usable type"),
        (numeric("nonsense"), {}, "no usable type"),
        (numeric("O"), {}, "are not numbers"),
        (numeric("<U5"), {}, "are not numbers"),
        (numeric("f8", 0), {}, "hold nothing"),
    ],
)
def test_what_is_not_known_is_refused(encoding, info, cause):
    with pytest.raises(DecodeError, match=cause):
        decoder_for(encoding, info)


def test_sizes_are_known_before_the_first_point():
    decoder = decoder_for(numeric("<u2", 2048, 2048), {})
    assert isinstance(decoder, FixedNumbers)
    assert decoder.point_bytes == math.prod((2048, 2048, 2))
