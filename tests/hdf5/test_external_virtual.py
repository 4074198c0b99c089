"""Images that stay in their files: virtual datasets over them."""

import os
from dataclasses import replace

import h5py
import numpy as np
import pytest
from tests.support_clock import FakeClock
from tests.support_hdf5 import read_elsewhere, root, stack
from tests.support_image_files import DATA_PATH, hdf5_files, make, pixels, result, save_hdf5

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5 import external
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.description import ImageFiles
from nexus_writer_service.model.tree import SoftLink

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


def test_a_virtual_stack_refers_to_files_below_it_by_relative_paths(file, images):
    make(file, stack(hdf5_files(images, frames_per_file=2)))
    file.extend("/d", 3)
    file.close()
    with h5py.File(file.path) as reader:
        data = reader["d"]
        assert data.maxshape == (None, None, None)
        found = [
            (source.file_name, source.dset_name, source.src_space.shape)
            for source in data.virtual_sources()
        ]
    assert found == [
        ("scan0001/cam_0000.h5", DATA_PATH, (2, 3, 4)),
        ("scan0001/cam_0001.h5", DATA_PATH, (1, 3, 4)),
    ]


def test_a_virtual_stack_refers_to_files_elsewhere_by_absolute_paths(tmp_path):
    file = NexusFile.open(str(tmp_path / "sub" / "master.h5"))
    make(file, stack(hdf5_files(tmp_path / "other")))
    save_hdf5(tmp_path / "other", 0, pixels(0, 1))
    file.extend("/d", 1)
    np.testing.assert_array_equal(result(file), pixels(0, 1))
    with h5py.File(file.path) as reader:
        (source,) = reader["d"].virtual_sources()
        assert source.file_name == str(tmp_path / "other" / "cam_0000.h5")


