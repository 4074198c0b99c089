"""Image files of detectors, and the stacks over them."""

import fabio
import h5py
import numpy as np
from tests.support_hdf5 import read_elsewhere, root

from nexus_writer_service.model.description import ImageFiles

DATA_PATH = "/entry_0000/cam/data"


def pixels(start, count, dtype="u2"):
    """Frames of 3 rows and 4 columns, all different."""
    numbers = np.arange(start, start + count)
    return (numbers[:, None, None] * 100 + np.arange(12).reshape(3, 4)).astype(dtype)


def hdf5_files(folder, **options):
    return ImageFiles(str(folder / "cam_%04d.h5"), DATA_PATH, "hdf5", **options)


def save_hdf5(folder, number, frames):
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / f"cam_{number:04d}.h5", "w") as file:
        file[DATA_PATH] = frames


def make(file, node):
    assert file.merge(root(d=node)) == ()


def result(file):
    file.close()
    return read_elsewhere(file.path, "/d")[0]


def edf_files(folder, **options):
    return ImageFiles(str(folder / "cam_%04d.edf"), "", "edf", **options)


def save_edf(folder, number, frames):
    folder.mkdir(exist_ok=True)
    image = fabio.edfimage.EdfImage(data=frames[0])
    for frame in frames[1:]:
        image.append_frame(data=frame)
    image.write(str(folder / f"cam_{number:04d}.edf"))
