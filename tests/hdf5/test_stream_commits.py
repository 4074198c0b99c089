"""What of a stream is written before a commit, with it, and with the next one."""

import errno
import os
import shutil
from itertools import pairwise

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import root, seen, stack, stream
from tests.support_image_files import hdf5_files, save_hdf5
from tests.support_streams import make, result

from nexus_writer_service.errors import DiskSpaceError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.journal import journal_path
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.model.tree import Filters
from nexus_writer_service.testing.faults import FailingDisk

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

GZIP = Filters(shuffle=True, gzip=4)
BITSHUFFLE = Filters(bitshuffle=True, bitshuffle_lz4=True)
COMPRESSED = pytest.mark.parametrize("filters", [GZIP, BITSHUFFLE], ids=["gzip", "bitshuffle"])
ALL = pytest.mark.parametrize(
    "filters", [Filters(), GZIP, BITSHUFFLE], ids=["plain", "gzip", "bitshuffle"]
)


def counted(start, stop):
    """Points that are their index."""
    return np.arange(start, stop, dtype="f8")


def shown(file, values=None):
    """How many points readers see, which are all right."""
    with h5py.File(file.path, locking=False) as reader:
        points = reader["d"][...]
    expected = counted(0, len(points)) if values is None else values[: len(points)]
    np.testing.assert_array_equal(points, expected)
    return len(points)


@pytest.fixture(scope="module")
def noise():
    """Points that hardly become less when they are compressed: they get onto the disk early."""
    return np.random.default_rng(1).random(405_000)


# ------------------------------------------------------------------------------ before a commit


@pytest.mark.parametrize(
    ("node", "points"),
    [
        (stream(chunks=(4096,)), 9 * 4096),
        (stream(chunks=(4096,), filters=GZIP), 17 * 4096),
        (stream(chunks=(4096,), filters=BITSHUFFLE), 9 * 4096),
        (stream("i4", (512, 512), chunks=(1, 512, 512)), 3),
    ],
    ids=["plain", "gzip", "bitshuffle", "images"],
)
def test_points_that_were_all_written_early_show_with_the_next_commit(file, node, points):
    make(file, node)
    file.commit()
    for count in (points, 2 * points):
        values = np.ones((points, *node.sample), node.dtype)
        file.append("/d", count - points, [values])
        assert file.buffered_bytes == 0  # all of them are in HDF5
        assert file.dirty
        file.commit()
        assert not file.dirty
        with h5py.File(file.path, locking=False) as reader:
            assert len(reader["d"]) == count
            np.testing.assert_array_equal(reader["d"][-points:], values)


@ALL
def test_large_arrays_among_small_ones_stay_in_their_place(file, filters):
    # Large ones are not joined with their neighbours.
    make(file, stream(chunks=(4096,), filters=filters))
    counts = [10, 20_000, 3, 4, 20_000, 17_000, 1]
    bounds = np.cumsum([0, *counts]).tolist()
    batches = [counted(*bound) for bound in pairwise(bounds)]
    file.append("/d", 0, batches[:3])
    file.append("/d", bounds[3], batches[3:])
    file.commit()
    file.commit()  # of what grows fast, the end waits for this one
    assert shown(file) == sum(counts)


def test_copies_that_were_all_written_early_show_with_the_next_commit(file, images):
    frames = np.arange(24 << 20, dtype="u1").reshape(96, 512, 512)
    save_hdf5(images, 0, frames)
    make(file, stack(hdf5_files(images), "u1", (512, 512), storage="copy", chunks=(96, 64, 64)))
    file.commit()
    assert file.extend("/d", 96) == 96
    assert file.buffered_bytes == 0
    assert file.dirty
    file.commit()
    with h5py.File(file.path, locking=False) as reader:
        np.testing.assert_array_equal(reader["d"], frames)


@pytest.mark.parametrize(
    ("filters", "chunk", "most"),
    [
        (Filters(), 1000, 128 << 10),
        (GZIP, 1000, 512 << 10),
        (BITSHUFFLE, 1000, 128 << 10),
        (Filters(), 100_000, 1_600_000),
        (GZIP, 100_000, 1_600_000),
        (Filters(), 1_000_000, 8_100_000),
        (GZIP, 1_000_000, 8_100_000),
        (Filters(), 10_000_000, 32 << 20),
    ],
)
def test_two_chunks_wait_or_some_100_kb_but_never_much(file, filters, chunk, most):
    make(file, stream(chunks=(chunk,), filters=filters))
    total = 2 * most // 8
    waited = 0
    for start in range(0, total, 5003):
        file.append("/d", start, [counted(start, start + 5003)])
        waited = max(waited, file.buffered_bytes)
    assert 0.75 * most < waited <= most
    file.commit()
    file.commit()
    assert shown(file) >= total


