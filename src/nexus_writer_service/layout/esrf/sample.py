"""The NXsample of a dataset, from the metadata that the ESRF's data policy keeps of it.

The policy's catalogue (ICAT) knows flat names, ``SamplePatient_age``; its definitions say where in
a NeXus file each belongs. Groups have the classes of the definitions where NeXus allows these in a
sample, else NXcollection. A year is no ``a`` here, which is an area to those who know units.
"""

from collections.abc import Mapping

from nexus_writer_service.layout.esrf.names import unique_name
from nexus_writer_service.model.description import Json

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "": (),
    "Changer": ("changer",),
    "Environment": ("environment",),
    "EnvironmentSensors": ("environment", "sensors"),
    "Localisation": ("localisation",),
    "Paleo": ("paleo",),
    "PaleoClassification": ("paleo", "classification"),
    "PaleoGeologicalTime": ("paleo", "geological_time"),
    "Patient": ("patient",),
    "Protein": ("protein",),
    "TrackingContainer": ("tracking", "container"),
    "TrackingParcel": ("tracking", "parcel"),
    "TrackingShipment": ("tracking", "shipment"),
}
"""Groups in the sample, by what stands between ``Sample`` and the last part of a name."""

_CLASSES: Mapping[tuple[str, ...], str] = {("environment",): "NXenvironment", ("notes",): "NXnote"}
"""Classes of groups that are not NXcollection."""

_UNITS = {
    "SamplePatient_age": "year",
    "SamplePatient_size": "cm",
    "SamplePatient_weight": "kg",
    "SampleTrackingParcel_storage_condition": "°C",
}

_ELSEWHERE = ("SamplePositioners_name", "SamplePositioners_value")
"""Positions of the sample are in the instrument already."""


def sample(snapshot: Mapping[str, Json], words: Mapping[str, Json]) -> dict[str, Json]:
    """The NXsample in the metadata of an ESRF dataset, as a dictionary; empty if it has none.

    ``Sample_name`` becomes ``name``, ``SamplePatient_age`` ``patient/age``. A name that the
    definitions do not have keeps its words, ``SampleX_y`` becomes ``X_y``.

    Args:
        snapshot: all metadata of the dataset.
        words: what the user says of the sample; this counts where both say something.
    """
    found: dict[str, Json] = {}
    for key in sorted(snapshot):  # groups come first, so that no value has the name of one
        rest = key.removeprefix("Sample").removeprefix("_")
        if key.startswith("Sample") and rest and key not in _ELSEWHERE:
            _put(found, key, snapshot[key])
    return _overlaid({"@NX_class": "NXsample", **found}, words) if found else {}


def _put(found: dict[str, Json], key: str, value: Json) -> None:
    middle, _, field = key.removeprefix("Sample").partition("_")
    path = ("notes",) if key == "Sample_notes" else _GROUPS.get(middle)
    if path is None or not field:
        path, field = (), key.removeprefix("Sample").removeprefix("_")
    for number, name in enumerate(path, 1):
        nx_class = _CLASSES.get(path[:number], "NXcollection")
        found = found.setdefault(name, {"@NX_class": nx_class})
    field = unique_name(field, found)
    found[field] = value
    if unit := _UNITS.get(key):
        found[f"{field}@units"] = unit


def _overlaid(found: Mapping[str, Json], words: Mapping[str, Json]) -> dict[str, Json]:
    """One dictionary over another, also inside the dictionaries that both have."""
    result = dict(found)
    for key, value in words.items():
        mine = result.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            result[key] = _overlaid(mine, value)
        else:
            result[key] = value
    return result
