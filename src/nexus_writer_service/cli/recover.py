"""``nexus-writer recover``: what a writer that died has left behind is put in order."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from nexus_writer_service.errors import (
    FileAccessError,
    FileError,
    FileLockedError,
    SettingsError,
    WriterError,
)
from nexus_writer_service.hdf5 import recovery
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.inspect import files_with_journal, inspect, journal_of
from nexus_writer_service.layout.writer_note import RUN_ENGINE, WriterNote
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.conclude import conclude, concluded
from nexus_writer_service.service.history import History, PastScan
from nexus_writer_service.service.history_place import default_history
from nexus_writer_service.service.status import ScanStatus

_GONE = "its writer was stopped, and Redis does not hold the scan any more: nobody can go on"
_UNKNOWN = "its writer was stopped; one that finds the scan in Redis goes on with it"
_DIED = "the process that wrote it died, and nobody can go on with a Bluesky run"
_FORCED = "its writer was stopped, and nobody is to go on with it"


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of scans whose writer was stopped."""

    held: set[ScanKey]
    """A writer can go on with these: they are left as they are."""
    reason: str
    """For the verdict on the others."""
    final: bool
    """Whether that verdict is the last one."""
    remark: str = ""
    """Why it is not, for people."""


class Fates:
    """Asks Redis about scans, but for those that it cannot know.

    Args:
        url: of the Redis database of scans; None: as ``environment`` says.
        environment: of the process.
        final: nobody will go on with scans of which Redis cannot be asked.
    """

    def __init__(self, url: str | None, environment: Mapping[str, str], *, final: bool) -> None:
        self._url = url
        self._environment = environment
        self._final = final

    def of(self, source: str, scans: Iterable[ScanKey]) -> Fate:
        """What is to become of these scans, which are from one source."""
        if source == RUN_ENGINE:
            return Fate(set(), _DIED, True)
        try:
            # Here, since redis comes with an extra, and most files need no question.
            from nexus_writer_service.sources.generation import existing  # noqa: PLC0415

            return Fate(existing(self._url, set(scans), self._environment), _GONE, True)
        except ImportError as error:
            remark = f"Redis cannot be asked ({error}): install nexus_writer_service[bliss]"
        except WriterError as error:
            remark = str(error)
        if self._final:
            return Fate(set(), _FORCED, True)
        return Fate(set(), _UNKNOWN, False, remark)


class Recoverer:
    """Puts files in order, one after the other, and says what it does.

    Args:
        fates: decides on scans.
        history: keeps verdicts; None: nothing does.
        timeout: seconds for which HDF5 may be silent.
        values: whether all values are read in the end.
    """

    def __init__(self, fates: Fates, history: Path | None, *, timeout: float, values: bool) -> None:
        self._fates = fates
        self._history = history
        self._timeout = timeout
        self._values = values
        self.others: list[str] = []
        """More files of scans that were not finished, as the files so far tell; it grows."""

    def recover(self, path: str) -> bool:
        """Put one file in order; tells whether it is."""
        try:
            return self._recover(path)
        except FileLockedError:
            say(path, f"left as it is: {_writer_of(path)} is writing it")
        except FileAccessError as error:
            say(path, f"{error}{_missing_rights(path)}")
        except FileError as error:
            say(path, str(error))
        return False

    def _recover(self, path: str) -> bool:
        done = recovery.recover(path)
        if not os.path.isfile(path):
            what = "it is not a file" if os.path.exists(path) else "there is no such file"
            raise FileError(f"cannot be recovered: {what}{f'; {done}' if done else ''}")
        say(path, str(done) or "nothing to recover")
        if not os.path.getsize(path):
            say(path, "it is empty: its writer died before the first commit; nothing was lost")
            return True
        found = inspect(path, timeout=self._timeout, values=self._values)
        for trouble in found.troubles:
            if trouble.kind == "unreadable":
                say(path, str(trouble))
        if not found.readable:
            say(path, "it is damaged: no entry was concluded; copy out of it what can be read")
            return False
        notes = {name: note for name, note in found.entries.items() if note is not None}
        verdicts = {note.scan: note.verdict for note in notes.values() if note.over}
        unfinished = {name: note for name, note in notes.items() if not note.over}
        self.others += _others(path, unfinished.values())
        for source in sorted({note.source for note in unfinished.values()}):
            its = {name: note for name, note in unfinished.items() if note.source == source}
            verdicts |= self._conclude(path, source, its)
        self._record(path, verdicts)
        amount = f", {found.nbytes / 1e6:.1f} MB of values" if self._values else ""
        say(path, f"readable: {found.objects} objects{amount}")
        return True

    def _conclude(
        self, path: str, source: str, notes: Mapping[str, WriterNote]
    ) -> dict[ScanKey, Verdict]:
        """Conclude entries; returns the verdicts on their scans, but not on those left alone."""
        fate = self._fates.of(source, (note.scan for note in notes.values()))
        verdicts = {}
        for entry, note in notes.items():
            if note.scan in fate.held:
                say(path, f"/{entry}: is still in Redis: start the writer, and it goes on")
            else:
                verdicts[entry] = concluded(note.verdict, fate.reason, final=fate.final)
        if verdicts and fate.remark:
            say(path, fate.remark)
        changed = {entry for entry in verdicts if verdicts[entry] != notes[entry].verdict}
        if changed:
            self._write(path, {notes[entry].scan for entry in changed}, fate)
        for entry, verdict in verdicts.items():
            say(path, f"/{entry}: {verdict.summary}")
        return {notes[entry].scan: verdict for entry, verdict in verdicts.items()}

    def _write(self, path: str, scans: set[ScanKey], fate: Fate) -> None:
        file = NexusFile.open(os.path.abspath(path))
        try:
            for scan in sorted(scans):
                conclude(file, fate.reason, scan=scan, final=fate.final)
        finally:
            file.close()

    def _record(self, path: str, verdicts: Mapping[ScanKey, Verdict]) -> None:
        """Tell a history that believes these scans to be unfinished."""
        if self._history is None or not verdicts:
            return
        history = History(self._history)
        try:
            for past in history.unfinished():
                verdict = verdicts.get(past.key, past.verdict)
                if verdict != past.verdict:
                    history.record(_status(past, verdict))
        except FileError as error:
            say(path, f"the verdict is in the file only: {error}")
        finally:
            history.close()


