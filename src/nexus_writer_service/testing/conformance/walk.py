"""A file, group by group, as the rules see it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np


@dataclass(frozen=True, slots=True)
class Members:
    """A group and what its names lead to, links resolved."""

    group: h5py.Group
    nx_class: str
    """Empty when the group has none."""
    parent_class: str
    """Class of the group above; empty for the root."""
    links: Mapping[str, Any] = field(default_factory=dict)
    """Every name with its link: h5py.HardLink, SoftLink or ExternalLink."""
    datasets: Mapping[str, h5py.Dataset] = field(default_factory=dict)
    groups: Mapping[str, h5py.Group] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Absolute path of the group."""
        return str(self.group.name)

    def path_of(self, name: str) -> str:
        """Absolute path of a member."""
        return f"{self.path.rstrip('/')}/{name}"

    def is_own(self, name: str) -> bool:
        """Whether the member lives here, not only its link."""
        return isinstance(self.links[name], h5py.HardLink)


def groups(file: h5py.File) -> Iterator[Members]:
    """Every group of the file once; links are resolved but not followed."""
    seen = set()
    waiting = [(file["/"], "")]
    while waiting:
        group, parent_class = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        members = _members(group, parent_class)
        yield members
        own = [child for name, child in members.groups.items() if members.is_own(name)]
        waiting += [(child, members.nx_class) for child in reversed(own)]


def _members(group: h5py.Group, parent_class: str) -> Members:
    links = {name: group.get(name, getlink=True) for name in group}
    objects = {name: resolved(group, name) for name in links}
    return Members(
        group,
        nx_class(group),
        parent_class,
        links,
        {name: one for name, one in objects.items() if isinstance(one, h5py.Dataset)},
        {name: one for name, one in objects.items() if isinstance(one, h5py.Group)},
    )


def resolved(group: h5py.Group, path: str) -> Any:
    """What a path leads to, or None when it leads nowhere."""
    try:
        return group[path]
    except (KeyError, OSError, ValueError, RuntimeError):  # the last is a circle of links
        return None


def nx_class(group: h5py.Group) -> str:
    """NX_class of a group; the root of a file is an NXroot even if it does not say so."""
    return text(group.attrs.get("NX_class")) or ("NXroot" if group.name == "/" else "")


def text(value: object) -> str | None:
    """A scalar text out of HDF5, None when the value is something else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return str(value) if isinstance(value, str) else None


def texts(value: object) -> list[str]:
    """Texts out of HDF5, of an array or a scalar; empty when there are none."""
    items = value.ravel().tolist() if isinstance(value, np.ndarray) else [value]
    found = [text(item) for item in items]
    return [item for item in found if item is not None]
