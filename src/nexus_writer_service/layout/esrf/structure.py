"""What the layout itself writes into an NXentry, at each moment of the scan; no user metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from nexus_writer_service.layout.esrf import metadata
from nexus_writer_service.layout.esrf.datasets import EsrfOptions, dataset, is_text
from nexus_writer_service.layout.esrf.names import item_name, normalized
from nexus_writer_service.layout.esrf.slots import Slot
from nexus_writer_service.model.description import Json, Note, ScanDescription
from nexus_writer_service.model.tree import Dataset, Group, Node, SoftLink, merged

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
        points = [self.first_point(slot) for slot in self.slots]
        return merged(self.start(""), *points, self.finish(self.scan, ""))

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
        note = {"status": Dataset("RUNNING"), "date": Dataset(date)}
        children: dict[str, Node] = {
            "title": Dataset(metadata.text(scan.title or scan.name)),
            "writer": Group(note, {"NX_class": "NXnote"}),
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
            instrument({**self._instrument_name(), **self._snapshots(snapshots)}),
        )

    def first_point(self, slot: Slot) -> Group:
        """A channel's dataset in its device's group, and the links to it."""
        node = dataset(slot, self.scan, self.options)
        if not slot.group:
            return entry({"measurement": collection({slot.dataset: node})})
        target = SoftLink(f"/{self.name}/{slot.path}")
        children: dict[str, Node] = {slot.dataset: node}
        if slot.alias:
            children[slot.alias] = SoftLink(slot.dataset)
        found: dict[str, Node] = {slot.group: Group(children, {"NX_class": slot.nx_class})}
        if slot.is_positioner:
            found["positioners"] = collection({self._motor(slot): target})
        if is_text(slot.channel, self.options):
            return instrument(found)
        return merged(instrument(found), entry({"measurement": collection({slot.link: target})}))

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
            entry({**children, **_notes(scan.notes)}), instrument(self._snapshots(snapshots))
        )

    def _instrument_name(self) -> Mapping[str, Node]:
        if not self.options.configurable:
            return {}
        return metadata.group(self.scan.instrument_info, "instrument", []).children

    def _snapshots(self, found: Mapping[str, Mapping[str, Json]]) -> dict[str, Node]:
        """Positions of all motors, by moment."""
        return {
            name: collection({item_name(m): self._position(m, v) for m, v in values.items()})
            for name, values in found.items()
            if values
        }

    def _position(self, motor: str, value: Json) -> Dataset:
        """A position; one that is not a number travels as null."""
        unit = self.scan.positioners.units.get(motor)
        attributes = {"units": metadata.text(unit)} if isinstance(unit, str) and unit else {}
        return Dataset(float("nan") if value is None else metadata.value_of(value), attributes)

    def _motor(self, slot: Slot) -> str:
        """Name of a positioner among the snapshots: that of the motor, if it has one there."""
        for motor in self.scan.positioners.start:
            if normalized(motor) == slot.link:
                return item_name(motor)
        return slot.link


def _notes(notes: tuple[Note, ...]) -> dict[str, Node]:
    """The comments made so far, as children of the entry."""
    if not notes:
        return {}
    found: dict[str, Node] = {}
    for number, note in enumerate(notes, 1):
        children = {
            "data": Dataset(metadata.text(note.text)),
            "date": Dataset(metadata.text(note.date)),
            "type": Dataset("text/plain"),
        }
        found[f"note_{number:02d}"] = Group(children, {"NX_class": "NXnote"})
    return {"notes": collection(found)}