def _others(path: str, notes: Iterable[WriterNote]) -> list[str]:
    """Other files of the scans, as far as they are there."""
    above = os.path.dirname(os.path.realpath(path))
    found = {os.path.join(above, name): None for note in notes for name in note.others}
    return [os.path.normpath(one) for one in found if os.path.exists(one)]


def _status(scan: PastScan, verdict: Verdict) -> ScanStatus:
    """The status of a scan whose writer was stopped."""
    return ScanStatus(
        *(scan.key, scan.name, scan.session),
        ScanState.OFF if verdict.outcome is Outcome.COMPLETE else ScanState.FAULT,
        verdict.summary,
        scan.started,
        ended=datetime.now().astimezone(),
        file=scan.file,
        entries=scan.entries,
        warnings=verdict.warnings,
        verdict=verdict,
        over=True,
    )


def say(path: str, text: str) -> None:
    """Print one line on a file."""
    line = " ".join((text if path in text else f"{path}: {text}").split("\n"))
    # Names may hold bytes that are no text, and a terminal takes no such thing.
    typer.echo(line.encode("utf-8", "backslashreplace").decode())


def _writer_of(path: str) -> str:
    journal = journal_of(path)
    return f"process {journal.writer}" if journal and journal.writer else "another process"


def _may(path: str, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _missing_rights(path: str) -> str:
    folder = os.path.dirname(os.path.realpath(path))
    missing = [] if _may(folder, os.W_OK | os.X_OK) else [f"make files in {folder}"]
    if not _may(path, os.R_OK | os.W_OK):
        missing.append("read and write the file")
    return f" (missing: the right to {' and to '.join(missing)})" if missing else ""


def _expanded(paths: Iterable[Path]) -> list[str]:
    """The files, and for each directory those in it and below that have a journal."""
    found: list[str] = []
    for path in paths:
        if not path.is_dir():
            found.append(str(path))
        elif below := files_with_journal(str(path)):
            found += below
        else:
            say(str(path), "no file in it, or below, has a journal: nothing to recover")
    return found


def unfinished_files(path: Path) -> list[str]:
    """Files of the scans that a history knows as unfinished, as far as they are there.

    Raises:
        FileError: the history cannot be read.
    """
    if not path.exists():
        say(str(path), "there is no such history: nothing is known to be unfinished")
        return []
    files = dict.fromkeys(scan.file for scan in History(path).unfinished() if scan.file)
    for file in files:
        if not os.path.exists(file):
            say(file, "it is not there any more: left to whoever moved it")
    return [file for file in files if os.path.exists(file)]


def history_of(path: Path | None) -> Path | None:
    """The history to use: the one given, else that of this user if there is a place for it."""
    try:
        return path or default_history(os.environ)
    except SettingsError:
        return None


def recover(  # noqa: PLR0917 - one parameter for each option, given by name
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files; of a directory all that have a journal, also further below."),
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Files of all scans that the history knows.")
    ] = False,
    final: Annotated[
        bool,
        typer.Option("--final", help="Where Redis cannot be asked: nobody will go on with scans."),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not read all values; for large files in a hurry.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds of silence after which a file is damaged.")
    ] = 60,
    history: Annotated[
        Path | None,
        typer.Option("--history", help="Default: that of this user, as the writers have it."),
    ] = None,
    redis_data_url: Annotated[
        str | None,
        typer.Option("--redis_url", help="Default: REDIS_DATA_URL, else Beacon (BEACON_HOST)."),
    ] = None,
) -> None:
    """Put files in order whose writer died; harmless for all others.

    Brings each file to its last commit, gives the permission to write back, concludes the entries
    that no writer can go on with, and reads all of it. A file that is being written is left as it
    is. Exit status: 0 all files are sound, 1 one is not or could not be recovered, 2 wrong usage.
    """
    if not files and not unfinished:
        raise typer.BadParameter("name files, or say --unfinished")
    past = history_of(history)
    sound = True
    paths = _expanded(files or ())
    if unfinished and past is not None:
        try:
            paths += unfinished_files(past)
        except FileError as error:
            say(str(past), str(error))
            sound = False
    fates = Fates(redis_data_url, os.environ, final=final)
    recoverer = Recoverer(fates, past, timeout=timeout, values=not quick)
    done: set[str] = set()
    # Behind the files that were named come those that they lead to, and theirs.
    for path in chain(paths, recoverer.others):
        if os.path.realpath(path) not in done:
            done.add(os.path.realpath(path))
            sound &= recoverer.recover(path)
    raise typer.Exit(0 if sound else 1)
