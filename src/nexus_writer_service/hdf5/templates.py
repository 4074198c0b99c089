"""Groups that are made again and again, as copies of one: HDF5 makes one in a fifth of the time.

A scan of a thousand channels makes a thousand groups that differ in their name only; one scan makes
what the last one made, with other values. The second of its kind is kept as a template, in a file
in memory, so that no file holds any. A copy gets those values that are not the template's.
"""

from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, groupby
from operator import itemgetter
from typing import Any, Final

import numpy as np
from h5py import h5d, h5f, h5o, h5p

from nexus_writer_service.hdf5.failures import FAILURES
from nexus_writer_service.hdf5.values import as_array, link_name, replace_text, write_all
from nexus_writer_service.model.tree import (
    Attributes,
    Dataset,
    Group,
    Node,
    SoftLink,
    StreamDataset,
    Value,
)

_OWN: Final = frozenset(("target", "long_name"))
"""Attributes by which nodes differ that are alike otherwise; where they are texts."""
_LARGEST: Final = 1024
"""Bytes of an array, or characters, above which a value is not kept in a template."""
_MOST_CHILDREN: Final = 1000
_MOST_KINDS: Final = 1024
"""Kinds of groups of which one was made."""
_MOST_TEMPLATES: Final = 256
_INCREMENT: Final = 64 << 10
"""Bytes by which the file in memory grows."""


@dataclass(slots=True)
class Likeness:
    """What makes a new group like others, and what is its own; paths are relative to it."""

    key: Hashable = None
    values: list[tuple[str, Hashable, Value]] = field(default_factory=list)
    """Datasets whose value may be another one: path, what tells values apart, value."""
    texts: list[tuple[str, str, str]] = field(default_factory=list)
    """Attributes whose text may be another one: path of what has it, name, text."""
    streams: list[tuple[str, StreamDataset]] = field(default_factory=list)
    """Datasets that grow, without a point."""
    groups: list[tuple[str, str]] = field(default_factory=list)
    """Groups in it, with their NX_class, and the group itself if it has any: they are likely to be
    entered again."""
    rest: list[tuple[str, str, Node]] = field(default_factory=list)
    """What no template has: path of the group, name, node."""

    def take(self, path: str, stamp: Hashable, value: Value, attributes: Attributes) -> None:
        """Take in a dataset whose value may be another one."""
        self.values.append((path, stamp, value))
        self.say(path, attributes)

    def say(self, path: str, attributes: Attributes) -> None:
        """Take in the attributes whose text may be another one."""
        for name, text in attributes.items():
            if name in _OWN and type(text) is str:
                self.texts.append((path, name, text))


@dataclass(frozen=True, slots=True)
class _Template:
    """One group in the file in memory."""

    name: bytes
    values: tuple[Hashable, ...]
    """What tells its values from others."""
    texts: tuple[str, ...]


class Templates:
    """The templates of a process, or of one open file; for one thread."""

    def __init__(self) -> None:
        self._file: Any = None
        self._numbers = count()
        self._templates: dict[Hashable, _Template | None] = {}
        """None for a kind of which one was made."""

    def copy(self, here: Any, name: str, like: Likeness) -> bool:
        """Make the group ``name`` in another one, but for the rest, if there is a template for it.

        Args:
            here: low-level identifier of the group that is to hold it.
            name: that nothing has there.
            like: what the new group is like.

        Returns:
            Whether it was made.
        """
        template = self._templates.get(like.key)
        if template is None:
            return False
        key, properties = link_name(name)
        try:
            h5o.copy(self._file, template.name, here, key, lcpl=properties)
            for (path, stamp, value), known in zip(like.values, template.values, strict=True):
                if stamp != known:
                    dataset = h5d.open(here, f"{name}/{path}".encode())
                    write_all(dataset, as_array(value))
            texts = zip(like.texts, template.texts, strict=True)
            _say(here, name, [one for one, known in texts if one[2] != known])
        except FAILURES:
            self.clear()  # to make it the long way costs time only
            with suppress(*FAILURES):
                here.unlink(key)
            return False
        return True

    def wanted(self, like: Likeness) -> bool:
        """Whether a group that is made the long way is the second of its kind."""
        if like.key in self._templates:
            return True
        if len(self._templates) >= _MOST_KINDS:
            self.clear()
        self._templates[like.key] = None
        return False

    def made(self, here: Any, name: str, like: Likeness) -> None:
        """A group was made the long way a moment ago, but for the rest.

        Args:
            here: low-level identifier of the group that holds it.
            name: of the group.
            like: what it is like.
        """
        number = next(self._numbers)
        if number >= _MOST_TEMPLATES:
            self.clear()
            return
        template = b"%d" % number
        with suppress(*FAILURES):
            if self._file is None:
                self._file = _file_in_memory(b"templates-%x" % id(self))
            h5o.copy(here, name.encode(), self._file, template)
            stamps = tuple(stamp for _, stamp, _ in like.values)
            texts = tuple(text for _, _, text in like.texts)
            self._templates[like.key] = _Template(template, stamps, texts)

    def clear(self) -> None:
        """Let go of all templates."""
        self._templates.clear()
        self._numbers = count()
        self._file = None


