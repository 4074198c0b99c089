"""The trees of one NXentry, moment by moment: the layout's own items and the user's metadata."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from nexus_writer_service.layout.esrf import metadata
from nexus_writer_service.layout.esrf.sample import sample
from nexus_writer_service.layout.esrf.slots import Slot
from nexus_writer_service.layout.esrf.structure import Structure, instrument
from nexus_writer_service.model.description import ChannelName, Json, ScanDescription
from nexus_writer_service.model.tree import Group, Node, merged
from nexus_writer_service.model.verdict import Verdict

INSTRUMENT = "instrument"


def iso(moment: datetime) -> str:
    """A moment as ISO 8601 text with microseconds and zone [NX_DATE_TIME]."""
    return moment.isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Entry:
    """One NXentry of a scan: what is written at its start, at first points, at its end."""

    structure: Structure

    @property
    def name(self) -> str:
        """Name in the file, ``4.1``."""
        return self.structure.name

    @cached_property
    def by_channel(self) -> Mapping[ChannelName, Slot]:
        """The slots by channel."""
        return {slot.channel.name: slot for slot in self.structure.slots}

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """About metadata that had to be changed."""
        found: list[str] = []
        scan = self.structure.scan
        self._categories(scan, found)
        for group in self._first_of_group:
            self._device_metadata(group, scan, found)
        return tuple(dict.fromkeys(found))

    @cached_property
    def taken(self) -> frozenset[str]:
        """Names in the entry that a plot cannot have."""
        categories = self._categories(self.structure.scan, [])
        return frozenset({*self.structure.everything.children, *categories.children})

    def start(self, now: datetime) -> Group:
        """All that is known before the first point."""
        own = self.structure.start(iso(now))
        return self._root(merged(own, self._categories(self.structure.scan, [])))

    def first_points(self, channels: Iterable[ChannelName]) -> Group:
        """The datasets of channels, their devices and the links to them."""
        slots = [self.by_channel[channel] for channel in channels]
        said: dict[str, Node] = {
            slot.group: self._device_metadata(slot.group, self.structure.scan, [], self._info(slot))
            for slot in slots
            if self._first_of_group.get(slot.group) is slot
        }
        devices = instrument(said) if said else Group()
        return self._root(merged(self.structure.first_points(slots), devices))

    def finish(self, scan: ScanDescription, now: datetime) -> Group:
        """What is known at the end, and all metadata again, as they may have changed.

        The metadata of a device are kept even if it gave no point.
        """
        said = {group: self._device_metadata(group, scan, []) for group in self._first_of_group}
        devices: dict[str, Node] = {group: tree for group, tree in said.items() if tree.children}
        own = self.structure.finish(scan, iso(now))
        return self._root(merged(own, self._categories(scan, []), instrument(devices)))

    def verdict(self, verdict: Verdict) -> Group:
        """What became of the scan, in the writer's note."""
        return self._root(self.structure.verdict(verdict))

    def _root(self, tree: Group) -> Group:
        return Group({self.name: tree})

    @cached_property
    def _first_of_group(self) -> Mapping[str, Slot]:
        """The slot with whose first point a device's metadata come, by name of the group."""
        found: dict[str, Slot] = {}
        for slot in self.structure.slots:
            if slot.group:
                found.setdefault(slot.group, slot)
        return found

    def _categories(self, scan: ScanDescription, warnings: list[str]) -> Group:
        """The user's metadata, but those of the instrument that belong to a device with data."""
        categories: dict[str, Json] = dict(scan.categories)
        if scan.data_policy.upper() == "ESRF":
            words = scan.categories.get("sample", {})
            if known := sample(scan.dataset_metadata, words):
                categories["sample"] = known
        if INSTRUMENT in categories:
            categories[INSTRUMENT] = {
                key: value
                for key, value in categories[INSTRUMENT].items()
                if not (isinstance(value, Mapping) and key in self._first_of_group)
            }
        if not any(categories.values()):
            return Group(attributes={"NX_class": "NXentry"})
        found = metadata.group({"@NX_class": "NXentry", **categories}, "", warnings)
        return metadata.fitted(found, self.structure.everything, "", warnings)

    def _info(self, slot: Slot) -> Mapping[str, Json]:
        """What the session says of a device."""
        record = self.structure.scan.device_records.get(slot.channel.name)
        if record is None or not self.structure.options.configurable:
            return {}
        return record.device_info

    def _device_metadata(
        self,
        group: str,
        scan: ScanDescription,
        warnings: list[str],
        info: Mapping[str, Json] | None = None,
    ) -> Group:
        """What the session, the device and the instrument category say of a device's group."""
        first = self._first_of_group[group]
        device = scan.devices.get(first.channel.device or "")
        said: Mapping[str, Json] = device.metadata if device else {}
        if first.roi:
            selection = said.get(first.roi)
            said = {"selection": selection} if isinstance(selection, Mapping) else {}
        category = scan.categories.get(INSTRUMENT, {}).get(group)
        more = category if category and isinstance(category, Mapping) else {}
        everything = {**(info or {}), **said, **more}
        if not everything:
            return Group()
        where = f"{INSTRUMENT}/{group}"
        tree = self._group(everything, where, warnings)
        return metadata.fitted(tree, self.structure.device(group), where, warnings)

    def _group(self, said: Mapping[str, Json], where: str, warnings: list[str]) -> Group:
        """Metadata as a group: many devices say the same."""
        if not all(type(value) is str for value in said.values()):
            return metadata.group(said, where, warnings)
        key = tuple(said.items())
        if key not in self._known:
            found: list[str] = []
            tree = metadata.group(said, where, found)
            warnings += found
            if found:
                return tree
            self._known[key] = tree
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[tuple[str, Json], ...], Group]:
        return {}
