"""A place for every channel of an entry, and no place twice.

Normalized names can make different devices look the same; here the second one gets its full name,
so that no channel is dropped and none is written into another's dataset.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nexus_writer_service.layout.esrf.devices import (
    DeviceModel,
    Positioner,
    device_model,
    positioners,
)
from nexus_writer_service.layout.esrf.names import normalized, short_names, unique_name
from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    Content,
    DeviceRecord,
    ScanDescription,
    Subscan,
)

RESERVED_GROUPS = (
    "name",
    "positioners",
    "positioners_start",
    "positioners_dial_start",
    "positioners_end",
    "positioners_dial_end",
)
"""Names in the instrument that no device can have."""

_GENERIC = DeviceRecord()


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one channel stands in its entry."""

    channel: Channel
    kind: str
    """Type of the device, e.g. ``mca``; empty when not known."""
    is_positioner: bool
    group: str
    """Name of the device's group in the instrument; empty: the dataset stands in measurement."""
    dataset: str
    link: str
    """Name in measurement; empty when the dataset itself stands there."""
    alias: str = ""
    """Further name of the dataset in its group, or empty."""
    unit: str | None = None
    roi: str = ""
    """The region of interest whose metadata belong here; empty: all metadata of the device."""

    @property
    def nx_class(self) -> str:
        """Class of the device's group."""
        return "NXpositioner" if self.is_positioner else "NXdetector"

    @property
    def path(self) -> str:
        """Path of the dataset inside the entry."""
        above = f"instrument/{self.group}" if self.group else "measurement"
        return f"{above}/{self.dataset}"

    @property
    def name(self) -> str:
        """The name by which people know the channel in this entry."""
        return self.link or self.dataset


def slots_of(
    scan: ScanDescription,
    subscan: Subscan,
    channels: Iterable[ChannelName],
    *,
    configurable: bool,
    multivalue: bool,
) -> tuple[tuple[Slot, ...], tuple[str, ...]]:
    """The slots of an entry, and warnings about names.

    Args:
        scan: the scan.
        subscan: the subscan that the entry is for.
        channels: names of its channels in order, also of those that have no stream.
        configurable: whether device types and positioners are looked at; otherwise every channel
            is a detector of its own.
        multivalue: whether positioners that move together share a group.
    """
    names = tuple(channels)
    shorts = short_names(names)
    drivers: Mapping[ChannelName, Positioner] = {}
    if configurable:
        drivers = positioners(scan, subscan, {name: _dim(scan, name) for name in names})
    taken = _Taken()
    found = []
    for name in names:
        channel = scan.channels.get(name)
        if channel is None or channel.content is Content.SCANS:
            continue
        if channel.content is Content.IMAGES and channel.images is None:
            continue
        record = scan.device_records.get(name, _GENERIC) if configurable else _GENERIC
        driver = drivers.get(name)
        model = device_model(channel, shorts[name], record, driver, multivalue=multivalue)
        found.append(taken.slot(channel, model))
    return tuple(found), tuple(taken.warnings)


def _dim(scan: ScanDescription, name: ChannelName) -> int:
    """Number of dimensions of a point as announced, else as streamed; -1 when unknown."""
    channel = scan.channels.get(name)
    if channel is None:
        return -1
    return len(channel.shape) if channel.dim is None else channel.dim


@dataclass
class _Taken:
    """The names given away in one entry."""

    groups: dict[tuple[bool, str, str], str] = field(default_factory=dict)
    """Name of a group by its device and the name wanted."""
    owners: dict[str, str] = field(default_factory=dict)
    """Who has a path: a group, a dataset, a link."""
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in RESERVED_GROUPS:
            self.owners[f"instrument/{name}"] = "the instrument itself"

    def slot(self, channel: Channel, model: DeviceModel) -> Slot:
        group = self._group(channel, model)
        above = f"instrument/{group}" if group else "measurement"
        dataset = self._free(channel, above, normalized(model.dataset) or "data")
        alias = link = ""
        if group:
            alias = model.alias if f"{above}/{model.alias}" not in self.owners else ""
            self.owners |= {f"{above}/{alias}": f"channel {channel.name}"} if alias else {}
            wanted = group if model.single else normalized(f"{group}:{dataset}")
            link = self._free(channel, "measurement", wanted)
        return Slot(
            channel=channel,
            kind=model.kind,
            is_positioner=model.is_positioner,
            group=group,
            dataset=dataset,
            link=link,
            alias=alias,
            unit=model.unit,
            roi=model.roi,
        )

    def _group(self, channel: Channel, model: DeviceModel) -> str:
        wanted = normalized(model.group)
        device = (model.is_positioner, model.key, wanted)
        if device not in self.groups:
            self.groups[device] = wanted and self._free(channel, "instrument", wanted)
        return self.groups[device]

    def _free(self, channel: Channel, above: str, wanted: str) -> str:
        """The wanted name, or one made of the channel's full name when somebody has it."""
        owner = self.owners.get(f"{above}/{wanted}")
        name = wanted
        if owner is not None:
            siblings = {path.rpartition("/")[2] for path in self.owners if _stands_in(path, above)}
            name = unique_name(normalized(channel.name) or "data", siblings)
            self.warnings.append(
                f"channel {channel.name} is written as {above}/{name}: the name {wanted} belongs "
                f"to {owner}; rename one of the two in BLISS"
            )
        self.owners[f"{above}/{name}"] = f"channel {channel.name}"
        return name


def _stands_in(path: str, above: str) -> bool:
    return path.rpartition("/")[0] == above