def test_files_below_by_way_of_a_symbolic_link_are_below(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    file = NexusFile.open(str(tmp_path / "real" / "master.h5"))
    make(file, stack(hdf5_files(tmp_path / "link"), storage="uris"))
    file.extend("/d", 1)
    file.close()
    with h5py.File(file.path) as reader:
        assert reader["d"].asstr()[...].tolist() == ["cam_0000.h5::0"]


def test_a_folder_of_data_can_be_moved(file, images, tmp_path):
    save_hdf5(images, 0, pixels(0, 1))
    make(file, stack(hdf5_files(images)))
    file.extend("/d", 1)
    file.close()
    moved = tmp_path / "moved"
    moved.mkdir()
    images.rename(moved / images.name)
    os.rename(file.path, moved / "master.h5")
    np.testing.assert_array_equal(read_elsewhere(str(moved / "master.h5"), "/d")[0], pixels(0, 1))


def test_missing_files_read_as_fill_and_are_told(file, images):
    save_hdf5(images, 0, pixels(0, 1))
    save_hdf5(images, 2, pixels(2, 1))
    make(file, stack(hdf5_files(images, frames_per_file=1), fill=9))
    assert file.extend("/d", 4) == 4
    missing = (str(images / "cam_0001.h5"), str(images / "cam_0003.h5"))
    assert file.missing_files("/d") == missing
    save_hdf5(images, 3, pixels(3, 1))
    assert file.missing_files("/d") == missing[:1]
    found = np.array(result(file))
    np.testing.assert_array_equal(found[[0, 2, 3]], pixels(0, 4)[[0, 2, 3]])
    assert (found[1] == 9).all()


def test_a_newest_file_with_too_few_frames_is_missing(file, images):
    save_hdf5(images, 0, pixels(0, 2))
    make(file, stack(hdf5_files(images)))
    file.extend("/d", 3)
    assert file.missing_files("/d") == (str(images / "cam_0000.h5"),)
    save_hdf5(images, 0, pixels(0, 3))
    assert file.missing_files("/d") == ()


def test_any_file_with_too_few_frames_is_missing(file, images):
    for number, count in enumerate((1, 2, 2)):
        save_hdf5(images, number, pixels(2 * number, count))
    make(file, stack(hdf5_files(images, frames_per_file=2)))
    file.extend("/d", 6)
    assert file.missing_files("/d") == (str(images / "cam_0000.h5"),)
    save_hdf5(images, 0, pixels(0, 2))
    assert file.missing_files("/d") == ()


def test_of_very_many_files_some_are_looked_into_and_the_newest(file, images, monkeypatch):
    monkeypatch.setattr(external, "_MOST_LOOKED_INTO", 2)
    for number, count in enumerate((2, 2, 1, 1)):
        save_hdf5(images, number, pixels(2 * number, count))
    make(file, stack(hdf5_files(images, frames_per_file=2)))
    file.extend("/d", 8)
    assert file.missing_files("/d") == (str(images / "cam_0003.h5"),)


@pytest.mark.parametrize("storage", ["virtual", "uris"])
def test_a_newest_file_without_the_frame_that_it_has_room_for_is_missing(file, images, storage):
    images.mkdir()
    newest = images / "cam_0000.h5"
    make(file, stack(hdf5_files(images), storage=storage))
    with h5py.File(newest, "w") as other:
        data = other.create_dataset(DATA_PATH, (3, 3, 4), "u2", chunks=(1, 3, 4))
        data[:2] = pixels(0, 2)
    file.extend("/d", 2)
    assert file.missing_files("/d") == ()
    file.extend("/d", 3)
    assert file.missing_files("/d") == (str(newest),)
    save_hdf5(images, 0, pixels(0, 3))
    assert file.missing_files("/d") == ()


def test_a_file_that_cannot_be_opened_or_lacks_the_dataset_is_missing(file, images):
    images.mkdir()
    newest = images / "cam_0000.h5"
    make(file, stack(hdf5_files(images)))
    file.extend("/d", 1)
    newest.write_text("not HDF5")
    assert file.missing_files("/d") == (str(newest),)
    with h5py.File(newest, "w") as other:
        other["elsewhere"] = pixels(0, 1)
    assert file.missing_files("/d") == (str(newest),)


@pytest.mark.parametrize("storage", ["virtual", "copy"])
def test_frames_of_a_grid_fill_it_in_c_order(file, images, storage):
    for number in range(3):
        save_hdf5(images, number, pixels(4 * number, 4))
    files = hdf5_files(images, frames_per_file=4)
    make(file, stack(files, scan=(3, 3), storage=storage, fill=7))
    for frames in (2, 8, 11):
        file.extend("/d", frames)
        file.commit()
        found = np.array(read_elsewhere(file.path, "/d")[0])
        shape = (4, 3) if frames > 9 else (3, 3)
        assert found.shape == (*shape, 3, 4)
        found = found.reshape(-1, 3, 4)
        np.testing.assert_array_equal(found[:frames], pixels(0, frames))
        assert (found[frames:] == 7).all()


@pytest.mark.parametrize("storage", ["virtual", "copy"])
def test_a_grid_of_frames_goes_on_after_the_file_was_opened_again(file, images, storage):
    save_hdf5(images, 0, pixels(0, 9))
    node = stack(hdf5_files(images), scan=(3, 3), storage=storage)
    make(file, node)
    file.extend("/d", 4)
    file.close()
    again = NexusFile.open(file.path)
    make(again, node)
    assert again.length("/d") == 4
    again.extend("/d", 7)
    found = np.array(result(again)).reshape(9, 3, 4)
    np.testing.assert_array_equal(found[:7], pixels(0, 7))


class CostlyClock(FakeClock):
    """One second passes with every look at it."""

    def monotonic(self):
        self.advance(1)
        return super().monotonic()


def test_a_long_stack_is_made_anew_less_often_and_is_complete_when_settled(tmp_path, images):
    clock = CostlyClock()
    file = NexusFile.open(str(tmp_path / "master.h5"), clock=clock.monotonic)
    make(file, stack(hdf5_files(images, frames_per_file=1), storage="virtual"))
    shown = []
    for frames in range(1, 30):
        file.extend("/d", frames)
        file.commit()
        shown.append(virtual_frames(file.path))
    assert shown == [1] * 20 + [21] * 9  # one second to make it, then twenty of pause
    assert (file.dirty, file.length("/d")) == (True, 29)
    file.settle("/")
    file.commit()
    assert virtual_frames(file.path) == 29
    assert not file.dirty
    file.close()


def test_a_long_stack_is_complete_after_close(tmp_path, images):
    file = NexusFile.open(str(tmp_path / "master.h5"), clock=CostlyClock().monotonic)
    make(file, stack(hdf5_files(images, frames_per_file=1), storage="virtual"))
    for frames in (1, 2):
        file.extend("/d", frames)
        file.commit()
    file.close()
    assert virtual_frames(file.path) == 2


def virtual_frames(path):
    with h5py.File(path, locking=False) as reader:
        return len(reader["d"])


def test_ten_thousand_files_grow_by_commits_and_leave_no_bloat(file, images):
    make(file, stack(hdf5_files(images, frames_per_file=1)))
    for frames in range(2_000, 10_001, 2_000):
        file.extend("/d", frames)
        file.commit()
    file.close()
    with h5py.File(file.path) as reader:
        assert reader["d"].shape == (10_000, 3, 4)
        assert len(reader["d"].virtual_sources()) == 10_000
    assert os.path.getsize(file.path) < 10_000 * 500


def test_frames_below_those_announced_before_change_nothing(file, images):
    make(file, stack(hdf5_files(images)))
    file.extend("/d", 3)
    assert file.extend("/d", 2) == 3
    file.commit()
    file.extend("/d", 3)
    assert not file.dirty


def test_links_to_a_stack_survive_its_growth(file, images):
    save_hdf5(images, 0, pixels(0, 2))
    make(file, stack(hdf5_files(images)))
    file.merge(root(link=SoftLink("/d")))
    for frames in (1, 2):
        file.extend("/d", frames)
        file.commit()
    assert len(read_elsewhere(file.path, "/link")[0]) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sample": (-1, 4)}, "unknown shape"),
        ({"storage": "cloud"}, "cloud"),
        ({"files": ImageFiles("/d/%d.edf", "", "edf")}, "edf"),
    ],
)
def test_a_stack_that_cannot_be_is_a_problem(file, images, changes, words):
    (problem,) = file.merge(root(d=replace(stack(hdf5_files(images)), **changes)))
    assert "/d" in problem
    assert words in problem


@pytest.mark.parametrize(
    ("first", "second"),
    [("virtual", "raw"), ("copy", "virtual"), ("uris", "virtual"), ("copy", "uris")],
)
def test_a_stack_stored_in_another_way_by_an_earlier_writer_is_a_problem(
    tmp_path, images, first, second
):
    path = str(tmp_path / "master.h5")
    for storage, problems in ((first, 0), (second, 1)):
        file = NexusFile.open(path)
        files = replace(hdf5_files(images))
        tree = root(d=stack(files, "u2" if storage != "raw" else "f8", storage=storage))
        assert len(file.merge(tree)) == problems
        file.close()


def test_a_stack_takes_no_points(file, images):
    make(file, stack(hdf5_files(images), storage="copy"))
    with pytest.raises(DatasetError, match="not a stream"):
        file.append("/d", 0, [pixels(0, 1)])
