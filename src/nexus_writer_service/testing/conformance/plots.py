"""Rules of plots: the way to the default one, and what an NXdata promises (NXDL v2026.01)."""

from collections.abc import Iterator

import h5py
import numpy as np

from nexus_writer_service.errors import FileError
from nexus_writer_service.testing.conformance.finding import Finding
from nexus_writer_service.testing.conformance.walk import Members, nx_class, resolved, text, texts

_INDICES = "_indices"


def default_plot(file: h5py.File) -> tuple[str, h5py.Group]:
    """The NXdata that a viewer shows first: its path along the @default attributes, and itself.

    Raises:
        FileError: there is none, or the way to it is broken.
    """
    path, group = "", file["/"]
    while nx_class(group) != "NXdata":
        name = text(group.attrs.get("default"))
        where = f"{file.filename}::{path or '/'}"
        if not name:
            raise FileError(f"{where}: no default plot, as there is no @default; set it")
        group = resolved(group, name)
        if not isinstance(group, h5py.Group):
            raise FileError(
                f"{where}: no default plot, as @default {name!r} is not a group; fix it"
            )
        path = f"{path}/{name.strip('/')}"
        if path.count("/") > 8:
            raise FileError(f"{where}: no default plot, as @default leads in a circle; fix it")
    return path, group


def judge_default(members: Members) -> Iterator[Finding]:
    """@default of the root names an entry, that of an entry leads to an NXdata.

    An entry may do without when it has no NXdata, the root when no entry has a default. Entries of
    other files, to which a master file links, do not count: which is shown first is their matter.
    """
    name = text(members.group.attrs.get("default"))
    if name is None:
        yield from _no_default(members)
        return
    target = resolved(members.group, name)
    if not isinstance(target, h5py.Group):
        yield Finding(members.path, "default", f"@default is {name!r}, which is not a group here")
    elif members.nx_class == "NXroot" and nx_class(target) != "NXentry":
        yield Finding(members.path, "default", f"@default is {name!r}, which is not an NXentry")
    elif members.nx_class != "NXroot" and not _leads_to_data(target):
        text_ = f"@default is {name!r}, which is no NXdata and does not lead to one"
        yield Finding(members.path, "default", text_)


def _leads_to_data(group: h5py.Group) -> bool:
    return nx_class(group) == "NXdata" or "default" in group.attrs


def _no_default(members: Members) -> Iterator[Finding]:
    below = [
        one
        for name, one in members.groups.items()
        if not isinstance(members.links[name], h5py.ExternalLink)
    ]
    entries = [one for one in below if nx_class(one) == "NXentry" and "default" in one.attrs]
    if members.nx_class == "NXroot" and entries:
        yield Finding(members.path, "default", "no @default, although an entry has a plot")
    if members.nx_class == "NXentry" and any(nx_class(one) == "NXdata" for one in below):
        yield Finding(members.path, "default", "no @default, although there is an NXdata")


def judge_data(members: Members) -> Iterator[Finding]:
    """Signals and axes of an NXdata are there and fit each other.

    Lengths are not compared while the scan runs (its entry has no end_time): channels arrive each
    at its own pace.
    """
    for problem in _data_problems(members):
        yield Finding(members.path, "data", problem)


def _data_problems(members: Members) -> Iterator[str]:
    attrs = members.group.attrs
    name = text(attrs.get("signal"))
    if name is None:
        yield "no @signal"
        return
    signal = members.datasets.get(name)
    if signal is None:
        yield f"@signal is {name!r}, which is not a dataset here"
        return
    axes = texts(attrs.get("axes", []))
    auxiliary = texts(attrs.get("auxiliary_signals", []))
    for kind, names in (("axes", axes), ("auxiliary_signals", auxiliary)):
        for one in names:
            if one not in members.datasets and not (kind == "axes" and one == "."):
                yield f"@{kind} has {one!r}, which is not a dataset here"
    spans = _spans(members, axes)
    for axis in spans:
        if axis not in members.datasets and axis not in axes:
            yield f"@{axis}{_INDICES} speaks of {axis!r}, which is not a dataset here"
    if _is_finished(members):
        yield from _shape_problems(members, signal.shape, auxiliary)
        yield from _axis_problems(members, signal.shape, axes, spans)


def _spans(members: Members, axes: list[str]) -> dict[str, list[int]]:
    """The dimensions of the signal that each axis spans."""
    spans = {axis: [position] for position, axis in enumerate(axes) if axis != "."}
    for name, value in members.group.attrs.items():
        if name.endswith(_INDICES):
            indices = np.atleast_1d(value)
            spans[name.removesuffix(_INDICES)] = (
                [int(one) for one in indices] if indices.dtype.kind in "iu" else [-1]
            )
    return spans


def _shape_problems(
    members: Members, shape: tuple[int, ...], auxiliary: list[str]
) -> Iterator[str]:
    for name in auxiliary:
        other = members.datasets.get(name)
        if other is not None and other.shape != shape:
            yield f"auxiliary signal {name!r} has shape {other.shape}, the signal {shape}"


def _axis_problems(
    members: Members, shape: tuple[int, ...], axes: list[str], spans: dict[str, list[int]]
) -> Iterator[str]:
    if is_scatter(members.datasets, shape, axes):
        return
    if axes and len(axes) != len(shape):
        yield f"{len(axes)} @axes for a signal of {len(shape)} dimensions"
    for axis, indices in spans.items():
        if axis not in members.datasets:
            continue
        length = members.datasets[axis].shape
        if any(not 0 <= index < len(shape) for index in indices):
            if axis not in axes or f"{axis}{_INDICES}" in members.group.attrs:
                yield f"@{axis}{_INDICES} is {indices}, the signal has {len(shape)} dimensions"
            continue
        expected = [shape[index] for index in indices]
        if len(length) != len(expected) or any(
            one not in (points, points + 1)  # as many values as points, or edges of bins
            for one, points in zip(length, expected, strict=True)
        ):
            yield f"axis {axis!r} has shape {length}, the signal has {tuple(expected)} there"


def is_scatter(
    datasets: h5py.Group | dict[str, h5py.Dataset], shape: tuple[int, ...], axes: list[str]
) -> bool:
    """Whether the points of a 1-D signal are placed by several axes of the same length.

    NXDL asks for as many axes as dimensions; but silx and h5web draw this form, and no other, as
    the scatter plot of a grid that is not complete or not regular.
    """
    return (
        len(shape) == 1
        and len(axes) > 1
        and all(axis in datasets and datasets[axis].shape == shape for axis in axes)
    )


def _is_finished(members: Members) -> bool:
    entry = resolved(members.group.file, members.path.split("/")[1])
    return not isinstance(entry, h5py.Group) or "end_time" in entry
