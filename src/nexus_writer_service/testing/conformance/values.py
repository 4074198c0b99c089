"""Rules of names, classes, texts, times and units."""

from collections.abc import Iterator
from datetime import datetime

import h5py

from nexus_writer_service.testing.conformance import nxdl
from nexus_writer_service.testing.conformance.finding import Finding
from nexus_writer_service.testing.conformance.units import is_unit
from nexus_writer_service.testing.conformance.walk import Members, text, texts

_TEXT = ("NX_CHAR", "NX_DATE_TIME", "ISO8601")


def judge_names(members: Members) -> Iterator[Finding]:
    """Names of members and attributes are what NXDL allows."""
    rule = nxdl.item_name()
    for name in members.links:
        if not rule.fullmatch(name):
            yield Finding(members.path_of(name), "name", f"{name!r} is not a valid name in NeXus")
    own = [(members.path, members.group)]
    own += [
        (members.path_of(name), one)
        for name, one in members.datasets.items()
        if members.is_own(name)
    ]
    for path, item in own:
        for name in item.attrs:
            if not rule.fullmatch(name):
                yield Finding(path, "name", f"@{name} is not a valid name in NeXus")


def judge_class(members: Members) -> Iterator[Finding]:
    """Every group has a class, and one that exists; NXroot is that of the root, and only there."""
    if not members.nx_class:
        yield Finding(members.path, "class", "the group has no NX_class")
    elif members.nx_class not in nxdl.classes():
        yield Finding(members.path, "class", f"{members.nx_class} is not a class of NeXus")
    elif (members.nx_class == "NXroot") != (members.path == "/"):
        yield Finding(members.path, "class", f"{members.nx_class} is not the class of this place")


def judge_texts(members: Members) -> Iterator[Finding]:
    """What the definition wants as text is text, and its times are times.

    A time without zone is not a finding in files of the Bluesky NXWriter: its readers expect the
    local times that it has always written, and NXDL's NX_DATE_TIME only recommends the zone.
    """
    zone_expected = not (text(members.group.file.attrs.get("creator")) or "").startswith("NXWriter")
    tags = nxdl.fields(members.nx_class)
    for name in members.datasets.keys() & tags.keys():
        wanted = tags[name].get("@type", "NX_CHAR")
        dataset = members.datasets[name]
        if wanted not in _TEXT:
            continue
        if h5py.check_string_dtype(dataset.dtype) is None:
            yield Finding(members.path_of(name), "text", f"must be text, is {dataset.dtype}")
        elif wanted != "NX_CHAR":
            for problem in _times(texts(dataset[()]), zone_expected):
                yield Finding(members.path_of(name), "time", problem)
    known = nxdl.attributes(members.nx_class)
    for name in members.group.attrs.keys() & known.keys():
        if known[name].get("@type") in _TEXT[1:]:
            for problem in _times(texts(members.group.attrs[name]), zone_expected):
                yield Finding(members.path, "time", f"@{name}: {problem}")


def _times(values: list[str], zone_expected: bool) -> Iterator[str]:
    if not values:
        yield "has no time"
    for value in values:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            yield f"{value!r} is not a time of ISO 8601"
        else:
            if zone_expected and moment.tzinfo is None:
                yield f"{value!r} does not say its time zone"


def judge_units(members: Members) -> Iterator[Finding]:
    """Units are units; a link's are those of the dataset it leads to, and checked there."""
    for name, dataset in members.datasets.items():
        if not members.is_own(name) or "units" not in dataset.attrs:
            continue
        units = text(dataset.attrs["units"])
        if units is None or not is_unit(units):
            shown = dataset.attrs["units"] if units is None else units
            yield Finding(members.path_of(name), "units", f"{shown!r} is not a unit")
