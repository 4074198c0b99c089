import os
import zlib
from dataclasses import replace

import fabio
import h5py
import numpy as np
import pytest
from tests.support_clock import FakeClock
from tests.support_hdf5 import read_elsewhere, root, run_python, stack

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5 import external
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.description import ImageFiles
from nexus_writer_service.model.tree import Filters, SoftLink

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

DATA_PATH = "/entry_0000/cam/data"


def pixels(start, count, dtype="u2"):
    """Frames of 3 rows and 4 columns, all different."""
    numbers = np.arange(start, start + count)
    return (numbers[:, None, None] * 100 + np.arange(12).reshape(3, 4)).astype(dtype)


def hdf5_files(folder, **options):
    return ImageFiles(str(folder / "cam_%04d.h5"), DATA_PATH, "hdf5", **options)


def edf_files(folder, **options):
    return ImageFiles(str(folder / "cam_%04d.edf"), "", "edf", **options)


def save_hdf5(folder, number, frames):
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / f"cam_{number:04d}.h5", "w") as file:
        file[DATA_PATH] = frames


def save_edf(folder, number, frames):
    folder.mkdir(exist_ok=True)
    image = fabio.edfimage.EdfImage(data=frames[0])
    for frame in frames[1:]:
        image.append_frame(data=frame)
    image.write(str(folder / f"cam_{number:04d}.edf"))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def file(tmp_path, clock):
    file = NexusFile.open(str(tmp_path / "master.h5"), clock=clock.monotonic)
    yield file
    file.close()


@pytest.fixture
def images(tmp_path):
    return tmp_path / "scan0001"


def make(file, node):
    assert file.merge(root(d=node)) == ()


def result(file):
    file.close()
    return read_elsewhere(file.path, "/d")[0]


STORAGES = ["virtual", "uris", "copy", "raw"]


@pytest.mark.parametrize("storage", STORAGES)
def test_a_stack_begins_empty_and_exists(file, images, storage):
    files = edf_files(images) if storage == "raw" else hdf5_files(images)
    make(file, stack(files, storage=storage, attributes={"interpretation": "image"}))
    assert file.has("/d")
    assert file.length("/d") == 0
    file.close()
    with h5py.File(file.path) as reader:
        assert len(reader["d"]) == 0
        assert reader["d"].attrs["interpretation"] == "image"


@pytest.mark.parametrize("storage", STORAGES)
def test_merging_again_leaves_a_stack_as_it_is_and_adds_attributes(file, images, storage):
    files = edf_files(images) if storage == "raw" else hdf5_files(images)
    (save_edf if storage == "raw" else save_hdf5)(images, 0, pixels(0, 2))
    make(file, stack(files, storage=storage, attributes={"a": "1"}))
    assert file.extend("/d", 1) == 1
    file.commit()
    make(file, stack(files, storage=storage, attributes={"b": ["2"]}))
    assert file.extend("/d", 2) == 2
    file.close()
    with h5py.File(file.path) as reader:
        assert len(reader["d"]) == 2
        assert reader["d"].attrs["a"] == "1"
        assert list(reader["d"].attrs["b"]) == ["2"]


@pytest.mark.parametrize("storage", STORAGES)
def test_a_stack_goes_on_after_the_file_was_opened_again(file, images, storage):
    save = save_edf if storage == "raw" else save_hdf5
    files = (edf_files if storage == "raw" else hdf5_files)(images, frames_per_file=2)
    for number in range(3):
        save(images, number, pixels(2 * number, 2))
    node = stack(files, storage=storage)
    make(file, node)
    file.extend("/d", 3)
    file.close()
    again = NexusFile.open(file.path)
    make(again, node)
    assert again.extend("/d", 5) == 5
    found = result(again)
    if storage == "uris":
        assert len(found) == 5
    else:
        np.testing.assert_array_equal(found, pixels(0, 5))


# -------------------------------------------------------------------------------- which file


@pytest.mark.parametrize("storage", ["virtual", "copy"])
@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, [7]),
        ({"frames_per_file": 3}, [3, 3, 1]),
        ({"frames_per_acquisition": 3}, [3, 3, 1]),
        ({"frames_per_file": 2, "frames_per_acquisition": 3}, [2, 1, 2, 1, 1]),
        ({"frames_per_file": 5, "frames_per_acquisition": 3}, [3, 3, 1]),
        ({"frames_per_file": 1, "first_file": 1}, [0, 1, 1, 1, 1, 1, 1, 1]),
    ],
    ids=str,
)
def test_each_frame_comes_from_its_file(file, images, options, sizes, storage):
    start = 0
    for number, size in enumerate(sizes):
        if size:
            save_hdf5(images, number, pixels(start, size))
            start += size
    make(file, stack(hdf5_files(images, **options), storage=storage))
    for frames in (1, 2, 5, 7):
        assert file.extend("/d", frames) == file.length("/d") == frames
        file.commit()
        assert np.shape(read_elsewhere(file.path, "/d")[0]) == (frames, 3, 4)
    assert file.missing_files("/d") == ()
    np.testing.assert_array_equal(result(file), pixels(0, 7))


