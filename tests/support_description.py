"""Small descriptions of scans."""

from dataclasses import replace
from typing import Any

import numpy as np

from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    Device,
    ImageFiles,
    ScanDescription,
    ScanKey,
    Shape,
    Subscan,
)
from nexus_writer_service.model.tree import Group, Node


def channel(name: str, dtype: str = "f8", shape: Shape = (), **more: Any) -> Channel:
    return Channel(ChannelName(name), np.dtype(dtype), shape, **{"dim": len(shape), **more})


def line_scan(*detectors: Channel, motors: tuple[str, ...] = ("axis:robx",), **more: Any) -> Any:
    """A scan of 4 points, of motors above detectors."""
    axes = [channel(name, unit="mm", device="1:axis") for name in motors]
    detectors = tuple(replace(one, device="2:card") for one in detectors)
    devices = {
        "1:axis": Device("axis", tuple(one.name for one in axes), ("2:card",)),
        "2:card": Device("card", tuple(one.name for one in detectors)),
    }
    found: dict[str, Any] = {
        "key": ScanKey("esrf:scan:01"),
        "name": "7_ascan",
        "number": 7,
        "path": "/data/sample/sample_1.h5",
        "title": "ascan robx 0 1 3 0.1",
        "start_time": "2026-11-20T18:56:21.871404+00:00",
        "shape": (4,),
        "subscans": (Subscan("axis", tuple(devices)),),
        "devices": devices,
        "channels": {one.name: one for one in (*axes, *detectors)},
    }
    return ScanDescription(**{**found, **more})


def mesh(*detectors: Channel, kind: str = "forth", shape: Shape = (2, 3), **more: Any) -> Any:
    """A grid scan of ``robx`` (fast) and ``roby`` (slow)."""
    scan = line_scan(*detectors, motors=("axis:robx", "axis:roby"), shape=shape, **more)
    for number, name in enumerate(("axis:robx", "axis:roby")):
        axis = {"axis_id": number, "axis_kind": "forth" if number else kind}
        scan.channels[ChannelName(name)] = channel(name, unit="mm", device="1:axis", axis=axis)
    return scan


def images(name: str, file_format: str = "hdf5") -> ImageFiles:
    return ImageFiles(f"/data/sample/scan0007/{name}_%04d.h5", "/entry/data", file_format, 2)


def at(group: Group, path: str) -> Node:
    """The node at a path below a group."""
    node: Node = group
    for part in path.split("/"):
        assert isinstance(node, Group), path
        node = node.children[part]
    return node


def paths(group: Group, above: str = "") -> set[str]:
    """The paths of everything below a group."""
    found = set()
    for name, node in group.children.items():
        found.add(f"{above}{name}")
        if isinstance(node, Group):
            found |= paths(node, f"{above}{name}/")
    return found
