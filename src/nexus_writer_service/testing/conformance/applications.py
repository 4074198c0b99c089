"""Application definitions: what an NXentry or NXsubentry lacks of the one that it names."""

from pathlib import Path
from typing import Any

import h5py
from nexusformat.nexus import NeXusError, nxopen, validate

from nexus_writer_service.testing.conformance.finding import Finding
from nexus_writer_service.testing.conformance.nxdl import DEFINITIONS, own_cache


def check_application(path: str | Path, group: str) -> list[Finding]:
    """What in an entry is not as its application definition wants it; empty for a good one.

    Not to be called in two threads at a time, nor while this process has the file open.

    Args:
        path: the file.
        group: path of the NXentry or NXsubentry; its ``definition`` names the definition.
    """
    with h5py.File(path, "r", locking=False) as file:
        name = file[group]["definition"].asstr()[()] if "definition" in file[group] else ""
    if not name:
        return [Finding(group, "application", "it names no definition")]
    try:
        with own_cache(), nxopen(str(path)) as root:
            validator = _Collector(name, definitions=DEFINITIONS)
            validator.validate(root[group])
    except NeXusError as error:
        return [Finding(group, "application", str(error))]
    return sorted(Finding(group, "application", text) for text in validator.found)


class _Collector(validate.ApplicationValidator):  # type: ignore[misc]  # nexusformat has no types
    """Keeps what is wrong, with the item that it is about, instead of logging it."""

    logged_messages: list[tuple[str, str, int]]

    def __init__(self, application: str, definitions: Any) -> None:
        self.found: set[str] = set()
        super().__init__(application, definitions=definitions)

    def output_log(self) -> None:
        item = ""
        for message, level, _ in self.logged_messages:
            if level == "all":
                item = message
            elif level == "error":
                self.found.add(f"{item}: {message}")
        self.logged_messages = []
