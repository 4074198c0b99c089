"""Where a dataset that can be replaced lives, and how files beside it are referred to."""

import os
from typing import Any

from h5py import h5d, h5g

from nexus_writer_service.hdf5.values import copy_attributes, put_in_place


class Place:
    """A path of an open file at which there is, or will be, a dataset.

    Args:
        root: low-level identifier of the file's root group.
        file: absolute path of the file.
        path: absolute path of the dataset.
    """

    def __init__(self, root: Any, file: str, path: str) -> None:
        self.path = path
        self._root = root
        self._folder = os.path.dirname(file)
        self._prefixes: dict[str, str] = {}

    @property
    def group(self) -> Any:
        """The group that holds the dataset."""
        return h5g.open(self._root, (self.path.rpartition("/")[0] or "/").encode())

    def open(self) -> Any:
        """The dataset as it is now."""
        return h5d.open(self._root, self.path.encode())

    def put(self, dataset: Any) -> None:
        """Link a new dataset there."""
        put_in_place(self.group, self.path.rpartition("/")[2], dataset)

    def replace(self, dataset: Any) -> None:
        """Link a dataset there in place of the old one, whose attributes it takes over."""
        copy_attributes(self.open(), dataset)
        self.put(dataset)

    def reference(self, file: str) -> str:
        """How the file refers to another one: relative when that lies below it, else absolute.

        HDF5 looks for a relative file in the directory of the file that refers to it, so that a
        folder of data can be moved or mounted elsewhere as a whole.

        Args:
            file: absolute path.
        """
        folder, name = os.path.split(file)
        if folder not in self._prefixes:
            self._prefixes[folder] = _relative(folder, self._folder)
        return os.path.join(self._prefixes[folder], name)


def _relative(folder: str, above: str) -> str:
    pairs = (folder, above), (os.path.realpath(folder), os.path.realpath(above))
    for one, other in pairs:
        relative = os.path.relpath(one, other)
        if relative == ".":
            return ""
        if relative.split(os.sep)[0] != os.pardir:
            return relative
    return folder
