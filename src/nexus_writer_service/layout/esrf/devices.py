"""From a channel to its device: which group and dataset it gets, by the type of its device.

A BLISS session describes its devices (``nexuswriter.devices`` in the scan info); the rules here
turn the name of a channel and that description into a place. The names are wishes: ``slots`` sees
to it that no two channels get the same.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    DeviceRecord,
    ScanDescription,
    Subscan,
)

_EXTRA_STATISTICS = frozenset({"N", "std", "var", "min", "max", "p2v", "samples"})
"""What a sampling counter publishes beside its signal, in its modes STATS and SAMPLES."""

_MCA_DATASETS = {
    "realtime": ("elapsed_time", "s"),
    "livetime": ("live_time", "s"),
    "energy_livetime": ("live_time", "s"),
    "trigger_livetime": ("trigger_live_time", "s"),
    "icr": ("trigger_count_rate", "hertz"),
    "ocr": ("event_count_rate", "hertz"),
    "deadtime": ("fractional_dead_time", None),
}
"""Dataset and unit by the name of an MCA statistic; others keep their name and have no unit."""

_MOSCA_ROI = re.compile(r"_(?:det(?P<detector>\d+)|(?P<total>sum_(?:all|\d+_\d+)))$")


@dataclass(frozen=True, slots=True)
class DeviceModel:
    """What a channel is, seen from its device."""

    key: str
    """Identifies the device: channels with the same key share a group."""
    group: str
    """Wanted name of the group, not yet normalized."""
    dataset: str
    kind: str = ""
    """Type of the device, e.g. ``mca``; empty when not known."""
    single: bool = True
    """Whether the channel stands for the device, so that the group's name alone means it."""
    alias: str = ""
    """Further name of the dataset in its group."""
    unit: str | None = None
    roi: str = ""
    """The region of interest whose metadata belong here; empty: all metadata of the device."""
    is_positioner: bool = False


@dataclass(frozen=True, slots=True)
class Positioner:
    """A channel of the device that drives a subscan."""

    grouped: bool
    """Whether it and its neighbours move together."""
    first: bool
    """Whether it is the first of them."""


def positioners(
    scan: ScanDescription, subscan: Subscan, dims: Mapping[ChannelName, int]
) -> dict[ChannelName, Positioner]:
    """The positioners of a subscan, in the order of the master's channels (fast axis first).

    The master is the first device that triggers others; its scalar channels are positioners. So the
    time is one in a time scan, and is none below a motor.

    Args:
        scan: the scan.
        subscan: one of its subscans.
        dims: number of dimensions of a point of each channel.
    """
    for key in subscan.devices:
        device = scan.devices.get(key)
        if device is None or not device.triggers:
            continue
        together = len(scan.shape) <= 1 and len(device.channels) > 1
        scalars = [name for name in device.channels if dims.get(name) == 0]
        return {
            name: Positioner(grouped=together and ":" in name, first=name == scalars[0])
            for name in scalars
        }
    return {}


def device_model(
    channel: Channel,
    short_name: str,
    record: DeviceRecord,
    positioner: Positioner | None,
    *,
    multivalue: bool,
) -> DeviceModel:
    """The device of a channel.

    Args:
        channel: the channel.
        short_name: its shortest name in the subscan.
        record: what the session says of its device.
        positioner: its role, if it is a positioner.
        multivalue: whether positioners that move together share a group.
    """
    if positioner is not None:
        return _positioner(channel, short_name, positioner, multivalue=multivalue)
    rule = _RULES.get(record.device_type, _untyped)
    return rule(channel, short_name, record) or _untyped(channel, short_name, record)


def _untyped(channel: Channel, short_name: str, record: DeviceRecord) -> DeviceModel:
    return DeviceModel(channel.name, short_name, "data", kind=record.device_type, unit=channel.unit)


def _positioner(
    channel: Channel, short_name: str, role: Positioner, *, multivalue: bool
) -> DeviceModel:
    kind = "positionergroup" if role.grouped else "positioner"
    controller, _, name = channel.name.rpartition(":")
    shared = multivalue and role.grouped
    return DeviceModel(
        key=controller if shared else channel.name,
        group=controller if shared else short_name,
        dataset="value" if role.first or not shared else name,
        kind=kind,
        single=role.first or not shared,
        unit=channel.unit,
        is_positioner=True,
    )


def _sampling_counter(
    channel: Channel, short_name: str, record: DeviceRecord
) -> DeviceModel | None:
    kind, unit = record.device_type, channel.unit
    device, _, statistic = short_name.rpartition("_")
    if record.data_type != "signal" and device and statistic in _EXTRA_STATISTICS:
        key = channel.name.rpartition("_")[0]
        return DeviceModel(key, device, statistic, kind=kind, single=False, unit=unit)
    return DeviceModel(channel.name, short_name, "signal", kind=kind, alias="data", unit=unit)


