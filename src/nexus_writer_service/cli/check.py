"""``nexus-writer check``: is a file sound, and are its scans complete?"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.inspect import Inspection, JournalState, inspect, journal_of
from nexus_writer_service.layout.writer_note import WriterNote
from nexus_writer_service.model.verdict import Outcome

_GATE = "nexus_writer_service.testing.conformance"
_GATE_NEEDS = "nexusformat"
_GATE_TIMES = 10
"""The gate tells nothing until it has seen the whole file, so it has so many times the patience."""


class Status(IntEnum):
    """The exit status; of several files that of the worst."""

    SOUND = 0
    FINDINGS = 1
    UNUSABLE = 2
    UNFINISHED = 3

    @property
    def badness(self) -> int:
        """How bad it is."""
        return (Status.SOUND, Status.UNFINISHED, Status.FINDINGS, Status.UNUSABLE).index(self)


class Checker:
    """Checks files and prints what it finds.

    Args:
        timeout: seconds for which HDF5 may be silent.
        strict: that conformance cannot be checked is a finding.
        quiet: print findings only.
    """

    def __init__(self, *, timeout: float, strict: bool, quiet: bool) -> None:
        self._timeout = timeout
        self._strict = strict
        self._quiet = quiet

    def check(self, path: str) -> Status:
        """Check one file."""
        try:
            journal = journal_of(path)
            found = inspect(path, timeout=self._timeout)
        except FileError as error:
            self._find(str(error))
            return Status.UNUSABLE
        findings = list(self._findings(path, journal, found))
        for text in findings:
            self._find(f"{path}: {text}")
        if journal is not None and journal.writer:
            self._tell(path, f"is being written by process {journal.writer}")
        complete = True
        for entry, note in found.entries.items():
            complete &= note is None or note.verdict.outcome is Outcome.COMPLETE
            self._tell_verdict(path, entry, note, journal)
        if findings:
            return Status.FINDINGS
        self._tell(path, f"sound: {found.objects} objects, {found.nbytes / 1e6:.1f} MB of values")
        return Status.SOUND if complete else Status.UNFINISHED

    def _findings(
        self, path: str, journal: JournalState | None, found: Inspection
    ) -> Iterator[str]:
        if journal is not None and not journal.writer:
            yield (
                "a journal is left: run nexus-writer recover (unless a writer on another host is "
                "writing the file)"
            )
        yield from map(str, found.troubles)
        if not found.readable:
            self._tell(path, "conformance not checked: the file is damaged")
        elif importlib.util.find_spec(_GATE_NEEDS) is not None:
            known = tuple(f"{trouble.path}: " for trouble in found.troubles)
            yield from (text for text in self._conformance(path) if not text.startswith(known))
        else:
            text = "conformance not checked: install nexus_writer_service[testing]"
            if self._strict:
                yield text
            else:
                self._tell(path, text)

    def _conformance(self, path: str) -> Iterator[str]:
        """What the gate finds, in a process of its own; missing files are known already."""
        command = [sys.executable, "-P", "-m", _GATE, "--allow-missing-files", "--", path]
        limit = self._timeout * _GATE_TIMES
        try:
            done = subprocess.run(  # noqa: S603 - this very package, without a shell
                command, capture_output=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            yield f"conformance: no answer for {limit:g} s"
            return
        lines = done.stdout.decode("utf-8", "backslashreplace").splitlines()
        yield from (line.removeprefix(f"{path}::") for line in lines)
        if done.returncode and not lines:
            errors = done.stderr.decode("utf-8", "backslashreplace").splitlines()
            yield f"conformance cannot be checked: {errors[-1] if errors else done.returncode}"

    def _tell_verdict(
        self, path: str, entry: str, note: WriterNote | None, journal: JournalState | None
    ) -> None:
        if note is None:
            self._tell(path, f"/{entry}: no verdict, another program wrote it")
            return
        text = note.verdict.summary
        if note.verdict.outcome is Outcome.RUNNING and not (journal and journal.writer):
            text += ", but no writer of this host is writing the file"
        good = note.verdict.outcome in (Outcome.COMPLETE, Outcome.RUNNING)
        self._tell(path, f"/{entry}: {text}", color=None if good else typer.colors.YELLOW)

    def _find(self, text: str) -> None:
        typer.secho(_line(text), fg=typer.colors.RED)

    def _tell(self, path: str, text: str, color: str | None = None) -> None:
        if not self._quiet:
            typer.secho(_line(f"{path}: {text}"), fg=color)


def _line(text: str) -> str:
    """On one line, and such that a terminal takes it."""
    return " ".join(text.split("\n")).encode("utf-8", "backslashreplace").decode()


def worst(found: Sequence[Status]) -> Status:
    """The status of several files."""
    return max(found, key=lambda one: one.badness, default=Status.SOUND)


def check(
    files: Annotated[list[Path], typer.Argument(help="Files; they may be being written.")],
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds of silence after which a file is damaged.")
    ] = 60,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail when conformance cannot be checked.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print findings only.")] = False,
) -> None:
    """Tell whether files are sound: all readable, nothing missing, as NeXus wants it, complete.

    Pixels in the detector's own files are not read; it is seen whether these are there and large
    enough. Exit status: 0 sound and complete; 1 findings: unreadable, missing, not conforming, a
    journal is left; 2 wrong usage, or a file cannot be opened; 3 sound, but a scan is not complete.
    Of several files the worst counts: 2, 1, 3, 0.
    """
    checker = Checker(timeout=timeout, strict=strict, quiet=quiet)
    raise typer.Exit(worst([checker.check(str(path)) for path in files]))
