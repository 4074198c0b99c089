"""Templates: what a start document wants to be put where, e.g. for an application definition.

A template is a list of pairs ``[source, target]``:

- ``["/entry/definition=", "NXmonopd"]``: a field with this value,
- ``["/entry/monopd/@signal", "data"]``: an attribute with this value,
- ``["/entry/.../value", "/entry/detector:NXdetector/data"]``: a link to what is there.

Paths may tell the classes of groups, ``name:NXclass``.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from nexus_writer_service.layout.bluesky.values import attribute, clean
from nexus_writer_service.model.tree import Dataset, Group, Node, SoftLink, Value, at, merged

_CLASS = re.compile(r"NX\w+\Z")


def templates(text: Any, exists: Callable[[str], bool]) -> tuple[Group, list[str]]:
    """The tree of a list of templates, and what is wrong with those that are left out.

    Args:
        text: the list, as JSON text or as it is.
        exists: whether there is an object at an absolute path.
    """
    try:
        pairs = json.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        return Group(), [f"templates are not JSON: {error}"]
    if not isinstance(pairs, list | tuple):
        return Group(), ["templates must be a list of pairs [source, target]"]
    tree, problems = Group(), list[str]()
    for pair in pairs:
        try:
            source, target = pair
            tree = merged(tree, _template(str(source), target, tree, exists))
        except (ValueError, TypeError) as error:
            problems.append(f"template {pair!r}: {error}")
    return tree, problems


def plain_path(path: str) -> str:
    """A path without the classes of its groups."""
    return "/".join(part.partition(":NX")[0] for part in path.split("/"))


def _template(source: str, target: Any, tree: Group, exists: Callable[[str], bool]) -> Group:
    if "/@" in source:
        above, _, name = source.rpartition("/@")
        return _at(above, Group(attributes={name.rstrip("="): _value(target)}))
    if source.endswith("="):
        path = source[:-1]
        said = {"target": plain_path(path)}
        return _at(path, Dataset(_field(target), said))
    if not exists(plain_path(source)) and not _in(tree, plain_path(source)):
        raise ValueError(f"there is nothing at {source}")
    if not isinstance(target, str):
        raise TypeError("the target of a link is a path")
    return _at(target, SoftLink(plain_path(source)))


def _at(path: str, node: Node) -> Group:
    """A root group with a node at a class path.

    Raises:
        ValueError: a class is none of NeXus, or the path is not absolute.
    """
    if not path.startswith("/"):
        raise ValueError(f"{path} is not an absolute path")
    classes: dict[str, str] = {}
    here = ""
    parts = [part for part in path.split("/") if part]
    for part in parts[:-1] if not isinstance(node, Group) else parts:
        name, colon, nx_class = part.partition(":")
        here = f"{here}/{name}"
        if colon and not _CLASS.match(nx_class):
            raise ValueError(f"{nx_class} cannot be the class of a group: it must begin with NX")
        if colon:
            classes[here] = nx_class
    plain = plain_path("/" + "/".join(parts))
    told = [
        at(place, Group(attributes={"NX_class": nx_class, "target": place}))
        for place, nx_class in classes.items()
    ]
    return merged(*told, at(plain, node))


def _in(tree: Group, path: str) -> bool:
    node: Node | None = tree
    for part in filter(None, path.split("/")):
        node = node.children.get(part) if isinstance(node, Group) else None
    return node is not None


def _field(value: Any) -> Value:
    """A number is written as a list of one, as readers of such files know it."""
    if isinstance(value, bool | int | float):
        return _value([value])
    return _value(value)


def _value(value: Any) -> Value:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return [clean(one) for one in value]
    if isinstance(value, list) and all(isinstance(one, bool | int | float) for one in value):
        return np.array(value)
    return attribute(value)
