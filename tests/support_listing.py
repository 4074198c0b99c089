"""File trees as the rows of a listing, without HDF5."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nexus_writer_service.model.tree import (
    Attributes,
    Dataset,
    ExternalDataset,
    ExternalLink,
    Filters,
    Group,
    ImageStack,
    Instead,
    LocatedStack,
    Node,
    SoftLink,
    StreamDataset,
    VirtualDataset,
)

Row = dict[str, Any]
TEXT = "string(utf-8,None)"


def rows(root: Group, lengths: Mapping[str, int]) -> dict[str, Row]:
    """Everything below the root, by path; -1 for a length that the description does not tell.

    Args:
        root: the tree.
        lengths: points of the datasets of channels, by path.
    """
    return {row["path"]: row for row in _rows("", root, lengths)}


def _rows(above: str, group: Group, lengths: Mapping[str, int]) -> Iterator[Row]:
    for name, node in group.children.items():
        path = f"{above}/{name}"
        yield {"path": path, **_row(node, lengths.get(path, 0))}
        if isinstance(node, Group):
            yield from _rows(path, node, lengths)


def _row(node: Node, length: int) -> Row:
    match node:
        case Group():
            return {"kind": "group", "attrs": plain_attributes(node.attributes)}
        case SoftLink():
            return {"kind": "soft", "target": node.target}
        case ExternalLink():
            return {"kind": "external", "file": node.file, "target": node.target}
        case Dataset():
            return {"kind": "dataset", **_static(node)}
        case StreamDataset():
            row = {"kind": "dataset", "chunks": list(node.chunks)}
            filters = {"filters": ids} if (ids := _filter_ids(node.filters)) else {}
            return {**row, **filters, **_stored(node, _shape(node, length))}
        case ImageStack():
            return {
                "kind": "dataset",
                "virtual": _virtual_files(node, length),
                **_stored(node, _shape(node, length)),
            }
        case LocatedStack():
            return {"kind": "dataset", "virtual": [], **_stored(node, [length, *node.sample])}
        case VirtualDataset():
            sources = [source.path for source in node.sources]
            return {"kind": "dataset", "virtual": sources, **_stored(node, list(node.shape))}
        case ExternalDataset() | Instead():
            raise TypeError(f"the classic layout has no {type(node).__name__}")


def _stored(
    node: StreamDataset | ImageStack | LocatedStack | VirtualDataset, shape: list[int]
) -> Row:
    row: Row = {"dtype": str(node.dtype), "shape": shape}
    if node.fill is not None:
        row["fill"] = "nan" if node.fill != node.fill else node.fill
    if not isinstance(node, VirtualDataset):
        row["maxshape"] = [None] * len(shape)
    if node.attributes:
        row["attrs"] = plain_attributes(node.attributes)
    return row


def _shape(node: StreamDataset | ImageStack, length: int) -> list[int]:
    scan = node.scan if len(node.scan) > 1 else (length,)
    return [*scan, *node.sample]


def _virtual_files(node: ImageStack, frames: int) -> list[list[str]]:
    per_file = node.files.frames_per_file or frames
    numbers = range(node.files.first_file, node.files.first_file + math.ceil(frames / per_file))
    return [[node.files.path_template % number, node.files.data_path] for number in numbers]


def _filter_ids(filters: Filters) -> list[int]:
    ids = {2: filters.shuffle, 1: filters.gzip is not None, 32008: filters.bitshuffle}
    return [number for number, used in ids.items() if used]


def _static(node: Dataset) -> Row:
    row: Row = {"value": plain(node.value)}
    array = np.asarray(node.value)
    is_text = array.dtype.kind == "U"
    row["dtype"] = TEXT if is_text else str(array.dtype)
    row["shape"] = list(array.shape)
    if array.shape:
        row["maxshape"] = list(array.shape)
    if not is_text:
        row["fill"] = plain(np.zeros((), array.dtype))
    if node.attributes:
        row["attrs"] = plain_attributes(node.attributes)
    return row


def plain_attributes(attributes: Attributes) -> Row:
    return {name: plain(value) for name, value in attributes.items()}


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value
