"""Saves the scans of a BLISS session from outside, with blissdata and h5py: a writer to learn from.

    python examples/external_saving_example.py [SESSION] [--out FOLDER] [--redis URL] [--scans N]

It listens to new scans of the session and runs one `HDF5Writer` per scan, in a thread of its own.
The writer makes a dataset for each channel, fills it as points come, and puts instrument, metadata
and references to images into the file when the scan has ended. Each scan has a file:
FOLDER/<session>_<number>_<name>.h5. Without --redis, Redis is named by REDIS_DATA_URL, else Beacon
(BEACON_HOST) is asked. Ctrl-C ends it.

It misses what was published while it was away, and knows no resume, no verdict and no layout that
analysis programs of the ESRF expect: for all that there is ``NexusSessionWriter``.
"""

import argparse
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

try:
    from blissdata import DataStore, ScanState
    from blissdata.exceptions import EndOfStream, IndexNoMoreThereError, NoScanAvailable
    from blissdata.streams import CursorGroup
except ImportError:  # blissdata 2.0, which comes with BLISS 2.2
    from blissdata.redis_engine.exceptions import (
        EndOfStream,
        IndexNoMoreThereError,
        NoScanAvailable,
    )
    from blissdata.redis_engine.scan import ScanState
    from blissdata.redis_engine.store import DataStore
    from blissdata.streams.base import CursorGroup

PATIENCE = 0.5
"""Seconds that a call waits for news before it looks whether the program is to end."""


# ------------------------------------------------------------------------- waiting for scans
def listen_to_session_wait_for_scans(
    session: str, store: Any, folder: Path, *, scans: int = 0, stop: threading.Event | None = None
) -> bool:
    """Run a writer for each new scan of a session; whether all could be saved.

    Args:
        session: name of the session.
        store: the DataStore where BLISS publishes.
        folder: where files are made.
        scans: return when this many scans have been saved; 0: go on.
        stop: return when it is set; scans that run are finished as far as they are.
    """
    stop = stop or threading.Event()
    writers = []
    try:
        for scan in new_scans(session, store, stop):
            print(f"new scan: {scan.session} {scan.number} {scan.name}", flush=True)
            writers.append(HDF5Writer(scan, folder, stop))
            writers[-1].start()
            if len(writers) == scans:
                break
        for writer in writers:
            writer.join()
        return all(writer.saved for writer in writers)
    finally:
        stop.set()  # Ctrl-C
        for writer in writers:
            writer.join()


def new_scans(session: str, store: Any, stop: threading.Event) -> Iterator[Any]:
    """The scans of a session from now on, each as soon as it is announced."""
    # A scan may come while we look at another: each search starts where the last one ended.
    since = store.get_last_scan_timetag()
    print(f"listening to session {session}", flush=True)
    while not stop.is_set():
        try:
            since, key = store.get_next_scan(since=since, timeout=PATIENCE)
        except NoScanAvailable:
            continue
        scan = load(store, key)
        if scan.session == session:
            yield scan


def load(store: Any, key: str) -> Any:
    """A scan as of one moment.

    blissdata reads the scan and then its state. When the scan goes on in between, it would be taken
    for one whose channels are known, without any.
    """
    scan = store.load_scan(key)
    while (again := store.load_scan(key)).state != scan.state:
        scan = again
    return again


