"""The plots of an entry: what was asked for, under which names, and which is shown first.

The user's selection comes first, then the plots of the technique (BLISS 1), then those that the
scan itself describes. The default is the first of them that can be shown.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from nexus_writer_service.layout.esrf.datasets import EsrfOptions, is_text
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
    given = _names(_requests(entry), default, used)
    children: dict[str, Node] = {}
    parted = False
    for name, request in given.items():
        drawn = list(_drawn(entry, request, lengths, final=final)) if request else []
        if len(drawn) == 1:
            children[name] = drawn[0][1]
            continue
        parted = parted or (name == default and bool(drawn))
        for first, data in drawn:
            kind = first.kind or f"unknown{len(first.channel.shape)}D"
            children[unique_name(f"{name}_{kind}", {*used, *given, *children})] = data
    if not children:
        return Group()
    shown = next(iter(children))
    # A link now would stand in the way of the group that may come later.
    if given[default] is None or parted:
        children[default] = SoftLink(f"/{entry.name}/{shown}")
        shown = default
    tree = nxentry(children)
    attributes = {**tree.attributes, "default": shown}
    return Group({entry.name: Group(children, attributes)}, {"default": entry.name})


def _requests(entry: Entry) -> Iterator[PlotRequest]:
    """All plots that are asked for."""
    scan = entry.structure.scan
    if scan.plotted:
        yield PlotRequest(PLOT, scan.plotted)
    if entry.structure.options.configurable:
        yield from scan.technique.plots
    yield from scan.plots


def _names(
    requests: Iterable[PlotRequest], default: str, used: Container[str]
) -> dict[str, PlotRequest | None]:
    """The requests by name; the first is that of the default plot, if one asks for it.

    All get their names at once, so that a plot that can be shown later moves no other.
    """
    given: dict[str, PlotRequest | None] = {default: None}
    for request in requests:
        if request.name == PLOT and given[default] is None:
            given[default] = request
            continue
        wanted = normalized(request.name) or "plot"
        name = wanted
        number = 2
        while name in used or name in given:
            name = f"{wanted}_{number}"
            number += 1
        given[name] = request
    return given


def _drawn(
    entry: Entry, request: PlotRequest, lengths: Mapping[ChannelName, int], *, final: bool
) -> Iterator[tuple[Slot, Group]]:
    """The NXdata of one request, with the first signal of each."""
    slots = [slot for slot in entry.structure.slots if not is_text(slot.channel, _options(entry))]
    scanned = [slot for slot in slots if slot.is_positioner]
    axes = [one for name in request.axes for one in _named(slots, (name,))[:1]]
    is_scan = all(slot.is_positioner for slot in axes)
    if is_scan:  # those that are asked for come first
        axes += [slot for slot in scanned if slot not in axes]
    signals = _signals(slots, request, axes)
    if not final and not all(slot.channel.name in lengths for slot in (*signals, *axes)):
        return
    if final:
        signals = [slot for slot in signals if lengths.get(slot.channel.name)]
        axes = [slot for slot in axes if lengths.get(slot.channel.name)]
    as_scanned = is_scan and (request.grid or len(entry.structure.scan.shape) <= 1)
    drawing = Drawing(entry, axes, lengths, scanned=as_scanned, final=final)
    for alike in _alike(signals):
        if drawn := drawing.data(alike):
            yield drawn


def _options(entry: Entry) -> EsrfOptions:
    return entry.structure.options


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
