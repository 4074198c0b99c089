"""NXdata groups: signals of one shape of point over their axes.

A line scan is a curve over its first positioner. A grid scan that visited its points row by row is
an image, made of the flat data by virtual datasets in the same file; a grid that is not complete
(yet), or was visited back and forth, is a scatter of its points, as an image of it would lie.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nexus_writer_service.layout.esrf import storage
from nexus_writer_service.layout.esrf.entry import Entry
from nexus_writer_service.layout.esrf.names import unique_name
from nexus_writer_service.layout.esrf.slots import Slot
from nexus_writer_service.model.description import ChannelName, Shape
from nexus_writer_service.model.tree import (
    Dataset,
    Group,
    Node,
    SoftLink,
    Value,
    VirtualDataset,
    VirtualSource,
)

_SLOW_KINDS = ("forth", "step")
"""How an axis may move for its positions to be the same in each row; the fast one only forth."""


@dataclass
class _Fields:
    """The fields and attributes of an NXdata while it is made."""

    children: dict[str, Node] = field(default_factory=dict)
    axes: list[str] = field(default_factory=list)
    """Name of the default axis of each dimension, "." for none."""
    spans: dict[str, Value] = field(default_factory=dict)
    """Dimensions that a coordinate spans, where ``axes`` does not tell."""

    def add_coordinate(self, slot: Slot, node: Node, dims: Value) -> None:
        self.children[slot.name] = node
        self.spans[f"{slot.name}_indices"] = dims

    def add_sample_dims(self, sample: Shape) -> None:
        """Pixel or bin numbers as the axes of the detector's own dimensions."""
        for number, length in enumerate(sample):
            name = "."
            if length > 0:
                name = unique_name(f"datadim{number}", self.children)
                self.children[name] = Dataset(np.arange(length))
            self.axes.append(name)

    def data(self, names: Sequence[str]) -> Group:
        attributes: dict[str, Value] = {"NX_class": "NXdata", "signal": names[0]}
        if len(names) > 1:
            attributes["auxiliary_signals"] = list(names[1:])
        attributes["axes"] = self.axes
        return Group(self.children, {**attributes, **self.spans})


