"""Whether two HDF5 files say the same, object by object."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

TIMES = frozenset({"file_time", "file_update_time", "date", "end_time", "start_time"})
"""Names of attributes and datasets that tell when the writer did something."""

Contents = dict[str, str]
"""What a file holds, as text by path: /group/dataset, /group/dataset@attribute."""


def contents(path: Any) -> Contents:
    """Every object, link and attribute of a file; its folder is left out of what they say."""
    with h5py.File(path, "r") as file:
        found = dict(_items(file, ""))
    folder = os.path.dirname(os.path.abspath(path))
    return {name: text.replace(folder, "") for name, text in found.items()}


def differences(one: Any, other: Any, *, ignored: frozenset[str] = TIMES) -> list[str]:
    """In what two files (paths) differ: links, types, shapes, storage, values, attributes."""
    return unequal(contents(one), contents(other), ignored=ignored)


def unequal(
    one: Mapping[str, str], other: Mapping[str, str], *, ignored: frozenset[str] = frozenset()
) -> list[str]:
    """In what the contents of two files differ.

    Args:
        one: contents.
        other: contents.
        ignored: names that do not count, with all that is below them.
    """
    return [
        f"{name}: {_short(one.get(name))} and {_short(other.get(name))}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name) and ignored.isdisjoint(re.split("[/@]", name))
    ]


def _items(group: h5py.Group, above: str) -> Iterator[tuple[str, str]]:
    yield from _attributes(group, above or "/")
    for name in group:
        path = f"{above}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            yield path, f"soft {link.path}"
        elif isinstance(link, h5py.ExternalLink):
            yield path, f"external {link.filename} {link.path}"
        elif isinstance(group[name], h5py.Group):
            yield path, "group"
            yield from _items(group[name], path)
        else:
            yield path, _dataset(group[name])
            yield from _attributes(group[name], path)


def _attributes(thing: Any, path: str) -> Iterator[tuple[str, str]]:
    for name in thing.attrs:
        attribute = thing.attrs.get_id(name)
        text = f"{attribute.get_type().encode()!r} {attribute.shape} {_values(thing.attrs[name])}"
        yield f"{path}@{name}", text


def _dataset(dataset: h5py.Dataset) -> str:
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    sources = dataset.virtual_sources() if dataset.is_virtual else []
    mapped = [
        (one.file_name, one.dset_name, one.vspace.get_select_bounds(), one.src_space.shape)
        for one in sources
    ]
    facts = [dataset.id.get_type().encode(), dataset.shape, dataset.maxshape, dataset.chunks]
    facts += [properties.get_layout(), filters, dataset.fillvalue, mapped, _values(dataset[()])]
    return " ".join(map(repr, facts))


def _values(value: Any) -> str:
    return repr(np.asarray(value).tolist())


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    return text if len(text) < 200 else f"{text[:150]} ... {text[-50:]}"
