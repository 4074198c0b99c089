"""Files after the power went, recovered and compared with what had been promised by then."""

import json
import os
import random
import sys
from dataclasses import asdict, dataclass, field
from typing import get_args

from tests.support_crash import Promise, Scan, plan, problems, write_scans
from tests.support_processes import FailedProcessError, answer, workspace

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.testing.faults import RecordingDisk, power_loss
from nexus_writer_service.testing.faults.changes import Change, Seen, Synchronized

KINDS: tuple[Synchronized, ...] = get_args(Synchronized)


@dataclass(slots=True)
class Losses:
    """What was found."""

    changes: int = 0
    """That the writers made."""
    images: int = 0
    replayed: int = 0
    """Recoveries that had something to replay."""
    twice: int = 0
    """Images in which the power went a second time, during the recovery."""
    promised: int = 0
    """Images for which something had been promised."""
    failures: list[str] = field(default_factory=list)


def recorded(path: str, seed: int, deaf: list[Synchronized]) -> list[Change]:
    """All that two writers do to a file, one after the other, under policy ``power``."""
    disk = RecordingDisk(path, deaf)
    scans = plan(seed, 6)
    promise = _write(path, scans[:3], seed, Promise(), disk)
    _write(path, scans, seed, promise, disk)
    return disk.changes


def _write(path: str, scans: list[Scan], seed: int, kept: Promise, disk: RecordingDisk) -> Promise:
    promises = [kept]

    def promise(one: Promise) -> None:
        promises.append(one)
        disk.note(one)

    options = FileOptions(durability="power", reader_patience=0.02)
    file = NexusFile.open(path, options=options, disk=disk, clock=lambda: 0.0)
    # With a reader inside, several commits wait in the journal at a time.
    reader = os.open(path, os.O_RDONLY) if seed % 2 else None
    chance = random.Random(seed)  # noqa: S311 - no secret
    write_scans(file, scans, chance, kept=kept, promise=promise)
    if reader is not None:
        os.close(reader)
    return promises[-1]


def losses(
    folder: str, seed: int, images: int, deaf: list[Synchronized], *, failures: int = 1
) -> Losses:
    """Let the power go at any moment, many times.

    Args:
        folder: for the file.
        seed: of all chances.
        images: how often.
        deaf: what is not synchronized, to see that it is noticed.
        failures: stop after so many.
    """
    path = f"{folder}/file.h5"
    chance = random.Random(seed)  # noqa: S311 - no secret
    changes = answer(recorded, path, seed, deaf)
    found = Losses(changes=len(changes))
    while found.images < images and len(found.failures) < failures:
        number = found.images
        found.images += 1
        cut = chance.randint(0, len(changes))
        try:
            wrong = _after_a_loss(path, changes[:cut], chance, found)
        except FailedProcessError as error:
            wrong = [str(error)]
        if wrong:
            found.failures.append(f"seed {seed}, image {number}, cut {cut}: {wrong[:3]}")
    return found


def _after_a_loss(
    path: str, changes: list[Change], chance: random.Random, found: Losses
) -> list[str]:
    """What is wrong with the file after the power went, and it was recovered."""
    image = power_loss(changes, chance)
    found.promised += image.promise is not None
    answer(image.restore)
    if not image.files.get(path):  # lost with its name, or with no commit yet
        return [f"no file, but {image.promise}"] if image.promise else []
    if chance.random() < 0.2:
        again = answer(_recovery, path)
        begin = sum(isinstance(change, Seen) for change in again)  # what the power left
        answer(power_loss(again[: chance.randint(begin, len(again))], chance).restore)
        found.twice += 1
    found.replayed += "replayed" in answer(_recovered, path)
    wrong: list[str] = answer(problems, path, image.promise or Promise())
    return wrong


def _recovery(path: str) -> list[Change]:
    disk = RecordingDisk(path)
    recover(path, disk)
    return disk.changes


def _recovered(path: str) -> str:
    return str(recover(path))


def main() -> None:
    """Arguments: seed, images, what is not synchronized (or nothing). Prints ``Losses`` as JSON."""
    seed, images = map(int, sys.argv[1:3])
    deaf = [one for one in KINDS if one in sys.argv[3:]]
    with workspace() as folder:
        print(json.dumps(asdict(losses(folder, seed, images, deaf))))
