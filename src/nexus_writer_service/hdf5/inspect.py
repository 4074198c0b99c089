"""Is every object of a file readable, does all of it lead somewhere, and whose are its entries?

The file is read in a process of its own: a damaged file can keep HDF5 busy for ever, or kill it.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Final

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5 import inspector
from nexus_writer_service.hdf5.claim import holder
from nexus_writer_service.hdf5.inspector import Kind
from nexus_writer_service.hdf5.journal import journal_path
from nexus_writer_service.layout.writer_note import WriterNote, read_writer_note

_KILL_PATIENCE: Final = 5.0
"""Seconds for a killed process to end: on a disk that does not answer it never does."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One place of a file at which something is wrong."""

    kind: Kind
    """unreadable: the file is damaged there; unresolved: something outside of it is missing."""
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text} [{self.kind}]"


@dataclass(slots=True)
class Inspection:
    """What was found in a file."""

    troubles: list[Trouble] = field(default_factory=list)
    entries: dict[str, WriterNote | None] = field(default_factory=dict)
    """The NXentry groups with the notes of our writers; None where there is none of ours."""
    objects: int = 0
    """How many could be read; 0 when that was not finished."""
    nbytes: int = 0
    """Bytes of values that could be read."""

    @property
    def readable(self) -> bool:
        """Whether all that is in the file itself can be read."""
        return all(trouble.kind != "unreadable" for trouble in self.troubles)


def inspect(path: str, *, timeout: float, values: bool = True) -> Inspection:
    """Read everything in a file, with bounded memory; also while it is being written.

    The pixels of virtual and raw datasets are in other files and are not read; it is seen whether
    these files are there and large enough.

    Args:
        path: of the file.
        timeout: seconds without progress after which the file counts as damaged.
        values: whether to read the values of datasets, or only what the file consists of.

    Raises:
        FileError: there is no such file, it is not an HDF5 file, or so damaged that HDF5 does not
            open it.
    """
    if not os.path.isfile(path):
        what = "it is a directory" if os.path.isdir(path) else "there is no such file"
        raise FileError(f"cannot read {path}: {what}")
    if not os.path.getsize(path):
        raise FileError(
            f"cannot read {path}: it is empty; if a NeXus writer made it, it died before its "
            "first commit, and the file can be removed"
        )
    found = Inspection()
    place = "/"
    with _reading(path, values=values) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in _lines(process.stdout, timeout):
            if line is None:
                text = f"no answer from HDF5 for {timeout:g} s"
                found.troubles.append(Trouble("unreadable", place, text))
                return found
            match json.loads(line):
                case ["at", str(place)]:
                    pass
                case [("unreadable" | "unresolved") as kind, str(path_), str(text)]:
                    found.troubles.append(Trouble(kind, path_, text))
                case ["entry", str(name), note]:
                    found.entries[name] = read_writer_note(note)
                case ["refused", str(text)]:
                    raise FileError(text)
                case ["end", int(objects), int(nbytes)]:
                    found.objects, found.nbytes = objects, nbytes
                    return found
        status = process.wait(_KILL_PATIENCE)
    text = f"HDF5 gave up here: {_end_text(status)}"
    found.troubles.append(Trouble("unreadable", place, text))
    return found


@contextmanager
def _reading(path: str, *, values: bool) -> Iterator[subprocess.Popen[bytes]]:
    depth = "values" if values else "structure"
    # -P: whatever lies in the working directory is not imported.
    process = subprocess.Popen(  # noqa: S603 - this very package, without a shell
        [sys.executable, "-P", "-m", inspector.__name__, os.path.abspath(path), depth],
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_PATIENCE)


def _lines(stream: IO[bytes], timeout: float) -> Iterator[bytes | None]:
    """Complete lines; None, as the last one, when none came for so long."""
    rest = b""
    while select.select([stream], [], [], timeout)[0]:
        data = os.read(stream.fileno(), 1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
    yield None


def _end_text(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


@dataclass(frozen=True, slots=True)
class JournalState:
    """The journal beside a file."""

    path: str
    writer: int | None
    """Process of this host that is writing the file; None when there is none."""


def journal_of(path: str) -> JournalState | None:
    """The journal of a file; None when there is none. Nothing is locked or changed.

    Raises:
        FileError: it may not be looked at.
    """
    place = journal_path(path)
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"cannot look at the journal {place}: {error.strerror}") from error
    try:
        return JournalState(place, holder(descriptor))
    finally:
        os.close(descriptor)


def files_with_journal(folder: str) -> list[str]:
    """Files in a directory, or below, beside which is a journal; sorted."""
    found = []
    for above, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(above, name[1:].removesuffix(".nxj"))
            if name.startswith(".") and journal_path(file) == os.path.realpath(f"{above}/{name}"):
                found.append(file)
    return sorted(found)
