"""The writers whose readers are counted: the same scans, written the usual way and ours."""

import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from bench.plain_file import PlainFile
from tests.support_crash import Promise, Scan, plan, write_scans

from nexus_writer_service.hdf5.disk import Bytes, Disk, Step
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions

TICK: Final = 0.02
"""Seconds between two times at which points are handed to HDF5."""
COMMIT: Final = 0.5
"""Seconds between two commits, or flushes."""
NOTES: Final = 0.005
"""Share of the ticks in which the note of a scan is written anew: each some four seconds."""
LONGER: Final = 20
"""How much longer the scans are than those of the tests: some ten seconds each."""
SCANS: Final = 1000
"""More than are written in any round."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A way to write."""

    name: str
    options: FileOptions | None
    """None: a plain h5py.File, with HDF5's locking off, that is flushed."""


WRITERS: Final = (
    Writer("plain h5py", None),
    Writer("ours", FileOptions()),
    Writer("ours, patience 10 s", FileOptions(reader_patience=10.0)),
    Writer("ours, patience 0.1 s", FileOptions(reader_patience=0.1)),
    Writer("ours, no leases", FileOptions(leases=False)),
)


@dataclass(slots=True)
class Applies:
    """How commits came into the file."""

    commits: int = 0
    applied: int = 0
    """Times at which commits were written into the file; one such time can bring several."""
    forced: int = 0
    """... while a reader may have been inside."""


class WatchedDisk(Disk):
    """Counts how often commits are applied, and how often without a lease."""

    def __init__(self) -> None:
        self.applies = Applies()
        self._leased = True

    def write(self, step: Step, descriptor: int, pieces: Sequence[Bytes], address: int) -> None:
        """Write."""
        if step == "apply" and fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_UNLCK:
            self._leased = False
        if step == "clear":
            self.applies.applied += 1
            self.applies.forced += not self._leased
            self._leased = True
        super().write(step, descriptor, pieces, address)


class PacedFile:
    """Commits every half second only; between, HDF5 does with the points what it likes.

    Args:
        file: that is written.
        hand_over: gives HDF5 the points that wait for a commit.
    """

    def __init__(self, file: NexusFile | PlainFile, hand_over: Callable[[], object]) -> None:
        self._file = file
        self._hand_over = hand_over
        self._due = 0.0
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def commit(self) -> None:
        """Commit, if it is time."""
        if time.monotonic() < self._due:
            self._hand_over()
            return
        self._file.commit()
        self._due = time.monotonic() + COMMIT
        self.commits += 1


class _OverError(Exception):
    """It is time to stop."""


def promised(folder: str) -> Promise:
    """What the writer in a folder has committed so far."""
    try:
        with open(f"{folder}/promise", encoding="utf-8") as file:
            return Promise(**json.load(file))
    except FileNotFoundError:
        return Promise()


def write(writer: Writer, folder: str, seed: int) -> Applies:
    """Write scans into ``file.h5`` of a folder, until there is a file ``stop``."""
    path = f"{folder}/file.h5"
    disk = WatchedDisk()
    file: NexusFile | PlainFile
    if writer.options:
        file = NexusFile.open(path, options=writer.options, disk=disk, clock=lambda: 0.0)
        paced = PacedFile(file, file._growing.write)  # noqa: SLF001 - no one else needs this
    else:
        file = PlainFile(path)
        paced = PacedFile(file, lambda: None)
    told = 0

    def promise(one: Promise) -> None:
        nonlocal told
        if paced.commits > told:
            told = paced.commits
            with open(f"{folder}/promise.new", "w", encoding="utf-8") as out:
                json.dump(asdict(one), out)
            os.replace(f"{folder}/promise.new", f"{folder}/promise")
        if os.path.exists(f"{folder}/stop"):
            raise _OverError
        begin = time.monotonic()
        while time.monotonic() < begin + TICK:
            file.poll()
            time.sleep(TICK / 4)

    chance = random.Random(seed)  # noqa: S311 - no secret
    try:
        write_scans(
            cast("NexusFile", paced),
            [Scan(one.number, LONGER * one.points) for one in plan(seed, SCANS)],
            chance,
            kept=Promise(),
            promise=promise,
            notes=NOTES,
        )
    except _OverError:
        disk.applies.commits = paced.commits
        file.close()
    return disk.applies
