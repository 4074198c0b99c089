"""A file tree: what a NeXus file holds, as values. Layouts make trees, ``hdf5`` makes files.

A tree is *merged* into a file, so that one scan can be written in steps (start, first point of a
channel, end) and many scans share a file:

- a group that exists is entered; its NX_class must not differ,
- attributes are set, others stay,
- ``default`` leads viewers to the plot: it is not changed from a group that leads on to one that
  does not,
- a dataset that exists gets the new value,
- a link takes the place of a dataset or another link, never of a group; an external link that
  makes way takes no place but finds one,
- a stream dataset or image stack that exists stays as it is; but points of a stream dataset that is
  to hold a wider type (float after int, text after numbers) are converted,
- what is to make room is taken away first, and then what stands in its place is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nexus_writer_service.model.description import ChannelName, ImageFiles, Shape

Value = str | bytes | bool | int | float | complex | list[str] | np.ndarray[Any, Any] | np.generic
"""What a dataset or attribute can hold. Text becomes variable-length UTF-8; int becomes int64,
float float64; ``list[str]`` a one-dimensional array of text (also the empty one)."""

Attributes = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset whose value is known now."""

    value: Value
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filters:
    """How chunks are compressed: HDF5 filters in the order in which they are applied."""

    shuffle: bool = False
    gzip: int | None = None
    """Level 1 to 9, None for no deflate."""
    bitshuffle: bool = False
    """Filter 32008."""
    bitshuffle_lz4: bool = False
    """LZ4 inside filter 32008."""
    bitshuffle_zstd: int | None = None
    """Zstandard of this level inside filter 32008."""
    zstd: int | None = None
    """Level of Zstandard, filter 32015."""
    blosc2: str = ""
    """Codec of Blosc2 behind its own byte shuffle, filter 32026: lz4 or zstd."""


@dataclass(frozen=True, slots=True)
class StreamDataset:
    """A dataset that grows with the points of a channel; shape (*scan, *sample)."""

    channel: ChannelName
    dtype: np.dtype[Any]
    sample: Shape
    """Shape of one point; -1 where it varies: as long as the longest point, the rest is fill."""
    scan: Shape = (0,)
    """(0,): grows along one axis. Several axes (slow first): points fill the grid in C order; the
    dataset has its full shape from the start and its slow axis grows if more points come."""
    chunks: Shape = ()
    """One length per axis of the dataset."""
    filters: Filters = field(default_factory=Filters)
    fill: Value | None = None
    """None: HDF5's own default."""
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageStack:
    """A dataset (frames, rows, columns) over the detector's own files; grows with the frames."""

    channel: ChannelName
    dtype: np.dtype[Any]
    sample: Shape
    files: ImageFiles
    scan: Shape = (0,)
    """As in ``StreamDataset``: with several axes the frames fill the grid in C order."""
    storage: str = "virtual"
    """virtual: mapped, not copied. uris: texts ``path::index``. copy: pixels. raw: HDF5 external
    storage over the detector's files (uncompressed EDF)."""
    chunks: Shape = ()
    filters: Filters = field(default_factory=Filters)
    """For ``copy`` only, like ``chunks``."""
    fill: Value | None = None
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocatedStack:
    """A virtual dataset over blocks of files that are told as they come; it grows with them."""

    channel: ChannelName
    dtype: np.dtype[Any]
    """Until one of the files can be read: what is in the files counts."""
    sample: Shape
    """Shape of one point, likewise."""
    copied: bool = False
    """Copy the values, once they can be read, instead of mapping them."""
    fill: Value | None = None
    attributes: Attributes = field(default_factory=dict)
    pictures: bool = False
    """The files are no HDF5 files, but TIFF or NumPy files."""


@dataclass(frozen=True, slots=True)
class VirtualSource:
    """A block of a virtual dataset: all of ``path`` in ``file``, put at ``start``."""

    file: str
    """Path as it stands in the file: relative to the file, or "." for the file itself."""
    path: str
    shape: Shape
    """Shape of the source as seen here, C order."""
    selection: tuple[tuple[int, int], ...] = ()
    """(start, count) per axis of the source dataset; empty: all of it."""
    source_shape: Shape = ()
    """Shape of the source dataset; empty: same as ``shape``."""
    start: Shape = ()
    """Where the block begins in the virtual dataset; empty: at the origin."""


@dataclass(frozen=True, slots=True)
class Hyperslab:
    """A regular selection in an array: per axis ``count`` blocks, each ``stride`` further."""

    start: Shape
    count: Shape
    stride: Shape = ()
    """Empty: 1 along each axis."""
    block: Shape = ()
    """Empty: 1 along each axis."""


