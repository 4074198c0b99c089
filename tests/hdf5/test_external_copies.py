"""Images that are copied into the file, or mapped as raw bytes."""

import os
import zlib

import fabio
import h5py
import numpy as np
import pytest
from tests.support_hdf5 import read_elsewhere, root, run_python, stack
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

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.description import ImageFiles
from nexus_writer_service.model.tree import Filters

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


def save_cbf(folder, number, frames):
    folder.mkdir(exist_ok=True)
    image = fabio.cbfimage.CbfImage(data=frames[0].astype("i4"))
    image.write(str(folder / f"cam_{number:04d}.cbf"))


# -------------------------------------------------------------------------------------- copies


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


@pytest.mark.parametrize("storage", ["virtual", "copy", "raw", "uris"])
def test_files_of_detectors_stay_as_their_servers_made_them(file, images, storage):
    save, files = (save_edf, edf_files) if storage == "raw" else (save_hdf5, hdf5_files)
    for number in range(2):
        save(images, number, pixels(2 * number, 2))
    made = sorted(images.iterdir())
    for path in made:
        path.chmod(0o444)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
    before = [(path.stat(), path.read_bytes()) for path in made]
    make(file, stack(files(images, frames_per_file=2), storage=storage))
    assert file.extend("/d", 4) == 4
    file.close()
    assert sorted(images.iterdir()) == made
    for path, (was, content) in zip(made, before, strict=True):
        now = path.stat()
        assert (now.st_uid, now.st_mode, now.st_mtime_ns) == (
            was.st_uid,
            was.st_mode,
            was.st_mtime_ns,
        )
        assert path.read_bytes() == content


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
