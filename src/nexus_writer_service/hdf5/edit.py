"""Trees merged into a group that other code has open by h5py."""

from collections.abc import Callable
from typing import Any

import h5py

from nexus_writer_service.hdf5.failures import FAILURES
from nexus_writer_service.hdf5.growing import GrowingDatasets
from nexus_writer_service.hdf5.known import Known
from nexus_writer_service.hdf5.merge import Merge
from nexus_writer_service.hdf5.templates import Templates
from nexus_writer_service.model.tree import Group


def merge_into(group: h5py.Group, tree: Group) -> tuple[str, ...]:
    """Merge a tree of finished nodes into an open group, by the rules of ``model/tree.py``.

    Args:
        group: of an open file.
        tree: its attributes and children become those of the group.

    Returns:
        Problems: what could not be written.
    """
    place = f"{group.file.name}{group.name}".replace("//", "/")
    growing = GrowingDatasets(group.file.id, place, _no_time)
    merge = Merge(place, growing, Known(group.id), Templates())
    merge.root(group.id, tree)
    return tuple(merge.problems)


def take_out(group: h5py.Group, names: tuple[str, ...]) -> Callable[[], None]:
    """Unlink datasets of a group; what is returned links those again whose names are free.

    Args:
        group: of an open file.
        names: of the datasets; those that are not there are passed over.
    """
    held: dict[str, Any] = {name: group[name] for name in names if name in group}
    for name in held:
        del group[name]

    def put_back() -> None:
        for name, item in held.items():
            if name not in group:
                group[name] = item

    return put_back


def read_list(group: h5py.Group, path: str) -> list[Any]:
    """The values of a dataset; none where there is no such thing, or it is in other files."""
    try:
        dataset = group[path]
        if dataset.is_virtual:
            return []
        values = dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]
    except (*FAILURES, AttributeError):
        return []
    return list(values)


def _no_time() -> float:
    return 0.0