def test_what_is_left_of_much_that_came_at_once_is_written_as_well(file):
    make(file, stream("u1", chunks=(48 << 20,)))
    points = np.zeros(90 << 20, "u1")
    points[-1] = 1
    file.append("/d", 0, [points])
    assert file.buffered_bytes <= 32 << 20
    assert result(file)[-1] == 1


def test_a_compressed_chunk_of_the_largest_size_is_right_after_every_commit(file):
    chunk = (16 << 20) // 8
    make(file, stream(chunks=(chunk,), filters=GZIP))
    length = 0
    for count in (chunk // 2, 3 * chunk, chunk // 3):
        file.append("/d", length, [counted(length, length + count)])
        length += count
        file.commit()
    file.commit()
    assert shown(file) == length


@ALL
def test_points_written_early_are_not_there_after_a_kill_and_nothing_else_is_hurt(
    tmp_path, filters, noise
):
    node = stream(chunks=(4096,), filters=filters)
    file = NexusFile.open(str(tmp_path / "file.h5"))
    make(file, node)
    file.append("/d", 0, [noise[:5000]])  # what is early goes into the chunk that these begin
    file.commit()
    file.append("/d", 5000, [noise[5000:]])
    assert file.buffered_bytes < 8 * 4096
    assert os.path.getsize(file.path) > 1_000_000
    killed = str(tmp_path / "killed.h5")
    shutil.copy(file.path, killed)
    shutil.copy(journal_path(file.path), journal_path(killed))
    recover(killed)
    assert seen(killed, "/d") == [noise[:5000].tolist()]
    again = NexusFile.open(killed)
    make(again, node)
    assert again.length("/d") == 5000
    again.append("/d", 5000, [noise[5000:]])
    for one in (again, file):
        one.close()
        assert shown(one, noise) == len(noise)


@ALL
def test_points_that_a_full_disk_did_not_take_early_are_there_once_it_has_room(
    tmp_path, filters, noise
):
    disk = FailingDisk()
    file = NexusFile.open(str(tmp_path / "file.h5"), disk=disk)
    make(file, stream(chunks=(4096,), filters=filters))
    file.append("/d", 0, [noise[:5000]])
    file.commit()
    disk.fail(errno.ENOSPC, "data", done=0.5)
    for start in range(5000, len(noise), 100_000):
        file.append("/d", start, [noise[start : start + 100_000]])
    assert disk.refused
    with pytest.raises(DiskSpaceError):
        file.commit()
    assert shown(file, noise) == 5000
    disk.heal()
    file.commit()
    file.commit()
    assert shown(file, noise) == len(noise)
    file.close()
    assert shown(file, noise) == len(noise)


def test_texts_that_hdf5_refuses_before_a_commit_are_told_by_the_commit(file):
    file.merge(root(d=stream(), text=stream("U", chunks=(1000,))))
    texts = np.full(20_000, "good", object)
    file.append("/text", 0, [texts])
    file.commit()
    texts[500] = "zero \0 inside"
    file.append("/text", 20_000, [texts])
    file.append("/text", 40_000, [texts])
    file.append("/d", 0, [counted(0, 3)])
    file.commit()
    assert shown(file) == 3
    (problem,) = file.merge(root())
    assert "/text" in problem


# -------------------------------------------------------------------------------- with a commit


@COMPRESSED
@pytest.mark.parametrize(
    ("chunk", "points"),
    [
        (64, 200),  # chunks, but few bytes
        (10_000, 9000),  # bytes, but not two chunks
        (10_000, 15_000),
        (100_000, 10_000),
    ],
)
def test_points_that_come_slowly_show_with_their_commit(file, filters, chunk, points):
    make(file, stream(chunks=(chunk,), filters=filters))
    begin = 32_000
    file.append("/d", 0, [counted(0, begin)])  # these may be fast, and chunks of 64
    file.commit()
    file.commit()
    for start in range(begin, begin + max(5 * points, 20_000), points):
        file.append("/d", start, [counted(start, start + points)])
        file.commit()
        assert shown(file) == start + points
        assert not file.dirty


@pytest.mark.parametrize(
    "node",
    [
        stream(chunks=(4096,)),
        stream(scan=(100, 1000), chunks=(3, 1000), filters=GZIP),
        stream(scan=(100, 1000), chunks=(3, 1000), filters=BITSHUFFLE),
        stream(sample=(1000,), chunks=(1, 1000), filters=GZIP),
    ],
    ids=["plain", "grid gzip", "grid bitshuffle", "a chunk each"],
)
def test_points_without_a_chunk_that_grows_show_with_their_commit(file, node):
    make(file, node)
    points = counted(1, 99_001).reshape(-1, *node.sample)
    file.append("/d", 0, [points[:-1]])
    file.commit()
    assert not file.dirty
    with h5py.File(file.path, locking=False) as reader:
        found = reader["d"][...].reshape(-1, *node.sample)
        np.testing.assert_array_equal(found[: len(points) - 1], points[:-1])


@COMPRESSED
@pytest.mark.parametrize("piece", [100, 100_000], ids=["pieces", "at once"])
def test_of_points_that_come_fast_those_of_a_commit_show_with_the_next_at_the_latest(
    file, filters, piece
):
    make(file, stream(chunks=(4096,), filters=filters))
    length = 0
    for count in (10_000, 14_321, 11_111, 60_000, 9000, 100):
        before = length
        for start in range(before, before + count, piece):
            stop = min(start + piece, before + count)
            file.append("/d", start, [counted(start, stop)])
        length += count
        file.commit()
        fast = count >= 2 * 4096
        assert shown(file) == (length // 4096 * 4096 if fast else length)
        assert shown(file) >= before
        assert file.dirty == fast
    file.append("/d", length, [counted(length, length + 10_000)])
    file.commit()
    assert file.dirty
    file.commit()
    assert shown(file) == length + 10_000
    assert not file.dirty


@COMPRESSED
def test_a_slow_point_behind_many_that_were_written_early_shows_with_its_commit(file, filters):
    make(file, stream(chunks=(4096,), filters=filters))
    burst = 17 * 4096
    file.append("/d", 0, [counted(0, burst)])
    file.commit()
    file.append("/d", burst, [counted(burst, burst + 1)])
    file.commit()
    assert shown(file) == burst + 1


@COMPRESSED
def test_points_that_were_there_before_do_not_count_as_fast(tmp_path, filters):
    node = stream(chunks=(10_000,), filters=filters)
    for start in (0, 95_000):
        file = NexusFile.open(str(tmp_path / "file.h5"))
        make(file, node)
        assert file.length("/d") == start
        stop = start + 9000
        file.append("/d", start, [counted(start, stop)])
        file.commit()
        assert shown(file) == stop
        if not start:
            file.append("/d", stop, [counted(stop, 95_000)])
        file.close()


@COMPRESSED
def test_points_that_a_wider_dataset_takes_over_do_not_count_as_fast(file, filters):
    options = {"chunks": (10_000,), "filters": filters}
    make(file, stream("f4", **options))
    file.append("/d", 0, [counted(0, 95_000).astype("f4")])
    file.commit()
    make(file, stream("f8", **options))
    file.append("/d", 95_000, [counted(95_000, 104_000)])
    file.commit()
    assert shown(file) == 104_000


@pytest.mark.parametrize("rows", [2, 4], ids=["in a whole chunk", "behind it"])
def test_a_gap_at_the_end_of_copies_that_come_fast_is_as_long_as_it_is(file, images, rows):
    frames = np.arange(20 * 64 * 64, dtype="u2").reshape(20, 64, 64)
    for number in range(10):
        save_hdf5(images, number, frames[2 * number : 2 * number + 2])
    files = hdf5_files(images, frames_per_file=2)
    make(file, stack(files, "u2", (64, 64), storage="copy", chunks=(rows, 64, 64), filters=GZIP))
    assert file.extend("/d", 22) == 20
    assert file.skip("/d") == (20, 22)
    file.commit()
    file.commit()
    with h5py.File(file.path, locking=False) as reader:
        assert len(reader["d"]) == 22
        np.testing.assert_array_equal(reader["d"][:20], frames)
        assert not reader["d"][20:].any()
