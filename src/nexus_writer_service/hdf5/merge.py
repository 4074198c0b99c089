"""Merging a tree into an open file, by the rules of ``model/tree.py``.

Each node is tried on its own: one that cannot be written costs itself and what is below it. A
dataset is linked only once it is whole. Links are never followed: an external one would be read
through the writer's own file.
"""

from enum import Enum, auto
from itertools import groupby
from operator import itemgetter
from typing import Any

from h5py import h5a, h5d, h5g, h5i, h5l, h5o

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.external_binary import create_external
from nexus_writer_service.hdf5.failures import FAILURES, RefusedError, cause, cure
from nexus_writer_service.hdf5.growing import GrowingDatasets, GrowingNode
from nexus_writer_service.hdf5.known import Known
from nexus_writer_service.hdf5.templates import Likeness, Templates, likeness, without
from nexus_writer_service.hdf5.values import (
    as_array,
    copy_attributes,
    fits_in_place,
    get_text_attribute,
    link_name,
    new_dataset,
    put_in_place,
    set_attribute,
    write_all,
)
from nexus_writer_service.hdf5.virtual import create_virtual
from nexus_writer_service.model.tree import (
    Attributes,
    Dataset,
    ExternalDataset,
    ExternalLink,
    Group,
    ImageStack,
    Instead,
    LocatedStack,
    Node,
    SoftLink,
    StreamDataset,
    Value,
    VirtualDataset,
)


class Kind(Enum):
    """What a name in a group stands for."""

    NOTHING = auto()
    GROUP = auto()
    DATASET = auto()
    OTHER = auto()
    """A named datatype, or a link."""


def kind_of(group: Any, name: str) -> Kind:
    """What ``name`` in a group (low-level identifier) stands for, without following links."""
    key = name.encode()
    if not group.links.exists(key):
        return Kind.NOTHING
    if group.links.get_info(key).type != h5l.TYPE_HARD:
        return Kind.OTHER
    match h5i.get_type(h5o.open(group, key)):
        case h5i.GROUP:
            return Kind.GROUP
        case h5i.DATASET:
            return Kind.DATASET
        case _:
            return Kind.OTHER


