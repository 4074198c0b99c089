"""One mapped file: what of it can be written when, given which streams have points.

Streams appear with their first point [decision 2]. What leads to a stream waits for it, so that no
link ever dangles and no plot lacks its signal: links, virtual datasets over it, an NXdata with all
that is in it, groups of nothing else, and the ``default`` that names one of these.
"""

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from nexus_writer_service.layout.h5map.items import MapGroup, MapNode, MappedStream
from nexus_writer_service.model.tree import (
    Group,
    Node,
    SoftLink,
    Value,
    VirtualDataset,
)

_MOST_LINKS: Final = 16
"""Links that lead on to links; more are a circle."""
_DEFAULT: Final = "default"
_AT: Final = "\0"
"""Ends the key of the ``default`` of a group; no name has it."""

MadeNode = Callable[[MappedStream], Node]
"""Makes the dataset for a stream."""


class FileMap:
    """The map of one file.

    Args:
        root: its root group.
    """

    def __init__(self, root: MapGroup) -> None:
        self.nodes: dict[str, MapNode] = dict(_walk("", root))
        """All items by absolute path; the root is ""."""
        self.streams: dict[str, MappedStream] = {
            path: node for path, node in self.nodes.items() if isinstance(node, MappedStream)
        }
        """Those that get points."""
        self._needs: dict[str, frozenset[str]] = {}
        self._pieces: dict[str, list[str]] = {}
        """What waits for each stream, by path of the stream."""
        self._static: list[str] = []
        for key in self._keys():
            needs = self._needed(key)
            for stream in needs:
                self._pieces.setdefault(stream, []).append(key)
            if not needs:
                self._static.append(key)

    @property
    def root(self) -> MapGroup:
        """The root group."""
        found = self.nodes[""]
        return found if isinstance(found, MapGroup) else MapGroup()

    def static(self) -> list[str]:
        """Keys of what waits for no stream."""
        return self._static

    def waiting(self, stream: str, begun: Collection[str]) -> list[str]:
        """Keys of what can be written by now, and has waited for this stream among others."""
        known = _Known(self, begun)
        return [key for key in self._pieces.get(stream, ()) if known.there(key)]

    def possible(self, begun: Collection[str]) -> list[str]:
        """Keys of all that can be written by now."""
        known = _Known(self, begun)
        return [key for key in self._keys() if known.there(key)]

    def tree(self, keys: Iterable[str], made: MadeNode) -> Group:
        """What is merged into the file to write the items of some keys."""
        root = _Branch()
        for key in keys:
            path = key.removesuffix(_AT)
            node = self.nodes[path]
            if isinstance(node, MapGroup):
                branch = root.at(path)
                if key.endswith(_AT):
                    branch.attributes[_DEFAULT] = node.attributes[_DEFAULT]
                else:
                    branch.attributes |= {k: v for k, v in node.attributes.items() if k != _DEFAULT}
                continue
            above, _, name = path.rpartition("/")
            finished = made(node) if isinstance(node, MappedStream) else node
            root.at(above).leaves[name] = finished
        return root.group()

    # ------------------------------------------------------------------------------- inside

    def _keys(self) -> Iterator[str]:
        for path, node in self.nodes.items():
            yield path
            if isinstance(node, MapGroup) and _DEFAULT in node.attributes:
                yield path + _AT

    def _needed(self, key: str) -> frozenset[str]:
        found = self._needs_of(key)
        for above in self.plots_above(key):
            found |= self._needs_of(above)
        return found

    def _needs_of(self, key: str) -> frozenset[str]:
        """The streams on which it depends whether an item can be written."""
        if key not in self._needs:
            self._needs[key] = frozenset()  # for whatever leads back to here
            self._needs[key] = self._found_needs(key)
        return self._needs[key]

    def _found_needs(self, key: str) -> frozenset[str]:
        node = self.node(key)
        if isinstance(node, MappedStream) and not key.endswith(_AT):
            return frozenset((key,))
        needs = [self._needs_of(one) for one in self.leads_to(key)]
        if isinstance(node, MapGroup) and not (key.endswith(_AT) or is_plot(node) or all(needs)):
            return frozenset()  # there is something that can be written at once
        return frozenset().union(*needs)

    def node(self, key: str) -> MapNode:
        """The item of a key."""
        return self.nodes[key.removesuffix(_AT)]

    def leads_to(self, key: str) -> list[str]:
        """The items of this map that another one is made of, or leads to."""
        node = self.node(key)
        if key.endswith(_AT):
            target = self._default(key)
            return [] if target is None else [target]
        if isinstance(node, SoftLink):
            target = self.resolved(key, node.target)
            return [] if target is None else [target]
        if isinstance(node, VirtualDataset):
            return list(self._sources(key, node))
        if isinstance(node, MapGroup):
            return [f"{key}/{name}" for name in node.children]
        return []

    def _sources(self, key: str, node: VirtualDataset) -> Iterator[str]:
        """Streams of this file that a virtual dataset shows."""
        for source in node.sources:
            if source.file == ".":
                path = self.resolved(key, source.path)
                if path is not None and isinstance(self.nodes[path], MappedStream):
                    yield path

    def _default(self, key: str) -> str | None:
        """The item that the ``default`` of a group names."""
        path = key.removesuffix(_AT)
        node = self.nodes[path]
        named = node.attributes[_DEFAULT] if isinstance(node, MapGroup) else ""
        found = posixpath.normpath(f"{path}/{named!s}").rstrip("/")
        return found if found in self.nodes and found != path else None

    def plots_above(self, key: str) -> Iterator[str]:
        """The NXdata above an item."""
        path = key.removesuffix(_AT)
        while path:
            path = path.rpartition("/")[0]
            if is_plot(self.nodes[path]):
                yield path

    def resolved(self, at: str, target: str) -> str | None:
        """The path that is meant, with the links on the way followed; None: not in this map.

        Args:
            at: path of the item that names it.
            target: absolute, or relative to the group of that item.
        """
        above = at.rpartition("/")[0]
        path = posixpath.normpath(posixpath.join(above or "/", target))
        for _ in range(_MOST_LINKS):
            path = path.rstrip("/")
            if path in self.nodes:
                return path
            followed = self._followed(path)
            if followed is None:
                return None
            path = followed
        return None

    def _followed(self, path: str) -> str | None:
        """The path with the first link on it replaced by its target."""
        parts = path.split("/")
        for number in range(2, len(parts)):
            begin = "/".join(parts[:number])
            node = self.nodes.get(begin)
            if isinstance(node, SoftLink):
                above = begin.rpartition("/")[0] or "/"
                return posixpath.normpath(posixpath.join(above, node.target, *parts[number:]))
        return None


