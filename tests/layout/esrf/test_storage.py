import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.layout.esrf import storage
from nexus_writer_service.model.description import Shape, StorageOptions
from nexus_writer_service.model.tree import Filters

USUAL = Filters(shuffle=True, gzip=4)
PLAIN = Filters()


@pytest.mark.parametrize(
    ("scan", "sample", "dtype", "chunks", "filters"),
    [
        ((0,), (), "f8", (512,), PLAIN),
        ((10,), (), "f8", (10,), PLAIN),
        ((100000,), (), "f8", (100000,), PLAIN),
        ((200, 300), (), "f8", (200, 300), PLAIN),
        ((6,), (-1,), "f8", (6, 512), PLAIN),
        ((6,), (-1, 4), "i4", (6, 512, 4), PLAIN),
    ],
)
def test_chunks_follow_the_usual_rule(
    scan: Shape, sample: Shape, dtype: str, chunks: Shape, filters: Filters
) -> None:
    found = storage.layout(scan, sample, np.dtype(dtype), StorageOptions())
    assert found == storage.Layout(chunks, filters)


@pytest.mark.parametrize(
    ("scan", "sample", "dtype", "chunks"),
    [
        ((200000,), (), "f8", (4096,)),
        ((0,), (1024,), "u4", (64, 512)),
        ((1000,), (4096,), "u4", (64, 512)),
        ((0,), (-1,), "f8", (32, 512)),
        ((10,), (2048, 2048), "u2", (1, 128, 512)),
        ((20,), (256, 256), "u2", (1, 256, 256)),
        ((500, 400), (), "f8", (10, 400)),
        ((40, 30), (1000,), "f8", (1, 30, 512)),
    ],
)
def test_chunks_that_are_compressed_while_they_grow_are_small(
    scan: Shape, sample: Shape, dtype: str, chunks: Shape
) -> None:
    found = storage.layout(scan, sample, np.dtype(dtype), StorageOptions())
    assert found == storage.Layout(chunks, USUAL)


@pytest.mark.parametrize(
    ("scan", "sample", "dtype", "chunks"),
    [
        ((200000,), (), "f8", (40000,)),
        ((0,), (1024,), "u4", (103, 205)),
        ((10,), (2048, 2048), "u2", (2, 410, 410)),
    ],
)
def test_chunks_whose_sizes_were_chosen_follow_the_usual_rule(
    scan: Shape, sample: Shape, dtype: str, chunks: Shape
) -> None:
    found = storage.layout(scan, sample, np.dtype(dtype), StorageOptions(chunk_split=5))
    assert found == storage.Layout(chunks, USUAL)


def test_chunk_split_one_keeps_the_last_axis_whole() -> None:
    options = StorageOptions(chunk_split=1)
    assert storage.layout((1000,), (4096,), np.dtype("u4"), options).chunks == (64, 4096)


def test_chunks_and_compression_have_limits_of_their_own() -> None:
    options = StorageOptions(chunk_bytes=52428, compression_limit_bytes=10485)
    found = storage.layout((10,), (256, 256), np.dtype("u2"), options)
    assert found == storage.Layout((3, 64, 64), USUAL)


@pytest.mark.parametrize(
    ("scheme", "filters"),
    [
        ("", USUAL),
        ("none", PLAIN),
        ("gzip", Filters(gzip=4)),
        ("byteshuffle", Filters(shuffle=True)),
        ("gzip-byteshuffle", USUAL),
        ("bitshuffle", Filters(bitshuffle=True)),
        ("lz4-bitshuffle", Filters(bitshuffle=True, bitshuffle_lz4=True)),
        ("zstd-bitshuffle", Filters(bitshuffle=True, bitshuffle_zstd=3)),
        ("zstd", Filters(zstd=3)),
        ("zstd-byteshuffle", Filters(shuffle=True, zstd=3)),
        ("blosc2-lz4", Filters(blosc2="lz4")),
        ("blosc2-zstd", Filters(blosc2="zstd")),
        ("of the future", USUAL),
    ],
)
def test_large_data_are_compressed_as_chosen(scheme: str, filters: Filters) -> None:
    options = StorageOptions(compression=scheme)
    assert storage.layout((0,), (1024,), np.dtype("u4"), options).filters == filters


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=2).map(tuple),
    st.lists(st.integers(-1, 5000), max_size=3).map(tuple),
    st.sampled_from(["i1", "u2", "f4", "f8", "c16", "?"]),
    st.builds(
        StorageOptions,
        chunk_bytes=st.integers(1, 1 << 40),
        compression_limit_bytes=st.integers(0, 1 << 40),
        chunk_split=st.integers(1, 64),
    ),
)
def test_chunks_are_within_the_data_and_within_what_hdf5_takes(
    scan: Shape, sample: Shape, dtype: str, options: StorageOptions
) -> None:
    itemsize = np.dtype(dtype).itemsize
    chunks = storage.layout(scan, sample, np.dtype(dtype), options).chunks
    expected = [n if n > 0 else 512 for n in (*scan, *sample)]
    assert len(chunks) == len(expected)
    assert all(1 <= size <= length for size, length in zip(chunks, expected, strict=True))
    nbytes = math.prod(chunks) * itemsize
    assert nbytes < 1 << 32
    limit = min(options.chunk_bytes, storage.LARGEST_CHUNK)
    # Each axis can round up, by less than twice.
    assert nbytes <= max(limit, itemsize) * 2 ** len(chunks)
    if math.prod(expected) * itemsize <= limit:
        assert chunks == tuple(expected)


@pytest.mark.parametrize(
    ("dtype", "fill"), [("f8", "nan"), ("f2", "nan"), ("i4", "0"), ("u1", "0")]
)
def test_missing_numbers_are_nan_or_zero(dtype: str, fill: str) -> None:
    assert str(storage.fill_value(np.dtype(dtype))) == fill


@pytest.mark.parametrize("dtype", ["?", "c16", "c8"])
def test_what_has_no_fill_value_gets_none(dtype: str) -> None:
    assert storage.fill_value(np.dtype(dtype)) is None


@pytest.mark.parametrize(
    ("scan", "sample", "meaning"),
    [
        ((10,), (), None),
        ((4, 5), (), "image"),
        ((3, 4, 5), (), "vertex"),
        ((10,), (16,), "spectrum"),
        ((4, 5), (16,), "spectrum"),
        ((10,), (16, 16), "image"),
        ((10,), (2, 3, 4), "vertex"),
        ((10,), (2, 3, 4, 5), None),
    ],
)
def test_interpretation_tells_what_a_point_is(
    scan: Shape, sample: Shape, meaning: str | None
) -> None:
    assert storage.interpretation(scan, sample) == meaning


@pytest.mark.parametrize("name", ["hdf5", "HDF5", "hdf5bs", "hdf5gz", "h5"])
def test_lima_s_kinds_of_hdf5_are_hdf5(name: str) -> None:
    assert storage.is_hdf5(name)


@pytest.mark.parametrize(("name", "plain"), [("edf", True), ("edf.gz", False), ("edflz4", False)])
def test_only_plain_edf_can_be_mapped(name: str, plain: bool) -> None:
    assert storage.is_plain_edf(name) is plain
    assert not storage.is_hdf5(name)