def _say(here: Any, name: str, texts: Iterable[tuple[str, str, str]]) -> None:
    """Give attributes of what is in the group ``name`` other texts."""
    for path, of_path in groupby(texts, itemgetter(0)):
        owner = h5o.open(here, (f"{name}/{path}" if path else name).encode())
        for _, attribute, text in of_path:
            replace_text(owner, attribute, text)


def _file_in_memory(name: bytes) -> Any:
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(_INCREMENT, False)
    return h5f.create(name, h5f.ACC_TRUNC, fapl=access)


def likeness(node: Group) -> Likeness | None:
    """What makes two new groups alike; None for a group of which there is hardly a second one."""
    found = Likeness()
    found.key = _group(node, "", found)
    if found.key is None or not (found.values or found.streams):
        return None
    return found


def without(node: Group, like: Likeness) -> Group:
    """A group without the rest."""
    rest: dict[str, set[str]] = {}
    for where, name, _ in like.rest:
        rest.setdefault(where, set()).add(name)
    return _stripped(node, "", rest) if rest else node


def _stripped(node: Group, path: str, rest: Mapping[str, set[str]]) -> Group:
    left_out = rest.get(path, set())
    children: dict[str, Node] = {}
    for name, child in node.children.items():
        if name not in left_out:
            below = f"{path}/{name}" if path else name
            children[name] = _stripped(child, below, rest) if isinstance(child, Group) else child
    return Group(children, node.attributes)


def _group(node: Group, above: str, found: Likeness) -> Hashable | None:
    attributes = _attributes(node.attributes)
    if attributes is None or len(node.children) > _MOST_CHILDREN:
        return None
    found.say(above.rstrip("/"), node.attributes)
    children = []
    nested = above != ""
    for name, child in node.children.items():
        like = None
        if name and name != "." and "/" not in name and "\0" not in name:
            like = _child(child, f"{above}{name}", found)
        if like is None:
            found.rest.append((above.rstrip("/"), name, child))
        else:
            children.append((name, like))
            nested = nested or isinstance(child, Group)
    nx_class = node.attributes.get("NX_class")
    if nested and type(nx_class) is str:
        found.groups.append((above.rstrip("/"), nx_class))
    return attributes, tuple(children)


def _child(node: Node, path: str, found: Likeness) -> Hashable | None:
    match node:
        case Dataset():
            return _dataset(node, path, found)
        case StreamDataset():
            attributes = _attributes(node.attributes)
            if attributes is None:
                return None
            found.streams.append((path, node))
            found.say(path, node.attributes)
            fill = repr(node.fill)
            shape = (node.dtype, node.sample, node.scan, node.chunks, node.filters, fill)
            return shape, attributes
        case SoftLink() if not node.target.startswith("/"):
            return "->", node.target
        case Group():
            return _group(node, f"{path}/", found)
        case _:
            return None


def _dataset(node: Dataset, path: str, found: Likeness) -> Hashable | None:
    attributes = _attributes(node.attributes) if node.attributes else ()
    value = node.value
    if attributes is None or isinstance(value, bytes):
        return None
    if type(value) is str:
        if len(value) > _LARGEST:
            return None
        found.take(path, value, value, node.attributes)
        return "", attributes
    try:
        array = as_array(value)
    except FAILURES:
        return None  # whoever writes it says why
    if array.dtype.kind not in "biufcO" or array.nbytes > _LARGEST:
        return None
    text = array.dtype.kind == "O"
    stamp = tuple(array.ravel().tolist()) if text else array.tobytes()
    if text and sum(map(len, stamp)) > _LARGEST:
        return None
    found.take(path, stamp, array, node.attributes)
    return "text" if text else array.dtype, array.shape, attributes


def _attributes(attributes: Attributes) -> Hashable | None:
    found = []
    for name, value in attributes.items():
        if type(value) is not str:
            like = _value(value)
            if like is None:
                return None
        else:
            like = str if name in _OWN else value
        found.append((name, like))
    return tuple(found)


def _value(value: Value) -> Hashable | None:
    """A value with its type: 1 and 1.0 are equal, but not the same in a file; NaN is not equal."""
    match value:
        case str() | bytes() | bool() | int():
            return type(value), value
        case float() | complex():
            return type(value), repr(value)
        case list() if all(isinstance(item, str) for item in value):
            return tuple(value)
        case np.ndarray() | np.generic() if not value.dtype.hasobject and value.nbytes <= _LARGEST:
            return value.dtype, value.shape, value.tobytes()
        case _:
            return None
