"""What the layout itself writes into an NXentry, at each moment of the scan; no user metadata."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from nexus_writer_service.layout.esrf import metadata
from nexus_writer_service.layout.esrf.datasets import EsrfOptions, dataset, is_text
from nexus_writer_service.layout.esrf.names import item_name, normalized
from nexus_writer_service.layout.esrf.slots import Slot
from nexus_writer_service.layout.writer_note import NOTE, writer_note
from nexus_writer_service.model.description import ChannelName, Json, Note, ScanDescription
from nexus_writer_service.model.tree import Dataset, Group, Node, SoftLink, merged
from nexus_writer_service.model.verdict import Outcome, Verdict, judge

NOT_ENDED = "NOT STARTED"
"""``end_reason`` of a scan whose end nobody saw."""


def entry(children: Mapping[str, Node]) -> Group:
    """An NXentry."""
    return Group(children, {"NX_class": "NXentry"})


def instrument(children: Mapping[str, Node]) -> Group:
    """An NXentry with things in its instrument."""
    return entry({"instrument": Group(children, {"NX_class": "NXinstrument"})})


def collection(children: Mapping[str, Node]) -> Group:
    """An NXcollection."""
    return Group(children, {"NX_class": metadata.COLLECTION})


@dataclass(frozen=True)
class Structure:
    """The layout's own items of one entry."""

    name: str
    """Name of the entry in the file, ``4.1``."""
    scan: ScanDescription
    """The scan as it was prepared."""
    slots: tuple[Slot, ...]
    options: EsrfOptions

    @cached_property
    def everything(self) -> Group:
        """All that is written at any moment."""
        end = (self.finish(self.scan, ""), self.verdict(judge(())))
        return merged(self.start(""), self._all_points, *end)

    def device(self, group: str) -> Group:
        """The group of a device, with all its datasets."""
        found = self.everything.children["instrument"]
        found = found.children[group] if isinstance(found, Group) else found
        return found if isinstance(found, Group) else Group()

    def start(self, date: str) -> Group:
        """What is written when the scan is prepared.

        Args:
            date: the moment, in ISO 8601.
        """
        scan = self.scan
        date_note = Group({"date": Dataset(date)})
        children: dict[str, Node] = {
            "title": Dataset(metadata.text(scan.title or scan.name)),
            NOTE: merged(writer_note(scan.key, Verdict(Outcome.RUNNING)), date_note),
        }
        if scan.start_time:
            children["start_time"] = Dataset(metadata.text(scan.start_time))
        if scan.count_time is not None:
            count_time = {"count_time": Dataset(float(scan.count_time), {"units": "s"})}
            children["scan_parameters"] = Group(count_time, {"NX_class": "NXparameters"})
        snapshots = {
            "positioners_start": scan.positioners.start,
            "positioners_dial_start": scan.positioners.dial_start,
            "positioners": scan.positioners.start,
        }
        return merged(
            entry({**children, **_notes(scan.notes)}),
            instrument({**self._instrument_name(), **_snapshots(snapshots, scan)}),
        )

    @cached_property
    def _datasets(self) -> Mapping[ChannelName, Node]:
        return {slot.channel.name: dataset(slot, self.scan, self.options) for slot in self.slots}

    @cached_property
    def _all_points(self) -> Group:
        return self._points(self.slots)

    def first_points(self, slots: Collection[Slot]) -> Group:
        """The datasets of channels in the groups of their devices, and the links to them.

        Args:
            slots: of the channels, each once.
        """
        return self._all_points if len(slots) == len(self.slots) else self._points(slots)

    def _points(self, slots: Iterable[Slot]) -> Group:
        devices: dict[str, tuple[str, dict[str, Node]]] = {}
        positioners: dict[str, Node] = {}
        measurement: dict[str, Node] = {}
        for slot in slots:
            node = self._datasets[slot.channel.name]
            if not slot.group:
                measurement[slot.dataset] = node
                continue
            _, children = devices.setdefault(slot.group, (slot.nx_class, {}))
            children |= {slot.dataset: node, **_alias(slot)}
            target = SoftLink(f"/{self.name}/{slot.path}")
            if slot.is_positioner:
                positioners[self._motor(slot)] = target
            if not is_text(slot.channel, self.options):
                measurement[slot.link] = target
        moved = {"positioners": collection(positioners)} if positioners else {}
        measured = {"measurement": collection(measurement)} if measurement else {}
        groups: dict[str, Node] = {
            name: Group(children, {"NX_class": nx_class})
            for name, (nx_class, children) in devices.items()
        }
        found = instrument({**groups, **moved}) if groups else Group()
        return merged(found, entry(measured))

    def finish(self, scan: ScanDescription, date: str) -> Group:
        """What is written at the end.

        Args:
            scan: the description with its end.
            date: the moment, in ISO 8601.
        """
        snapshots = {
            "positioners_end": scan.positioners.end,
            "positioners_dial_end": scan.positioners.dial_end,
        }
        children = {
            "end_time": Dataset(date),
            "end_reason": Dataset(metadata.text(scan.end_reason or NOT_ENDED)),
        }
        return merged(
            entry({**children, **_notes(scan.notes)}), instrument(_snapshots(snapshots, scan))
        )

    def verdict(self, verdict: Verdict) -> Group:
        """The verdict, in the writer's note."""
        return entry({NOTE: writer_note(self.scan.key, verdict)})

    def _instrument_name(self) -> Mapping[str, Node]:
        if not self.options.configurable:
            return {}
        return metadata.group(self.scan.instrument_info, "instrument", []).children

    def _motor(self, slot: Slot) -> str:
        """Name of a positioner among the snapshots: that of the motor, if it has one there."""
        return self._motors.get(slot.link, slot.link)

    @cached_property
    def _motors(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for motor in self.scan.positioners.start:
            found.setdefault(normalized(motor), item_name(motor))
        return found


def _snapshots(found: Mapping[str, Mapping[str, Json]], scan: ScanDescription) -> dict[str, Node]:
    """Positions of all motors, by moment."""
    units = scan.positioners.units
    return {
        name: collection({item_name(m): _position(v, units.get(m)) for m, v in values.items()})
        for name, values in found.items()
        if values
    }


def _position(value: Json, unit: Json) -> Dataset:
    """A position; one that is not a number travels as null."""
    attributes = {"units": metadata.text(unit)} if isinstance(unit, str) and unit else {}
    return Dataset(float("nan") if value is None else metadata.value_of(value), attributes)


def _alias(slot: Slot) -> dict[str, Node]:
    return {slot.alias: SoftLink(slot.dataset)} if slot.alias else {}


def _notes(notes: tuple[Note, ...]) -> dict[str, Node]:
    """The comments made so far, as children of the entry."""
    if not notes:
        return {}
    found: dict[str, Node] = {}
    for number, comment in enumerate(notes, 1):
        children = {
            "data": Dataset(metadata.text(comment.text)),
            "date": Dataset(metadata.text(comment.date)),
            "type": Dataset("text/plain"),
        }
        found[f"note_{number:02d}"] = Group(children, {"NX_class": "NXnote"})
    return {"notes": collection(found)}