# ------------------------------------------------------------------------------- one scan
class HDF5Writer(threading.Thread):
    """Saves one scan; the listener goes on meanwhile."""

    def __init__(self, scan: Any, folder: Path, stop: threading.Event) -> None:
        super().__init__(name=f"writer of {scan.key}")
        self.scan = scan
        self.stop = stop
        self.path = folder / f"{scan.session}_{scan.number}_{scan.name}.h5"
        if self.path.exists():  # scans of another dataset are counted anew
            self.path = self.path.with_stem(f"{self.path.stem}_{scan.key.rpartition(':')[2]}")
        self.saved = False
        self.images: list[Any] = []
        self.subscans: dict[str, list[str]] = {}

    def run(self) -> None:
        """Save the scan; what goes wrong is told, and costs no other scan."""
        try:
            self.save()
        except Exception:  # noqa: BLE001 - it is told, and other scans go on
            traceback.print_exc()
        else:
            self.saved = True
            print(f"saved: {self.path}", flush=True)

    def save(self) -> None:
        """Follow the scan from its announcement to its end."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(self.path, "x") as file:
            self.entry = new_group(file, f"{self.scan.number}.1", "NXentry")
            file.attrs.update(NX_class="NXroot", default=f"{self.scan.number}.1")
            self.measurement = new_group(self.entry, "measurement", "NXcollection")
            # From PREPARED on the channels are known, and the metadata of the start.
            self.wait_for(ScanState.PREPARED)
            for name, stream in self.scan.streams.items():
                self.new_channel(name, stream)
            self.follow_channels()
            # Only now the metadata of the end are there, and why the scan ended.
            self.wait_for(ScanState.CLOSED)
            self.finalize()

    def wait_for(self, state: Any) -> None:
        """Wait until the scan has got as far as a state."""
        while self.scan.state < state and not self.stop.is_set():
            self.scan.update(timeout=PATIENCE)

    def follow_channels(self) -> None:
        """Take the points of all channels as they come, until each channel has ended."""
        cursor = CursorGroup(self.scan.streams)  # type: ignore[no-untyped-call]
        while not self.stop.is_set():
            try:
                views = cursor.read(timeout=PATIENCE)
            except EndOfStream:
                return
            for stream, view in views.items():
                self.new_data_in_channel(stream, view)
            self.entry.file.flush()

    def new_channel(self, name: str, stream: Any) -> None:
        """A channel is there: numbers get a dataset; what only refers to data waits for the end."""
        if stream.plugin in ("lima", "lima2"):
            self.images.append(stream)
        elif stream.kind == "scan":
            self.subscans[name] = []
        else:
            shape = tuple(max(0, length) for length in stream.shape)  # -1: it varies
            floating = np.issubdtype(stream.dtype, np.inexact)
            dataset = self.measurement.create_dataset(
                dataset_name(name),
                shape=(0, *shape),
                maxshape=(None,) * (1 + len(shape)),
                chunks=(64, *(max(1, length) for length in shape)),
                dtype=stream.dtype,
                fillvalue=np.nan if floating else None,
            )
            if unit := self.scan.info.get("channels", {}).get(name, {}).get("unit"):
                dataset.attrs["units"] = unit

    def new_data_in_channel(self, stream: Any, view: Any) -> None:
        """Points have come; each goes to its own place, so what Redis has lost stays a gap."""
        if stream.name in self.subscans:
            self.subscans[stream.name] += [scan.key for scan in view.get_data()]
        elif dataset_name(stream.name) in self.measurement:
            try:
                points = view.get_data()
            except (IndexNoMoreThereError, OSError, KeyError) as error:
                # Redis was full, and BLISS's own file, where blissdata looks instead, has none.
                print(f"{self.scan.name}: points of {stream.name} are lost: {error!r}", flush=True)
                return
            put(self.measurement[dataset_name(stream.name)], view.index, points)

    def finalize(self) -> None:
        """The scan has ended: references to images, the instrument, and all metadata."""
        for stream in self.images:
            self.write_references(stream)
        for name, keys in self.subscans.items():
            self.measurement[dataset_name(name)] = np.array(keys, dtype=h5py.string_dtype())
        info = dict(self.scan.info)
        for key in ("title", "start_time", "end_time", "end_reason"):
            if info.get(key):
                self.entry[key] = info[key]
        instrument = new_group(self.entry, "instrument", "NXinstrument")
        dict_to_nexus(instrument, info.get("instrument", {}))
        for name, dataset in self.measurement.items():
            moves = name.startswith("axis_")
            device = instrument.require_group(name)
            device.attrs.setdefault("NX_class", "NXpositioner" if moves else "NXdetector")
            device["value" if moves else "data"] = h5py.SoftLink(dataset.name)
        dict_to_nexus(new_group(self.entry, "scan_info", "NXcollection"), info)

    def write_references(self, stream: Any) -> None:
        """Where the detector saves its images: ``file::path in it::index``, one for each image."""
        try:
            found = stream.get_references(slice(None))
        except (RuntimeError, OSError) as error:  # they are not saved, or their server is away
            print(f"{self.scan.name}: no references to {stream.name}: {error}", flush=True)
            return
        texts = [f"{one.file_path}::{one.data_path}::{one.index}" for one in found]
        self.measurement[dataset_name(stream.name)] = np.array(texts, dtype=h5py.string_dtype())


# ------------------------------------------------------------------------------- HDF5
def dataset_name(channel: str) -> str:
    """``axis:robx`` as ``axis_robx``."""
    return re.sub(r"\W", "_", channel)


def new_group(parent: Any, name: str, nx_class: str) -> Any:
    """A group of a class of NeXus."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def put(dataset: Any, index: int, points: Any) -> None:
    """Put points into a dataset, from a place on; it grows, also where points vary in size."""
    if not isinstance(points, np.ndarray):  # points of unequal shapes: one by one
        for offset, point in enumerate(points):
            put(dataset, index + offset, np.asarray(point)[np.newaxis])
        return
    needed = (index + len(points), *points.shape[1:])
    dataset.resize(np.maximum(dataset.shape, needed))
    dataset[(slice(index, index + len(points)), *(slice(0, n) for n in points.shape[1:]))] = points


