"""The map of its file that a scan brings along with blissdata 2.4: a tree of groups and streams.

A plain one: entries with their times, the devices with their datasets, links in ``measurement``.
"""

from collections.abc import Mapping
from typing import Any

from nexus_writer_service.testing.simulation.channels import Chain
from nexus_writer_service.testing.simulation.designs import ScanDesign

Json = Any

_TIMES = ("title", "start_time", "end_time", "end_reason")


def h5maps(
    design: ScanDesign, info: Mapping[str, Json], second: str | None = None
) -> dict[str, Json]:
    """Maps by absolute path of the file; none for a scan that is not to be saved.

    Args:
        design: of the scan.
        info: its scan info.
        second: absolute path of one more file, in which the same is to be.
    """
    if not info["save"]:
        return {}
    chains = sorted(design.chains, key=lambda chain: chain.top_master.name)
    entries = {f"{info['scan_nb']}.{index}": chain for index, chain in enumerate(chains, start=1)}
    children = {name: _entry(name, chain, info) for name, chain in entries.items()}
    return {path: _group("NXroot", children) for path in (info["filename"], second) if path}


def _group(nx_class: str, children: Mapping[str, Json]) -> dict[str, Json]:
    return {"type": "group", "attributes": {"NX_class": nx_class}, "children": dict(children)}


def _entry(name: str, chain: Chain, info: Mapping[str, Json]) -> dict[str, Json]:
    devices: dict[str, dict[str, Json]] = {}
    links = {}
    for device in chain.top_master.tree():
        for channel in device.channels:
            if not channel.path or info["channels"][channel.name].get("no_saving"):
                continue
            _, group, dataset = channel.path.split("/")
            stream = {"type": "stream", "stream": channel.name}
            unit = channel.about.get("unit")
            item = {"type": "dataset", "attributes": {"units": unit}, "value": stream}
            devices.setdefault(group, {})[dataset] = item if unit else stream
            main = dataset in ("value", "data", "signal", "image", "spectrum")
            link = group if main else f"{group}_{dataset}"
            target = f"/{name}/{channel.path}"
            links[link] = {"type": "soft_link", "target_path": target}
    instrument = {
        group: _group("NXpositioner" if "value" in datasets else "NXdetector", datasets)
        for group, datasets in devices.items()
    }
    children = {key: info[key] for key in _TIMES if key in info}
    children["instrument"] = _group("NXinstrument", instrument)
    children["measurement"] = _group("NXcollection", links)
    return _group("NXentry", children)
