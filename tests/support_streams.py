"""Datasets of points, made and read back."""

import h5py
from tests.support_hdf5 import root


def make(file, node):
    assert file.merge(root(d=node)) == ()


def result(file):
    """What the dataset holds at last."""
    file.close()
    with h5py.File(file.path) as reader:
        return reader["d"][...]