class _Known:
    """What of a map can be written, given the streams that have points."""

    def __init__(self, found: FileMap, begun: Collection[str]) -> None:
        self._map = found
        self._begun = begun
        self._answers: dict[str, bool] = {}

    def there(self, key: str) -> bool:
        """Whether an item can be written."""
        return self._possible(key) and all(map(self._possible, self._map.plots_above(key)))

    def _possible(self, key: str) -> bool:
        if key not in self._answers:
            self._answers[key] = True  # for whatever leads back to here
            self._answers[key] = self._find(key)
        return self._answers[key]

    def _find(self, key: str) -> bool:
        node = self._map.node(key)
        below = self._map.leads_to(key)
        if key.endswith(_AT):
            return all(map(self.there, below))
        if isinstance(node, MappedStream):
            return key in self._begun
        if isinstance(node, MapGroup) and not is_plot(node):
            return not below or any(map(self._possible, below))
        return all(map(self._possible, below))


def is_plot(node: MapNode) -> bool:
    """Whether an item is an NXdata."""
    return isinstance(node, MapGroup) and node.attributes.get("NX_class") == "NXdata"


def _walk(path: str, node: MapNode) -> Iterator[tuple[str, MapNode]]:
    yield path, node
    if isinstance(node, MapGroup):
        for name, child in node.children.items():
            yield from _walk(f"{path}/{name}", child)


class _Branch:
    """A group while its tree is put together."""

    def __init__(self) -> None:
        self.attributes: dict[str, Value] = {}
        self.leaves: dict[str, Node] = {}
        self._below: dict[str, _Branch] = {}

    def at(self, path: str) -> "_Branch":
        branch = self
        for name in path.split("/")[1:]:
            branch = branch._below.setdefault(name, _Branch())
        return branch

    def group(self) -> Group:
        below = {name: branch.group() for name, branch in self._below.items()}
        return Group({**below, **self.leaves}, self.attributes)
