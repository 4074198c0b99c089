"""How the points of a channel are stored: chunks, compression, fill value, interpretation, images.

The rules and their defaults are those of the writer that BLISS is used to, so that files keep the
sizes and speeds that people know.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from nexus_writer_service.model.description import Shape, StorageOptions
from nexus_writer_service.model.tree import Filters, Value

UNKNOWN_LENGTH = 512
"""Stands for the length of an axis that is not known beforehand."""

LARGEST_CHUNK = 1 << 31
"""HDF5 refuses chunks of 4 GiB and more; half of it leaves room for rounding up."""

COMPRESSED_ARRAYS_BYTES = 128 << 10
"""Size of the chunks of compressed data where nobody chose one. The last chunk of a dataset is
compressed again whenever points are to show, and is held in memory until it is full."""
COMPRESSED_SCALARS_BYTES = 32 << 10
"""The same for scalars, of which a scan can have thousands."""
COMPRESSED_ROW = 512
"""Most neighbours along the last axis of arrays in one chunk: they compress better by regions."""

GZIP_LEVEL = 4
ZSTD_LEVEL = 3
DEFAULT_COMPRESSION = "gzip-byteshuffle"
COMPRESSIONS = {
    "none": Filters(),
    "gzip": Filters(gzip=GZIP_LEVEL),
    "byteshuffle": Filters(shuffle=True),
    "gzip-byteshuffle": Filters(shuffle=True, gzip=GZIP_LEVEL),
    "bitshuffle": Filters(bitshuffle=True),
    "lz4-bitshuffle": Filters(bitshuffle=True, bitshuffle_lz4=True),
    # BLISS does not offer these.
    "zstd-bitshuffle": Filters(bitshuffle=True, bitshuffle_zstd=ZSTD_LEVEL),
    "zstd": Filters(zstd=ZSTD_LEVEL),
    "zstd-byteshuffle": Filters(shuffle=True, zstd=ZSTD_LEVEL),
    "blosc2-lz4": Filters(blosc2="lz4"),
    "blosc2-zstd": Filters(blosc2="zstd"),
}
"""The compression schemes by name: first those of the BLISS writer options."""

_USUAL = (StorageOptions().chunk_bytes, StorageOptions().chunk_split)

INTERPRETATIONS = {1: "spectrum", 2: "image", 3: "vertex"}
"""``interpretation`` by number of dimensions [NXdata]."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Chunks and filters of a dataset."""

    chunks: Shape
    filters: Filters


@lru_cache
def layout(scan: Shape, sample: Shape, dtype: np.dtype[Any], options: StorageOptions) -> Layout:
    """Chunks and filters of a dataset of shape (*scan, *sample).

    They are the reference writer's, but for the chunks of compressed data where the sizes were left
    to the writer: the reference waits until its chunks of a megabyte are full.

    Args:
        scan: expected numbers of points, slow axis first; 0 where not known.
        sample: shape of one point; -1 where not known.
        dtype: type of the numbers.
        options: what the user wants. A scheme of unknown name counts as the default one.
    """
    expected = tuple(n if n > 0 else UNKNOWN_LENGTH for n in (*scan, *sample))
    nbytes = math.prod(expected) * dtype.itemsize
    filters = Filters()
    if nbytes > options.compression_limit_bytes:
        default = COMPRESSIONS[DEFAULT_COMPRESSION]
        filters = COMPRESSIONS.get(options.compression, default)
    if filters != Filters() and (options.chunk_bytes, options.chunk_split) == _USUAL:
        return Layout(_small(expected, dtype.itemsize, arrays=bool(sample)), filters)
    limit = min(options.chunk_bytes, LARGEST_CHUNK)
    chunks = expected if nbytes <= limit else _divided(expected, dtype.itemsize, limit, options)
    return Layout(chunks, filters)


def _divided(expected: Shape, itemsize: int, limit: int, options: StorageOptions) -> Shape:
    """Chunks of about ``limit`` bytes: each axis in ``chunk_split`` parts, the last axis first."""
    left = max(1, limit // itemsize)
    chunks: list[int] = []
    for length in reversed(expected):
        size = min(math.ceil(length / max(1, options.chunk_split)), left)
        left = math.ceil(left / size)
        chunks.insert(0, size)
    return tuple(chunks)


def _small(expected: Shape, itemsize: int, *, arrays: bool) -> Shape:
    """Chunks for data that are compressed while they come: what fits, the last axis first."""
    left = max(1, (COMPRESSED_ARRAYS_BYTES if arrays else COMPRESSED_SCALARS_BYTES) // itemsize)
    most = COMPRESSED_ROW if arrays else left
    chunks: list[int] = []
    for length in reversed(expected):
        size = min(length, most, left)
        left //= size
        most = left
        chunks.insert(0, size)
    return tuple(chunks)


def fill_value(dtype: np.dtype[Any]) -> Value | None:
    """What stands where nothing was written: NaN where there is one, else zero.

    None, HDF5's own zero, for booleans and complex numbers: HDF5 refuses a NaN for the first and
    h5py any explicit value for the second.
    """
    if dtype.kind == "f":
        return float("nan")
    return 0 if dtype.kind in "iu" else None


def interpretation(scan: Shape, sample: Shape) -> str | None:
    """``interpretation`` of a dataset of shape (*scan, *sample) [NXdata]; None for a plain curve.

    Scalars are an image only on a grid; arrays are what their own dimensions make them.
    """
    if sample:
        return INTERPRETATIONS.get(len(sample))
    return INTERPRETATIONS.get(len(scan)) if len(scan) > 1 else None


def is_hdf5(file_format: str) -> bool:
    """Whether image files of this format are HDF5 (Lima has several such formats)."""
    return file_format.lower().startswith(("hdf5", "h5", "nexus"))


def is_plain_edf(file_format: str) -> bool:
    """Whether image files of this format are EDF without compression."""
    return file_format.lower() in ("edf", "edfconcat")