class Merge:
    """One merge of a tree.

    Args:
        file: path of the file, for messages.
        growing: takes the datasets that grow.
        known: what earlier merges have met; added to.
        templates: of groups that are made again and again; added to.
    """

    def __init__(
        self, file: str, growing: GrowingDatasets, known: Known, templates: Templates
    ) -> None:
        self.problems: list[str] = []
        """What could not be written, with path, cause and cure."""
        self._file = file
        self._growing = growing
        self._known = known
        self._templates = templates

    def root(self, here: Any, tree: Group) -> None:
        """Merge ``tree`` into the root group (low-level identifier)."""
        try:
            self._merge_group(here, "/", tree, new=False)
        except FAILURES as error:
            self._problem("/", error)

    def _merge_group(self, here: Any, path: str, node: Group, *, new: bool) -> None:
        attributes = dict(node.attributes)
        wanted = attributes.get("NX_class")
        if wanted is not None and not new:
            found = get_text_attribute(here, "NX_class")
            if found not in (None, wanted):
                raise _other_class(path, found, wanted)
            if found is not None:
                self._known.add(path, here, found)
                del attributes["NX_class"]
        self._fill(here, path, node, attributes, new=new)

    def _fill(
        self, here: Any, path: str, node: Group, attributes: dict[str, Value], *, new: bool
    ) -> None:
        if not new and "default" in attributes and _leads_nowhere(here, node):
            del attributes["default"]
        self._attributes(here, path, attributes, new=new)
        for name in node.dropped:
            if h5a.exists(here, name.encode()):
                h5a.delete(here, name.encode())
        above = path.rstrip("/")
        for name, child in node.children.items():
            self._child(here, f"{above}/{name}", name, child, new=new)

    def _child(self, here: Any, path: str, name: str, node: Node, *, new: bool) -> None:
        """Merge a node into a group; a new group has nothing yet that could be in its place."""
        try:
            if not name or name == "." or "/" in name or "\0" in name:
                raise RefusedError(f"{path}: {name!r} cannot be the name of an HDF5 object")
            if isinstance(node, Group) and (known := self._known.get(path)):
                self._known_group(*known, path, node)
                return
            if isinstance(node, Dataset) and self._known.has(path, node):
                return
            kind = Kind.NOTHING if new else self._kind_of(here, path, name)
            if isinstance(node, Instead):
                self._instead(here, path, name, node.node, kind)
                return
            match node:
                case Group():
                    self._group(here, path, node, kind)
                case Dataset():
                    self._dataset(here, path, node, kind)
                case StreamDataset() | ImageStack() | LocatedStack():
                    self._growing_dataset(here, path, node, kind)
                case VirtualDataset() | ExternalDataset():
                    self._unwritten(here, path, node, kind)
                case ExternalLink(makes_way=True):
                    self._link_beside(here, path, name, node)
                case SoftLink() | ExternalLink():
                    self._link(here, path, node, kind)
        except FAILURES as error:
            self._problem(path, error)

    def _kind_of(self, here: Any, path: str, name: str) -> Kind:
        return Kind.DATASET if path in self._known else kind_of(here, name)

    def _problem(self, path: str, error: BaseException) -> None:
        if isinstance(error, DatasetError):
            text = str(error) if path in str(error) else f"{path}: {error}"
            self.problems.append(f"{self._file}: {text}")
        else:
            self.problems.append(
                f"{self._file}: {path} was not written: {cause(error)}; {cure(error)}"
            )

    def _attributes(
        self, owner: Any, path: str, attributes: Attributes, *, new: bool = False
    ) -> None:
        for name, value in attributes.items():
            try:
                set_attribute(owner, name, value, new=new)
            except FAILURES as error:
                self._problem(f"{path}@{name}", error)

    def _known_group(self, group: Any, found: str, path: str, node: Group) -> None:
        if node.attributes.get("NX_class", found) != found:
            raise _other_class(path, found, node.attributes["NX_class"])
        others = {key: value for key, value in node.attributes.items() if key != "NX_class"}
        self._fill(group, path, node, others, new=False)

    def _group(self, here: Any, path: str, node: Group, kind: Kind) -> None:
        name = path.rpartition("/")[2]
        match kind:
            case Kind.GROUP:
                group = h5g.open(here, name.encode())
                self._merge_group(group, path, node, new=False)
            case Kind.NOTHING:
                self._new_group(here, path, name, node)
            case _:
                raise RefusedError(
                    f"{path} exists and is not a group: nothing below it was written; choose "
                    "another name for one of them"
                )

    def _new_group(self, here: Any, path: str, name: str, node: Group) -> None:
        like = likeness(node)
        if like is None:
            self._made_group(here, path, name, node)
        elif self._templates.copy(here, name, like):
            for below, stream in like.streams:
                dataset = self._growing.open(here, f"{name}/{below}", stream)
                self._growing.attach(f"{path}/{below}", stream, dataset, new=True)
            self._known.expect(path, like.groups)
            self._rest(here, path, name, like)
        elif self._templates.wanted(like):
            problems = len(self.problems)
            self._made_group(here, path, name, without(node, like))
            if len(self.problems) == problems:
                self._templates.made(here, name, like)
            self._rest(here, path, name, like)
        else:
            self._made_group(here, path, name, node)

    def _made_group(self, here: Any, path: str, name: str, node: Group) -> None:
        key, properties = link_name(name)
        group = h5g.create(here, key, properties)
        self._merge_group(group, path, node, new=True)
        nx_class = node.attributes.get("NX_class")
        if isinstance(nx_class, str):
            self._known.add(path, group, nx_class)

    def _rest(self, here: Any, path: str, name: str, like: Likeness) -> None:
        """Merge what a template does not have."""
        for where, of_where in groupby(like.rest, itemgetter(0)):
            below = f"/{where}" if where else ""
            group = h5g.open(here, f"{name}{below}".encode())
            for _, one, node in of_where:
                self._child(group, f"{path}{below}/{one}", one, node, new=True)

    def _dataset(self, here: Any, path: str, node: Dataset, kind: Kind) -> None:
        array = as_array(node.value)
        _refuse_group(path, kind)
        self._growing.forget(path)
        old = h5d.open(here, path.rpartition("/")[2].encode()) if kind is Kind.DATASET else None
        if old is not None and (self._known.takes(path, array) or fits_in_place(old, array)):
            write_all(old, array)
            self._attributes(old, path, node.attributes)
        else:
            self._put(here, path, new_dataset(here, array), node.attributes, kind)
        self._known.put(path, node, array)

    def _instead(self, here: Any, path: str, name: str, node: Node | None, kind: Kind) -> None:
        if kind is not Kind.NOTHING:
            self._growing.forget_below(path)
            self._known.close()
            here.unlink(name.encode())
        if node is not None:
            self._child(here, path, name, node, new=False)

    def _unwritten(
        self, here: Any, path: str, node: VirtualDataset | ExternalDataset, kind: Kind
    ) -> None:
        _refuse_group(path, kind)
        if isinstance(node, ExternalDataset):
            dataset = create_external(here, node)
        else:
            dataset = create_virtual(
                here, node.dtype, node.shape, node.sources, fill=node.fill, growing=False
            )
        self._growing.forget(path)
        self._put(here, path, dataset, node.attributes, kind)

    def _growing_dataset(self, here: Any, path: str, node: GrowingNode, kind: Kind) -> None:
        _refuse_group(path, kind)
        self._known.forget(path)
        if kind is Kind.DATASET:
            dataset = self._growing.open(here, path.rpartition("/")[2], node)
            if path not in self._growing:
                self._growing.attach(path, node, dataset, new=False)
            elif isinstance(node, StreamDataset):
                self._growing.widen(path, node)
                dataset = h5d.open(here, path.rpartition("/")[2].encode())
            self._attributes(dataset, path, node.attributes)
        else:
            dataset = self._growing.create(here, node)
            self._put(here, path, dataset, node.attributes, kind)
            self._growing.attach(path, node, dataset, new=True)

    def _put(self, here: Any, path: str, dataset: Any, attributes: Attributes, kind: Kind) -> None:
        """Link a new dataset, which keeps the attributes of the one whose place it takes."""
        self._known.forget(path)
        name = path.rpartition("/")[2]
        if kind is Kind.DATASET:
            copy_attributes(h5d.open(here, name.encode()), dataset)
        self._attributes(dataset, path, attributes, new=kind is not Kind.DATASET)
        put_in_place(here, name, dataset, free=kind is Kind.NOTHING)

    def _link(self, here: Any, path: str, node: SoftLink | ExternalLink, kind: Kind) -> None:
        key, properties = link_name(path.rpartition("/")[2])
        if kind is Kind.NOTHING:
            _create_link(here, key, node, properties)
        elif kind is Kind.GROUP:
            raise RefusedError(f"{path} is a group, which a link never takes the place of")
        elif _target(here, key) != _wanted_target(node):
            self._growing.forget(path)
            self._known.forget(path)
            here.unlink(key)
            _create_link(here, key, node, properties)

    def _link_beside(self, here: Any, path: str, name: str, node: ExternalLink) -> None:
        """Link under the first name that is free, or has this link already."""
        number = 1
        free = name
        while _taken(here, free.encode(), node):
            number += 1
            free = f"{name}_{number}"
        self._link(here, f"{path.removesuffix(name)}{free}", node, kind_of(here, free))


