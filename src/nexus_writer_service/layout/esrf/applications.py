"""Application definitions of BLISS 1 sessions: an NXsubentry with links under agreed names.

``APPxrf`` is the one that there is: beam monitors ``i0`` and ``it``, and of each MCA its spectra
``mca``, ``elapsed_time`` and ``live_time``. Several MCAs are numbered (``mca00``,
``live_time_mca00``), or stacked: one virtual dataset each, whose first axis counts the MCAs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nexus_writer_service.layout.esrf import storage
from nexus_writer_service.layout.esrf.datasets import saved_shape
from nexus_writer_service.layout.esrf.entry import Entry
from nexus_writer_service.layout.esrf.names import matches, normalized, unique_name
from nexus_writer_service.layout.esrf.slots import Slot
from nexus_writer_service.layout.esrf.structure import entry as nxentry
from nexus_writer_service.model.description import Application, ChannelName, Json, Shape
from nexus_writer_service.model.tree import (
    Dataset,
    Group,
    Node,
    SoftLink,
    VirtualDataset,
    VirtualSource,
)

XRF = "APPxrf"
_MONITORS = {"i0": "I0", "it": "It"}
"""Names of the links by what the configuration calls them."""
_OF_MCA = {"mca": "spectrum", "elapsed_time": "elapsed_time", "live_time": "live_time"}
"""Names in the application by dataset of the MCA."""
_MCA_KINDS = ("mca", "mosca")


@dataclass(frozen=True)
class Applications:
    """The applications of one entry; those of which it has no channel are left out.

    Args:
        entry: the entry.
        stacked: whether several MCAs are stacked in one dataset.
    """

    entry: Entry
    stacked: bool

    @cached_property
    def names(self) -> frozenset[str]:
        """Names that they take in the entry."""
        return frozenset(self._found)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What an application should have, and is not in the scan."""
        return tuple(
            f"scan {self.entry.structure.scan.name}: the application {name} is incomplete: no "
            f"channel {wanted!r} for its {item}"
            for name, one in self._found.items()
            for item, wanted in one.missing
        )

    def start(self, date: str | None) -> Group:
        """The applications without data; nothing when there are none.

        Args:
            date: start of the scan, in ISO 8601.
        """
        children: dict[str, Node] = {"definition": Dataset(XRF)}
        if date:
            children["start_time"] = Dataset(date)
        return self._root(dict.fromkeys(self._found, children))

    def data(self, lengths: Mapping[ChannelName, int], *, final: bool) -> Group:
        """Links to all datasets that are there; stacks only once no more points will come.

        Args:
            lengths: points written of each channel that has a dataset.
            final: no more points will come.
        """
        return self._root(
            {name: dict(self._data(one, lengths, final)) for name, one in self._found.items()}
        )

    def finish(self, date: str) -> Group:
        """The end, in ISO 8601."""
        return self._root({name: {"end_time": Dataset(date)} for name in self._found})

    def _root(self, found: Mapping[str, Mapping[str, Node]]) -> Group:
        nx_class = {"NX_class": "NXsubentry"}
        groups = {name: Group(children, nx_class) for name, children in found.items() if children}
        return Group({self.entry.name: nxentry(groups)}) if groups else Group()

    @cached_property
    def _found(self) -> dict[str, "_Xrf"]:
        structure = self.entry.structure
        found: dict[str, _Xrf] = {}
        if not structure.options.configurable:
            return found
        for application in structure.scan.technique.applications:
            if application.definition.lower() != XRF.lower():
                continue
            one = _xrf(application, structure.slots)
            if one.monitors or one.mcas:
                wanted = normalized(application.name) or "application"
                found[unique_name(wanted, {*self.entry.taken, *found})] = one
        return found

    def _data(
        self, xrf: "_Xrf", lengths: Mapping[ChannelName, int], final: bool
    ) -> Iterator[tuple[str, Node]]:
        for name, slot in xrf.monitors.items():
            if slot.channel.name in lengths:
                yield name, self._link(slot)
        is_single = len(xrf.mcas) == 1 and not xrf.numbered
        for name, dataset in _OF_MCA.items():
            slots = {number: group[dataset] for number, group in xrf.mcas if dataset in group}
            there = {n: slot for n, slot in slots.items() if slot.channel.name in lengths}
            if self.stacked and not is_single and _stackable(list(slots.values())):
                if final and there:
                    yield name, self._stack(list(slots.values()), lengths)
                continue
            for number, slot in there.items():
                suffix = f"mca{number:02d}"
                numbered = suffix if name == "mca" else f"{name}_{suffix}"
                yield name if is_single else numbered, self._link(slot)

    def _link(self, slot: Slot) -> SoftLink:
        return SoftLink(f"/{self.entry.name}/{slot.path}")

    def _stack(self, slots: Sequence[Slot], lengths: Mapping[ChannelName, int]) -> VirtualDataset:
        """Datasets of one type and shape of point, one behind the other.

        Fill stands for what is missing of the short ones, and for one that has no points at all.
        """
        first = slots[0].channel
        shapes = [self._shape(lengths.get(slot.channel.name, 0)) for slot in slots]
        largest = tuple(map(max, zip(*shapes, strict=True)))
        nowhere = (0,) * (len(largest) + len(first.shape))
        sources = tuple(
            VirtualSource(
                file=".",
                path=f"/{self.entry.name}/{slot.path}",
                shape=(1, *shape, *first.shape),
                selection=tuple((0, length) for length in (*shape, *first.shape)),
                source_shape=(*shape, *first.shape),
                start=(number, *nowhere),
            )
            for number, (slot, shape) in enumerate(zip(slots, shapes, strict=True))
            if lengths.get(slot.channel.name)
        )
        attributes = {"units": slots[0].unit} if slots[0].unit else {}
        if meaning := storage.INTERPRETATIONS.get(len(first.shape)):
            attributes["interpretation"] = meaning
        return VirtualDataset(
            first.dtype,
            (len(slots), *largest, *first.shape),
            sources,
            storage.fill_value(first.dtype),
            attributes,
        )

    def _shape(self, points: int) -> Shape:
        """Shape of the scan in a dataset with so many points."""
        shape = saved_shape(self.entry.structure.scan.shape, self.entry.structure.options)
        if len(shape) == 1:
            return (points,)
        rows = -(-points // math.prod(shape[1:]))
        return (max(rows, shape[0]), *shape[1:])


@dataclass(frozen=True, slots=True)
class _Xrf:
    """What belongs to one ``APPxrf``."""

    monitors: Mapping[str, Slot]
    mcas: Sequence[tuple[int, Mapping[str, Slot]]]
    """The MCAs with their numbers: their datasets by name."""
    numbered: bool
    """Several MCAs are wanted, whether they are there or not."""
    missing: Sequence[tuple[str, str]]
    """Items without a channel, and the names that were looked for."""


def _xrf(application: Application, slots: Sequence[Slot]) -> _Xrf:
    detectors = [slot for slot in slots if not slot.is_positioner]
    missing: list[tuple[str, str]] = []
    monitors: dict[str, Slot] = {}
    for name, item in _MONITORS.items():
        for wanted in _texts(application.items.get(item))[:1]:
            if found := _named(detectors, wanted):
                monitors[name] = found
            else:
                missing.append((name, wanted))
    spectra = sorted(
        (slot for slot in detectors if slot.kind in _MCA_KINDS and slot.dataset == "spectrum"),
        key=lambda slot: slot.channel.name,
    )
    wanted_mcas = _texts(application.items.get("mca"))
    groups: list[tuple[int, Mapping[str, Slot]]] = []
    for number, wanted in enumerate(wanted_mcas or [slot.channel.name for slot in spectra]):
        if spectrum := _named(spectra, wanted):
            same = [slot for slot in detectors if slot.group == spectrum.group]
            groups.append((number, {slot.dataset: slot for slot in same}))
        else:
            missing.append(("mca", wanted))
    return _Xrf(monitors, groups, len(wanted_mcas) > 1, missing)


def _named(slots: Sequence[Slot], wanted: str) -> Slot | None:
    """The first slot that a name of the configuration means: a channel's, or a device's."""
    named = (slot for slot in slots if matches(slot.channel.name, wanted))
    device = (slot for slot in slots if slot.group == normalized(wanted))
    return next(named, None) or next(device, None)


def _texts(value: Json) -> list[str]:
    """One text or a list of them; anything else is left out."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and one]


def _stackable(slots: Sequence[Slot]) -> bool:
    """Whether the datasets differ in length only."""
    kinds = {(slot.channel.dtype, slot.channel.shape) for slot in slots}
    return len(kinds) == 1 and -1 not in slots[0].channel.shape
