"""Two small files as our layouts make them, for tests of what reads such files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

POINTS = 5
START = "2026-11-20T18:56:33.936586+01:00"
END = "2026-11-20T18:56:38.052741+01:00"


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: Any) -> h5py.Group:
    """A new group with its class."""
    new = parent.create_group(name)
    new.attrs["NX_class"] = nx_class
    new.attrs.update(attributes)
    return new


def dataset(parent: h5py.Group, name: str, value: Any, **attributes: Any) -> h5py.Dataset:
    """A new dataset with its attributes."""
    new = parent.create_dataset(name, data=value)
    new.attrs.update(attributes)
    return new


def esrf_file(path: Path) -> Path:
    """Two scans of one motor, two diodes and a camera, in the ESRF layout.

    The frames of the camera are in ``camera_0000.h5`` beside the file.
    """
    with h5py.File(path.with_name("camera_0000.h5"), "w") as frames:
        frames["entry_0000/camera/data"] = np.zeros((POINTS, 3, 4), np.uint16)
    with h5py.File(path, "w") as file:
        file.attrs.update(
            NX_class="NXroot",
            file_time=START,
            file_name=path.name,
            creator="nexus_writer_service",
            create_version="0",
            publisher="bliss",
            publisher_version="2.2.1",
            default="1.2",
        )
        for name in ("1.1", "1.2"):
            _esrf_entry(group(file, name, "NXentry", default="plotselect"))
    return path


def _esrf_entry(entry: h5py.Group) -> None:
    dataset(entry, "title", "ascan robx 0 1 4 0.1")
    dataset(entry, "start_time", START)
    dataset(entry, "end_time", END)
    dataset(entry, "end_reason", "SUCCESS")
    writer = group(entry, "writer", "NXnote")
    dataset(writer, "status", "SUCCEEDED")
    dataset(writer, "date", END)
    dataset(group(entry, "scan_parameters", "NXparameters"), "count_time", 0.1, units="s")
    note = group(group(entry, "notes", "NXcollection"), "note_01", "NXnote")
    dataset(note, "data", "a comment")
    dataset(note, "type", "text/plain")
    sample = group(entry, "sample", "NXsample")
    dataset(sample, "name", "LaB6")
    dataset(sample, "holder", 3)
    instrument = group(entry, "instrument", "NXinstrument")
    dataset(instrument, "name", "ESRF-id00", short_name="id00")
    _esrf_devices(instrument)
    positioners = group(instrument, "positioners", "NXcollection")
    positioners["robx"] = h5py.SoftLink(f"{entry.name}/instrument/robx/value")
    dataset(positioners, "roby", 2.5, units="mm")
    measurement = group(entry, "measurement", "NXcollection")
    for name in ("diode1/signal", "diode2/signal", "robx/value", "camera/image"):
        target = f"{entry.name}/instrument/{name}"
        measurement[name.partition("/")[0]] = h5py.SoftLink(target)
    application = group(entry, "fluorescence", "NXsubentry")
    dataset(application, "definition", "APPxrf")
    group(application, "source", "NXsource")
    application["i0"] = h5py.SoftLink(f"{entry.name}/measurement/diode1")
    plot = group(entry, "plot", "NXdata", signal="diode1", auxiliary_signals=["diode2"])
    plot.attrs["axes"] = ["robx"]
    for name in ("diode1", "diode2", "robx"):
        plot[name] = h5py.SoftLink(f"{entry.name}/measurement/{name}")
    entry["plotselect"] = h5py.SoftLink(f"{entry.name}/plot")


def _esrf_devices(instrument: h5py.Group) -> None:
    for name in ("diode1", "diode2"):
        diode = group(instrument, name, "NXdetector")
        dataset(diode, "signal", np.linspace(1, 2, POINTS))
        dataset(diode, "type", "samplingcounter")
        diode["data"] = h5py.SoftLink("signal")
    dataset(group(instrument, "shutter", "NXdetector"), "data", np.ones(POINTS, bool))
    axis = group(instrument, "robx", "NXpositioner")
    dataset(axis, "value", np.linspace(0, 1, POINTS), units="mm")
    dataset(axis, "mode", "continuous")
    dataset(group(instrument, "unmapped", "NXdetector"), "data", ["frame_0000.edf::0"] * POINTS)
    dataset(group(instrument, "beam_shutter", "NXpositioner"), "value", np.zeros(POINTS, bool))
    camera = group(instrument, "camera", "NXdetector")
    layout = h5py.VirtualLayout((POINTS, 3, 4), np.uint16)
    layout[:] = h5py.VirtualSource("camera_0000.h5", "entry_0000/camera/data", (POINTS, 3, 4))
    camera.create_virtual_dataset("image", layout).attrs["interpretation"] = "image"
    camera["data"] = h5py.SoftLink("image")


def bluesky_file(path: Path) -> Path:
    """A run of one motor and one sensor, in the layout of the Bluesky NXWriter."""
    with h5py.File(path, "w") as file:
        file.attrs.update(
            file_time="2026-11-20T17:56:31.455875",
            file_name=path.name,
            creator="NXWriter",
            NeXus_version="v2020.1",
            instrument="lab",
            default="entry",
        )
        entry = group(file, "entry", "NXentry", default="data")
        dataset(entry, "start_time", "2026-11-20T17:56:30.307362")
        dataset(entry, "end_time", "2026-11-20T17:56:31.453519")
        dataset(entry, "duration", 1.146157, units="s")
        dataset(entry, "program_name", "bluesky")
        dataset(entry, "title", "scan-S0001-c888d28")
        instrument = group(entry, "instrument", "NXinstrument")
        bluesky = group(instrument, "bluesky", "NXnote")
        metadata = group(bluesky, "metadata", "NXnote")
        entry["plan_name"] = dataset(metadata, "plan_name", "scan")
        entry["entry_identifier"] = dataset(metadata, "run_start_uid", "c888d282-1094")
        _bluesky_streams(entry, group(bluesky, "streams", "NXnote"))
        source = group(instrument, "source", "NXsource")
        dataset(source, "name", "Bluesky framework", short_name="bluesky")
        dataset(source, "type", "Synchrotron X-ray Source")
        dataset(source, "probe", "x-ray")
        dataset(source, "fill_number", 7)
        settings = {"monochromator": "NXmonochromator", "undulator": "NXinsertion_device"}
        for name, nx_class in settings.items():
            dataset(group(instrument, name, nx_class), "version", "2")
        for home in (bluesky, entry):  # of several links, the one in the stream is the home
            home.visititems(_set_target)
    return path


def _bluesky_streams(entry: h5py.Group, streams: h5py.Group) -> None:
    primary = group(streams, "primary", "NXnote", uid="c808bd42-27b4")
    units = {"motor": "degrees", "sensor": ""}
    for name, unit in units.items():
        signal = group(primary, name, "NXdata", signal="value", axes=["time"])
        dataset(signal, "value", np.linspace(-0.5, 0.5, POINTS), units=unit)
        dataset(signal, "time", np.arange(POINTS, dtype=float), units="s")
    instrument = entry["instrument"]
    detector = group(group(instrument, "detectors", "NXnote"), "sensor", "NXdetector")
    detector["data"] = primary["sensor"]
    positioner = group(group(instrument, "positioners", "NXnote"), "motor", "NXpositioner")
    positioner["value"] = primary["motor"]
    data = group(entry, "data", "NXdata", signal="sensor", axes=["motor"])
    for name in units:
        data[name] = primary[name]["value"]
    data["EPOCH"] = primary["sensor/time"]


def _set_target(_path: str, item: h5py.Group | h5py.Dataset) -> None:
    if "target" not in item.attrs:
        item.attrs["target"] = item.name