def test_a_template_without_a_file_number_is_a_problem(file):
    files = ImageFiles("/data/cam.h5", DATA_PATH, "hdf5")
    (problem,) = file.merge(root(d=stack(files)))
    assert "/d" in problem
    assert "file number" in problem


# ------------------------------------------------------------------------------------ virtual


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


# --------------------------------------------------------------------------------- references


def test_references_name_file_and_index_of_each_frame(file, images):
    files = edf_files(images, frames_per_file=2)
    make(file, stack(files, storage="uris", scan=(2, 2)))
    assert file.extend("/d", 1) == 1
    file.commit()
    assert file.extend("/d", 3) == 3
    assert file.missing_files("/d") == tuple(
        str(images / f"cam_{number:04d}.edf") for number in range(2)
    )
    file.close()
    with h5py.File(file.path) as reader:
        assert reader["d"].asstr()[...].tolist() == [
            "scan0001/cam_0000.edf::0",
            "scan0001/cam_0000.edf::1",
            "scan0001/cam_0001.edf::0",
        ]


# -------------------------------------------------------------------------------------- copies


def save_cbf(folder, number, frames):
    folder.mkdir(exist_ok=True)
    image = fabio.cbfimage.CbfImage(data=frames[0].astype("i4"))
    image.write(str(folder / f"cam_{number:04d}.cbf"))


