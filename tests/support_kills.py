"""Writers that are killed, one after the other, until all their scans are written."""

import json
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from typing import Final

import h5py
import numpy as np
from tests.support_crash import Promise, plan, problems, write_scans
from tests.support_processes import FailedProcessError, answer, start, wait, workspace
from tests.support_same_file import differences

from nexus_writer_service.hdf5.disk import Bytes, Disk, Step
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import Durability, FileOptions
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.testing.faults import DeadlyDisk, Moment

_MOST: Final[dict[Moment, int]] = {
    "data": 60,
    "journal": 6,
    "apply": 30,
    "clear": 6,
    "truncate": 2,
    "sync": 10,
}
"""The last change of its kind at which a writer is killed; about as many as it makes."""
_SHARES: Final = (0.0, 0.3, 0.5, 0.9, 1.0)
_LONGEST_LIFE: Final = 0.25
"""Seconds of CPU after which a writer is killed at the latest: it gets as far on a busy machine."""


@dataclass(frozen=True, slots=True)
class Life:
    """One writer: how it keeps its file safe, and how it dies."""

    seed: int
    durability: Durability = "process"
    reader_inside: bool = False
    """A reader has the file open all the time, so that commits wait in the journal."""
    patience: float = 2.0
    step: Moment | None = None
    """Killed during a change of this kind; None: at a random instant."""
    count: int = 0
    share: float = 0.0
    seconds: float | None = _LONGEST_LIFE
    """Killed after so much CPU time at the latest; None: never."""

    journal: bool = True
    """False: nothing is written to the journal, to see that it is noticed."""

    @property
    def disk(self) -> Disk:
        """The disk on which it dies."""
        if self.step is None:
            return Disk() if self.journal else _WithoutJournal("unlink", 0, 0)
        kind = DeadlyDisk if self.journal else _WithoutJournal
        return kind(self.step, self.count, self.share)


class _WithoutJournal(DeadlyDisk):
    def write(self, step: Step, descriptor: int, pieces: Sequence[Bytes], address: int) -> None:
        if step != "journal":
            super().write(step, descriptor, pieces, address)


def life(chance: random.Random, steps: float = 0.8) -> Life:
    """A random life; a share of them end at a step of a commit."""
    at_step = chance.random() < steps
    step = chance.choice(tuple(_MOST))
    return Life(
        seed=chance.getrandbits(32),
        durability="power" if (at_step and step == "sync") or chance.random() < 0.2 else "process",
        reader_inside=chance.random() < 0.25,
        patience=chance.choice((0.02, 2.0)),
        step=step if at_step else None,
        count=1 + int(_MOST[step] * chance.random() ** 2),
        share=chance.choice(_SHARES),
        seconds=_LONGEST_LIFE if at_step else chance.uniform(0.01, _LONGEST_LIFE / 2),
    )


@dataclass(frozen=True, slots=True)
class _Lives:
    """The writers of one file."""

    chance: random.Random
    kills: int
    _: KW_ONLY
    journal: bool

    def __iter__(self) -> Iterator[Life]:
        for _ in range(self.kills - 1):
            yield replace(life(self.chance), journal=self.journal)
        # The last one is killed while it removes the journal, when all its work is done.
        share = self.chance.choice((0.0, 1.0))
        seed = self.chance.getrandbits(32)
        yield Life(seed, step="unlink", count=1, share=share, seconds=None, journal=self.journal)


@dataclass(slots=True)
class Tally:
    """What happened in a campaign."""

    files: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    """By step; ``instant`` for those at a random one."""
    recoveries_killed: int = 0
    readable_before: int = 0
    """After a kill, a plain reader found the file whole before it was recovered."""
    torn_before: int = 0
    """... found it damaged, until it was recovered."""
    replayed: int = 0
    """Recoveries that had something to replay."""
    left: int = 0
    """Files that were left to the next writer, which found all that was promised, or failed."""
    sound: int = 0
    """Files that were recovered, had all that was promised, and were right in every value."""
    identical: int = 0
    """Files that were at the end as if nobody had been killed."""
    failures: list[str] = field(default_factory=list)
    """What was wrong, with the seed that repeats it."""

    @property
    def killed(self) -> int:
        """Writers that were killed."""
        return sum(self.kills.values())


def campaign(
    folder: str, seed: int, kills: int, *, scans: int = 12, per_file: int = 14, journal: bool = True
) -> Tally:
    """Kill writers of one file after the other.

    Args:
        folder: for the files; those of processes from ``start`` may write there.
        seed: of all chances.
        kills: how many writers to kill.
        scans: in one file.
        per_file: so many kills at most for one file.
        journal: False lets the writers do without; the first failure ends the campaign then.
    """
    tally = Tally()
    while tally.killed < kills and len(tally.failures) < (10 if journal else 1):
        number = seed + tally.files
        chance = random.Random(number)  # noqa: S311 - no secret
        lives = _Lives(chance, min(per_file, kills - tally.killed), journal=journal)
        _one_file(f"{folder}/{number}", number, scans, lives, tally)
        tally.files += 1
    return tally