def _mca(channel: Channel, _: str, record: DeviceRecord) -> DeviceModel | None:
    controller, _, rest = channel.name.rpartition(":")
    name, separator, detector = rest.rpartition("_")
    if not separator:
        name, detector = rest, "sum"
    return _mca_dataset(f"{controller}:{detector}".removeprefix(":"), name, record)


def _mosca(channel: Channel, _: str, record: DeviceRecord) -> DeviceModel | None:
    match channel.name.split(":"):
        case [controller, "spectrum", detector]:
            return _mca_dataset(f"{controller}:{_detector(detector)}", "spectrum", record)
        case [controller, "stat", rest] if "_" in rest:
            name, _, detector = rest.rpartition("_")
            return _mca_dataset(f"{controller}:{_detector(detector)}", name, record)
        case [controller, "roi", *rest]:
            name = ":".join(rest)
            found = _MOSCA_ROI.search(name)
            group = _mosca_roi_group(record, found)
            name = name[: found.start()] if found else name
            return _mca_dataset(f"{controller}:{group}", name, record) if group else None
    return None


def _mosca_roi_group(record: DeviceRecord, found: re.Match[str] | None) -> str:
    """The group of a region of interest: by detector number as announced, else by the name."""
    match record.channel:
        case -1:
            return "sum_all"
        case int(detector) if not isinstance(detector, bool):
            return f"det{detector}"
        case [first, last]:
            return f"sum_{first}_{last}"
    if found is None:
        return ""
    return found["total"] or f"det{int(found['detector'])}"


def _detector(name: str) -> str:
    """``det01`` as ``det1``."""
    digits = name.removeprefix("det")
    return f"det{int(digits)}" if digits.isdecimal() else name


def _mca_dataset(group: str, name: str, record: DeviceRecord) -> DeviceModel:
    kind = record.device_type
    if name == "spectrum":
        return DeviceModel(group, group, "spectrum", kind=kind, alias="data")
    dataset, unit = _MCA_DATASETS.get(name, (name, None))
    return DeviceModel(group, group, dataset, kind=kind, single=False, unit=unit)


def _mythen(channel: Channel, _: str, record: DeviceRecord) -> DeviceModel | None:
    group, separator, name = channel.name.partition(":")
    is_main = name == "spectrum"
    alias = "data" if is_main else ""
    model = DeviceModel(
        group, group, name, record.device_type, single=is_main, alias=alias, unit=channel.unit
    )
    return model if separator else None


def _lima(channel: Channel, _: str, record: DeviceRecord) -> DeviceModel | None:
    kind, unit = record.device_type, channel.unit
    match channel.name.split(":"):
        case [camera, "image"]:
            return DeviceModel(camera, camera, "image", kind, alias="data", unit=unit)
        case [camera, "bpm", name]:
            key = f"{camera}:bpm"
            return DeviceModel(key, key, name, kind, single=False, unit=unit)
        case [camera, "roi_counters", *rest] if "_" in rest[-1]:
            roi, _, statistic = ":".join(rest).rpartition("_")
            key, main = f"{camera}:{roi}", statistic == "sum"
            alias = "data" if main else ""
            return DeviceModel(key, key, statistic, kind, main, alias, unit, roi)
        case [camera, "roi_profiles", roi]:
            key = f"{camera}:{roi}"
            return DeviceModel(key, key, "sum", kind, alias="data", unit=unit, roi=roi)
        case [camera, "roi_collection", roi]:
            key = f"{camera}:roi_collection"
            return DeviceModel(key, key, "sum", kind, alias="data", unit=unit, roi=roi)
    return None


def _lima2(channel: Channel, _: str, record: DeviceRecord) -> DeviceModel | None:
    camera, separator, name = channel.name.partition(":")
    is_main = name == "frame"
    alias = "data" if is_main else ""
    model = DeviceModel(
        camera, camera, name, record.device_type, single=is_main, alias=alias, unit=channel.unit
    )
    return model if separator else None


def _autofilter(channel: Channel, _: str, record: DeviceRecord) -> DeviceModel | None:
    match channel.name.split(":"):
        case [device, name]:
            return DeviceModel(
                device, device, name, record.device_type, single=False, unit=channel.unit
            )
    return None


_RULES: Mapping[str, Callable[[Channel, str, DeviceRecord], DeviceModel | None]] = {
    "samplingcounter": _sampling_counter,
    "mca": _mca,
    "mosca": _mosca,
    "mythen": _mythen,
    "lima": _lima,
    "lima2": _lima2,
    "autofilter": _autofilter,
}
"""By the type of the device; a rule that does not know the channel's name answers None."""