@pytest.mark.parametrize("format_", ["hdf5", "edf", "cbf"])
def test_pixels_are_copied_from_every_format(file, images, format_):
    save = {"hdf5": save_hdf5, "edf": save_edf, "cbf": save_cbf}[format_]
    dtype = "i4" if format_ == "cbf" else "u2"
    per_file = 1 if format_ == "cbf" else 2
    for number in range(4 // per_file):
        save(images, number, pixels(per_file * number, per_file, dtype))
    files = ImageFiles(
        str(images / f"cam_%04d.{format_.replace('hdf5', 'h5')}"),
        DATA_PATH if format_ == "hdf5" else "",
        format_,
        frames_per_file=per_file,
    )
    node = stack(files, dtype, storage="copy", chunks=(2, 3, 4), filters=Filters(gzip=1))
    make(file, node)
    assert file.extend("/d", 4) == 4
    np.testing.assert_array_equal(result(file), pixels(0, 4))


def test_frames_that_cannot_be_read_yet_are_copied_later(file, images):
    make(file, stack(hdf5_files(images, frames_per_file=2), storage="copy"))
    assert file.extend("/d", 3) == 0
    save_hdf5(images, 0, pixels(0, 1))
    assert file.extend("/d", 3) == 1
    save_hdf5(images, 0, pixels(0, 2))
    save_hdf5(images, 1, pixels(2, 2))
    assert file.extend("/d", 3) == 3
    assert file.missing_files("/d") == ()
    np.testing.assert_array_equal(result(file), pixels(0, 3))


@pytest.mark.parametrize("storage", ["copy", "raw"])
def test_edf_frames_that_are_not_complete_yet_are_taken_later(file, images, storage):
    save_edf(images, 0, pixels(0, 2))
    path = images / "cam_0000.edf"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    make(file, stack(edf_files(images), storage=storage))
    assert file.extend("/d", 2) == 1
    path.write_bytes(whole)
    assert file.extend("/d", 2) == 2
    np.testing.assert_array_equal(result(file), pixels(0, 2))


def test_a_single_frame_needs_no_axis_of_its_own(file, images):
    save_hdf5(images, 0, pixels(0, 1)[0])
    make(file, stack(hdf5_files(images, frames_per_file=1), storage="copy"))
    assert file.extend("/d", 1) == 1
    assert file.missing_files("/d") == ()
    np.testing.assert_array_equal(result(file), pixels(0, 1))


@pytest.mark.parametrize("wrong", [pixels(0, 1, "f8"), pixels(0, 1)[:, :2]], ids=["type", "shape"])
def test_pixels_of_another_type_or_shape_are_refused(file, images, wrong):
    save_hdf5(images, 0, wrong)
    make(file, stack(hdf5_files(images), storage="copy"))
    with pytest.raises(DatasetError, match="announced"):
        file.extend("/d", 1)


def test_copies_take_bounded_memory(file, images):
    frames = np.arange(24 << 20, dtype="u1").reshape(96, 512, 512)
    save_hdf5(images, 0, frames)
    node = stack(hdf5_files(images), "u1", (512, 512), storage="copy", chunks=(96, 64, 64))
    make(file, node)
    assert file.extend("/d", 96) == 96
    assert file.buffered_bytes == 0
    file.close()
    with h5py.File(file.path) as reader:
        np.testing.assert_array_equal(reader["d"][...], frames)


def test_copying_without_fabio_says_what_to_install(tmp_path, images):
    save_edf(images, 0, pixels(0, 1))
    code = """
import sys
sys.modules["fabio"] = None
import numpy as np
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.description import ImageFiles
from nexus_writer_service.model.tree import Group, ImageStack
file = NexusFile.open(sys.argv[1])
files = ImageFiles(sys.argv[2], "", "edf")
file.merge(Group({"d": ImageStack("c", np.dtype("u2"), (3, 4), files, storage="copy")}))
try:
    file.extend("/d", 1)
except ValueError as error:
    print(error)
"""
    done = run_python(code, str(tmp_path / "m.h5"), str(images / "cam_%04d.edf"))
    assert "pip install 'nexus_writer_service[images]'" in done.stdout


# ------------------------------------------------------------------------------------ raw data


def test_raw_data_map_the_bytes_of_edf_files(file, images):
    for number in range(3):
        save_edf(images, number, pixels(2 * number, 2))
    make(file, stack(edf_files(images, frames_per_file=2), storage="raw"))
    for frames in (1, 5):
        assert file.extend("/d", frames) == frames
        file.commit()
        np.testing.assert_array_equal(read_elsewhere(file.path, "/d")[0], pixels(0, frames))
    file.close()
    with h5py.File(file.path) as reader:
        names = [name for name, _, _ in reader["d"].external]
        assert names == [str(images / f"cam_{number:04d}.edf") for number in (0, 0, 1, 1, 2)]


def test_raw_data_of_a_grid_are_padded_with_zeros(file, images):
    save_edf(images, 0, pixels(1, 4))
    make(file, stack(edf_files(images), storage="raw", scan=(3, 2)))
    file.extend("/d", 3)
    file.commit()
    found = np.array(read_elsewhere(file.path, "/d")[0])
    assert found.shape == (3, 2, 3, 4)
    np.testing.assert_array_equal(found.reshape(6, 3, 4)[:3], pixels(1, 3))
    assert not found.reshape(6, 3, 4)[3:].any()


def save_compressed(folder):
    save_edf(folder, 0, pixels(0, 1))
    header, _, data = (folder / "cam_0000.edf").read_bytes().partition(b"}\n")
    packed = zlib.compress(data)
    header = header.replace(b"Size = 24 ;", b"Size = %d ;" % len(packed))
    header = header.replace(b"{\n", b"{\nCOMPRESSION = ZCompression ;\n")
    (folder / "cam_0000.edf").write_bytes(header + b"}\n" + packed)


def save_big_endian(folder):
    save_edf(folder, 0, pixels(0, 1))
    path = folder / "cam_0000.edf"
    data = path.read_bytes()
    assert data.count(b"LowByteFirst ") == 1
    path.write_bytes(data.replace(b"LowByteFirst ", b"HighByteFirst"))


@pytest.mark.parametrize(
    "save",
    [
        lambda folder: save_edf(folder, 0, pixels(0, 2, "i4")),
        lambda folder: save_edf(folder, 0, pixels(0, 2).transpose(0, 2, 1)),
        save_compressed,
        save_big_endian,
    ],
    ids=["type", "shape", "compressed", "byte order"],
)
def test_files_that_cannot_be_mapped_are_referred_to_and_that_is_told(file, images, save):
    save(images)
    make(file, stack(edf_files(images), storage="raw", attributes={"a": "b"}))
    assert file.extend("/d", 1) == 1
    (problem,) = file.merge(root())
    assert "/d" in problem
    assert "references" in problem
    assert file.merge(root()) == ()
    assert file.extend("/d", 2) == 2
    file.close()
    again = NexusFile.open(file.path)
    make(again, stack(edf_files(images), storage="raw"))
    assert again.extend("/d", 3) == 3
    again.close()
    with h5py.File(file.path) as reader:
        assert reader["d"].asstr()[...].tolist() == [
            f"scan0001/cam_0000.edf::{index}" for index in range(3)
        ]
        assert reader["d"].attrs["a"] == "b"


def test_more_frames_than_hdf5_maps_as_raw_data_are_referred_to(file, images):
    make(file, stack(edf_files(images), storage="raw"))
    assert file.extend("/d", 3000) == 3000
    (problem,) = file.merge(root())
    assert "2500" in problem
