"""Registers the generators with a session; one that fails costs what it would have made."""

import copy
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from nexus_writer_service.errors import StateError
from nexus_writer_service.metadata import session

Generator = Callable[[Any], Mapping[str, Any]]
"""Takes a scan (None: the session as it is), returns a part of ``scan_info["nexuswriter"]``."""

CATEGORY = "nexuswriter"
"""The metadata category of a session's scans that is for the writer."""


@dataclass(frozen=True, slots=True)
class _Registered:
    """A generator, and what is done without."""

    generate: Generator
    brings: str
    """What the file lacks without it."""
    instead: Mapping[str, Any] = field(default_factory=dict)
    """What the scan is told when it fails."""


# The names are those that BLISS's own writers register by, so that neither adds to the other. BLISS
# 2.2 itself reads `devices`: its scan would not start without.
_GENERATORS: Mapping[str, _Registered] = {
    "instrument_info": _Registered(session.instrument_info, "the name of the instrument"),
    "device_info": _Registered(
        session.device_info,
        "types of devices: each channel is a detector of its own",
        {"devices": {}},
    ),
    "masterfiles": _Registered(
        session.masterfiles, "links in the files of the collection and the proposal"
    ),
    "technique": _Registered(session.technique, "plots and applications of the technique"),
}

_logger = logging.getLogger(__name__)


class MetadataCategory(Protocol):
    """A category of the metadata of a BLISS session."""

    def set(self, name_or_device: str, values: Generator, /) -> None:
        """Take a generator by name, in place of the one that had this name."""


class ScanMetadata(Protocol):
    """``bliss.scanning.scan_meta.ScanMeta``: the user's metadata of all scans of a session."""

    def add_categories(self, names: list[str], /) -> None:
        """Make categories, which are attributes from then on."""

    @property
    def nexuswriter(self) -> MetadataCategory:
        """The category of that name, once it is made."""


def register_all_metadata_generators() -> None:
    """Let all scans of this BLISS session tell the writer what only the session knows.

    May be called again: nothing is registered twice. Takes effect with the next scan, and for as
    long as the session lives.

    Raises:
        StateError: this process has no BLISS.
    """
    register_metadata_generators(session.scan_metadata())


def register_metadata_generators(scan_metadata: ScanMetadata) -> None:
    """Add the generators to a session's metadata.

    A generator that fails costs what it would have made, and a warning that says so; never the
    scan.

    Args:
        scan_metadata: ``bliss.scanning.scan_meta.get_user_scan_meta()``.

    Raises:
        StateError: it has no categories of metadata.
    """
    try:
        scan_metadata.add_categories([CATEGORY])
        category = scan_metadata.nexuswriter
    except AttributeError as error:
        raise StateError(
            f"metadata generators cannot be registered: {type(scan_metadata).__qualname__} is no "
            "scan metadata of BLISS 2 (get_user_scan_meta() of bliss.scanning.scan_meta)"
        ) from error
    for name, registered in _GENERATORS.items():
        category.set(name, _guarded(name, registered))


def _guarded(name: str, registered: _Registered) -> Generator:
    """The generator, but what it raises is a warning."""

    def generate(scan: Any) -> Mapping[str, Any]:
        try:
            return registered.generate(scan)
        except Exception as error:  # whatever a device raises
            _logger.warning(
                "%s: the metadata %r could not be made (%s: %s). The scan goes on; its file will "
                "lack %s",
                session.name_of(scan),
                name,
                type(error).__name__,
                error,
                registered.brings,
                exc_info=_logger.isEnabledFor(logging.DEBUG),
            )
            return copy.deepcopy(registered.instead)

    return generate
