"""How many points an earlier writer left in a dataset."""

import math
from typing import Any

import numpy as np
from h5py import h5d

from nexus_writer_service.hdf5.storage import scan_axes
from nexus_writer_service.hdf5.values import Array, read_rows
from nexus_writer_service.model.tree import StreamDataset


def points_in(dataset: Any, node: StreamDataset) -> int:
    """Points in a dataset that an earlier writer left.

    Along one axis that is its length. A grid has its full shape from the start: there it is the
    point after the last one that is not fill. Should the true last points equal the fill, they are
    written again, with the same values.
    """
    inner = scan_axes(node)[1:]
    if not inner:
        return int(dataset.shape[0])
    chunk = dataset.get_create_plist().get_chunk()[0]
    ends = [0]
    dataset.chunk_iter(lambda stored: ends.append(stored.chunk_offset[0] + chunk))
    properties = dataset.get_create_plist()
    fill = np.zeros((), dataset.dtype)
    if properties.fill_value_defined() != h5d.FILL_VALUE_UNDEFINED and dataset.dtype.kind != "O":
        properties.get_fill_value(fill)
    stop = min(max(ends), dataset.shape[0])
    while stop > 0:
        start = max(0, stop - chunk)
        rows = read_rows(dataset, start, stop)
        if not rows.size:
            return 0
        other = _differs(rows, fill).reshape((stop - start) * math.prod(inner), -1).any(axis=1)
        if other.any():
            return int(start * math.prod(inner) + np.flatnonzero(other)[-1] + 1)
        stop = start
    return 0


def _differs(values: Array, fill: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if values.dtype.kind == "O":
        return np.array([bool(item) for item in values.flat], dtype=bool).reshape(values.shape)
    both_nan = (values != values) & (fill != fill)  # noqa: PLR0124 - NaN is what differs from itself
    return np.asarray((values != fill) & ~both_nan)
