"""The NeXus definitions that nexusformat brings along, and its validator, one group at a time.

The validator is given shallow copies in memory, not the file: opened by itself, it locks the file,
takes the first dimension of a virtual dataset for its number of files, and mixes up the messages
of groups inside groups of the same class. It keeps its state in its module: not for two threads.
"""

import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np

from nexus_writer_service.testing.conformance.allowed import ALLOWED
from nexus_writer_service.testing.conformance.finding import Finding
from nexus_writer_service.testing.conformance.walk import Members, text

with warnings.catch_warnings():  # importing nexusformat changes the process' warning filters
    warnings.simplefilter("ignore")
    from nexusformat.nexus import NXfield, NXgroup, validate

DEFINITIONS = Path(str(validate.__file__)).parents[1] / "definitions"
"""The bundled NXDL files, whatever NX_DEFINITIONS says, so that a verdict does not depend on it."""

_XML_SCHEMA = "{http://www.w3.org/2001/XMLSchema}"
_NAME_RULE = "is an invalid name"
_OPEN_RULE = "The field value is not a member of the enumerated list"
_HEADER = re.compile(r"(?:Field|Link): (?:.*/)?(?P<name>[^/]+)$")
_ATTRIBUTE = re.compile(r'"(?P<name>@[^"]+)"')


@cache
def item_name() -> re.Pattern[str]:
    """What names may look like: validItemName of nxdl.xsd, at most 63 characters."""
    schema = ET.parse(DEFINITIONS / "nxdl.xsd")  # noqa: S314 - a file of the installed package
    rule = f".//{_XML_SCHEMA}simpleType[@name='validItemName']/{_XML_SCHEMA}restriction"
    restriction = schema.find(rule)
    pattern = restriction.find(f"{_XML_SCHEMA}pattern") if restriction is not None else None
    longest = restriction.find(f"{_XML_SCHEMA}maxLength") if restriction is not None else None
    if pattern is None or longest is None:
        raise LookupError(f"{DEFINITIONS}/nxdl.xsd: no validItemName; is nexusformat 2.1 there?")
    return re.compile(rf"(?=.{{1,{longest.get('value')}}}$)(?:{pattern.get('value')})")


@cache
def classes() -> frozenset[str]:
    """The classes that a group can have: base classes and contributed ones."""
    folders = (DEFINITIONS / "base_classes", DEFINITIONS / "contributed_definitions")
    files = (file for folder in folders for file in folder.glob("*.nxdl.xml"))
    return frozenset(file.name.removesuffix(".nxdl.xml") for file in files)


@cache
def definition(nx_class: str) -> Any:
    """The validator of a class, which holds its definition.

    Args:
        nx_class: one of ``classes()``.
    """
    with own_cache():
        validator = validate.get_validator(nx_class, definitions=DEFINITIONS)
    # The rules of NXdata are ours: this check knows neither scatter data nor AXISNAME_indices.
    validator.check_data = lambda _group: None
    return validator


def fields(nx_class: str) -> Mapping[str, Any]:
    """The fields that a class defines, by name, as parsed NXDL ("@type", "enumeration"...)."""
    found: Mapping[str, Any] = definition(nx_class).valid_fields if nx_class in classes() else {}
    return found


def attributes(nx_class: str) -> Mapping[str, Any]:
    """The attributes that a class defines for its group, like ``fields``."""
    known = nx_class in classes()
    found: Mapping[str, Any] = definition(nx_class).valid_attributes if known else {}
    return found


_CACHE: dict[str, Any] = {}


@contextmanager
def own_cache() -> Iterator[None]:
    """Lets the validator work without changing what other users of its module see."""
    others, level = validate.validators, validate.logger.level
    validate.validators = _CACHE
    validate.logger.setLevel("WARNING")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        validate.validators = others
        validate.logger.setLevel(level)


def judge_group(members: Members, skip: frozenset[str]) -> Iterator[Finding]:
    """What the validator says of a group, its attributes and its fields.

    Args:
        members: a group of a class that exists.
        skip: fields that have broken a rule before; the validator stumbles over them.
    """
    item = ""
    for message, level, _ in _messages(members, skip):
        if level == "all":
            header = _HEADER.match(message)
            item = header["name"] if header else ""
        elif level in ("warning", "error") and not _dismissed(members, item, message):
            path = members.path_of(item) if item else members.path
            yield Finding(path, "nxdl", message)


def _messages(members: Members, skip: frozenset[str]) -> list[tuple[str, str, int]]:
    collector = SimpleNamespace(logged_messages=[], nxclass=None)
    names = [name for name in members.datasets if name not in skip]
    with own_cache():
        copy = NXgroup(
            nxclass=members.nx_class,
            name=members.path.rpartition("/")[2] or "root",
            attrs=_attributes(members.group),
            entries={name: _field(name, members.datasets[name]) for name in names},
            group=NXgroup(nxclass=members.parent_class)
            if members.parent_class in classes()
            else None,
        )
        definition(members.nx_class).validate(copy, parent=collector)
    return list(collector.logged_messages)


def _field(name: str, dataset: h5py.Dataset) -> Any:
    """A copy of a dataset's head; of its values only a single one."""
    attrs = _attributes(dataset)
    if h5py.check_string_dtype(dataset.dtype) is not None:
        value = text(dataset[()]) if dataset.size == 1 else None
        dtype = h5py.string_dtype()
    else:
        value = np.asarray(dataset[()]).item() if dataset.size == 1 else None
        dtype = dataset.dtype if dataset.dtype.names is None else np.dtype(np.void)
    if value is not None:
        return NXfield(value, name=name, attrs=attrs)
    return NXfield(name=name, dtype=dtype, shape=dataset.shape or (), attrs=attrs)


def _attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    values = {name: item.attrs[name] for name in item.attrs if name != "NX_class"}
    return {name: "" if isinstance(one, h5py.Empty) else one for name, one in values.items()}


def _dismissed(members: Members, item: str, message: str) -> bool:
    if _NAME_RULE in message:
        return True  # stricter than NXDL's own rule, which is checked elsewhere
    if message == _OPEN_RULE and item in _open_enumerations(members.nx_class):
        return True
    attribute = _ATTRIBUTE.match(message)
    if attribute and not item:
        item = attribute["name"]
    holder = members.nx_class if item else members.parent_class
    name = item or members.path.rpartition("/")[2]
    return any(extension.covers(holder, name, message) for extension in ALLOWED)


@cache
def _open_enumerations(nx_class: str) -> frozenset[str]:
    """Fields whose enumeration is only a proposal; the validator does not know the difference."""
    root = ET.parse(definition(nx_class).filepath).getroot()  # noqa: S314 - as above
    space = root.tag.removesuffix("definition")
    names = {
        str(one.get("name"))
        for one in root.findall(f"{space}field")
        if one.find(f"{space}enumeration[@open='true']") is not None
    }
    parent = root.get("extends")
    return frozenset(names | (_open_enumerations(parent) if parent else set()))
