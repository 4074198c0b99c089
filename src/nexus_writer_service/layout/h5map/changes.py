"""What a last map has otherwise than the first one. Points are never taken away nor moved."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from nexus_writer_service.layout.h5map.files import FileMap
from nexus_writer_service.layout.h5map.items import MapGroup, MapNode, MappedStream
from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.tree import (
    Dataset,
    ExternalDataset,
    ExternalLink,
    Group,
    Instead,
    Node,
    SoftLink,
    VirtualDataset,
    at,
    merged,
)

_STATIC = (Dataset, VirtualDataset, ExternalDataset)

Linked = Callable[[ChannelName], SoftLink | ExternalLink | None]
"""A link to where the points of a channel are; None: they are nowhere."""


def with_streams_in_place(
    root: MapGroup, first: Mapping[str, MappedStream], linked: Linked, told: list[str]
) -> MapGroup:
    """The last map with streams only where the first one has them.

    Their points are written already. Elsewhere a link shows them.

    Args:
        root: the last map of a file.
        first: the streams of the first one by path.
        linked: makes links.
        told: gets a text for each stream that was to move.
    """
    found = _in_place("", root, first, linked, told)
    left = first.keys() - dict(_streams("", root)).keys()
    told += [f"{path} is no longer mapped at the end: it stays, with its points" for path in left]
    return found if isinstance(found, MapGroup) else root


def _in_place(
    path: str, node: MapNode, first: Mapping[str, MappedStream], linked: Linked, told: list[str]
) -> MapNode | None:
    if isinstance(node, MapGroup):
        below = {
            name: _in_place(f"{path}/{name}", child, first, linked, told)
            for name, child in node.children.items()
        }
        return replace(node, children={name: one for name, one in below.items() if one is not None})
    if not isinstance(node, MappedStream):
        return node
    known = first.get(path)
    if known is None:
        link = linked(node.channel)
        shown = "a link leads to its points" if link else "nothing is written there"
        told.append(f"stream {node.channel} is mapped at {path} only at the end: {shown}")
        return link
    if known.channel != node.channel:
        told.append(
            f"{path} is mapped for stream {node.channel} at the end: it keeps the points of "
            f"{known.channel}"
        )
        return known
    return node


def _streams(path: str, node: MapNode) -> list[tuple[str, MappedStream]]:
    if isinstance(node, MapGroup):
        pairs = [_streams(f"{path}/{name}", child) for name, child in node.children.items()]
        return [pair for found in pairs for pair in found]
    return [(path, node)] if isinstance(node, MappedStream) else []


def changes(before: FileMap, after: FileMap, wanted: Group) -> Group:
    """What is to be taken away, or to give way to something of another kind.

    Args:
        before: the first map of a file.
        after: the last one, with streams in place.
        wanted: the tree of all that the last one can have by now.
    """
    occupied = _with_groups_above(before.streams)
    found: list[Group] = []
    for path, old in before.nodes.items():
        above = path.rpartition("/")[0]
        new = after.nodes.get(path)
        if isinstance(old, MapGroup) and isinstance(new, MapGroup):
            if dropped := frozenset(old.attributes.keys() - new.attributes.keys()):
                found.append(at(path, Group(dropped=dropped)))
        elif path in occupied or not (above in occupied or _is_group(after, above)):
            continue  # points are below it, or it goes with the group above it
        elif new is None or _is_other(old, new):
            found.append(at(path, Instead(_node_at(wanted, path))))
    return merged(*found)


def _is_other(old: MapNode, new: MapNode) -> bool:
    """Whether one item cannot simply be written over the other."""
    if isinstance(old, _STATIC) and isinstance(new, _STATIC):
        return bool(old.attributes.keys() - new.attributes.keys())
    return isinstance(old, MapGroup) != isinstance(new, MapGroup)


def _is_group(found: FileMap, path: str) -> bool:
    return isinstance(found.nodes.get(path), MapGroup)


def _with_groups_above(paths: Mapping[str, MappedStream]) -> frozenset[str]:
    found = set(paths)
    for path in paths:
        while path := path.rpartition("/")[0]:
            found.add(path)
    return frozenset(found)


def _node_at(tree: Group, path: str) -> Node | None:
    node: Node = tree
    for name in path.split("/")[1:]:
        if not isinstance(node, Group) or name not in node.children:
            return None
        node = node.children[name]
    return node
