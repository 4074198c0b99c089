"""The items of a map as nodes: from published JSON, of which nothing is guaranteed.

What cannot be understood costs itself and what is below it, and is told with its path.
"""

import math
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.layout.esrf.storage import fill_value
from nexus_writer_service.layout.h5map.values import STREAM, binary_dtype, text, value
from nexus_writer_service.model.description import ChannelName, Json, Shape
from nexus_writer_service.model.tree import (
    Attributes,
    Dataset,
    ExternalDataset,
    ExternalFile,
    ExternalLink,
    Hyperslab,
    SlabSource,
    SoftLink,
    Value,
    VirtualDataset,
)

_DEEPEST: Final = 64
"""Groups in groups; deeper ones are an error of the map, and would be one of HDF5's readers."""
NAN: Final = float("nan")
"""One and the same, so that equal nodes are seen to be equal."""


@dataclass(frozen=True, slots=True)
class MappedStream:
    """A dataset that gets the points of a channel."""

    channel: ChannelName
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MapGroup:
    """A group of a map; children by name."""

    children: Mapping[str, "MapNode"] = field(default_factory=dict)
    attributes: Attributes = field(default_factory=dict)


MapNode = (
    MapGroup | MappedStream | Dataset | VirtualDataset | ExternalDataset | SoftLink | ExternalLink
)

Problems = list[str]
"""Collects what of a map cannot be written."""


def parse_maps(maps: Mapping[str, Json], problems: Problems) -> dict[str, MapGroup]:
    """The maps of a scan, by absolute path of the file, without those that are of no use.

    Args:
        maps: as published.
        problems: gets a text for each item that is left out.
    """
    found: dict[str, MapGroup] = {}
    for path, item in maps.items():
        if not posixpath.isabs(path):
            problems.append(f"the map of {path!r} is not followed: its path is not absolute")
            continue
        file = posixpath.normpath(path)
        if not isinstance(item, Mapping) or item.get("type") != "group":
            problems.append(f"the map of {path} is not followed: it is not that of a group")
        elif file in found:
            problems.append(f"the map of {path} is not followed: {file} has another one")
        else:
            try:
                found[file] = _Parser(file, problems).group(item, "")
            except LayoutError as error:
                problems.append(f"the map of {path} is not followed: {error}")
    return found


