"""What is left of a file and its journal when the power goes.

What was synchronized is on the disk. Of what was changed since, the disk may have any part, in any
order: each sector as of any moment since then, the length of a file as of any, and the names of
files that were made or removed, or not.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nexus_writer_service.testing.faults.changes import (
    Change,
    FolderSynced,
    Noted,
    Seen,
    Synced,
    Truncated,
    Unlinked,
    Wrote,
)

SECTOR: Final = 512
"""Bytes that a disk writes as a whole or not at all."""
_SHARES: Final = (0.0, 0.1, 0.5, 0.9, 1.0)
"""Of the changes that were not synchronized, how many may have reached the disk."""


@dataclass(frozen=True, slots=True)
class Image:
    """What is on the disk when the power is back."""

    files: dict[str, bytes | None]
    """By absolute path; None where there is no such file."""
    promise: Any
    """What the writer had promised; None before the first note."""

    def restore(self) -> None:
        """Bring the real files to this state, with their inode numbers."""
        for path, held in self.files.items():
            aside = f"{path}.gone"  # a name that is lost comes back in the next image
            if held is None:
                if os.path.exists(path):
                    os.replace(path, aside)
                continue
            if os.path.exists(aside):
                os.replace(aside, path)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            with open(descriptor, "wb") as file:
                file.write(held)


@dataclass(slots=True)
class _File:
    """A file, and every state since it was synchronized of its sectors and its length."""

    now: bytearray
    lasting: bytes = b""
    sectors: dict[int, list[bytes]] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)

    def write(self, address: int, data: bytes) -> None:
        """Change bytes; the file grows if need be."""
        stop = address + len(data)
        if not data:
            return
        if len(self.now) < stop:
            self.truncate(stop)
        self.now[address:stop] = data
        self._changed(address, stop)

    def truncate(self, size: int) -> None:
        """Change the length."""
        old = len(self.now)
        del self.now[size:]
        self._changed(size, old)
        self.now.extend(bytes(size - len(self.now)))
        self.lengths.append(size)

    def sync(self) -> None:
        """Make the present state the lasting one."""
        self.lasting = bytes(self.now)
        self.sectors.clear()
        self.lengths.clear()

    def left(self, chance: random.Random) -> bytes:
        """One of the states in which the disk may have it."""
        share = chance.choice(_SHARES)
        length = len(self.lasting)
        if self.lengths and chance.random() < share:
            length = _late(self.lengths, chance)
        image = bytearray(self.lasting[:length].ljust(length, b"\0"))
        for number, states in self.sectors.items():
            start = number * SECTOR
            if start < length and chance.random() < share:
                stop = min(start + SECTOR, length)
                image[start:stop] = _late(states, chance).ljust(SECTOR, b"\0")[: stop - start]
        return bytes(image)

    def _changed(self, start: int, stop: int) -> None:
        for number in range(start // SECTOR, -(-stop // SECTOR)):
            state = bytes(self.now[number * SECTOR : (number + 1) * SECTOR])
            self.sectors.setdefault(number, []).append(state)


def _late(states: Sequence[Any], chance: random.Random) -> Any:
    """The last state as often as any other."""
    return chance.choice((states[-1], chance.choice(states)))


class _Folder:
    """The names of files, and those that are synchronized."""

    def __init__(self) -> None:
        self.now: dict[str, _File] = {}
        self.lasting: dict[str, _File] = {}

    def left(self, chance: random.Random) -> dict[str, bytes | None]:
        """What the disk may have of each file."""
        left = {}
        for path in {**self.now, **self.lasting}:
            file = chance.choice((self.now.get(path), self.lasting.get(path)))
            left[path] = file.left(chance) if file else None
        return left


def power_loss(changes: Sequence[Change], chance: random.Random) -> Image:
    """The files after the power went at some moment.

    Args:
        changes: of a ``RecordingDisk``, up to that moment.
        chance: decides what of the changes that were not synchronized is on the disk.
    """
    folder = _Folder()
    promise = None
    for change in changes:
        match change:
            case Seen(path, held):
                folder.now[path] = _File(bytearray(held), held)
                if held:
                    folder.lasting[path] = folder.now[path]
            case Wrote(path, address, data):
                folder.now[path].write(address, data)
            case Truncated(path, size):
                folder.now[path].truncate(size)
            case Synced(path):
                folder.now[path].sync()
            case Unlinked(path):
                del folder.now[path]
            case FolderSynced(paths):
                folder.lasting = {path: folder.now[path] for path in paths}
            case Noted():
                promise = change.promise
    return Image(folder.left(chance), promise)
