import h5py
import numpy as np
import pytest
from tests.support_hdf5 import read_elsewhere, root, stack
from tests.support_image_files import (
    DATA_PATH,
    edf_files,
    hdf5_files,
    make,
    pixels,
    result,
    save_edf,
    save_hdf5,
)

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.description import ImageFiles

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


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
