"""The entries of a mapped file, and the place in them that is the writer's."""

from dataclasses import replace

from nexus_writer_service.layout.esrf.names import unique_name
from nexus_writer_service.layout.h5map.items import MapGroup, MapNode, MappedStream, Problems
from nexus_writer_service.layout.writer_note import NOTE

_OURS = frozenset({"status", "type", "data", "description", "date"})
"""Items of the note."""


def entries_of(root: MapGroup, number: int, *, needed: bool) -> tuple[str, ...]:
    """The groups in the root of a file that are the scan's.

    Args:
        root: of the map.
        number: of the scan.
        needed: whether there has to be one, for the writer's note, also where the map has none.
    """
    found = tuple(
        name
        for name, node in root.children.items()
        if isinstance(node, MapGroup)
        and (node.attributes.get("NX_class") == "NXentry" or has_streams(node))
    )
    needed = needed or has_streams(root)
    return found or ((unique_name(f"{number}.1", root.children),) if needed else ())


def has_streams(node: MapNode) -> bool:
    """Whether an item is a stream, or has one below it."""
    if isinstance(node, MapGroup):
        return any(map(has_streams, node.children.values()))
    return isinstance(node, MappedStream)


def has_content(node: MapNode) -> bool:
    """Whether an item is a dataset, or has one below it."""
    if isinstance(node, MapGroup):
        return any(map(has_content, node.children.values()))
    return hasattr(node, "attributes")


def with_room_for_note(
    file: str, root: MapGroup, entries: tuple[str, ...], problems: Problems
) -> MapGroup:
    """The map without what has the place of the writer's note in the scan's entries."""
    children = dict(root.children)
    for name in entries:
        entry = children.get(name)
        if not isinstance(entry, MapGroup) or NOTE not in entry.children:
            continue
        note, below = entry.children[NOTE], dict(entry.children)
        is_note = isinstance(note, MapGroup) and note.attributes.get("NX_class") in (None, "NXnote")
        if is_note and isinstance(note, MapGroup):
            kept = {key: one for key, one in note.children.items() if key not in _OURS}
            below[NOTE] = replace(note, children=kept)
        else:
            del below[NOTE]
            problems.append(
                f"/{name}/{NOTE} is mapped in {file}, but cannot be written: the writer keeps its "
                "verdict there; give it another name in the map"
            )
        children[name] = replace(entry, children=below)
    return replace(root, children=children)
