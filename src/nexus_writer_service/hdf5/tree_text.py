"""An HDF5 file as a short text for people.

Links are shown with their target and not followed; virtual and external data are not read.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import h5py
import numpy as np

from nexus_writer_service.hdf5.failures import FAILURES, cause, file_error

_INDENT: Final = "  "
_MOST_ITEMS: Final = 5
"""Values shown of an array."""
_LONGEST_TEXT: Final = 100
"""Characters shown of a text."""


def tree_lines(path: str, *, max_depth: int | None = None, values: bool = True) -> Iterator[str]:
    """The tree of an HDF5 file, line by line; also of one that is being written.

    Args:
        path: of the file.
        max_depth: levels of groups to go down; None: all.
        values: whether to show text, single values and the beginning of one-dimensional arrays.

    Raises:
        FileAccessError: no right to read it.
        FileError: it does not exist, or is not an HDF5 file.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except FAILURES as error:
        raise file_error(error, path, "open") from error
    with file:
        yield _with_class(path, file)
        yield from _group_lines(file, _INDENT, max_depth, values=values)


def _group_lines(
    group: h5py.Group, indent: str, depth: int | None, *, values: bool
) -> Iterator[str]:
    yield from _attribute_lines(group, indent, values=values)
    if depth == 0:
        return
    try:
        names = sorted(group, key=_natural)
    except FAILURES as error:
        yield f"{indent}(cannot be read: {cause(error)})"
        return
    for name in names:
        try:
            yield from _member_lines(group, name, indent, depth, values=values)
        except FAILURES as error:  # a file being written may be read at a bad moment
            yield f"{indent}{name} (cannot be read: {cause(error)})"


def _member_lines(
    group: h5py.Group, name: str, indent: str, depth: int | None, *, values: bool
) -> Iterator[str]:
    match group.get(name, getlink=True):
        case h5py.SoftLink(path=target):
            yield f"{indent}{name} -> {target}"
            return
        case h5py.ExternalLink(filename=file, path=target):
            yield f"{indent}{name} -> {file}::{target}"
            return
    below = indent + _INDENT
    match group[name]:
        case h5py.Group() as member:
            yield f"{indent}{_with_class(name, member)}"
            yield from _group_lines(
                member, below, None if depth is None else depth - 1, values=values
            )
        case h5py.Dataset() as member:
            yield f"{indent}{name}: {_dataset_text(member, values=values)}"
            yield from _attribute_lines(member, below, values=values)
        case _:
            yield f"{indent}{name}: named datatype"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which 2.1 comes before 10.1."""
    parts = re.findall(r"(\d+)|(\D+)", name)
    return [(0, int(digits), "") if digits else (1, 0, text) for digits, text in parts]


def _with_class(name: str, group: h5py.Group) -> str:
    nx_class = group.attrs.get("NX_class")
    return name if nx_class is None else f"{name}: {_plain(nx_class)}"


def _attribute_lines(owner: Any, indent: str, *, values: bool) -> Iterator[str]:
    for name in owner.attrs:
        if name == "NX_class" and isinstance(owner, h5py.Group):
            continue
        try:
            text = _attribute_text(owner.attrs[name], values=values)
        except FAILURES as error:
            text = f": (cannot be read: {cause(error)})"
        yield f"{indent}@{name}{text}"


def _attribute_text(value: Any, *, values: bool) -> str:
    if isinstance(value, h5py.Empty):
        return f": {_type_text(value.dtype, None)}"
    array = np.asarray(value)
    if not values:
        # h5py gives text as str, arrays of text as arrays of objects
        text = array.dtype.kind == "O" or isinstance(value, str)
        return f": {_type_text(np.dtype('U') if text else array.dtype, array.shape)}"
    return f" = {_value_text(array.ravel()[:_MOST_ITEMS], array.shape)}"


def _dataset_text(dataset: h5py.Dataset, *, values: bool) -> str:
    text = _type_text(dataset.dtype, dataset.shape)
    if dataset.is_virtual:
        return f"{text} virtual, {_count(len(dataset.virtual_sources()), 'source')}"
    if dataset.external:
        return f"{text} in {_count(len(dataset.external), 'piece')} of other files"
    if not values or dataset.shape is None or len(dataset.shape) > 1:
        return text
    head = dataset[()] if dataset.shape == () else dataset[:_MOST_ITEMS]
    return f"{text} = {_value_text(np.asarray(head).ravel(), dataset.shape)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _type_text(dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> str:
    kind = "text" if dtype.kind in "SU" or h5py.check_string_dtype(dtype) else str(dtype)
    if shape is None:
        return f"nothing of {kind}"
    return f"{kind}[{','.join(map(str, shape))}]" if shape else kind


def _value_text(head: np.ndarray[Any, Any], shape: tuple[int, ...]) -> str:
    """The first values of something of ``shape``, which is that of the whole."""
    items = [_item_text(item) for item in head]
    if not shape:
        return items[0]
    if np.prod(shape) > len(items):
        items.append("...")
    return f"[{', '.join(items)}]"


def _item_text(item: Any) -> str:
    if not isinstance(item, str | bytes):
        return str(item)
    text = _plain(item)
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 3] + "..."
    return json.dumps(text, ensure_ascii=False)


def _plain(text: Any) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