def _leads_nowhere(here: Any, node: Group) -> bool:
    """Whether the new ``default`` of a group leads less far than the one that it has."""
    old, new = get_text_attribute(here, "default"), node.attributes.get("default")
    if not old or not isinstance(new, str) or old == new or not _leads_on(here, old):
        return False
    child = node.children.get(new)
    return not (
        _leads_on(here, new) or (isinstance(child, Group) and "default" in child.attributes)
    )


def _taken(here: Any, key: bytes, node: ExternalLink) -> bool:
    """Whether a name in a group stands for anything else than this link."""
    return bool(here.links.exists(key)) and _target(here, key) != _wanted_target(node)


def _leads_on(here: Any, name: str) -> bool:
    """Whether a name in a group is a group with a ``default`` of its own."""
    if "/" in name or kind_of(here, name) is not Kind.GROUP:
        return False
    return bool(h5a.exists(h5g.open(here, name.encode()), b"default"))


def _other_class(path: str, found: str, wanted: Value) -> RefusedError:
    return RefusedError(
        f"{path} is an {found} and not an {wanted!s}: neither it nor what is below it was written; "
        "choose another name for one of them"
    )


def _refuse_group(path: str, kind: Kind) -> None:
    if kind is Kind.GROUP:
        raise RefusedError(
            f"{path} exists and is a group: no dataset was written in its place; choose "
            "another name for one of them"
        )


def _create_link(here: Any, key: bytes, node: SoftLink | ExternalLink, properties: Any) -> None:
    if isinstance(node, SoftLink):
        here.links.create_soft(key, node.target.encode(), properties)
    else:
        here.links.create_external(key, *_wanted_target(node), properties)


def _wanted_target(node: SoftLink | ExternalLink) -> Any:
    """As ``links.get_val`` tells it."""
    if isinstance(node, SoftLink):
        return node.target.encode()
    return node.file.encode(), node.target.encode()


def _target(here: Any, key: bytes) -> Any:
    """Target of a soft link, file and target of an external one, None for anything else."""
    if here.links.get_info(key).type == h5l.TYPE_HARD:
        return None
    return here.links.get_val(key)
