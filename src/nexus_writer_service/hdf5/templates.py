"""Groups that are made again and again, as copies of one: HDF5 makes one in a fifth of the time.

A scan of a thousand channels makes a thousand groups that differ in their name only. The second of
its kind is kept as a template, in a group to which no name leads, until the next commit: what is
committed holds no template, and the room that they took is used again.
"""

from collections.abc import Hashable
from contextlib import suppress
from typing import Any, Final

import numpy as np
from h5py import h5g, h5o

from nexus_writer_service.hdf5.failures import FAILURES
from nexus_writer_service.hdf5.values import link_name
from nexus_writer_service.model.tree import (
    Attributes,
    Dataset,
    Group,
    Node,
    SoftLink,
    StreamDataset,
    Value,
)

_LARGEST: Final = 1024
"""Bytes of an array above which it is written, not copied: to compare it costs as much."""
_MOST: Final = 64
"""Kinds of groups between two commits."""


class Templates:
    """The templates of one open file, from commit to commit.

    Args:
        root: low-level identifier of its root group.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._holder: Any = None
        self._names: dict[Hashable, bytes | None] = {}
        """Name in the holder by what a group is like; None for what was made once."""

    def copy(self, here: Any, name: str, likeness: Hashable | None) -> bool:
        """Make the group ``name`` in another one, if there is a template for it.

        Args:
            here: low-level identifier of the group that is to hold it.
            name: that nothing has there.
            likeness: what the new group is like.

        Returns:
            Whether it was made.
        """
        template = self._names.get(likeness)
        if template is None:
            return False
        key, properties = link_name(name)
        try:
            h5o.copy(self._holder, template, here, key, lcpl=properties)
        except FAILURES:
            self.clear()  # to make it the long way costs time only
            return False
        return True

    def made(self, here: Any, name: str, likeness: Hashable | None) -> None:
        """A group was made the long way a moment ago, and nothing was added to it since.

        Args:
            here: low-level identifier of the group that holds it.
            name: of the group.
            likeness: what it is like.
        """
        if likeness is None:
            return
        if likeness not in self._names:
            if len(self._names) < _MOST:
                self._names[likeness] = None
            return
        if self._names[likeness] is not None:
            return
        if self._holder is None:
            self._holder = h5g.create(self._root, None)
        template = b"%d" % len(self._holder)
        with suppress(*FAILURES):
            h5o.copy(here, name.encode(), self._holder, template)
            self._names[likeness] = template

    def clear(self) -> None:
        """Let go of all templates; HDF5 takes them out of the file."""
        self._names.clear()
        self._holder = None


def likeness(node: Group) -> Hashable | None:
    """What makes two new groups alike; None for a group of which there is hardly a second one.

    Groups of groups are not compared: those in them are.
    """
    children = []
    for name, child in node.children.items():
        like = _child(child)
        if like is None:
            return None
        children.append((name, like))
    attributes = _attributes(node.attributes)
    return None if attributes is None or not children else (attributes, tuple(children))


def _child(node: Node) -> Hashable | None:
    match node:
        case Dataset(value=str() as text) if not node.attributes:
            return text
        case Dataset():
            value, attributes = _value(node.value), _attributes(node.attributes)
            return None if value is None or attributes is None else (value, attributes)
        case StreamDataset():
            attributes = _attributes(node.attributes)
            fill = repr(node.fill)
            shape = (node.dtype, node.sample, node.scan, node.chunks, node.filters, fill)
            return None if attributes is None else (shape, attributes)
        case SoftLink():
            return "->", node.target
        case _:
            return None


def _attributes(attributes: Attributes) -> Hashable | None:
    found = []
    for name, value in attributes.items():
        like = value if type(value) is str else _value(value)
        if like is None:
            return None
        found.append((name, like))
    return tuple(found)


def _value(value: Value) -> Hashable | None:
    """A value with its type: 1 and 1.0 are equal, but not the same in a file; NaN is not equal."""
    match value:
        case str() | bytes() | bool() | int():
            return type(value), value
        case float() | complex():
            return type(value), repr(value)
        case list():
            return tuple(value)
        case np.ndarray() | np.generic() if value.dtype.kind != "O" and value.nbytes <= _LARGEST:
            return value.dtype, value.shape, value.tobytes()
        case _:
            return None
