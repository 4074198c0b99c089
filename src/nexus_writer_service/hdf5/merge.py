"""Merging a tree into an open file, by the rules of ``model/tree.py``.

Each node is tried on its own: one that cannot be written costs itself and what is below it. A
dataset is linked only once it is whole. Links are never followed: an external one would be read
through the writer's own file.
"""

from enum import Enum, auto
from typing import Any

from h5py import h5d, h5g, h5i, h5l, h5o

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.failures import FAILURES, RefusedError, cause, cure
from nexus_writer_service.hdf5.growing import GrowingDatasets, GrowingNode
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
    ExternalLink,
    Group,
    ImageStack,
    LocatedStack,
    Node,
    SoftLink,
    StreamDataset,
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
    """

    def __init__(self, file: str, growing: GrowingDatasets) -> None:
        self.problems: list[str] = []
        """What could not be written, with path, cause and cure."""
        self._file = file
        self._growing = growing

    def root(self, here: Any, tree: Group) -> None:
        """Merge ``tree`` into the root group (low-level identifier)."""
        try:
            self._merge_group(here, "/", tree)
        except FAILURES as error:
            self._problem("/", error)

    def _merge_group(self, here: Any, path: str, node: Group) -> None:
        wanted = node.attributes.get("NX_class")
        found = get_text_attribute(here, "NX_class") if wanted is not None else None
        if found not in (None, wanted):
            raise RefusedError(
                f"{path} is an {found} and not an {wanted!s}: neither it nor what is below it was "
                "written; choose another name for one of them"
            )
        known = {"NX_class"} if found is not None else set()
        attributes = {key: node.attributes[key] for key in node.attributes if key not in known}
        self._attributes(here, path, attributes)
        for name, child in node.children.items():
            self._child(here, f"{path.rstrip('/')}/{name}", name, child)

    def _child(self, here: Any, path: str, name: str, node: Node) -> None:
        try:
            if not name or name == "." or "/" in name or "\0" in name:
                raise RefusedError(f"{path}: {name!r} cannot be the name of an HDF5 object")
            match node:
                case Group():
                    self._group(here, path, name, node)
                case Dataset():
                    self._dataset(here, path, name, node)
                case StreamDataset() | ImageStack() | LocatedStack():
                    self._growing_dataset(here, path, name, node)
                case VirtualDataset():
                    self._virtual(here, path, name, node)
                case SoftLink() | ExternalLink():
                    self._link(here, path, name, node)
        except FAILURES as error:
            self._problem(path, error)

    def _problem(self, path: str, error: BaseException) -> None:
        if isinstance(error, DatasetError):
            text = str(error) if path in str(error) else f"{path}: {error}"
            self.problems.append(f"{self._file}: {text}")
        else:
            self.problems.append(
                f"{self._file}: {path} was not written: {cause(error)}; {cure(error)}"
            )

    def _attributes(self, owner: Any, path: str, attributes: Attributes) -> None:
        for name, value in attributes.items():
            try:
                set_attribute(owner, name, value)
            except FAILURES as error:
                self._problem(f"{path}@{name}", error)

    def _group(self, here: Any, path: str, name: str, node: Group) -> None:
        match kind_of(here, name):
            case Kind.GROUP:
                group = h5g.open(here, name.encode())
            case Kind.NOTHING:
                key, properties = link_name(name)
                group = h5g.create(here, key, properties)
            case _:
                raise RefusedError(
                    f"{path} exists and is not a group: nothing below it was written; choose "
                    "another name for one of them"
                )
        self._merge_group(group, path, node)

    def _dataset(self, here: Any, path: str, name: str, node: Dataset) -> None:
        array = as_array(node.value)
        kind = self._not_a_group(here, path, name)
        self._growing.forget(path)
        old = h5d.open(here, name.encode()) if kind is Kind.DATASET else None
        if old is not None and fits_in_place(old, array):
            write_all(old, array)
            self._attributes(old, path, node.attributes)
        else:
            self._put(here, path, new_dataset(here, array), node.attributes)

    def _virtual(self, here: Any, path: str, name: str, node: VirtualDataset) -> None:
        self._not_a_group(here, path, name)
        dataset = create_virtual(
            here, node.dtype, node.shape, node.sources, fill=node.fill, growing=False
        )
        self._growing.forget(path)
        self._put(here, path, dataset, node.attributes)

    def _growing_dataset(self, here: Any, path: str, name: str, node: GrowingNode) -> None:
        if self._not_a_group(here, path, name) is Kind.DATASET:
            dataset = self._growing.open(here, name, node)
            if path not in self._growing:
                self._growing.attach(path, node, dataset, new=False)
            elif isinstance(node, StreamDataset):
                self._growing.widen(path, node)
                dataset = h5d.open(here, name.encode())
            self._attributes(dataset, path, node.attributes)
        else:
            dataset = self._growing.create(here, node)
            self._put(here, path, dataset, node.attributes)
            self._growing.attach(path, node, dataset, new=True)

    def _put(self, here: Any, path: str, dataset: Any, attributes: Attributes) -> None:
        """Link a new dataset, which keeps the attributes of the one whose place it takes."""
        name = path.rpartition("/")[2]
        if kind_of(here, name) is Kind.DATASET:
            copy_attributes(h5d.open(here, name.encode()), dataset)
        self._attributes(dataset, path, attributes)
        put_in_place(here, name, dataset)

    def _not_a_group(self, here: Any, path: str, name: str) -> Kind:
        kind = kind_of(here, name)
        if kind is Kind.GROUP:
            raise RefusedError(
                f"{path} exists and is a group: no dataset was written in its place; choose "
                "another name for one of them"
            )
        return kind

    def _link(self, here: Any, path: str, name: str, node: SoftLink | ExternalLink) -> None:
        key, properties = link_name(name)
        if not here.links.exists(key):
            _create_link(here, key, node, properties)
        elif kind_of(here, name) is Kind.GROUP:
            raise RefusedError(f"{path} is a group, which a link never takes the place of")
        elif _target(here, key) != _wanted_target(node):
            self._growing.forget(path)
            here.unlink(key)
            _create_link(here, key, node, properties)


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
