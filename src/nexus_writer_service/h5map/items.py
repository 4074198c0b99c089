"""Trees as the items of a map, in JSON [blissdata 2.4, h5map]."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nexus_writer_service.model.description import Json
from nexus_writer_service.model.tree import (
    Attributes,
    Dataset,
    ExternalLink,
    Group,
    ImageStack,
    Node,
    SoftLink,
    StreamDataset,
    Value,
    VirtualDataset,
    VirtualSource,
)

_LISTED = ("bool", "int64", "float64")
"""Types that plain JSON stands for."""


def item(node: Node) -> Json:
    """A node as an item of a map.

    Args:
        node: of the kinds that the classic layout has.

    Raises:
        TypeError: no item can stand for it.
    """
    match node:
        case Group():
            return group_item(node)
        case Dataset():
            return _dataset(value_item(node.value), node.attributes)
        case StreamDataset() | ImageStack():
            return _dataset({"type": "stream", "stream": str(node.channel)}, node.attributes)
        case SoftLink():
            return {"type": "soft_link", "target_path": node.target}
        case ExternalLink():
            return {
                "type": "external_link",
                "target_file": node.file,
                "target_path": node.target,
            }
        case VirtualDataset():
            return _virtual(node)
        case _:
            raise TypeError(f"a map has no item for a {type(node).__name__}")


def group_item(group: Group) -> dict[str, Json]:
    """A group with all that is in it."""
    found: dict[str, Json] = {"type": "group"}
    if group.attributes:
        found["attributes"] = _attributes(group.attributes)
    if group.children:
        found["children"] = {name: item(node) for name, node in group.children.items()}
    return found


def value_item(value: Value) -> Json:
    """A value as an item: plain JSON where that has the same type, else with its type."""
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list) and value:
        return list(value)
    return _array(np.asarray(value))


def _array(array: np.ndarray[Any, Any]) -> Json:
    if array.dtype.names:
        columns = [[name, _array(array[name])] for name in array.dtype.names]
        return {"type": "compound", "columns": columns}
    if array.dtype.kind in "OUS":
        return np.vectorize(_text, otypes=[object])(array).tolist() if array.size else []
    if array.dtype.name in _LISTED and array.size and np.isfinite(array).all():
        return array.tolist()
    # Not as bytes: those do not get through blissdata's own way to publish a map.
    return {"type": "inline", "dtype": array.dtype.name, "value": _listed(array.tolist())}


def _listed(value: Json) -> Json:
    """Numbers as JSON has them; what it has no number for as text."""
    if isinstance(value, list):
        return [_listed(one) for one in value]
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value


def _text(one: Any) -> str:
    return one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)


def _attributes(attributes: Attributes) -> dict[str, Json]:
    return {name: value_item(value) for name, value in attributes.items()}


def _dataset(value: Json, attributes: Attributes) -> Json:
    """A dataset without attributes is its value, unless that could be taken for another item."""
    if not attributes:
        return value
    return {"type": "dataset", "attributes": _attributes(attributes), "value": value}


def _virtual(node: VirtualDataset) -> dict[str, Json]:
    found: dict[str, Json] = {"type": "virtual_dataset"}
    if node.attributes:
        found["attributes"] = _attributes(node.attributes)
    sources = [_source(one, node) for one in node.sources if isinstance(one, VirtualSource)]
    return {
        **found,
        "dtype": node.dtype.str,
        "shape": list(node.shape),
        "virtual_sources": sources,
    }


def _source(source: VirtualSource, node: VirtualDataset) -> Mapping[str, Json]:
    selection = source.selection or tuple((0, length) for length in source.shape)
    starts, counts = zip(*selection, strict=True)
    return {
        "vspace": {
            "start": list(source.start or (0,) * len(node.shape)),
            "count": list(source.shape),
        },
        "src_file": source.file,
        "src_dataset": source.path,
        "src_space": {"start": list(starts), "count": list(counts)},
    }
