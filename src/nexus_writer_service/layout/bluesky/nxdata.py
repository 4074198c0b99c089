"""The default plot: what the primary stream measured, over the motors; grids also as grids.

An NXdata names one axis for each dimension of its signal. A scan of two motors along a line has one
dimension with two axes: the second says so by ``_indices`` [NXdata].
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from nexus_writer_service.layout.bluesky.names import ENTRY
from nexus_writer_service.layout.bluesky.parts import group
from nexus_writer_service.layout.bluesky.view import PRIMARY, View
from nexus_writer_service.model.description import ChannelName, Shape
from nexus_writer_service.model.run import Column
from nexus_writer_service.model.tree import (
    Group,
    Node,
    SoftLink,
    Value,
    VirtualDataset,
    VirtualSource,
)

DATA: Final = "data"
GRID: Final = "grid"
_MOST_PIECES: Final = 4096
"""Pieces of a virtual dataset above which a grid is left flat: it would be slow to read."""


def data(view: View, lengths: Mapping[ChannelName, int] | None = None) -> Group:
    """The group ``data``, and ``grid`` once it is full; into the entry.

    Args:
        view: of the run.
        lengths: points of each channel; None when the run goes on.
    """
    members = view.members
    signal = signal_of(view)
    if signal is None and not view.options.as_apstools:
        return Group()  # an NXdata that plots nothing is none
    found: dict[str, Node] = {
        name: SoftLink(f"{view.group_path(PRIMARY, column.key)}/value")
        for name, column in members.items()
    }
    stamped = [name for name in members if not math.isnan(members[name].first_epoch)]
    if stamped and "EPOCH" not in found:
        # As readers know it: seconds since the first point, of the last member by its name.
        last = members[max(stamped)]
        found["EPOCH"] = SoftLink(f"{view.group_path(PRIMARY, last.key)}/time")
    attributes: dict[str, Value] = {}
    if signal is not None:
        attributes = {"signal": signal, **_axes(view, signal, "EPOCH" in found)}
    trees: dict[str, Node] = {DATA: group(f"{ENTRY}/{DATA}", "NXdata", found, **attributes)}
    shown = signal is not None or (view.options.as_apstools and view.primary is not None)
    default = DATA if shown else None
    if signal is not None and lengths is not None:
        grid = _grid(view, signal, lengths)
        if grid is not None:
            trees[GRID] = grid
            default = DATA if view.options.as_apstools else GRID
    return Group(trees, {"default": default} if default else {})


def signal_of(view: View) -> str | None:
    """Name of what is plotted; None when there is nothing to plot."""
    if view.primary is None:
        return None
    names, columns = view.key_names[PRIMARY], view.primary.columns
    wanted = view.options.nxdata_signal
    if wanted is not None and wanted in columns:
        return names[wanted]
    if wanted is not None and view.options.as_apstools:
        return None
    candidates = [key for key in view.data_map.get("detectors", ()) if key in columns]
    if view.options.as_apstools:
        return names[candidates[0]] if candidates else None
    others = [key for key in view.data_map.get("unassigned", ()) if key in columns]
    left = [key for key in view.data_map.get("motors", ()) if key in columns]
    for key in (*candidates, *others, *left):
        if view.is_number(columns[key]):
            return names[key]
    return None


def _axes(view: View, signal: str, has_time: bool) -> dict[str, Value]:
    motors: Sequence[str] = view.data_map.get("motors", ())
    wanted = view.options.nxdata_signal_axes or motors
    if view.options.as_apstools:
        return {"axes": list(wanted)} if wanted else {}
    axes = [name for name in _names(view, wanted) if name != signal]
    if not axes and has_time:
        axes = ["EPOCH"]
    if not axes:
        return {}
    rank = len(view.channel(view.members[signal]).shape)
    found: dict[str, Value] = {"axes": [axes[0], *["."] * rank]}
    return found | {f"{name}_indices": 0 for name in axes}


def _names(view: View, keys: Sequence[str]) -> list[str]:
    """HDF5 names of the data keys that hold one number for each point."""
    if view.primary is None:
        return []
    columns = view.primary.columns
    return [
        view.key_names[PRIMARY][key]
        for key in keys
        if key in columns and view.is_number(columns[key]) and not view.channel(columns[key]).shape
    ]


def _grid(view: View, signal: str, lengths: Mapping[ChannelName, int]) -> Group | None:
    """The plot of a grid scan with an axis for each motor; None when it is none, or not full."""
    shape = _shape(view)
    motors = _names(view, view.data_map.get("motors", ()))
    column = view.members[signal]
    if (
        not shape
        or len(shape) != len(motors)
        or view.channel(column).shape
        or view.external(column)
    ):
        return None
    total = math.prod(shape)
    columns = [view.members[name] for name in motors]
    if any(lengths.get(one.value) != total for one in (column, *columns)):
        return None
    pieces = list(_pieces(shape, _snaking(view, len(shape))))
    if len(pieces) > _MOST_PIECES:
        return None
    found: dict[str, Node] = {signal: _mapped(view, column, shape, pieces, total)}
    attributes: dict[str, Value] = {"signal": signal, "axes": motors}
    for axis, (name, motor) in enumerate(zip(motors, columns, strict=True)):
        stride = math.prod(shape[axis + 1 :])
        along = [((number,), (1,), number * stride) for number in range(shape[axis])]
        found[name] = _mapped(view, motor, (shape[axis],), along, total)
        attributes[f"{name}_indices"] = axis
    return group(f"{ENTRY}/{GRID}", "NXdata", found, **attributes)


def _shape(view: View) -> Shape:
    start = view.run.start
    shape = start.get("shape")
    regular = (start.get("hints") or {}).get("gridding") in ("rectilinear", None)
    if not regular or not isinstance(shape, list | tuple) or len(shape) < 2:
        return ()
    if not all(isinstance(length, int | np.integer) and length > 1 for length in shape):
        return ()
    return tuple(int(length) for length in shape)


def _snaking(view: View, rank: int) -> list[bool]:
    snaking = view.run.start.get("snaking")
    if not isinstance(snaking, list | tuple) or len(snaking) != rank:
        return [False] * rank
    return [bool(one) for one in snaking]


_Piece = tuple[Shape, Shape, int]
"""Where it begins in the grid, its shape there, and the row of the stream of its first point."""


def _pieces(shape: Shape, snaking: list[bool]) -> list[_Piece]:
    """Points of the grid that follow each other in the stream, in the order of the grid."""
    if not any(snaking[1:]):
        return [((0,) * len(shape), shape, 0)]
    found: list[_Piece] = []
    for row, corner in enumerate(np.ndindex(*shape[:-1])):
        # An axis that snakes goes backwards on each odd pass: passes are counted over all outer
        # axes together.
        place: list[int] = []
        passes = 0
        for axis, index in enumerate(corner):
            backwards = snaking[axis] and passes % 2
            place.append(shape[axis] - 1 - index if backwards else index)
            passes = passes * shape[axis] + index
        start = row * shape[-1]
        if snaking[-1] and passes % 2:
            last = shape[-1] - 1
            ones = (1,) * len(shape)
            found += [((*place, last - step), ones, start + step) for step in range(last + 1)]
        else:
            found.append(((*place, 0), (*(1,) * len(place), shape[-1]), start))
    return found


def _mapped(
    view: View, column: Column, shape: Shape, pieces: Sequence[_Piece], total: int
) -> VirtualDataset:
    path = f"{view.group_path(PRIMARY, column.key)}/value"
    described: Any = view.primary.data_keys.get(column.key, {}) if view.primary else {}
    units = described.get("units")
    sources = tuple(
        VirtualSource(
            ".",
            path,
            extent,
            selection=((row, math.prod(extent)),),
            source_shape=(total,),
            start=start,
        )
        for start, extent, row in pieces
    )
    attributes: dict[str, Value] = {"long_name": column.key}
    if isinstance(units, str) and units:
        attributes["units"] = units
    return VirtualDataset(view.channel(column).dtype, shape, sources, attributes=attributes)
