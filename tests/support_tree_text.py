"""File trees as text, one line for each thing, in the words of ``nexus-writer tree``."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nexus_writer_service.model.tree import (
    Attributes,
    Dataset,
    ExternalLink,
    Filters,
    Group,
    ImageStack,
    Instead,
    Node,
    SoftLink,
    StreamDataset,
    VirtualDataset,
)

MOST_ITEMS = 5
LONGEST_TEXT = 100


def tree_text(root: Group, lengths: Mapping[str, int], above: str = "") -> Iterator[str]:
    """The lines of a file.

    Args:
        root: the file's root group.
        lengths: points of the datasets of channels, by path; 0 if not there.
        above: path of ``root``, where it is another group.
    """
    yield from _attributes(root.attributes, "")
    yield from _children(root, above, "", lengths)


def _children(group: Group, above: str, indent: str, lengths: Mapping[str, int]) -> Iterator[str]:
    for name in sorted(group.children, key=_natural):
        node, path = group.children[name], f"{above}/{name}"
        match node:
            case SoftLink():
                yield f"{indent}{name} -> {node.target}"
            case ExternalLink():
                yield f"{indent}{name} -> {node.file}::{node.target}"
            case Group():
                yield f"{indent}{name}: {node.attributes['NX_class']!s}"
                yield from _attributes(node.attributes, indent + "  ")
                yield from _children(node, path, indent + "  ", lengths)
            case Instead():
                yield f"{indent}{name}: taken away"
            case _:
                more = "".join(f"  {line}" for line in _attributes(node.attributes, ""))
                yield f"{indent}{name}: {_dataset(node, lengths.get(path, 0))}{more}"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which 2.1 comes before 10.1."""
    parts = re.findall(r"(\d+)|(\D+)", name)
    return [(0, int(digits), "") if digits else (1, 0, text) for digits, text in parts]


def _attributes(attributes: Attributes, indent: str) -> Iterator[str]:
    for name in sorted(attributes):
        if name != "NX_class" or not indent:
            yield f"{indent}@{name} = {_value(attributes[name])}"


def _dataset(node: Node, length: int) -> str:
    match node:
        case Dataset():
            return _static(node)
        case StreamDataset():
            shape = _shape(node.scan, length, node.sample)
            more = [f"chunks {_lengths(node.chunks)}", *_filters(node.filters)]
        case ImageStack():
            shape = _shape(node.scan, length, node.sample)
            if node.storage == "uris":
                return f"text{_lengths(shape[: -len(node.sample)])} of {_files(node)}"
            more = [f"{node.storage}, of {_files(node)}"]
            if node.storage == "copy":
                more += [f"chunks {_lengths(node.chunks)}", *_filters(node.filters)]
        case VirtualDataset():
            shape = node.shape
            first, *others = sorted({one.path for one in node.sources})
            more = [f"virtual, of {first}" + (f" and {len(others)} others" if others else "")]
        case _:
            raise AssertionError(node)
    fill = [] if node.fill is None else [f"fill {node.fill!s}"]
    return ", ".join([f"{node.dtype}{_lengths(shape)}", *more, *fill])


def _static(node: Dataset) -> str:
    array = np.asarray(node.value)
    kind = "text" if array.dtype.kind == "U" else str(array.dtype)
    shown = "" if array.ndim > 1 else f" = {_value(node.value)}"
    return f"{kind}{_lengths(array.shape) if array.shape else ''}{shown}"


def _shape(scan: tuple[int, ...], length: int, sample: tuple[int, ...]) -> tuple[int, ...]:
    return (*(scan if len(scan) > 1 else (length,)), *sample)


def _lengths(shape: tuple[int, ...]) -> str:
    """Lengths; one that varies from point to point is "?": the longest."""
    return f"[{','.join('?' if length < 0 else str(length) for length in shape)}]"


def _files(node: ImageStack) -> str:
    return f"{node.files.path_template}::{node.files.data_path}"


def _filters(filters: Filters) -> list[str]:
    inside = {
        " lz4": filters.bitshuffle_lz4,
        f" zstd {filters.bitshuffle_zstd}": filters.bitshuffle_zstd is not None,
    }
    found = {
        "shuffle": filters.shuffle,
        f"gzip {filters.gzip}": filters.gzip is not None,
        f"zstd {filters.zstd}": filters.zstd is not None,
        f"bitshuffle{''.join(name for name, used in inside.items() if used)}": filters.bitshuffle,
        f"blosc2 {filters.blosc2}": bool(filters.blosc2),
    }
    return [name for name, used in found.items() if used]


def _value(value: Any) -> str:
    array = np.asarray(value)
    if not array.shape:
        return _item(array[()])
    items = [_item(one) for one in array.ravel()[:MOST_ITEMS]]
    return f"[{', '.join([*items, *(['...'] if array.size > len(items) else [])])}]"


def _item(item: Any) -> str:
    if not isinstance(item, str):
        return str(item)
    text = item if len(item) <= LONGEST_TEXT else item[: LONGEST_TEXT - 3] + "..."
    return json.dumps(text, ensure_ascii=False)
