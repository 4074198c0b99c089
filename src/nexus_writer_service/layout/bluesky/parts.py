"""The parts of an entry apart from streams and plots: metadata, devices, source, sample, user.

Each part is a group to be merged into the one that holds it: /entry, or its instrument.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from nexus_writer_service.layout.bluesky.names import (
    BLUESKY,
    ENTRY,
    INSTRUMENT,
    METADATA,
    object_names,
)
from nexus_writer_service.layout.bluesky.streams import configuration, note, streams
from nexus_writer_service.layout.bluesky.values import clean, iso, metadata_dataset
from nexus_writer_service.layout.bluesky.view import PRIMARY, View
from nexus_writer_service.model.run import has_values
from nexus_writer_service.model.tree import Dataset, Group, Node, SoftLink, Value

_NOT_METADATA: Final = ("time", "uid")
_USER: Final = {
    "name": "bss_user_info_contact",
    "affiliation": "bss_user_info_institution",
    "email": "bss_user_info_email",
    "facility_user_id": "bss_user_info_badge",
}
_MONOCHROMATOR: Final = ("wavelength", "energy", "theta", "y_offset", "mode")
_SAMPLE: Final = (
    "chemical_formula",
    "concentration",
    "description",
    "electric_field",
    "magnetic_field",
    "rotation_angle",
    "scattering_length_density",
    "stress_field",
    "temperature",
    "volume_fraction",
    "x_translation",
)
_UNDULATOR: Final = (
    "device",
    "location",
    "energy",
    "energy_taper",
    "gap",
    "gap_taper",
    "harmonic_value",
    "total_power",
    "version",
)
_CLASS: Final = re.compile(r"NX[a-z_]+\Z")


def group(path: str, nx_class: str, children: Mapping[str, Node], **attributes: Value) -> Group:
    """A group that tells its class and its own path, as all of this layout do."""
    return Group(children, {"NX_class": nx_class, "target": path, **attributes})


def metadata(view: View) -> Group:
    """The start document, key by key; into ``bluesky``."""
    keys = [key for key in view.run.start if key not in _NOT_METADATA]
    names = object_names(str(key) for key in keys)
    found: dict[str, Node] = {
        names[str(key)]: metadata_dataset(
            view.run.start[key],
            {"target": f"{METADATA}/{names[str(key)]}"},
            tagged=view.options.as_apstools,
        )
        for key in keys
    }
    uid = {"long_name": "bluesky run uid", "target": f"{METADATA}/run_start_uid"}
    found["run_start_uid"] = Dataset(clean(view.run.key), uid)
    return Group({"metadata": note(METADATA, found)})


def bluesky(view: View) -> Group:
    """What Bluesky says of the run but for its metadata and streams; into the instrument."""
    found: dict[str, Node] = {"uid": SoftLink(f"{METADATA}/run_start_uid")}
    if "plan_name" in view.run.start:
        found["plan_name"] = SoftLink(f"{METADATA}/plan_name")
    found.update(configuration(view).children)
    if view.run.stop is not None:
        found["run_stop"] = _run_stop(view)
    return Group({"bluesky": note(BLUESKY, found)})


def _run_stop(view: View) -> Group:
    """The stop document, key by key."""
    path = f"{BLUESKY}/run_stop"
    stop = view.run.stop or {}
    names = object_names(str(key) for key in stop if key != "run_start")
    found: dict[str, Node] = {
        names[str(key)]: metadata_dataset(
            stop[key], {"target": f"{path}/{names[str(key)]}"}, tagged=False
        )
        for key in stop
        if key != "run_start"
    }
    if "time" in found:
        found["time"] = Dataset(iso(stop["time"]), {"target": f"{path}/time"})
    return note(path, found)


def all_streams(view: View) -> Group:
    """The streams; into ``bluesky``."""
    tree = streams(view)
    return Group({"streams": note(f"{BLUESKY}/streams", tree.children)})


def detectors(view: View) -> Group:
    """A group for each detector; into the instrument."""
    if not has_values(view.run.start.get("detectors")):
        return Group()
    return _devices(view, "detectors", "detector", "NXdetector", "data")


def positioners(view: View) -> Group:
    """A group for each motor; into the instrument."""
    start = view.run.start
    if not (has_values(start.get("positioners")) or has_values(start.get("motors"))):
        return Group()
    return _devices(view, "positioners", "positioner", "NXpositioner", "value")


def _devices(view: View, name: str, signal_type: str, nx_class: str, item: str) -> Group:
    path = f"{INSTRUMENT}/{name}"
    found: dict[str, Node] = {
        member: group(
            f"{path}/{member}",
            nx_class,
            {item: SoftLink(view.group_path(PRIMARY, column.key))},
        )
        for member, column in view.members.items()
        if view.signal_type(column.key) == signal_type
    }
    return Group({name: note(path, found)})


def hinted(view: View) -> Group:
    """A group for each object of which the descriptors hint at a NeXus class; into the instrument.

    It holds the values of its data keys, under their names [event-model: hints, NX_class].
    """
    found: dict[str, Node] = {}
    taken = {"bluesky", "detectors", "positioners", "source", "monochromator", "undulator"}
    for name, stream in view.run.streams.items():
        for descriptor in stream.descriptors:
            hints = descriptor.get("hints") or {}
            for device, hint in hints.items():
                nx_class = hint.get("NX_class") if isinstance(hint, Mapping) else None
                if not (isinstance(nx_class, str) and _CLASS.match(nx_class)):
                    continue
                here = object_names([str(device)])[str(device)]
                keys = (descriptor.get("object_keys") or {}).get(device) or ()
                links: dict[str, Node] = {
                    view.key_names[name][key]: SoftLink(f"{view.group_path(name, key)}/value")
                    for key in keys
                    if key in stream.columns
                }
                if links and here not in taken and here not in found:
                    found[here] = group(f"{INSTRUMENT}/{here}", nx_class, links)
    return Group(found)


def source(view: View) -> Group:
    """The source; into the instrument."""
    path = f"{INSTRUMENT}/source"
    common: dict[str, Node] = {
        "type": Dataset("Synchrotron X-ray Source"),
        "probe": Dataset("x-ray"),
    }
    if not view.options.aps:
        name = Dataset("Bluesky framework", {"short_name": "bluesky"})
        return Group({"source": group(path, "NXsource", {"name": name, **common})})
    current, fill = view.starts("aps_current"), view.starts("aps_fill_number")
    if current is None or fill is None:
        return Group()
    found: dict[str, Node] = {
        "name": Dataset("Advanced Photon Source", {"short_name": "APS"}),
        **common,
        "energy": Dataset(6 if view.options.as_apstools else 6.0, {"units": "GeV"}),
        "current": SoftLink(current),
        "fill_number": SoftLink(fill),
    }
    if cycle := view.starts("aps_aps_cycle"):
        found["cycle"] = SoftLink(cycle)
    return Group({"source": group(path, "NXsource", found)})


def undulator(view: View) -> Group:
    """The insertion device of the APS; into the instrument."""
    found = _links(view, {name: f"undulator_downstream_{name}" for name in _UNDULATOR})
    if len(found) < len(_UNDULATOR):
        return Group()
    path = f"{INSTRUMENT}/undulator"
    children = {"type": Dataset("undulator"), **found}
    return Group({"undulator": group(path, "NXinsertion_device", children)})


def monochromator(view: View) -> Group:
    """The monochromator; into the instrument."""
    found = _links(view, {name: f"monochromator_dcm_{name}" for name in _MONOCHROMATOR})
    if len(found) < len(_MONOCHROMATOR):
        return Group()
    found |= _links(view, {"feedback_on": "monochromator_feedback_on"})
    path = f"{INSTRUMENT}/monochromator"
    return Group({"monochromator": group(path, "NXmonochromator", found)})


def sample(view: View) -> Group:
    """The sample; into the entry."""
    found = _links(view, {name: f"sample_data_{name}" for name in _SAMPLE})
    return Group({"sample": group(f"{ENTRY}/sample", "NXsample", found)}) if found else Group()


def user(view: View) -> Group:
    """Whom to ask; into the entry."""
    found = _links(view, _USER)
    if len(found) < len(_USER):
        return Group()
    found["role"] = Dataset("contact")
    return Group({"contact": group(f"{ENTRY}/contact", "NXuser", found)})


def _links(view: View, keys: Mapping[str, str]) -> dict[str, Node]:
    """Links to the first values of data keys of the baseline that are there."""
    found = {name: view.starts(key) for name, key in keys.items()}
    return {name: SoftLink(path) for name, path in found.items() if path is not None}


def times(view: View) -> Group:
    """Begin, end and names of the run; into the entry."""
    start, stop = view.run.start, view.run.stop
    found: dict[str, Node] = {
        "start_time": Dataset(iso(start.get("time"))),
        "program_name": Dataset("bluesky"),
        "entry_identifier": SoftLink(f"{METADATA}/run_start_uid"),
        "title": SoftLink(f"{METADATA}/title"),
    }
    if view.title is not None:
        found["title"] = Dataset(clean(view.title))
    if "plan_name" in start:
        found["plan_name"] = SoftLink(f"{METADATA}/plan_name")
    if stop is not None:
        found["end_time"] = Dataset(iso(stop.get("time")))
        duration = _seconds(start.get("time"), stop.get("time"))
        if duration is not None:
            found["duration"] = Dataset(duration, {"units": "s"})
    cycle = view.starts("aps_aps_cycle") if view.options.aps else None
    if cycle is not None and "source" in source(view).children:
        found["run_cycle"] = SoftLink(cycle)
    return Group(found)


def _seconds(start: Any, stop: Any) -> float | None:
    try:
        return float(stop) - float(start)
    except (TypeError, ValueError):
        return None


def moment(now: datetime) -> str:
    """A moment as ISO 8601 with its zone."""
    return now.isoformat(timespec="microseconds")
