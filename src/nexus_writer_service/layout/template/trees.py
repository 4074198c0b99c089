"""The trees of a template at each moment of a scan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nexus_writer_service.layout.esrf import metadata
from nexus_writer_service.layout.template.items import (
    ChannelData,
    Constant,
    Item,
    Items,
    Link,
    Metadata,
    When,
)
from nexus_writer_service.layout.template.said import said
from nexus_writer_service.model.description import ChannelName, ScanDescription
from nexus_writer_service.model.tree import Attributes, Group, Node, SoftLink, merged

PLOT = "NXdata"
"""A group of this class is written once all that it shows is there: readers would stumble."""

Seen = Callable[[Item], bool]
"""Whether an item is written at this moment."""


@dataclass(frozen=True, slots=True)
class Trees:
    """What a template adds to one entry.

    Args:
        entry: name of the entry.
        items: what the template asks for.
        channels: the channel that each of its items means.
        places: absolute path of the dataset of each channel.
    """

    entry: str
    items: Items
    channels: Mapping[ChannelData, ChannelName]
    places: Mapping[ChannelName, str]
    links: Mapping[Link, When | ChannelName]
    """When the target of each link is there: at the start, with a channel, or at the end. Links
    that lead nowhere are not among them."""

    def start(self, scan: ScanDescription) -> Group:
        """What is known when the scan is prepared."""
        times = (When.START, When.ALWAYS)

        def seen(item: Item) -> bool:
            return _at(item, times) or self._is(item, When.START)

        return self._root(self._group(self.items, scan, seen, bare=True))

    def data(self, scan: ScanDescription, begun: set[ChannelName]) -> Group:
        """Links to the channels that have begun, and the plots that they make complete.

        Args:
            scan: its description.
            begun: the channels that have a dataset by now.
        """

        def seen(item: Item) -> bool:
            if isinstance(item, ChannelData):
                return self.channels.get(item) in begun
            return isinstance(item, Link) and self.links.get(item) in begun

        return self._root(self._group(self.items, scan, seen, begun=begun))

    def finish(self, scan: ScanDescription) -> Group:
        """What is known at the end; the description is that with the end."""
        times = (When.END, When.ALWAYS)

        def seen(item: Item) -> bool:
            return _at(item, times) or self._is(item, When.END)

        return self._root(self._group(self.items, scan, seen))

    # ------------------------------------------------------------------------------ inside

    def _is(self, item: Item, when: When) -> bool:
        return isinstance(item, Link) and self.links.get(item) is when

    def _root(self, found: Group) -> Group:
        if not found.children and not found.attributes:
            return Group()
        nx_class = {"NX_class": "NXentry"}
        return Group({self.entry: Group(found.children, {**found.attributes, **nx_class})})

    def _group(
        self,
        items: Items,
        scan: ScanDescription,
        seen: Seen,
        *,
        bare: bool = False,
        begun: set[ChannelName] | None = None,
    ) -> Group:
        children: dict[str, Node] = {}
        for name, item in items.children.items():
            if isinstance(item, Items):
                within = self._below(item, scan, seen, bare=bare, begun=begun)
                if within.children or (bare and not _waits(item)):
                    children[name] = within
            elif seen(item) and (node := self._node(name, item, items, scan)) is not None:
                children[name] = node
        return Group(children, _attributes(items) if bare or items.nx_class else {})

    def _below(
        self,
        items: Items,
        scan: ScanDescription,
        seen: Seen,
        *,
        bare: bool,
        begun: set[ChannelName] | None,
    ) -> Group:
        """A group inside; a plot comes whole, with the last of the channels that it shows."""
        if not _waits(items):
            return self._group(items, scan, seen, bare=bare, begun=begun)
        wanted = {self.channels[one] for one in items.channels if one in self.channels}
        if begun is None or not wanted or not wanted <= begun:
            return Group()

        def all_but_lost(item: Item) -> bool:
            return seen(item) or _at(item, (*When,)) or self._is(item, When.START)

        return self._group(items, scan, all_but_lost, bare=True)

    def _node(self, name: str, item: Item, items: Items, scan: ScanDescription) -> Node | None:
        match item:
            case Constant(value):
                return _value(name, value, items)
            case Metadata(path, _, default):
                found = said(scan, path)
                return _value(name, default if found is None else found, items)
            case ChannelData():
                place = self.places[self.channels[item]]
                return SoftLink(place.rpartition("/")[0] if item.device else place)
            case Link(target):
                return SoftLink(f"/{self.entry}/{target}")
            case Items():
                return None


def has(group: Group, path: str) -> bool:
    """Whether a tree has something at a path."""
    node: Node = group
    for name in path.split("/"):
        if not isinstance(node, Group) or name not in node.children:
            return False
        node = node.children[name]
    return True


def fitting(added: Group, own: Group, where: str, refused: list[str]) -> Group:
    """What a template adds without touching what the default layout writes.

    Args:
        added: what is to be added.
        own: what the default layout writes there.
        where: the place, for messages.
        refused: gets the path of each item that is left out.
    """
    children: dict[str, Node] = {}
    for name, node in added.children.items():
        mine, path = own.children.get(name), f"{where}/{name}"
        if isinstance(mine, Group) and isinstance(node, Group) and _same_class(mine, node):
            children[name] = fitting(node, mine, path, refused)
        elif mine is None:
            children[name] = node
        else:
            refused.append(path)
    attributes = {name: v for name, v in added.attributes.items() if name not in own.attributes}
    refused += [
        f"{where}@{name}" for name in added.attributes.keys() & own.attributes.keys() - {"NX_class"}
    ]
    return Group(children, attributes)


def all_of(*trees: Group, entry: str) -> Group:
    """One entry out of several trees."""
    found = merged(*trees).children.get(entry)
    return found if isinstance(found, Group) else Group()


def _same_class(one: Group, other: Group) -> bool:
    classes = {one.attributes.get("NX_class"), other.attributes.get("NX_class")} - {None}
    return len(classes) <= 1


def _at(item: Item, times: tuple[When, ...]) -> bool:
    return isinstance(item, Constant | Metadata) and item.when in times


def _waits(items: Items) -> bool:
    return items.nx_class == PLOT and bool(items.channels)


def _attributes(items: Items) -> Attributes:
    own = {name: metadata.value_of(value) for name, value in items.attributes.items()}
    return {"NX_class": items.nx_class, **own} if items.nx_class else own


def _value(name: str, value: object, items: Items) -> Node | None:
    attributes = items.attributes_of.get(name, {})
    with_attributes = {name: value, **{f"{name}@{key}": of for key, of in attributes.items()}}
    found = metadata.group(with_attributes, name, []).children
    return next(iter(found.values()), None) if value is not None else None
