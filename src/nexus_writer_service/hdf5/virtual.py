"""Virtual datasets: blocks of other datasets, mapped and not copied."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from h5py import h5d, h5p, h5s

from nexus_writer_service.hdf5.storage import set_fill
from nexus_writer_service.hdf5.values import file_type
from nexus_writer_service.model.description import Shape
from nexus_writer_service.model.tree import Hyperslab, SlabSource, Value, VirtualSource


def create_virtual(
    group: Any,
    dtype: np.dtype[Any],
    shape: Shape,
    sources: Iterable[VirtualSource | SlabSource],
    *,
    fill: Value | None,
    growing: bool,
) -> Any:
    """A virtual dataset, not linked anywhere yet.

    Args:
        group: low-level identifier of any group of the file.
        dtype: of the values.
        shape: of the dataset.
        sources: what is mapped; what no source covers reads as fill, like a source that is missing.
        fill: None for HDF5's own default.
        growing: whether its shape may change.
    """
    limits = (h5s.UNLIMITED,) * len(shape) if growing else None
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    properties.set_layout(h5d.VIRTUAL)
    set_fill(properties, fill, dtype)
    mapped = h5s.create_simple(shape, limits)
    spaces: dict[tuple[Any, ...], Any] = {}  # most sources of a dataset look the same
    for source in sources:
        if isinstance(source, SlabSource):
            _select(mapped, source.into)
            taken = _slab_space(source)
            properties.set_virtual(mapped, _escaped(source.file), _escaped(source.path), taken)
            continue
        key = (source.source_shape, source.shape, source.selection)
        if key not in spaces:
            spaces[key] = _source_space(source)
        mapped.select_hyperslab(source.start or (0,) * len(shape), source.shape)
        properties.set_virtual(mapped, _escaped(source.file), _escaped(source.path), spaces[key])
    return h5d.create(group, None, file_type(dtype), h5s.create_simple(shape, limits), properties)


def _source_space(source: VirtualSource) -> Any:
    # Always a block, never "all": a source that grows beyond it must go on to fit.
    shape = source.source_shape or source.shape
    selection = source.selection or tuple((0, length) for length in shape)
    space = h5s.create_simple(shape)
    space.select_hyperslab(*zip(*selection, strict=True))
    return space


def _slab_space(source: SlabSource) -> Any:
    needed = _needed(source.taken)
    extent = source.extent or needed
    if len(extent) == len(needed):
        extent = tuple(map(max, extent, needed))
    space = h5s.create_simple(extent)
    _select(space, source.taken)
    return space


def _select(space: Any, slab: Hyperslab) -> None:
    space.select_hyperslab(slab.start, slab.count, slab.stride or None, slab.block or None)


def _needed(slab: Hyperslab) -> Shape:
    """The smallest shape in which a hyperslab lies."""
    ones = (1,) * len(slab.start)
    axes = zip(slab.start, slab.count, slab.stride or ones, slab.block or ones, strict=True)
    return tuple(
        start + (count - 1) * stride + block if count else start + 1
        for start, count, stride, block in axes
    )


def _escaped(name: str) -> bytes:
    """HDF5 reads ``%b`` in the names of a virtual source as a block number, ``%%`` as a percent."""
    return os.fsencode(name.replace("%", "%%"))
