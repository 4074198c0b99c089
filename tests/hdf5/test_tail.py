"""Compressed datasets: every point can be read after each commit."""

import os
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.support_hdf5 import read_elsewhere, root, stream

from nexus_writer_service.hdf5 import deflate
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.held import HeldBytes
from nexus_writer_service.model.tree import Filters

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

GZIP = Filters(gzip=4)
SHUFFLED = Filters(shuffle=True, gzip=4)


@pytest.fixture
def file(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))
    yield file
    file.close()


def make(file, dtype="u4", sample=(6,), chunks=(4, 6), filters=SHUFFLED, **options):
    assert (
        file.merge(root(d=stream(dtype, sample, chunks=chunks, filters=filters, **options))) == ()
    )


def points_of(start, stop, sample=(6,), dtype="u4"):
    count = int(np.prod((stop - start, *sample)))
    first = start * int(np.prod(sample))
    return np.arange(first, first + count).reshape(stop - start, *sample).astype(dtype)


@pytest.mark.parametrize("filters", [GZIP, SHUFFLED], ids=["gzip", "shuffle"])
@pytest.mark.parametrize("sample", [(), (6,), (7,), (2, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["u1", "u4", ">f4", "f8", "c16"])
def test_points_can_be_read_after_each_commit(file, filters, sample, dtype):
    make(file, dtype, sample, (4, *(3 for _ in sample)), filters)
    for start, stop in ((0, 1), (1, 3), (3, 4), (4, 9), (9, 10), (10, 21)):
        file.append("/d", start, [points_of(start, stop, sample, dtype)])
        file.commit()
        with h5py.File(file.path, "r", locking=False) as reader:
            np.testing.assert_array_equal(reader["d"], points_of(0, stop, sample, dtype))
    file.close()
    with h5py.File(file.path) as reader:
        np.testing.assert_array_equal(reader["d"], points_of(0, 21, sample, dtype))


def test_another_process_reads_points_of_chunks_that_are_not_full(file):
    make(file)
    file.append("/d", 0, [points_of(0, 6)])
    file.commit()
    assert read_elsewhere(file.path, "/d") == [points_of(0, 6).tolist()]


def stored_bytes(file):
    with h5py.File(file.path, "r", locking=False) as reader:
        dataset = reader["d"].id
        return [dataset.get_chunk_info(i).size for i in range(dataset.get_num_chunks())]


@pytest.mark.parametrize("points", [3, 4])
def test_a_chunk_is_compressed_at_each_commit_whether_it_is_full_or_not(file, points):
    make(file, "u4", (1000,), (4, 1000))
    file.append("/d", 0, [np.zeros((points, 1000), "u4")])
    file.commit()
    (packed,) = stored_bytes(file)
    assert packed < 1000


def test_a_scan_that_grows_point_by_point_leaves_no_large_holes(file):
    make(file, "u4", (1000,), (100, 1000))
    noise = np.random.default_rng(1).integers(0, 100, (50, 1000), dtype="u4")
    for start in range(50):
        file.append("/d", start, [noise[start : start + 1]])
        file.commit()
    file.settle("/d")
    file.commit()
    (packed,) = stored_bytes(file)
    file.close()
    assert os.path.getsize(file.path) < 3 * packed + 10_000


def test_noise_that_cannot_be_compressed_is_read_all_the_same(file):
    noise = np.random.default_rng(1).integers(0, 1 << 32, (9, 6), dtype="u4")
    make(file)
    for start in range(9):
        file.append("/d", start, [noise[start : start + 1]])
        file.commit()
    file.settle("/d")
    file.commit()
    file.close()
    with h5py.File(file.path) as reader:
        np.testing.assert_array_equal(reader["d"], noise)


@pytest.mark.parametrize("left", [1, 3, 4, 6])
def test_a_dataset_that_was_left_in_the_middle_of_a_chunk_goes_on(file, left):
    make(file)
    file.append("/d", 0, [points_of(0, left)])
    file.close()
    again = NexusFile.open(file.path)
    make(again)
    assert again.length("/d") == left
    again.append("/d", left, [points_of(left, 9)])
    again.close()
    with h5py.File(file.path) as reader:
        np.testing.assert_array_equal(reader["d"], points_of(0, 9))


@pytest.mark.parametrize("gap", [1, 3, 5, 12])
def test_a_gap_reads_as_fill(file, gap):
    make(file, fill=7)
    file.append("/d", 0, [points_of(0, 2)])
    file.append("/d", 2 + gap, [points_of(2 + gap, 4 + gap)])
    file.close()
    expected = points_of(0, 4 + gap)
    expected[2 : 2 + gap] = 7
    with h5py.File(file.path) as reader:
        np.testing.assert_array_equal(reader["d"], expected)


def test_much_data_between_commits_takes_little_memory(file):
    make(file, "u4", (1024,), (64, 1024))
    block = points_of(0, 64, (1024,))
    for start in range(0, 64 * 40, 64):
        file.append("/d", start, [block])
        assert file.buffered_bytes <= 8 << 20
    file.close()
    with h5py.File(file.path) as reader:
        np.testing.assert_array_equal(reader["d"][64 * 39 :], block)


@pytest.mark.parametrize("level", [1, 4, 9])
def test_deflate_is_what_the_filter_of_hdf5_defines(level):
    block = np.arange(5000, dtype="u4")
    assert zlib.decompress(deflate.deflated(block.data, level)) == block.tobytes()


@pytest.mark.parametrize("noise", [1, 1000, 65535, 65536, 140_000, 159_999])
def test_noise_is_stored_as_the_filter_of_hdf5_defines(noise):
    block = np.random.default_rng(1).integers(0, 256, 160_000, np.uint8)
    stored = deflate.deflated(block.data, 4, noise)
    assert zlib.decompress(stored) == block.tobytes()


def test_the_lower_bytes_of_measured_floats_are_not_compressed():
    values = np.random.default_rng(1).normal(100, 1, 40 * 4096).reshape(40, 4096)
    deflater = deflate.Deflater(4, planes=8)
    for chunk in values:
        shuffled = np.ascontiguousarray(chunk.view(np.uint8).reshape(-1, 8).T).reshape(-1)
        data = deflater.whole(shuffled.data)
        assert zlib.decompress(data) == shuffled.tobytes()
        assert len(data) <= len(deflate.deflated(shuffled.data, 4))
    # The second chunk and all but one of those behind it hold the noise as it is.
    assert data[7 : 7 + 4096] == shuffled[:4096].tobytes()


def test_floats_that_become_regular_are_compressed_again():
    deflater = deflate.Deflater(4, planes=8)
    noise = np.random.default_rng(1).integers(0, 256, 32768, np.uint8)
    regular = np.zeros(32768, np.uint8)
    sizes = [len(deflater.whole(noise.data)), len(deflater.whole(regular.data))]
    sizes += [len(deflater.whole(regular.data)) for _ in range(31)]
    assert min(sizes[:2]) > 20_000
    assert sizes[-1] < 1000


def test_a_compressed_dataset_that_grows_fast_shows_whole_chunks_and_one_commit_later_all(file):
    make(file, "f8", (), (4096,), SHUFFLED)
    values = np.random.default_rng(1).normal(size=3 * 4096 + 10)
    file.append("/d", 0, [values])
    file.commit()
    assert file.dirty
    with h5py.File(file.path, locking=False) as reader:
        np.testing.assert_array_equal(reader["d"], values[: 3 * 4096])
    file.commit()
    assert not file.dirty
    with h5py.File(file.path, locking=False) as reader:
        np.testing.assert_array_equal(reader["d"], values)


def test_a_compressed_dataset_that_grows_fast_is_complete_when_it_is_settled(file):
    make(file, "f8", (), (4096,), SHUFFLED)
    values = np.random.default_rng(1).normal(size=3 * 4096 + 10)
    file.append("/d", 0, [values])
    file.settle("/d")
    file.commit()
    with h5py.File(file.path, locking=False) as reader:
        np.testing.assert_array_equal(reader["d"], values)


def test_the_ends_of_many_datasets_do_not_fill_the_memory(tmp_path):
    held = HeldBytes(most=100_000)
    file = NexusFile.open(str(tmp_path / "many.h5"), held=held)
    names = [f"d{number}" for number in range(50)]
    node = stream("f8", chunks=(1000,), filters=SHUFFLED)
    assert file.merge(root(**dict.fromkeys(names, node))) == ()
    values = np.random.default_rng(1).normal(size=1500)
    for start in range(0, 1500, 100):
        for name in names:
            file.append(f"/{name}", start, [values[start : start + 100]])
        file.commit()
        assert held.nbytes <= held.most + 8000
    assert held.nbytes > 0
    file.close()
    assert held.nbytes == 0
    with h5py.File(file.path) as reader:
        for name in names:
            np.testing.assert_array_equal(reader[name], values)


def test_a_dataset_that_is_complete_holds_no_memory(tmp_path):
    held = HeldBytes()
    with_one = NexusFile.open(str(tmp_path / "one.h5"), held=held)
    make(with_one)
    with_one.append("/d", 0, [points_of(0, 6)])
    with_one.commit()
    assert held.nbytes == 4 * 6 * 4
    with_one.settle("/d")
    with_one.commit()
    assert held.nbytes == 0
    with_one.close()


@given(
    arrays(st.sampled_from(["u1", "u2", "f4", "c16"]), st.integers(1, 30)),
    st.lists(st.integers(1, 9), max_size=10),
    st.integers(1, 7),
)
def test_chunks_are_what_the_filters_of_hdf5_make_of_them(tmp_path_factory, points, steps, rows):
    file = NexusFile.open(str(tmp_path_factory.mktemp("shuffled") / "file.h5"))
    make(file, points.dtype, (), (rows,), SHUFFLED)
    start = 0
    for step in [*steps, len(points)]:
        file.append("/d", start, [points[start : start + step]])
        file.commit()
        start = min(len(points), start + step)
    file.close()
    with h5py.File(file.path) as reader:
        np.testing.assert_array_equal(reader["d"], points)


def test_zlib_takes_the_place_of_a_missing_isa_l(monkeypatch):
    monkeypatch.setattr(deflate, "compress", zlib.compress)
    monkeypatch.setattr(deflate, "_LEVEL", None)
    data = deflate.deflated(bytes(1000), 9)
    assert zlib.decompress(data) == bytes(1000)
    assert len(data) < 100
