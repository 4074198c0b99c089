"""Entries whose writer was stopped get a verdict that says so.

Only entries that a writer of ours has begun and not finished are touched: their note tells.
"""

from collections.abc import Iterator
from dataclasses import replace

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.writer_note import (
    DATA,
    NOTE,
    WriterNote,
    read_writer_note,
    writer_note,
)
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.tree import at
from nexus_writer_service.model.verdict import Outcome, Verdict


def unfinished(file: NexusFile) -> Iterator[tuple[str, WriterNote]]:
    """Entries that a writer has begun and not finished: their names, and what their notes say.

    Raises:
        FileError: the file cannot be read.
    """
    for entry in file.groups():
        note = read_writer_note(file.read_text(f"/{entry}/{DATA}"))
        if note is not None and not note.over:
            yield entry, note


def concluded(verdict: Verdict, reason: str, *, final: bool) -> Verdict:
    """The verdict on a scan whose writer was stopped, with what was known before."""
    outcome = Outcome.INCOMPLETE if final else Outcome.INTERRUPTED
    reasons = tuple(dict.fromkeys((*verdict.reasons, reason)))
    return replace(verdict, outcome=outcome, reasons=reasons)


def conclude(
    file: NexusFile, reason: str, *, scan: ScanKey | None = None, final: bool
) -> dict[str, Verdict]:
    """Say in the unfinished entries of a file what became of them; shows with its next commit.

    What is known already (channels with their gaps, warnings, reasons) is kept. To say the same
    again changes nothing.

    Args:
        file: that nobody else writes.
        reason: why the entries were not finished.
        scan: only the entries of this one.
        final: whether nobody will go on with them: they are incomplete then, else interrupted.

    Returns:
        The verdicts by name of the entry; empty when all are finished.

    Raises:
        FileError: the file cannot be read, or does not take a verdict.
    """
    verdicts = {}
    for entry, note in list(unfinished(file)):
        if scan not in (None, note.scan):
            continue
        verdict = verdicts[entry] = concluded(note.verdict, reason, final=final)
        if verdict != note.verdict:
            _say(file, entry, replace(note, verdict=verdict))
    return verdicts


def _say(file: NexusFile, entry: str, note: WriterNote) -> None:
    said = writer_note(note.scan, note.verdict, note.source, note.others)
    problems = file.merge(at(f"/{entry}/{NOTE}", said))
    if problems:
        raise FileError("; ".join(problems))