class _Parser:
    """Parses the items of one file."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._parsers: Mapping[Json, Callable[[Mapping[str, Json], str], MapNode]] = {
            "group": self.group,
            "soft_link": _soft_link,
            "external_link": _external_link,
            "external_binary_dataset": self._external,
            "virtual_dataset": self._virtual,
            "dataset": self._dataset,
        }

    def group(self, item: Mapping[str, Json], path: str) -> MapGroup:
        children: dict[str, MapNode] = {}
        below = _object(item, "children")
        if below and path.count("/") >= _DEEPEST:
            raise LayoutError(f"it is more than {_DEEPEST} groups deep")
        for name, child in below.items():
            try:
                children[name] = self._node(child, f"{path}/{name}", name)
            except LayoutError as error:
                self._problem(f"{path}/{name}", error)
        return MapGroup(children, self._attributes(item, path))

    def _node(self, item: Json, path: str, name: str) -> MapNode:
        if not name or name in (".", "..") or "/" in name or "\0" in name or name != text(name):
            raise LayoutError("HDF5 has no such name")
        kind = item.get("type") if isinstance(item, Mapping) else None
        parse = self._parsers.get(kind) if isinstance(kind, str) else None
        if parse is not None:
            return parse(item, path)
        # A dataset without attributes is published as nothing but its value.
        is_dataset = isinstance(item, Mapping) and "type" not in item and "value" in item
        return self._dataset(item if is_dataset else {"value": item}, path)

    def _dataset(self, item: Mapping[str, Json], path: str) -> MapNode:
        attributes = self._attributes(item, path)
        if "value" not in item:
            raise LayoutError("a dataset has no value")
        found = item["value"]
        if isinstance(found, Mapping) and found.get("type") == STREAM:
            name = found.get("stream")
            if not isinstance(name, str) or not name:
                raise LayoutError("a stream has no name")
            return MappedStream(ChannelName(name), attributes)
        return Dataset(value(found), attributes)

    def _virtual(self, item: Mapping[str, Json], path: str) -> VirtualDataset:
        dtype = binary_dtype(item.get("dtype"))
        shape = _shape(item.get("shape"), "shape")
        fill = fill_value(dtype)
        return VirtualDataset(
            dtype,
            shape,
            tuple(self._source(one, shape) for one in _list(item, "virtual_sources")),
            NAN if isinstance(fill, float) else fill,
            self._attributes(item, path),
        )

    def _source(self, item: Json, shape: Shape) -> SlabSource:
        if not isinstance(item, Mapping):
            raise LayoutError("a virtual source is not an object")
        file = _text(item, "src_file")
        if posixpath.normpath(file) == self._file:
            file = "."
        into, taken = _slab(item.get("vspace")), _slab(item.get("src_space"))
        if len(into.start) != len(shape):
            raise LayoutError(f"a selection has not {len(shape)} axes, as the virtual dataset has")
        if _number(into) != _number(taken):
            raise LayoutError(
                f"a virtual source gives {_number(taken)} values for {_number(into)} places"
            )
        if any(stop > length for stop, length in zip(extent(into), shape, strict=True)):
            raise LayoutError(f"a selection goes beyond the shape {shape} of the virtual dataset")
        return SlabSource(file, _text(item, "src_dataset"), into, taken)

    def _external(self, item: Mapping[str, Json], path: str) -> ExternalDataset:
        files = tuple(_external_file(one) for one in _list(item, "files"))
        dtype = binary_dtype(item.get("dtype"))
        shape = _shape(item.get("shape"), "shape")
        return ExternalDataset(dtype, shape, files, self._attributes(item, path))

    def _attributes(self, item: Mapping[str, Json], path: str) -> Attributes:
        found: dict[str, Value] = {}
        for name, one in _object(item, "attributes").items():
            try:
                if not name or "\0" in name or name != text(name):
                    raise LayoutError("HDF5 has no attribute of such a name")
                found[name] = value(one)
            except LayoutError as error:
                self._problem(f"{path or '/'}@{name}", error)
        return found

    def _problem(self, path: str, error: LayoutError) -> None:
        self._problems.append(
            f"{path} is mapped in {self._file}, but cannot be written: {error}; correct the map"
        )


def extent(slab: Hyperslab) -> Shape:
    """The smallest shape in which a hyperslab lies."""
    ones = (1,) * len(slab.start)
    axes = zip(slab.start, slab.count, slab.stride or ones, slab.block or ones, strict=True)
    return tuple(
        start + (count - 1) * stride + block if count else 0 for start, count, stride, block in axes
    )


def _number(slab: Hyperslab) -> int:
    """How many values a hyperslab selects."""
    return math.prod(slab.count) * math.prod(slab.block)


def _slab(item: Json) -> Hyperslab:
    if not isinstance(item, Mapping):
        raise LayoutError("a selection is not an object")
    start, count = _shape(item.get("start"), "start"), _shape(item.get("count"), "count")
    stride, block = (
        () if item.get(name) is None else _shape(item[name], name) for name in ("stride", "block")
    )
    if any(len(one) != len(start) for one in (count, stride or start, block or start)):
        raise LayoutError("start, count, stride and block of a selection differ in length")
    apart = zip(stride or (1,) * len(start), block or (1,) * len(start), count, strict=True)
    if any(step < size and number > 1 for step, size, number in apart):
        raise LayoutError("the blocks of a selection overlap")
    return Hyperslab(start, count, stride, block)


def _external_file(item: Json) -> ExternalFile:
    if not isinstance(item, Mapping):
        raise LayoutError("a file of an external dataset is not an object")
    offset = _whole(item.get("offset"), "offset")
    size = item.get("size")
    return ExternalFile(_text(item, "name"), offset, None if size is None else _whole(size, "size"))


def _soft_link(item: Mapping[str, Json], _: str) -> SoftLink:
    return SoftLink(_text(item, "target_path"))


def _external_link(item: Mapping[str, Json], _: str) -> ExternalLink:
    return ExternalLink(_text(item, "target_file"), _text(item, "target_path"))


def _object(item: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    found = item.get(key)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise LayoutError(f"its {key} are not an object")
    return found


def _list(item: Mapping[str, Json], key: str) -> Sequence[Json]:
    found = item.get(key)
    if not isinstance(found, list | tuple) or not found:
        raise LayoutError(f"it has no {key}")
    return found


def _text(item: Mapping[str, Json], key: str) -> str:
    found = item.get(key)
    if not isinstance(found, str) or not found or "\0" in found or found != text(found):
        raise LayoutError(f"its {key} is {found!r}, which names nothing")
    return found


def _shape(found: Json, key: str) -> Shape:
    if not isinstance(found, list | tuple) or len(found) > 32:
        raise LayoutError(f"its {key} is {found!r}, not a list of whole numbers")
    return tuple(_whole(one, key) for one in found)


def _whole(found: Json, key: str) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1 << 63:
        raise LayoutError(f"its {key} has {found!r}, not a whole number from 0 on")
    return found
