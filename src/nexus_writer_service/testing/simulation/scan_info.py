"""The scan info that BLISS publishes, at each moment of a scan's life.

What is known when: at CREATED nearly everything; at PREPARED the metadata of the devices; at CLOSED
how the scan ended, where the motors are, and what the devices say then.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from nexus_writer_service.testing.simulation.camera import ImageChannel
from nexus_writer_service.testing.simulation.channels import SimulatedChannel, SimulatedDevice
from nexus_writer_service.testing.simulation.designs import ScanDesign
from nexus_writer_service.testing.simulation.h5maps import h5maps
from nexus_writer_service.testing.simulation.options import ScanOptions

Json = Any

PUBLISHER_VERSIONS = {"2.0": "2.2.1", "2.4": "2.4.0"}
"""Version of BLISS for each style of publishing."""

FIRST_CATEGORIES = ("technique", "nexuswriter", "instrument", "positioners")
"""Categories of metadata that BLISS always has, in its order."""

_GROUPS = ("scalars", "spectra", "images")
"""Where the acquisition chain lists a channel, by number of dimensions of a point."""

_device_numbers = count(139_915_436_000_000, 1040)
"""Stand for the addresses of Python objects, of which BLISS makes the keys of devices."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The session at the start of a scan."""

    session: str
    number: int
    file: str | None
    images_path: str
    data_policy: str
    data_writer: str
    style: str
    start_time: str
    positions: Mapping[str, float]
    units: Mapping[str, str]
    identity: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, Json] = field(default_factory=dict)
    master_files: Mapping[str, str] = field(default_factory=dict)
    chunk_options: Mapping[str, Json] = field(default_factory=dict)
    separate_scan_files: bool = False
    h5maps: bool = False
    second_map: str | None = None
    dataset_metadata: Mapping[str, Json] = field(default_factory=dict)