class Drawing:
    """Makes NXdata groups of the slots of one entry.

    Args:
        entry: the entry.
        axes: what places the points; they have datasets.
        lengths: points written of each channel that has a dataset.
        scanned: whether the axes are those of the scan, so that a grid can be an image over them.
        final: no more points will come.
    """

    def __init__(
        self,
        entry: Entry,
        axes: Sequence[Slot],
        lengths: Mapping[ChannelName, int],
        *,
        scanned: bool,
        final: bool,
    ) -> None:
        self._entry = entry
        self._axes = [slot for slot in axes if not slot.channel.shape]
        self._arrays = [slot for slot in axes if slot.channel.shape]
        """Axes with a value for each element of a point."""
        self._lengths = lengths
        self._scanned = scanned
        self._final = final
        self._shape = entry.structure.scan.shape
        self._keepshape = entry.structure.options.keepshape

    def data(self, signals: Sequence[Slot]) -> Group | None:
        """The NXdata of signals of one shape; None when they make none (yet)."""
        if not self._final and -1 in signals[0].channel.shape:
            return None  # at the end it may be that they cannot be cut to the length of the axes
        if len(self._shape) > 1 and self._keepshape:
            return self._kept(signals)
        if len(self._shape) > 1 and self._scanned:
            return self._gridded(signals)
        is_line = len(self._shape) <= 1 and self._scanned
        return self._line(signals) if is_line or len(self._axes) < 2 else self._scatter(signals)

    def _gridded(self, signals: Sequence[Slot]) -> Group | None:
        """A grid whose data are flat: until it is complete, scalars are shown point by point."""
        sample = signals[0].channel.shape
        if not self._final:
            return None if sample else self._scatter(signals)
        axes = self._regular_axes(signals)
        is_image = axes and -1 not in sample
        return self._grid(signals, axes) if is_image else self._scatter(signals)

    def _kept(self, signals: Sequence[Slot]) -> Group | None:
        """A grid whose data have its shape."""
        if not self._final:
            return None
        axes = self._regular_axes(signals) if self._scanned else []
        is_image = axes and -1 not in signals[0].channel.shape
        return self._grid(signals, axes) if is_image else self._kept_grid(signals)

    # ------------------------------------------------------------------------------- curves

    def _line(self, signals: Sequence[Slot]) -> Group | None:
        fields = _Fields()
        drawn = self._equal(fields, signals)
        if not drawn:
            return None
        first, *others = self._axes or (None,)
        fields.axes.append(first.name if first else ".")
        for slot in others:
            if slot is not None:
                fields.spans[f"{slot.name}_indices"] = 0
        sample = drawn[0].channel.shape
        if self._fitting_arrays(sample):
            fields.axes += ["."] * len(sample)
            for slot in self._fitting_arrays(sample):
                fields.spans[f"{slot.name}_indices"] = np.arange(1 + len(sample))
        else:
            fields.add_sample_dims(sample)
        return fields.data([slot.name for slot in drawn])

    def _scatter(self, signals: Sequence[Slot]) -> Group | None:
        """Points placed by several coordinates of one length, fast axis first.

        For scalars these are all in ``axes``, the form that viewers draw as a scatter.
        """
        fields = _Fields()
        drawn = self._equal(fields, signals)
        if not drawn:
            return None
        sample = drawn[0].channel.shape
        if not sample and self._axes:
            fields.axes += [slot.name for slot in self._axes]
        else:
            fields.axes.append(".")
            fields.spans |= {f"{slot.name}_indices": 0 for slot in self._axes}
        fields.add_sample_dims(sample)
        return fields.data([slot.name for slot in drawn])

    def _equal(self, fields: _Fields, signals: Sequence[Slot]) -> list[Slot]:
        """Adds signals and coordinates, at the end all of the length of the shortest."""
        slots = [*signals, *self._axes, *self._fitting_arrays(signals[0].channel.shape)]
        shortest = min(self._length(slot) for slot in slots)
        drawn = []
        for slot in slots:
            is_cut = self._final and self._length(slot) > shortest
            if is_cut and -1 in slot.channel.shape:
                continue
            node = self._reshaped(slot, (shortest,)) if is_cut else self._link(slot)
            fields.children[slot.name] = node
            if slot in signals:
                drawn.append(slot)
        return drawn

    def _fitting_arrays(self, sample: Shape) -> list[Slot]:
        """Axes with a value for each element of points of this shape."""
        return [slot for slot in self._arrays if slot.channel.shape == sample and -1 not in sample]

    # -------------------------------------------------------------------------------- grids

    def _regular_axes(self, signals: Sequence[Slot]) -> list[Slot]:
        """The positioner of each dimension, slow first; empty when the grid is not regular."""
        points = math.prod(self._shape)
        if any(self._length(slot) < points for slot in (*signals, *self._axes)):
            return []
        if self._keepshape and any(self._length(slot) > points for slot in signals):
            return []
        found = []
        for number in reversed(range(len(self._shape))):
            ours = [slot for slot in self._axes if slot.channel.axis.get("axis_id") == number]
            kinds = _SLOW_KINDS if number else _SLOW_KINDS[:1]
            if len(ours) != 1 or ours[0].channel.axis.get("axis_kind") not in kinds:
                return []
            found += ours
        return found

    def _grid(self, signals: Sequence[Slot], axes: Sequence[Slot]) -> Group:
        fields = _Fields()
        for slot in signals:
            link = self._keepshape
            fields.children[slot.name] = (
                self._link(slot) if link else self._reshaped(slot, self._shape)
            )
        for dim, slot in enumerate(axes):
            fields.children[slot.name] = self._axis(slot, dim)
            fields.axes.append(slot.name)
        fields.add_sample_dims(signals[0].channel.shape)
        return fields.data([slot.name for slot in signals])

    def _kept_grid(self, signals: Sequence[Slot]) -> Group | None:
        """Data that have the grid's shape: every point with its own coordinates."""
        points = math.prod(self._shape)
        if any(self._length(slot) > points for slot in (*signals, *self._axes)):
            return None
        fields = _Fields()
        for slot in signals:
            fields.children[slot.name] = self._link(slot)
        for slot in self._axes:
            fields.add_coordinate(slot, self._link(slot), np.arange(len(self._shape)))
        fields.axes += ["."] * len(self._shape)
        fields.add_sample_dims(signals[0].channel.shape)
        return fields.data([slot.name for slot in signals])

    # -------------------------------------------------------------------------------- nodes

    def _length(self, slot: Slot) -> int:
        return self._lengths[slot.channel.name]

    def _path(self, slot: Slot) -> str:
        return f"/{self._entry.name}/{slot.path}"

    def _link(self, slot: Slot) -> SoftLink:
        return SoftLink(self._path(slot))

    def _reshaped(self, slot: Slot, scan: Shape) -> VirtualDataset:
        """The first points of a channel in another shape, of the same type."""
        sample = slot.channel.shape
        points = math.prod(scan)
        source = VirtualSource(
            file=".",
            path=self._path(slot),
            shape=(*scan, *sample),
            selection=((0, points), *((0, length) for length in sample)),
            source_shape=(self._length(slot), *sample),
        )
        return _virtual(slot, (*scan, *sample), (source,), storage.interpretation(scan, sample))

    def _axis(self, slot: Slot, dim: int) -> VirtualDataset:
        """Positions of a motor along one dimension: those in the first row of the others."""
        length = self._shape[dim]
        path = self._path(slot)
        if self._keepshape:
            selection = tuple((0, n if d == dim else 1) for d, n in enumerate(self._shape))
            whole = VirtualSource(".", path, (length,), selection, self._shape)
            return _virtual(slot, (length,), (whole,), None)
        stride = math.prod(self._shape[dim + 1 :])
        blocks = [(0, length)] if stride == 1 else [(n * stride, 1) for n in range(length)]
        flat = (self._length(slot),)
        sources = tuple(
            VirtualSource(".", path, (count,), ((start, count),), flat, (number,))
            for number, (start, count) in enumerate(blocks)
        )
        return _virtual(slot, (length,), sources, None)


def _virtual(
    slot: Slot, shape: Shape, sources: tuple[VirtualSource, ...], meaning: str | None
) -> VirtualDataset:
    attributes: dict[str, Value] = {}
    if slot.unit:
        attributes["units"] = slot.unit
    if meaning:
        attributes["interpretation"] = meaning
    dtype = slot.channel.dtype
    return VirtualDataset(dtype, shape, sources, storage.fill_value(dtype), attributes)