@dataclass(frozen=True, slots=True)
class SlabSource:
    """Values of another dataset, at the places of one hyperslab, put at those of another one."""

    file: str
    """As of ``VirtualSource``."""
    path: str
    into: Hyperslab
    """In the virtual dataset."""
    taken: Hyperslab
    """In the source: as many values."""
    extent: Shape = ()
    """Shape of the source, as far as known; empty: as large as what is taken of it needs."""


@dataclass(frozen=True, slots=True)
class VirtualDataset:
    """A dataset made of blocks of other datasets."""

    dtype: np.dtype[Any]
    shape: Shape
    sources: tuple[VirtualSource | SlabSource, ...]
    fill: Value | None = None
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExternalFile:
    """A part of a file that holds values of an external dataset."""

    name: str
    """Absolute, or relative to the working directory of whoever reads."""
    offset: int
    """Bytes before the first value."""
    size: int | None = None
    """Bytes; None: up to the end, only for the last file."""


@dataclass(frozen=True, slots=True)
class ExternalDataset:
    """A dataset whose values stand in C order in other files, without any format."""

    dtype: np.dtype[Any]
    shape: Shape
    files: tuple[ExternalFile, ...]
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SoftLink:
    """A link inside the file."""

    target: str
    """Absolute path, or relative to the group that holds the link."""


@dataclass(frozen=True, slots=True)
class ExternalLink:
    """A link to an object in another file."""

    file: str
    """Relative to the file that holds the link, wherever possible."""
    target: str
    makes_way: bool = False
    """Where something else has its name, it gets the name with the first free number: ``7.1_2``."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group; children by name."""

    children: Mapping[str, "Node"] = field(default_factory=dict)
    attributes: Attributes = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    """Names of attributes that it is no longer to have."""


@dataclass(frozen=True, slots=True)
class Instead:
    """What has its name is taken away, also a group with all that is in it."""

    node: "Node | None" = None
    """What stands there then; None: nothing."""


Node = (
    Group
    | Instead
    | Dataset
    | StreamDataset
    | ImageStack
    | LocatedStack
    | VirtualDataset
    | ExternalDataset
    | SoftLink
    | ExternalLink
)


def at(path: str, node: Node, nx_class: Mapping[str, str] | None = None) -> Group:
    """A root group that holds ``node`` at ``path``.

    Args:
        path: absolute path, e.g. ``/1.1/instrument/diode``.
        node: what stands there. At "/" it must be a group and is returned as it is.
        nx_class: NX_class by absolute path of the groups above.
    """
    parts = [part for part in path.split("/") if part]
    result: Node = node
    for depth in range(len(parts) - 1, -1, -1):
        above = "/" + "/".join(parts[:depth])
        attributes = {"NX_class": nx_class[above]} if nx_class and above in nx_class else {}
        result = Group({parts[depth]: result}, attributes)
    if not isinstance(result, Group):
        raise TypeError(f"the root of a file is a group, not a {type(result).__name__}")
    return result


def merged(*groups: Group) -> Group:
    """One group with the children and attributes of all.

    Groups of one name are merged; of other nodes of one name the last one wins.
    """
    children: dict[str, Node] = {}
    attributes: dict[str, Value] = {}
    dropped: frozenset[str] = frozenset()
    for group in groups:
        attributes.update(group.attributes)
        if dropped or group.dropped:
            dropped = (dropped - group.attributes.keys()) | group.dropped
        if not children:
            children.update(group.children)
            continue
        for name, node in group.children.items():
            old = children.get(name)
            if isinstance(old, Group) and isinstance(node, Group):
                children[name] = merged(old, node)
            else:
                children[name] = node
    return Group(children, attributes, dropped)


def only_links(tree: Group) -> bool:
    """Whether a tree has nothing but links, and attributes of the groups around them."""
    return all(
        only_links(node) if isinstance(node, Group) else isinstance(node, SoftLink | ExternalLink)
        for node in tree.children.values()
    )


def news(tree: Group, known: Group) -> Group:
    """What of a tree is not in another one: merged after that, it gives the same file.

    Args:
        tree: of which some may be known.
        known: a tree that was merged before.
    """
    children: dict[str, Node] = {}
    for name, node in tree.children.items():
        old = known.children.get(name)
        if isinstance(node, Group) and isinstance(old, Group):
            left = news(node, old)
            if left.children or left.attributes or left.dropped:
                children[name] = left
        elif not _same(node, old):
            children[name] = node
    attributes = {
        name: value
        for name, value in tree.attributes.items()
        if name not in known.attributes or not _same(value, known.attributes[name])
    }
    return Group(children, attributes, tree.dropped)


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Dataset) and type(one.value) is not type(other.value):
        return False  # 1 and 1.0 are equal, but not the same in a file
    try:
        return bool(one == other)
    except ValueError:  # arrays somewhere within: they are short, and may be written again
        return False