class ScanInfo:
    """The scan info of one scan."""

    def __init__(self, design: ScanDesign, options: ScanOptions, around: Surroundings) -> None:
        self.design = design
        self.options = options
        self._around = around
        self._devices = {
            device: f"{next(_device_numbers)}:{device.name}"
            for chain in design.chains
            for device in chain.top_master.tree()
        }
        self._published: dict[str, Json] = {}

    @property
    def name(self) -> str:
        """For people and Tango commands: ``4_ascan``, ``_4_ascan`` for one not to be saved."""
        prefix = "" if self.options.save else "_"
        return f"{prefix}{self._around.number}_{self.design.name}"

    @property
    def channels(self) -> list[SimulatedChannel]:
        """All channels."""
        return [channel for device in self._devices for channel in device.channels]

    def created(self) -> dict[str, Json]:
        """What is published first."""
        around, options = self._around, self.options
        separate = True if around.separate_scan_files else None
        info = dict(self.design.info) | {
            "title": options.title or self.design.title,
            "save": options.save,
            "name": self.name,
            "scan_nb": around.number,
            "session_name": around.session,
            "user_name": "opid00",
            "data_writer": around.data_writer,
            "data_policy": around.data_policy,
            "writer_options": {
                "chunk_options": dict(around.chunk_options),
                "separate_scan_files": separate,
            },
            "publisher": "bliss",
            "publisher_version": PUBLISHER_VERSIONS[around.style],
            "filename": around.file,
            "images_path": around.images_path,
            "start_time": around.start_time,
            "devices": self._described_devices(),
            "channels": self._described_channels(),
            "acquisition_chain": self._acquisition_chain(),
            "display_extra": {"plotselect": list(options.plotselect)},
        }
        if "npoints" in info and not options.npoints_known:
            info["npoints"] = 0
        if options.sequence is not None:
            info["group"] = options.sequence.key
        if not self.design.bare:
            info |= self._metadata()
        self._published = _as_json(info)
        return deepcopy(self._published)

    def prepared(self, date: str) -> dict[str, Json]:
        """What is published when all streams exist."""
        info = self._published
        for device, key in self._devices.items():
            if device.metadata is not None:
                info["devices"][key]["metadata"] = _as_json(device.metadata)
        if self._around.style == "2.4":
            for channel in self.channels:
                info["channels"][channel.name] |= _not_saved(channel)
        if self._around.data_policy == "ESRF":
            info["dataset_metadata_snapshot"] = _as_json(self._around.dataset_metadata)
        return self._publish(self.options.comments[:1], date)

    def closed(self, end_reason: str, date: str, positions: Mapping[str, float]) -> dict[str, Json]:
        """What is published last.

        Args:
            end_reason: SUCCESS, FAILURE or USER_ABORT.
            date: of the end.
            positions: of the motors now.
        """
        info = self._published
        info |= {"end_reason": end_reason, "end_time": date}
        for device, key in self._devices.items():
            if device.end_metadata:
                info["devices"][key].setdefault("metadata", {}).update(
                    _as_json(device.end_metadata)
                )
        if "positioners" in info:
            info["positioners"]["positioners_end"] = dict(positions)
            info["positioners"]["positioners_dial_end"] = dict(positions)
        return self._publish(self.options.comments, date)

    def _publish(self, comments: Sequence[str], date: str) -> dict[str, Json]:
        info = self._published
        if comments:
            info["comments"] = [{"date": date, "message": comment} for comment in comments]
        if self._around.h5maps:
            info["h5maps"] = h5maps(self.design, info, self._around.second_map)
        return deepcopy(info)

    def _described_devices(self) -> dict[str, Json]:
        described: dict[str, Json] = {}
        for device, key in self._devices.items():
            one: dict[str, Json] = {"name": device.name}
            if device.kind:
                one["type"] = device.kind
            if device.triggers:
                one["triggered_devices"] = [self._devices[below] for below in device.triggers]
            one["channels"] = [channel.name for channel in device.channels]
            described[key] = one
        return described

    def _described_channels(self) -> dict[str, Json]:
        return {
            channel.name: {
                **channel.about,
                "device": key,
                "display_name": channel.name.rpartition(":")[2],
                "dim": len(channel.shape),
            }
            for device, key in self._devices.items()
            for channel in device.channels
        }

    def _acquisition_chain(self) -> dict[str, Json]:
        described: dict[str, Json] = {}
        for chain in self.design.chains:
            master, *slaves = chain.top_master.tree()
            one: dict[str, Json] = {"master": _grouped([master])}
            if slaves:
                one |= _grouped(slaves)
            one["top_master"] = self._devices[master]
            one["devices"] = [self._devices[device] for device in (master, *slaves)]
            described[master.name] = one
        return described

    def _metadata(self) -> dict[str, Json]:
        around = self._around
        user = dict(around.categories) | dict(self.options.metadata)
        master_files = dict(around.master_files)
        if around.separate_scan_files and around.file:
            master_files["dataset"] = around.file
        records = {
            channel.name: channel.record for channel in self.channels if channel.record is not None
        }
        return {
            "instrument": {"@NX_class": "NXinstrument"},
            "technique": {"@NX_class": "NXcollection"},
            **user,
            "scan_meta_categories": [*FIRST_CATEGORIES, *(set(user) - set(FIRST_CATEGORIES))],
            "positioners": {
                "positioners_start": around.positions,
                "positioners_dial_start": around.positions,
                "positioners_units": around.units,
            },
            "nexuswriter": {
                "instrument_info": {"name": "ESRF-id00", "name@short_name": "id00"},
                "devices": records,
                **({"masterfiles": master_files} if self.options.save else {}),
            },
        }


def _grouped(devices: Iterable[SimulatedDevice]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {group: [] for group in _GROUPS}
    for device in devices:
        for channel in device.channels:
            groups[_GROUPS[min(len(channel.shape), 2)]].append(channel.name)
    return groups


def _not_saved(channel: SimulatedChannel) -> dict[str, Json]:
    not_saved = isinstance(channel, ImageChannel) and not channel.camera.saving
    return {"no_saving": True} if not_saved else {}


def _as_json(document: Mapping[str, Json]) -> dict[str, Json]:
    """The document as JSON can hold it, in the way of blissdata: no number that is not finite."""
    return {str(key): _json(value) for key, value in document.items()}


def _json(value: Json) -> Any:
    if isinstance(value, Mapping):
        return _as_json(value)
    if isinstance(value, np.ndarray | np.generic):
        return _json(value.tolist())
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
