"""Saves the scans of a session of BLISS 1 in HDF5 files of one's own, in few lines.

    BEACON_HOST=localhost:25000 python external_saving_bliss1.py test_session /data/here

It shows how a program follows scans: it listens to the session, and each new scan gets a writer
that walks over what happens to it. Channels become datasets that grow; images stay in the files of
their detector, whose places are written when the scan has ended. For real work there is
``NexusSessionWriter``.
"""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nexus_writer_service.sources.bliss1.values import plain
from nexus_writer_service.sources.bliss1.walk import DataNode, EventType, get_session_node


class HDF5Writer(threading.Thread):
    """Writes one scan into ``<folder>/<name of its node>.h5``."""

    def __init__(self, scan: DataNode, folder: Path) -> None:
        super().__init__(name=scan.name)
        self._scan = scan
        self._path = folder / f"{scan.db_name.replace(':', '-')}.h5"
        self._images: list[DataNode] = []

    def run(self) -> None:
        """Follow the scan to its end."""
        with h5py.File(self._path, "w", libver=("v110", "v110")) as file:
            entry = _group(file, "scan", "NXentry")
            file.attrs["NX_class"], file.attrs["default"] = "NXroot", "scan"
            data = _group(entry, "measurement", "NXcollection")
            for event_type, node in self._scan.iterator.walk_events():
                if event_type is EventType.NEW_NODE and node.type == "lima":
                    self._images.append(node)
                if event_type is EventType.NEW_DATA_IN_CHANNEL and node.type == "channel":
                    _append(data, node)
                    file.flush()
                if event_type is EventType.END_SCAN:
                    self._finalize(entry, data)
        print(f"saved {self._path}", flush=True)

    def _finalize(self, entry: h5py.Group, data: h5py.Group) -> None:
        """Take what came last; write metadata, and where images are."""
        for node in self._images:
            _write(
                _group(data, node.name.replace(":", "_"), "NXcollection"),
                "saved",
                plain(dict(node.info)),
            )
        info = plain(dict(self._scan.info))
        entry["title"] = str(info.get("title") or self._scan.name)
        _write(entry, "instrument", {"positioners": info.get("positioners", {})})
        entry["instrument"].attrs["NX_class"] = "NXinstrument"
        facts = {name: info.get(name) for name in ("scan_nb", "npoints", "state")}
        _write(entry, "scan_info", facts)


def _append(data: h5py.Group, node: DataNode) -> None:
    """Bring the dataset of a channel up to date."""
    name = node.name.replace(":", "_")
    length = len(data[name]) if name in data else 0
    points = node.get(length, -1)
    if not len(points):
        return
    if name not in data:
        shape = points.shape[1:]
        data.create_dataset(name, (0, *shape), points.dtype, maxshape=(None, *shape))
        if unit := node.info.get("unit"):
            data[name].attrs["units"] = unit
    dataset = data[name]
    dataset.resize(length + len(points), axis=0)
    dataset[length:] = points


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _write(parent: h5py.Group, name: str, content: Mapping[str, Any]) -> None:
    """A dictionary as a group."""
    group = _group(parent, name, "NXcollection")
    for key, value in content.items():
        if isinstance(value, Mapping):
            _write(group, key, value)
        elif value is not None and np.asarray(value).dtype.kind in "biuf":
            group[key] = value
        elif value is not None:
            group[key] = str(value)


def listen_to_session_wait_for_scans(session: str, folder: Path) -> None:
    """Save each scan that begins from now on; without end."""
    session_node = get_session_node(session)
    for event_type, node in session_node.iterator.walk_on_new_events(filter="scan"):
        if event_type is EventType.NEW_NODE:
            HDF5Writer(node, folder).start()


if __name__ == "__main__":
    listen_to_session_wait_for_scans(sys.argv[1], Path(sys.argv[2]))
