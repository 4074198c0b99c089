"""What the layout makes of the channels of a scan: their devices, as BLISS asks for them."""

from collections.abc import Mapping
from typing import Any

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.h5map.description import described
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.names import normalized
from nexus_writer_service.layout.esrf.plan import entries_of
from nexus_writer_service.layout.esrf.slots import Slot
from nexus_writer_service.model.description import Json

Device = dict[str, Any]
"""``device_type``, ``device_name`` (group in the instrument), ``data_name`` (dataset in it)..."""


def all_devices_info(
    devices: Mapping[str, Json],
    scan_info: Mapping[str, Json],
    multivalue_positioners: bool = False,
) -> dict[str, dict[str, Device]]:
    """The devices of all channels of a scan, by name of the top master and of the channel.

    Args:
        devices: what the session says of them: ``nexuswriter/devices`` of the scan info.
        scan_info: of the scan; need not be complete yet.
        multivalue_positioners: whether positioners that move together share a group.
    """
    session = scan_info.get("nexuswriter")
    known = {**(session if isinstance(session, Mapping) else {}), "devices": devices}
    scan = described({**scan_info, "nexuswriter": known})
    options = EsrfOptions(multivalue_positioners=multivalue_positioners)
    found: dict[str, dict[str, Device]] = {subscan.name: {} for subscan in scan.subscans}
    for name, entry in entries_of(scan, options):
        ours = found.setdefault(name, {})
        for slot in entry.structure.slots:
            record = scan.device_records.get(slot.channel.name)
            ours[slot.channel.name] = _device(slot, dict(record.device_info) if record else {})
    return found


def get_primary_dataset_path(channel_name: str, subscan_devices: Mapping[str, Device]) -> str:
    """The path of a channel's dataset below its entry: ``instrument/diode/data``.

    Args:
        channel_name: full name.
        subscan_devices: those of its top master [``all_devices_info``]. A channel that is not among
            them is taken for one of a device of its own, of which nothing is known.
    """
    device = subscan_devices.get(channel_name)
    if device is None:
        return f"instrument/{normalized(channel_name.rpartition(':')[2])}/data"
    try:
        group, dataset = device["device_name"], device["data_name"]
    except KeyError as error:
        raise LayoutError(f"the device of channel {channel_name} has no {error}") from error
    return f"instrument/{group}/{dataset}" if group else f"measurement/{dataset}"


def _device(slot: Slot, info: Mapping[str, Json]) -> Device:
    is_main = bool(slot.alias) or slot.dataset in ("value", "data")
    return {
        "device_type": slot.kind,
        "device_name": slot.group,
        "device_info": info,
        "data_type": "principal" if is_main else slot.dataset,
        "data_name": slot.dataset,
        "data_alias": slot.alias or None,
        "data_info": {"units": slot.unit} if slot.unit else {},
        "unique_name": slot.name,
        "single": slot.link == slot.group,
    }
