"""Where a file leads to: do its links, and the sources of its virtual and raw data, exist?

For files that are open to be read only. A writer's own handle must never follow such things.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import h5py
from h5py import h5s

from nexus_writer_service.hdf5.failures import FAILURES, cause

_Bounds = list[tuple[int, ...]]


def broken_link(group: h5py.Group, name: str) -> str | None:
    """Why the soft or external link leads nowhere; None when it leads to an object.

    Args:
        group: that holds the link.
        name: of the link.
    """
    link = group.get(name, getlink=True)
    try:
        group[name]  # as every reader would
    except FAILURES as error:
        match link:
            case h5py.ExternalLink(filename=file, path=target):
                return _broken_external(group.file.filename, file, target, error)
            case h5py.SoftLink(path=target):
                return f"soft link to {target}, which is not there"
            case _:
                raise
    return None


def _broken_external(own: str, file: str, target: str, error: BaseException) -> str:
    place = _found(own, file)
    if place is None:
        return f"external link to {file}, a file that is not there"
    try:
        with h5py.File(place, "r", locking=False) as other:
            if target not in other:
                return f"external link to {target} in {file}, which is not in that file"
    except FAILURES as its_error:
        return f"external link to {file}, which cannot be read: {cause(its_error)}"
    return f"external link to {target} in {file}: {cause(error)}"


def _found(own: str, name: str) -> str | None:
    """Where HDF5 finds the file that ``own`` names; None when it does not."""
    if name == ".":
        return own
    folder = os.path.dirname(os.path.realpath(own))
    # The last one is for files that were moved together.
    places = os.path.join(folder, name), os.path.join(folder, os.path.basename(name))
    return next((place for place in places if os.path.exists(place)), None)


def missing_sources(dataset: h5py.Dataset) -> Iterator[str]:
    """What is missing of the files that the values of a virtual or raw dataset are in."""
    own = dataset.file.filename
    for name, offset, size in dataset.external or ():
        place = _found(own, name)
        if place is None:
            yield f"raw data are in {name}, a file that is not there"
        elif os.path.isfile(place) and os.path.getsize(place) < offset + size:
            yield f"raw data are in {name}, which is too short"
    if dataset.is_virtual:
        yield from _missing_blocks(own, dataset)


def _missing_blocks(own: str, dataset: h5py.Dataset) -> Iterator[str]:
    blocks: dict[str, dict[str, _Bounds]] = {}
    for source in dataset.virtual_sources():
        file, path = map(_first_name, (source.file_name, source.dset_name))
        bounds = blocks.setdefault(file, {}).setdefault(path, [])
        bounds += _last_index(source.src_space)
    for file, paths in blocks.items():
        place = _found(own, file)
        if place is None:
            yield f"source {file} is a file that is not there"
            continue
        try:
            with h5py.File(place, "r", locking=False) as other:
                found = [_missing_block(other, path, ends) for path, ends in paths.items()]
        except FAILURES as error:
            yield f"source {file} cannot be read: {cause(error)}"
            continue
        yield from (f"source {text} in {file}" for text in found if text)


def _first_name(name: str) -> str:
    """The name as HDF5 reads it for the first block: "%b" is the number of the block."""
    return re.sub("%([b%])", lambda found: "0" if found[1] == "b" else "%", name)


def _last_index(space: Any) -> _Bounds:
    """Last index of a selection along each axis; nothing when it is all, or has no end."""
    if space.get_select_type() != h5s.SEL_HYPERSLABS:
        return []
    if space.is_regular_hyperslab() and h5s.UNLIMITED in space.get_regular_hyperslab()[2]:
        return []
    return [space.get_select_bounds()[1]]


def _missing_block(file: h5py.File, path: str, ends: _Bounds) -> str | None:
    try:
        dataset = file[path]
        shape = dataset.shape
    except (*FAILURES, AttributeError):
        return f"{path} is not there"
    if shape is None or any(
        len(end) != len(shape) or any(map(int.__ge__, end, shape)) for end in ends
    ):
        return f"{path} of shape {shape} is smaller than what is taken of it"
    return None
