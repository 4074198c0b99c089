"""How datasets that grow are laid out in the file: chunks, filters, fill, chunk cache."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from h5py import h5d, h5p, h5s, h5z

from nexus_writer_service.hdf5.failures import RefusedError
from nexus_writer_service.hdf5.held import HeldBytes
from nexus_writer_service.hdf5.values import TEXT, file_type, stored_dtype
from nexus_writer_service.model.description import Shape
from nexus_writer_service.model.tree import Filters, ImageStack, StreamDataset, Value

_CHUNK_BYTES: Final = 1 << 20
"""Size to aim at where the layout leaves the chunks open; h5py's guide gives 10 KiB to 1 MiB."""
_CHUNK_POINTS: Final = 512
_LARGEST_CACHE: Final = 32 << 20
_LARGEST_TAIL: Final = 16 << 20
"""Memory that the end of one dataset may take; HDF5 compresses those with larger chunks."""
_CHUNKS_OF_UNKNOWN: Final = 8
"""Chunks to expect along an axis whose length varies."""
_BLOSC2_LEVELS: Final = {"lz4": 5, "zstd": 2}
"""Blosc2's own levels by codec: its 2 is Zstandard's 3, its 5 Zstandard's slow 9."""


def scan_axes(node: StreamDataset | ImageStack) -> Shape:
    """Lengths of the scan's axes, slow first; (0,) for a scan of unknown length.

    Raises:
        RefusedError: a fast axis without length, into which no point fits.
    """
    scan = node.scan or (0,)
    if any(length < 1 for length in scan[1:]):
        raise RefusedError(
            f"a scan of shape {scan} has an axis without points: publish its numbers of points"
        )
    return scan


def first_shape(node: StreamDataset | ImageStack) -> Shape:
    """Shape at creation: no points along a single scan axis, the full grid along several."""
    scan = scan_axes(node)
    start = (0,) if len(scan) == 1 else scan
    return (*start, *(max(length, 0) for length in node.sample))


def chunk_shape(node: StreamDataset) -> Shape:
    """Chunks that HDF5 accepts: as the layout wants, at least 1 along each axis.

    Raises:
        RefusedError: the layout gives another number of axes.
    """
    rank = len(scan_axes(node)) + len(node.sample)
    if not node.chunks:
        return _default_chunks(node)
    if len(node.chunks) != rank:
        raise RefusedError(
            f"chunks {node.chunks} are not those of a dataset with {rank} axes: "
            "give one length per axis"
        )
    return tuple(max(1, length) for length in node.chunks)


