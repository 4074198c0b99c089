"""Rules of links: each leads somewhere, in this file or in another."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from nexus_writer_service.testing.conformance.finding import Finding
from nexus_writer_service.testing.conformance.walk import Members, resolved, text


def judge_links(members: Members, *, allow_missing_files: bool) -> Iterator[Finding]:
    """Soft and external links, ``target`` attributes, sources of virtual and external storage.

    Args:
        members: the group.
        allow_missing_files: other files may be away, e.g. the detector's; links inside the file
            and into files that are there still have to lead somewhere.
    """
    for name, link in members.links.items():
        found = name in members.datasets or name in members.groups
        if isinstance(link, h5py.ExternalLink):
            yield from _external(members, name, link, found, allow_missing_files)
        elif isinstance(link, h5py.SoftLink) and not found:
            if not (allow_missing_files and _ends_outside(members.group, link.path)):
                text_ = f"soft link to {link.path}, which is not there"
                yield Finding(members.path_of(name), "link", text_)
        elif name in members.datasets and not isinstance(link, h5py.SoftLink):
            dataset = members.datasets[name]
            path = members.path_of(name)
            for problem in _storage(dataset, allow_missing_files):
                yield Finding(path, "virtual", problem)
    yield from _targets(members)


def _external(
    members: Members, name: str, link: h5py.ExternalLink, found: bool, allow: bool
) -> Iterator[Finding]:
    there = _beside(members.group.file, link.filename).is_file()
    if not there and not allow:
        text_ = f"external link to {link.filename}, a file that is not there"
        yield Finding(members.path_of(name), "link", text_)
    elif there and not found:
        text_ = f"external link to {link.path} in {link.filename}, which is not in that file"
        yield Finding(members.path_of(name), "link", text_)


def _ends_outside(group: h5py.Group, path: str) -> bool:
    """Whether a path inside the file ends at an external link whose file is not there."""
    for _ in range(16):  # as many links as HDF5 follows before it speaks of a circle
        link = group.get(path, getlink=True)
        if not isinstance(link, h5py.SoftLink):
            break
        group = group[path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")]
        path = link.path
    return isinstance(link, h5py.ExternalLink) and not _beside(group.file, link.filename).is_file()


def _beside(file: h5py.File, name: str) -> Path:
    """Where a name in the file points to: relative to the file, not to the working directory."""
    own = Path(str(file.filename))
    return own if name == "." else own.parent / name


def _storage(dataset: h5py.Dataset, allow: bool) -> Iterator[str]:
    for name, _, _ in dataset.external or ():
        if not allow and not _beside(dataset.file, name).is_file():
            yield f"raw data are in {name}, a file that is not there"
    if not dataset.is_virtual:
        return
    sources: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    for source in dataset.virtual_sources():
        ends = sources.setdefault((source.file_name, source.dset_name), [])
        ends += _end(source.src_space)
    for (file, path), ends in sources.items():
        if problem := _source(dataset.file, file, path, ends, allow):
            yield problem


def _end(space: h5py.h5s.SpaceID) -> list[tuple[int, ...]]:
    """The last index of a selection along each axis; nothing when it is all or has no end."""
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS:
        return []
    if space.is_regular_hyperslab() and h5py.h5s.UNLIMITED in space.get_regular_hyperslab()[2]:
        return []
    return [space.get_select_bounds()[1]]


def _source(
    file: h5py.File, name: str, path: str, ends: list[tuple[int, ...]], allow: bool
) -> str | None:
    place = _beside(file, name)
    if not place.is_file():
        return None if allow else f"source {name} is a file that is not there"
    try:
        with h5py.File(place, "r", locking=False) as other:
            found = resolved(other, path)
            shape = found.shape if isinstance(found, h5py.Dataset) else None
    except OSError as error:
        return f"source {name} cannot be read: {error}"
    if shape is None:
        return f"source {path} in {name} is not there"
    if any(len(end) != len(shape) or any(map(int.__ge__, end, shape)) for end in ends):
        return f"source {path} in {name} has shape {shape}, less than is taken of it"
    return None


def _targets(members: Members) -> Iterator[Finding]:
    """NeXus wants ``target`` to be the absolute path of the object that holds it."""
    own = [(members.path, members.group)]
    own += [
        (members.path_of(name), one)
        for name, one in members.datasets.items()
        if members.is_own(name)
    ]
    for path, item in own:
        target = text(item.attrs.get("target", ""))
        if target is None or (target and resolved(members.group.file, target) != item):
            yield Finding(path, "link", f"@target is {target!r}, which is not this object")