def dict_to_nexus(group: Any, content: Mapping[str, Any]) -> None:
    """Write a dictionary as groups and datasets.

    A key ``@name`` is an attribute of the group, ``item@name`` one of an item; a dictionary is a
    group, an NXcollection unless it says otherwise; None is left out.
    """
    attributes = {}
    for key, value in content.items():
        item, at, attribute = key.partition("@")
        name = dataset_name(item)
        if at:
            attributes[name, attribute] = value
        elif isinstance(value, Mapping):
            child = group.require_group(name)
            child.attrs.setdefault("NX_class", "NXcollection")
            dict_to_nexus(child, value)
        elif value is not None:
            group[name] = storable(value)
    for (name, attribute), value in attributes.items():
        if value is not None and (not name or name in group):
            (group[name] if name else group).attrs[attribute] = storable(value)


def storable(value: Any) -> Any:
    """A value that HDF5 knows: numbers, texts, arrays of one of them; all else as JSON."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list) and value:
        if all(isinstance(one, str) for one in value):
            return np.array(value, dtype=h5py.string_dtype())
        array = np.array(value) if all(isinstance(one, (int, float)) for one in value) else None
        if array is not None and array.dtype.kind in "biuf":
            return array
    return json.dumps(value, default=str)


# ------------------------------------------------------------------------------- the program
def redis_url() -> str:
    """Where BLISS publishes its data."""
    if url := os.environ.get("REDIS_DATA_URL"):
        return url
    from blissdata.beacon.data import BeaconData  # noqa: PLC0415 - it connects to Beacon

    return str(BeaconData().get_redis_data_db())


def main() -> int:
    """Listen until Ctrl-C, or until so many scans are saved; 1 if one could not be."""
    parser = argparse.ArgumentParser(description="Saves the scans of a BLISS session from outside.")
    parser.add_argument("session", nargs="?", default="test_session")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the files")
    parser.add_argument("--redis", help="URL of the Redis server of BLISS's data")
    parser.add_argument("--scans", type=int, default=0, help="end after so many scans")
    options = parser.parse_args()
    store = DataStore(options.redis or redis_url())  # type: ignore[no-untyped-call]
    listen = listen_to_session_wait_for_scans
    try:
        return 0 if listen(options.session, store, options.out, scans=options.scans) else 1
    except KeyboardInterrupt:
        print("ended by Ctrl-C", flush=True)
        return 0


if __name__ == "__main__":
    sys.exit(main())