class _Work:
    """A file that is written by one writer after the other.

    Args:
        path: of the file; its folder is made.
        seed: of the scans.
        scans: how many.
    """

    def __init__(self, path: str, seed: int, scans: int) -> None:
        self.path = path
        self._scans = plan(seed, scans)
        self._said = os.open(f"{path}.said", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.kept = Promise()
        """What the writers so far have promised."""

    def live(self, how: Life) -> str:
        """Let a writer live; how it ended: ``done``, ``failed``, ``instant`` or a step."""
        status, late = wait(start(self._write, how))
        lines = os.pread(self._said, os.fstat(self._said).st_size, 0).split(b"\n")[:-1]
        if lines:
            self.kept = Promise(**json.loads(lines[-1]))
        if status == signal.SIGPROF:
            return "instant"
        if status == signal.SIGKILL and how.step and not late:
            return how.step
        return "failed" if status else "done"

    def _write(self, how: Life) -> None:
        if how.seconds:
            signal.setitimer(signal.ITIMER_PROF, how.seconds)  # SIGPROF ends it, as SIGKILL does
        options = FileOptions(durability=how.durability, reader_patience=how.patience)
        # A clock that stands still lets image stacks grow with every commit.
        file = NexusFile.open(self.path, options=options, disk=how.disk, clock=lambda: 0.0)
        if how.reader_inside:
            os.open(self.path, os.O_RDONLY)
        chance = random.Random(how.seed)  # noqa: S311 - no secret
        write_scans(file, self._scans, chance, kept=self.kept, promise=self._promise)

    def _promise(self, promise: Promise) -> None:
        line = json.dumps(asdict(promise)).encode() + b"\n"
        os.lseek(self._said, 0, os.SEEK_END)
        os.write(self._said, line)

    def look(self, tally: Tally) -> None:
        """See what a plain reader finds that comes before the recovery."""
        try:
            wrong = answer(problems, self.path, Promise())
        except FailedProcessError:
            wrong = ["not readable"]
        tally.readable_before += not wrong
        tally.torn_before += bool(wrong)

    def recover(self, tally: Tally, chance: random.Random) -> None:
        """Recover the file; some recoveries are killed, too, and done again."""
        if chance.random() < 0.25:
            step: Moment = chance.choice(("apply", "clear", "sync", "unlink"))
            disk = DeadlyDisk(step, chance.choice((1, 1, 3)), chance.choice(_SHARES))
            status, _ = wait(start(recover, self.path, disk))
            tally.recoveries_killed += status == signal.SIGKILL
        tally.replayed += "replayed" in answer(_recovered, self.path)

    def problems(self) -> list[str]:
        """What is wrong with the file, or with fewer points than were promised."""
        found: list[str] = answer(problems, self.path, self.kept)
        return found


def _recovered(path: str) -> str:
    return str(recover(path))


def _begin(path: str, libver: str) -> None:
    with h5py.File(path, "w", libver=libver) as file:
        for number in range(20):
            file[f"old/{number}"] = f"text {number}"
            file.attrs[f"old_{number}"] = np.arange(number)


def _one_file(folder: str, seed: int, scans: int, lives: "_Lives", tally: Tally) -> None:
    for name in ("killed", "undisturbed"):
        answer(os.makedirs, f"{folder}/{name}")
        if seed % 3:  # a file that others have begun, in the oldest format or the newest
            answer(_begin, f"{folder}/{name}/file.h5", ("earliest", "latest")[seed % 3 - 1])
    undisturbed = _Work(f"{folder}/undisturbed/file.h5", seed, scans)
    undisturbed.live(Life(seed, seconds=None))
    work = _Work(f"{folder}/killed/file.h5", seed, scans)
    for number, how in enumerate(lives):
        end = work.live(how)
        if end == "done":
            break
        try:
            wrong = [end] if end == "failed" else _after_a_kill(work, end, tally, lives.chance)
        except FailedProcessError as error:
            wrong = [str(error)]
        if wrong:
            tally.failures.append(f"seed {seed}, life {number}, {how}: {wrong}")
            return
    if work.live(Life(seed, seconds=None)) != "done":
        tally.failures.append(f"seed {seed}: the last writer failed")
        return
    found = answer(differences, work.path, undisturbed.path, ignored=frozenset())
    found += sorted({*os.listdir(f"{folder}/killed")} - {"file.h5", "file.h5.said"})
    if found:
        tally.failures.append(f"seed {seed}: {found}")
    tally.identical += not found


def _after_a_kill(work: _Work, end: str, tally: Tally, chance: random.Random) -> list[str]:
    """What is wrong with the file after a kill."""
    tally.kills[end] = tally.kills.get(end, 0) + 1
    work.look(tally)
    if chance.random() < 0.3:
        tally.left += 1
        return []  # the next writer recovers it, and looks whether all is there
    work.recover(tally, chance)
    wrong = work.problems()
    tally.sound += not wrong
    return wrong


def main() -> None:
    """Arguments: seed, kills, scans in a file, "no journal" or not. Prints ``Tally`` as JSON."""
    seed, kills, scans = map(int, sys.argv[1:4])
    with workspace() as folder:
        journal = "no journal" not in sys.argv
        tally = campaign(folder, seed, kills, scans=scans, journal=journal)
    print(json.dumps(asdict(tally)))