def _default_chunks(node: StreamDataset) -> Shape:
    """From the fast axis on, whole axes as long as they fit."""
    lengths = [*scan_axes(node), *node.sample]
    left = max(1, _CHUNK_BYTES // stored_dtype(node.dtype).itemsize)
    chunks = []
    for length in reversed(lengths):
        wanted = length if length > 0 else _CHUNK_POINTS
        chunks.append(max(1, min(wanted, left)))
        left = max(1, left // chunks[-1])
    return tuple(reversed(chunks))


def written_directly(node: StreamDataset, chunks: Shape) -> bool:
    """Whether chunks of gzip datasets are compressed and stored past HDF5 (``tail.py``)."""
    dtype = stored_dtype(node.dtype)
    return (
        node.filters
        in (Filters(gzip=node.filters.gzip), Filters(shuffle=True, gzip=node.filters.gzip))
        and node.filters.gzip is not None
        and dtype != TEXT
        and len(scan_axes(node)) == 1
        and all(length > 0 for length in node.sample)
        and (chunks[0] == 1 or chunks[0] * math.prod(node.sample) * dtype.itemsize <= _LARGEST_TAIL)
    )


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What HDF5 wants to know to make a dataset."""

    type: Any
    space: Any
    creation: Any
    access: Any


class Recipes:
    """Makes datasets that can grow along all axes.

    Most channels of a scan are alike; describing a dataset to HDF5 takes longer than making it.

    Args:
        held: counts the memory of the ends of the datasets.
    """

    def __init__(self, held: HeldBytes | None = None) -> None:
        self.held = held or HeldBytes()
        self._recipes: dict[tuple[Any, ...], _Recipe] = {}

    def create(self, group: Any, node: StreamDataset) -> Any:
        """A dataset without points, not linked anywhere yet.

        Args:
            group: low-level identifier of any group of the file.
            node: what to make.

        Raises:
            RefusedError: the node cannot be made.
        """
        recipe = self._recipe(node)
        return h5d.create(
            group, None, recipe.type, recipe.space, recipe.creation, dapl=recipe.access
        )

    def open(self, group: Any, name: str, node: StreamDataset) -> Any:
        """The dataset ``name`` of a group (low-level identifier), made from ``node`` earlier."""
        return h5d.open(group, name.encode(), self._recipe(node).access)

    def _recipe(self, node: StreamDataset) -> _Recipe:
        key = (node.dtype, node.sample, node.scan, node.chunks, node.filters, repr(node.fill))
        recipe = self._recipes.get(key)
        if recipe is None:
            recipe = self._recipes[key] = _recipe(node)
        return recipe


def _recipe(node: StreamDataset) -> _Recipe:
    dtype = stored_dtype(node.dtype)
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    chunks = chunk_shape(node)
    properties.set_chunk(chunks)
    if dtype != TEXT:  # filters see pointers there, not characters
        _set_filters(properties, node.filters)
    set_fill(properties, node.fill, dtype)
    shape = first_shape(node)
    space = h5s.create_simple(shape, (h5s.UNLIMITED,) * len(shape))
    access = _access_properties(chunks, node, dtype.itemsize)
    return _Recipe(file_type(dtype), space, properties, access)


def set_fill(properties: Any, fill: Value | None, dtype: np.dtype[Any]) -> None:
    """Set what is read where nothing was written; None and text leave it to HDF5."""
    if fill is not None and dtype != TEXT:
        properties.set_fill_value(np.array(fill, dtype=dtype))


def _set_filters(properties: Any, filters: Filters) -> None:
    if filters.shuffle:
        properties.set_shuffle()
    if filters.gzip is not None:
        properties.set_deflate(filters.gzip)
    if filters.bitshuffle or filters.zstd is not None or filters.blosc2:
        # Registers its filters: only where one is used.
        import hdf5plugin  # noqa: PLC0415

        for plugin in _plugin_filters(hdf5plugin, filters):
            options = plugin.filter_options
            properties.set_filter(plugin.filter_id, h5z.FLAG_MANDATORY, options)


def _plugin_filters(hdf5plugin: Any, filters: Filters) -> Iterator[Any]:
    """The filters that are not HDF5's own, with what they are told."""
    if filters.bitshuffle and filters.bitshuffle_zstd is not None:
        yield hdf5plugin.Bitshuffle(cname="zstd", clevel=filters.bitshuffle_zstd)
    elif filters.bitshuffle:
        yield hdf5plugin.Bitshuffle(cname="lz4" if filters.bitshuffle_lz4 else "none")
    if filters.zstd is not None:
        yield hdf5plugin.Zstd(clevel=filters.zstd)
    if filters.blosc2:
        shuffle = hdf5plugin.Blosc2.SHUFFLE
        yield hdf5plugin.Blosc2(
            cname=filters.blosc2, clevel=_BLOSC2_LEVELS[filters.blosc2], filters=shuffle
        )


def _access_properties(chunks: Shape, node: StreamDataset, itemsize: int) -> Any:
    """A chunk cache that holds the chunks in which the next point falls, and no more.

    HDF5 2 caches 8 MiB of each dataset, with 64 KiB of hash table: gigabytes for a thousand
    channels, since no chunk leaves before the cache is full.
    """
    lengths = (*scan_axes(node), *node.sample)[1:]
    beside = math.prod(
        _CHUNKS_OF_UNKNOWN if length < 0 else max(1, math.ceil(length / chunk))
        for length, chunk in zip(lengths, chunks[1:], strict=True)
    )
    chunk_bytes = math.prod(chunks) * itemsize
    nbytes = max(chunk_bytes, min(beside * chunk_bytes, _LARGEST_CACHE))
    if written_directly(node, chunks):
        nbytes = 0  # what is read of it to go on is read once
    properties = h5p.create(h5p.DATASET_ACCESS)
    properties.set_chunk_cache(max(53, 4 * beside + 1), nbytes, 0.75)
    return properties
