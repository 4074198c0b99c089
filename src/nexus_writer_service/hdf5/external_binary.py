"""Datasets whose values stand in files of other programs, without any format."""

import os
from typing import Any

from h5py import h5d, h5f, h5p, h5s

from nexus_writer_service.hdf5.failures import RefusedError
from nexus_writer_service.hdf5.values import file_type
from nexus_writer_service.model.tree import ExternalDataset


def create_external(group: Any, node: ExternalDataset) -> Any:
    """A dataset over the files of a node, not linked anywhere yet.

    The files are not touched, and need not be there yet.

    Args:
        group: low-level identifier of any group of the file.
        node: what to make.

    Raises:
        RefusedError: no file is named, or one before the last has no end.
    """
    if not node.files or any(file.size is None for file in node.files[:-1]):
        raise RefusedError("an external dataset needs files, and all but the last one a size")
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    properties.set_layout(h5d.CONTIGUOUS)
    for file in node.files:
        size = h5f.UNLIMITED if file.size is None else file.size
        properties.set_external(os.fsencode(file.name), file.offset, size)
    space = h5s.create_simple(node.shape) if node.shape else h5s.create(h5s.SCALAR)
    return h5d.create(group, None, file_type(node.dtype), space, properties)
