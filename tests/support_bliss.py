"""Scans that BLISS published, and what the writer of BLISS 2.2 made of them.

``tests/data/bliss/scans/<kind>.json`` holds the document of each scan of a kind and the lengths of
its streams; ``listings/<kind>.json`` the objects of each file that the reference writer made;
``esrf_policy.json`` those of a dataset file and of its master files.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nexus_writer_service.model.description import ChannelName, ScanDescription, ScanKey
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.sources.bliss.scan_info import describe

DATA = Path(__file__).parent / "data" / "bliss"
KINDS = tuple(sorted(path.stem for path in (DATA / "listings").glob("*.json")))


@dataclass(frozen=True)
class RecordedScan:
    key: ScanKey
    document: dict[str, Any]
    lengths: dict[ChannelName, int]
    refers_to: tuple[ScanReference, ...] = ()
    """For a sequence: its scans."""

    @property
    def described(self) -> ScanDescription:
        scan, warnings = describe(self.key, self.document)
        assert warnings == ()
        return scan


def recorded_scans(kind: str) -> list[RecordedScan]:
    found = json.loads((DATA / "scans" / f"{kind}.json").read_text(encoding="utf-8"))
    scans = [RecordedScan(ScanKey(one["key"]), one["document"], one["lengths"]) for one in found]
    return [replace(one, refers_to=_scans_of(one, scans)) for one in scans]


def _scans_of(sequence: RecordedScan, scans: list[RecordedScan]) -> tuple[ScanReference, ...]:
    """What a sequence refers to: the other scans of its recording."""
    infos = [one.document["info"] for one in scans if one.key != sequence.key]
    return tuple(
        ScanReference(ScanKey("esrf:scan:X"), number, info["filename"], (f"{number}.1",))
        for info in infos[: sequence.lengths.get(ChannelName("SUBSCANS"), 0)]
        if (number := info["scan_nb"])
    )


def recorded_scan(kind: str, number: int = 0) -> RecordedScan:
    return recorded_scans(kind)[number]


def reference_files(kind: str) -> dict[str, dict[str, Any]]:
    """What the reference writer made, by path: ``root`` attributes and ``rows``."""
    return _files(DATA / "listings" / f"{kind}.json")


def reference_files_of_esrf_policy() -> dict[str, dict[str, Any]]:
    """What the reference writer made below the data policy of the ESRF."""
    return _files(DATA / "esrf_policy.json")


def _files(path: Path) -> dict[str, dict[str, Any]]:
    return {one["file"]: one for one in json.loads(path.read_text(encoding="utf-8"))}
