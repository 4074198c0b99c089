"""Datasets over files of other programs, told block by block; rows that are replaced or widened."""

import h5py
import numpy as np
import pytest

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.located import _look
from nexus_writer_service.model.description import ChannelName, FileBlock
from nexus_writer_service.model.tree import Filters, Group, LocatedStack, StreamDataset

NAME = ChannelName("x")


@pytest.fixture
def file(tmp_path):
    # As if nothing took any time: so nothing is put off to save time.
    file = NexusFile.open(str(tmp_path / "out.h5"), clock=lambda: 0.0)
    yield file
    file.close()


def stream(dtype=float, sample=(), **more):
    return Group({"x": StreamDataset(NAME, np.dtype(dtype), sample, **more)})


def stack(**more):
    return Group({"x": LocatedStack(NAME, np.dtype(np.uint8), (1, 1), **more)})


def shown(file):
    file.commit()
    with h5py.File(file.path, "r", locking=False) as other:
        return other["x"][()]


def save(path, data):
    with h5py.File(path, "w") as other:
        other["data"] = data
    return str(path)


def test_rows_are_replaced_in_memory_and_in_the_file(file):
    file.merge(stream())
    file.append("/x", 0, [np.arange(4.0)])
    file.replace("/x", 1, [np.array([-1.0])])
    assert shown(file).tolist() == [0, -1, 2, 3]
    file.replace("/x", 3, [np.array([-3.0])])
    file.append("/x", 4, [np.array([4.0])])
    assert shown(file).tolist() == [0, -1, 2, -3, 4]


def test_rows_of_compressed_datasets_are_not_replaced(file):
    file.merge(stream(filters=Filters(gzip=1)))
    file.append("/x", 0, [np.arange(4.0)])
    with pytest.raises(DatasetError, match="compressed"):
        file.replace("/x", 1, [np.array([-1.0])])


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        (int, float, [0, 1, 2, 0.5]),
        (bool, int, [0, 1, 1, 0]),
        (np.int8, np.int64, [0, 1, 2, 0]),
        (int, object, ["0", "1", "2", "0.5"]),
    ],
)
@pytest.mark.parametrize("committed", [False, True])
def test_points_are_converted_when_their_dataset_widens(file, first, then, expected, committed):
    file.merge(stream(first, attributes={"units": "mm"}))
    file.append("/x", 0, [np.arange(3).astype(first)])
    if committed:
        file.commit()
    assert file.merge(stream(then)) == ()
    last = np.array(["0.5"], object) if then is object else np.array([0.5]).astype(then)
    file.append("/x", 3, [last])
    found = shown(file)
    with h5py.File(file.path, "r", locking=False) as other:
        assert other["x"].attrs["units"] == "mm"
        if then is object:
            found = other["x"].asstr()[()]
    assert found.tolist() == expected


def test_lengths_may_begin_to_vary(file):
    file.merge(stream(sample=(2,)))
    file.append("/x", 0, [np.ones((1, 2))])
    file.merge(stream(sample=(-1,)))
    file.append("/x", 1, [np.ones((1, 3))])
    assert shown(file).tolist() == [[1, 1, 0], [1, 1, 1]]


def test_blocks_are_mapped_with_the_type_that_their_files_have(file, tmp_path):
    file.merge(stack())
    path = save(tmp_path / "a.h5", np.arange(24.0).reshape(6, 2, 2))
    file.locate("/x", 0, [FileBlock(path, "/data", 4, 2)])
    file.locate("/x", 2, [FileBlock(path, "/data", 0, 1)])
    expected = np.arange(24.0).reshape(6, 2, 2)[[4, 5, 0]]
    assert np.array_equal(shown(file), expected)
    assert file.missing_files("/x") == ()
    assert file.external_files("/x") == (path,)


def test_blocks_that_follow_each_other_are_one(file, tmp_path):
    file.merge(stack())
    path = save(tmp_path / "a.h5", np.zeros((50, 2, 2)))
    for row in range(50):
        file.locate("/x", row, [FileBlock(path, "/data", row, 1)])
    assert shown(file).shape == (50, 2, 2)
    with h5py.File(file.path, "r", locking=False) as other:
        assert len(other["x"].virtual_sources()) == 1


def test_a_file_is_missed_until_it_holds_its_points(file, tmp_path):
    file.merge(stack())
    path = str(tmp_path / "a.h5")
    file.locate("/x", 0, [FileBlock(path, "/data", 0, 2)])
    assert file.missing_files("/x") == (path,)
    assert shown(file).shape == (2, 1, 1)  # as announced
    save(path, np.ones((1, 3, 4), np.int16))
    assert file.missing_files("/x") == (path,)
    save(path, np.ones((2, 3, 4), np.int16))
    assert file.missing_files("/x") == ()
    found = shown(file)
    assert (found.shape, found.dtype) == ((2, 3, 4), np.int16)


