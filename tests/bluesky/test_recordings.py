"""Every recorded run becomes a complete file, with all that the reference's file has."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support_bluesky import DATA, INDEX, recorded
from tests.support_reference_listing import missing_of, read_listing

from nexus_writer_service.bluesky import NXWriter, NXWriterAPS
from nexus_writer_service.sources.bluesky.recording import Document

PATIENCE = 60.0
SOUND = sorted(name for name, one in INDEX.items() if one["reference"] == "sound")
INCOMPLETE = {"ad_hdf5_no_file": "the detector's file never appears"}
"""Recordings of which something cannot be saved, and why."""

WANTED: dict[str, str] = {}
"""What of the reference's files is not in ours, and why. Documented in docs/bluesky.md."""


def writer_for(name: str, folder: Path) -> NXWriter:
    """A writer with the settings with which the reference wrote this recording."""
    writer = (NXWriterAPS if INDEX[name].get("aps") else NXWriter)()
    writer.file_name = str(folder / f"{name}.h5")
    writer.warn_on_missing_content = False
    for attribute, value in INDEX[name].get("attributes", {}).items():
        setattr(writer, attribute, value)
    return writer


def written(writer: NXWriter, documents: Iterable[Document]) -> Path:
    """The file that a writer makes of a run."""
    for name, doc in documents:
        writer.receiver(name, doc)
        if name == "stop":
            writer.wait_writer(timeout=PATIENCE)
    return Path(writer.output_nexus_file)


@pytest.mark.parametrize("name", SOUND)
def test_all_that_the_reference_wrote_is_there(name: str, tmp_path: Path, assets: Path) -> None:
    file = written(writer_for(name, tmp_path), recorded(name, assets))
    listing = read_listing(DATA / "listings" / f"{name}.json.gz")
    missing = missing_of(listing, file, ASSETS=str(assets))
    assert [line for line in missing if not wanted(line)] == []


def wanted(line: str) -> bool:
    """Whether we want it to differ there."""
    return any(part in line for part in WANTED)


@pytest.mark.parametrize("name", sorted(INDEX.keys() - INCOMPLETE.keys()))
def test_every_recording_is_written_completely(name: str, tmp_path: Path, assets: Path) -> None:
    writer = writer_for(name, tmp_path)
    for kind, doc in recorded(name, assets):
        writer.receiver(kind, doc)
        if kind == "stop":
            result: Any = writer.wait_writer(timeout=PATIENCE)
            assert result.verdict.outcome.value == "complete", result.verdict.summary
