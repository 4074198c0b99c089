"""The plots of an entry: what was asked for, under which names, and which is shown first.

The user's selection comes first, then the plots of the technique (BLISS 1), then those that the
scan itself describes. The default is the first of them that can be shown.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_writer_service.layout.esrf.datasets import is_text
from nexus_writer_service.layout.esrf.drawing import Drawing
from nexus_writer_service.layout.esrf.entry import Entry
from nexus_writer_service.layout.esrf.names import matches, normalized, unique_name
from nexus_writer_service.layout.esrf.slots import Slot
from nexus_writer_service.layout.esrf.structure import entry as nxentry
from nexus_writer_service.model.description import ChannelName, PlotRequest, Shape
from nexus_writer_service.model.tree import Group, Node, SoftLink

PLOT = "plotselect"
"""Name of the default plot."""


def plots(
    entry: Entry,
    lengths: Mapping[ChannelName, int],
    *,
    final: bool,
    taken: frozenset[str] = frozenset(),
) -> Group:
    """The plots of an entry, as a tree of the file; an empty one when there is none (yet).

    While the scan runs there is one as soon as all that it shows has a dataset.

    Args:
        entry: the entry.
        lengths: points written of each channel that has a dataset.
        final: no more points will come.
        taken: further names in the entry that a plot cannot have.
    """
    used = {*entry.taken, *taken}
    default = unique_name(PLOT, used)
    asked = _asked(entry, default, used)
    children: dict[str, Node] = {}
    for one in asked:
        if data := one.drawn(entry, lengths, final=final):
            children[one.name] = data
    if not children:
        return Group()
    shown = next(iter(children))
    if all(one.name != default for one in asked):
        children[default] = SoftLink(f"/{entry.name}/{shown}")
        shown = default
    tree = nxentry(children)
    attributes = {**tree.attributes, "default": shown}
    return Group({entry.name: Group(children, attributes)}, {"default": entry.name})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One NXdata that is asked for, whether it can be drawn yet or not."""

    name: str
    signals: Sequence[Slot]
    axes: Sequence[Slot]
    scanned: bool
    """Whether the points are shown as they were scanned."""

    def drawn(
        self, entry: Entry, lengths: Mapping[ChannelName, int], *, final: bool
    ) -> Group | None:
        """The NXdata; None when it cannot be drawn, or not yet."""
        signals, axes = self.signals, self.axes
        if final:
            signals = [slot for slot in signals if lengths.get(slot.channel.name)]
            axes = [slot for slot in axes if lengths.get(slot.channel.name)]
        elif any(slot.channel.name not in lengths for slot in (*signals, *axes)):
            return None
        drawing = Drawing(entry, axes, lengths, scanned=self.scanned, final=final)
        return drawing.data(signals) if signals else None


def _requests(entry: Entry) -> Iterator[PlotRequest]:
    """All plots that are asked for."""
    scan = entry.structure.scan
    if scan.plotted:
        yield PlotRequest(PLOT, scan.plotted)
    if entry.structure.options.configurable:
        yield from scan.technique.plots
    yield from scan.plots


def _asked(entry: Entry, default: str, used: Container[str]) -> list[_Asked]:
    """Each NXdata that is asked for, in order.

    Names depend on nothing but what is asked for, so that what can be drawn later, or not at all,
    moves no other. A request of signals of several shapes is parted: one NXdata has one shape.
    """
    found: list[_Asked] = []
    taken = {default}

    def free(wanted: str) -> str:
        name, number = wanted, 2
        while name in used or name in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(name)
        return name

    has_default = False
    for request in _requests(entry):
        is_default = request.name == PLOT and not has_default
        has_default = has_default or is_default
        name = default if is_default else free(normalized(request.name) or "plot")
        parts = _parts(entry, request)
        for signals, axes, scanned in parts:
            kind = signals[0].kind or f"unknown{len(signals[0].channel.shape)}D"
            part = name if len(parts) == 1 else free(f"{name}_{kind}")
            found.append(_Asked(part, signals, axes, scanned))
    return found


def _parts(entry: Entry, request: PlotRequest) -> list[tuple[Sequence[Slot], Sequence[Slot], bool]]:
    """Signals of one shape, their axes, and whether these are those of the scan."""
    structure = entry.structure
    slots = [slot for slot in structure.slots if not is_text(slot.channel, structure.options)]
    axes = [one for name in request.axes for one in _named(slots, (name,))[:1]]
    is_scan = all(slot.is_positioner for slot in axes)
    if is_scan:  # those that are asked for come first
        axes += [slot for slot in slots if slot.is_positioner and slot not in axes]
    scanned = is_scan and (request.grid or len(structure.scan.shape) <= 1)
    return [(alike, axes, scanned) for alike in _alike(_signals(slots, request, axes))]


def _signals(slots: Sequence[Slot], request: PlotRequest, axes: Sequence[Slot]) -> list[Slot]:
    """What a request shows: no positioners, and nothing that is an axis of it."""
    found = _named(slots, request.signals) if request.signals else slots
    return sorted(
        (
            slot
            for slot in found
            if not slot.is_positioner
            and slot not in axes
            and request.ndim in (None, len(slot.channel.shape))
        ),
        key=lambda slot: slot.name,
    )


def _named(slots: Sequence[Slot], names: Sequence[str]) -> list[Slot]:
    """The slots that names mean; a name that is the full one of a channel means only that."""
    exact = {slot.channel.name for slot in slots}.intersection(names)
    parts = [name for name in names if name not in exact]
    return [
        slot
        for slot in slots
        if slot.channel.name in exact or any(matches(slot.channel.name, name) for name in parts)
    ]


def _alike(signals: Sequence[Slot]) -> list[list[Slot]]:
    """The signals by shape of a point: one NXdata has signals of one shape."""
    found: dict[Shape, list[Slot]] = {}
    for slot in signals:
        found.setdefault(slot.channel.shape, []).append(slot)
    return list(found.values())