def test_several_entries_may_make_one_point(file, tmp_path):
    file.merge(stack())
    data = np.arange(6 * 4).reshape(6, 2, 2)
    path = save(tmp_path / "a.h5", data)
    file.locate("/x", 0, [FileBlock(path, "/data", 0, 2, each=3)])
    assert np.array_equal(shown(file), data.reshape(2, 3, 2, 2))


def test_copies_keep_their_order_and_what_never_comes_is_fill(file, tmp_path):
    file.merge(stack(copied=True))
    late, never = str(tmp_path / "late.h5"), str(tmp_path / "never.h5")
    there = save(tmp_path / "there.h5", np.full((1, 2, 2), 2.0))
    for row, path in enumerate((late, never, there)):
        file.locate("/x", row, [FileBlock(path, "/data", 0, 1)])
    assert shown(file).size == 0
    save(late, np.full((1, 2, 2), 1.0))
    assert file.missing_files("/x") == (never,)
    assert shown(file)[:, 0, 0].tolist() == [1]
    file.settle("/x")
    found = shown(file)[:, 0, 0]
    assert np.array_equal(found, [1, np.nan, 2], equal_nan=True)


def preallocated(path, layout, written):
    """A file with room for six frames, in which some were written."""
    # HDF5 writes datasets of less than 64 KiB that are not in chunks as a whole.
    shape, chunks = ((64, 64), (1, 64, 64)) if layout == "chunked" else ((512, 512), None)
    with h5py.File(path, "w") as other:
        data = other.create_dataset("data", (6, *shape), "u2", chunks=chunks)
        for number in written:
            data[number] = number + 1
    return str(path)


@pytest.mark.parametrize("layout", ["chunked", "contiguous"])
def test_frames_that_were_never_written_are_not_copied_as_zeros(file, tmp_path, layout):
    file.merge(stack(copied=True))
    path = preallocated(tmp_path / "a.h5", layout, [0, 1])
    file.locate("/x", 0, [FileBlock(path, "/data", 0, 4)])
    assert file.missing_files("/x") == (path,)
    assert shown(file)[:, 0, 0].tolist() == [1, 2]
    with h5py.File(path, "r+") as other:
        for number in (2, 3):
            other["data"][number] = number + 1
    assert file.missing_files("/x") == ()
    file.settle("/x")
    assert shown(file)[:, 0, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("each", [1, 2])
def test_at_the_end_frames_behind_those_that_are_missing_are_copied(file, tmp_path, each):
    file.merge(stack(copied=True))
    path = preallocated(tmp_path / "a.h5", "chunked", [0, 1, 4])
    file.locate("/x", 0, [FileBlock(path, "/data", 0, 6 // each, each)])
    file.settle("/x")
    assert file.missing_files("/x") == (path,)
    found = shown(file).reshape(-1, 64, 64)[:, 0, 0].tolist()
    # A point is copied as a whole, or not at all.
    assert found == ([1, 2, 0, 0, 5, 0] if each == 1 else [1, 2, 0, 0, 0, 0])


def test_a_mapped_file_is_missed_until_its_frames_were_written(file, tmp_path):
    file.merge(stack())
    path = preallocated(tmp_path / "a.h5", "chunked", [0])
    file.locate("/x", 0, [FileBlock(path, "/data", 0, 2)])
    assert file.missing_files("/x") == (path,)
    with h5py.File(path, "r+") as other:
        other["data"][1] = 2
    assert file.missing_files("/x") == ()


def test_a_file_is_not_opened_again_for_entries_that_it_was_seen_to_have(
    file, tmp_path, monkeypatch
):
    looks = []

    def look(*asked):
        looks.append(asked[2])
        return _look(*asked)

    monkeypatch.setattr("nexus_writer_service.hdf5.located._look", look)
    file.merge(stack())
    path = preallocated(tmp_path / "a.h5", "chunked", [0, 1, 2, 5])
    for row, index in enumerate([0, 1, 2, 3, 4, 5, 0]):
        file.locate("/x", row, [FileBlock(path, "/data", index, 1)])
        assert file.missing_files("/x") == ((path,) if index in (3, 4) else ())
    assert looks == [1, 4, 5, 6]  # the first look saw three, and passed over no gap
