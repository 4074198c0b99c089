"""Metadata dictionaries as groups.

The rules are those of silx for dictionaries in HDF5, which BLISS users know:

- ``name@attr`` is the attribute ``attr`` of the item ``name``, ``@attr`` one of the group itself;
- None is nothing; an empty group is not written;
- a dictionary is a group: an NXcollection unless it says ``NX_class`` or ``@NX_class``;
- a list of dictionaries is an array of structures, a list of texts an array of texts.

What HDF5 cannot hold as it is (numbers of more than 64 bits, ragged lists) is written as JSON text:
metadata never cost data.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nexus_writer_service.layout.esrf.names import item_name, unique_name
from nexus_writer_service.model.description import Json
from nexus_writer_service.model.tree import Attributes, Dataset, Group, Node, Value

COLLECTION = "NXcollection"

Warnings = list[str]
"""Collects what a person should know."""


def text(value: str) -> str:
    """The text as HDF5 can hold it: no zero bytes, no halves of surrogate pairs."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def group(metadata: Mapping[str, Json], where: str, warnings: Warnings) -> Group:
    """The group that holds a dictionary.

    Args:
        metadata: the dictionary.
        where: its place, for warnings.
        warnings: gets a line for each name that had to be changed.
    """
    own, attributes_of, items = _sorted_out(metadata)
    nx_class = own.pop("NX_class", None) or items.pop("NX_class", None) or COLLECTION
    attributes = {"NX_class": nx_class, **own}
    children: dict[str, Node] = {}
    for key, value in items.items():
        name = _name(key, where, children, warnings)
        node = _node(value, attributes_of.get(key, {}), f"{where}/{name}", warnings)
        if node is not None:
            children[name] = node
    return Group(children, _attributes(attributes))


def is_empty(found: Group) -> bool:
    """Whether a group says nothing beyond its class."""
    return not found.children and not found.attributes.keys() - {"NX_class"}


def fitted(metadata: Group, own: Group, where: str, warnings: Warnings) -> Group:
    """Metadata that leave the layout's own items alone.

    Args:
        metadata: what is to be written.
        own: what the layout itself writes at that place, at any moment of the scan.
        where: the place, for warnings.
        warnings: gets a line for each name that had to be changed.
    """
    children: dict[str, Node] = {}
    for name, node in metadata.children.items():
        mine = own.children.get(name)
        if isinstance(mine, Group) and isinstance(node, Group):
            children[name] = fitted(node, mine, f"{where}/{name}", warnings)
            continue
        fitting = name
        if mine is not None:
            fitting = unique_name(f"{name}_metadata", {*own.children, *metadata.children})
            warnings.append(
                f"metadata {where}/{name} is written as {fitting}: the name belongs to the data; "
                "rename it in the session"
            )
        children[fitting] = node
    return Group(children, {**metadata.attributes, **own.attributes})


def _sorted_out(
    metadata: Mapping[str, Json],
) -> tuple[dict[str, Json], dict[str, dict[str, Json]], dict[str, Json]]:
    """A dictionary's own attributes, the attributes of its items, and its items."""
    own: dict[str, Json] = {}
    attributes_of: dict[str, dict[str, Json]] = {}
    items: dict[str, Json] = {}
    for key, value in metadata.items():
        name, separator, attribute = str(key).partition("@")
        if value is None:
            continue
        if not separator:
            items[name] = value
        elif name:
            attributes_of.setdefault(name, {})[attribute] = value
        else:
            own[attribute] = value
    return own, attributes_of, items


def _name(key: str, where: str, taken: Mapping[str, Node], warnings: Warnings) -> str:
    name = unique_name(item_name(key), taken)
    if name != key:
        warnings.append(
            f"metadata {where}: {key!r} is written as {name!r}, as HDF5 cannot have that name"
        )
    return name


def _node(
    value: Json, attributes: Mapping[str, Json], where: str, warnings: Warnings
) -> Node | None:
    if isinstance(value, Mapping):
        found = group(value, where, warnings)
        found = Group(found.children, {**found.attributes, **_attributes(attributes)})
        return None if is_empty(found) else found
    return Dataset(value_of(value), _attributes(attributes))


def _attributes(attributes: Mapping[str, Json]) -> Attributes:
    found = {item_name(key): value_of(value) for key, value in attributes.items()}
    if not isinstance(found.get("NX_class", ""), str):
        found["NX_class"] = COLLECTION
    return found


def value_of(value: Json) -> Value:
    """A value out of JSON as HDF5 can hold it."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, list | tuple) and (found := _array(list(value))) is not None:
        return found
    return text(json.dumps(value, ensure_ascii=False, default=str))


def _integer(value: int) -> Value:
    for dtype in (np.int64, np.uint64):
        limits = np.iinfo(dtype)
        if limits.min <= value <= limits.max:
            return value if dtype is np.int64 else dtype(value)
    return str(value)


def _array(values: list[Json]) -> Value | None:
    """A list as an array; None when it cannot be one."""
    if values and all(isinstance(one, str) for one in values):
        return [text(one) for one in values]
    if values and all(isinstance(one, Mapping) and one for one in values):
        return _structures(values)
    if any(isinstance(one, str) for one in values):
        plain = all(isinstance(one, str | int | float) for one in values)
        return [text(str(one)) for one in values] if plain else None
    if not _is_numeric(values):
        return None
    try:
        found = np.asarray(values)
    except ValueError:  # lists of unequal lengths
        return None
    return found if found.dtype.kind in "biuf" else None


def _is_numeric(values: list[Json]) -> bool:
    return all(
        _is_numeric(one) if isinstance(one, list) else isinstance(one, int | float)
        for one in values
    )


def _structures(rows: list[Mapping[str, Json]]) -> np.ndarray[Any, Any]:
    """Dictionaries as an array of structures; texts have a fixed length in bytes (UTF-8)."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    arrays = [_column([row.get(key) for row in rows]) for key in columns]
    names: list[str] = []
    for key in columns:
        names.append(unique_name(str(key) or "_", names))
    fields = [(name, array.dtype) for name, array in zip(names, arrays, strict=True)]
    found = np.zeros(len(rows), dtype=fields)
    for name, array in zip(names, arrays, strict=True):
        found[name] = array
    return found


def _column(values: list[Json]) -> np.ndarray[Any, Any]:
    if all(one is None or isinstance(one, int | float) for one in values):
        found = np.asarray([np.nan if one is None else one for one in values])
        if found.dtype.kind in "biuf":
            return found
    return np.array(list(_bytes(values)))


def _bytes(values: list[Json]) -> Iterator[bytes]:
    for one in values:
        plain = "" if one is None else one if isinstance(one, str) else json.dumps(one, default=str)
        yield text(plain).encode() or b"\0"  # HDF5 has no text of length zero
