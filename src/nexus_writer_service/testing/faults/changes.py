"""Every change that a writer makes to its file and its journal, kept in order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nexus_writer_service.hdf5.disk import Bytes, Disk, Step
from nexus_writer_service.hdf5.journal import journal_path


@dataclass(frozen=True, slots=True)
class Seen:
    """A file was there for the first time; what it held is taken as lasting."""

    path: str
    held: bytes


@dataclass(frozen=True, slots=True)
class Wrote:
    """Bytes were written."""

    path: str
    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    """A file got a size."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file was synchronized."""

    path: str


@dataclass(frozen=True, slots=True)
class FolderSynced:
    """The folder was synchronized, with the names that were in it."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A file was removed."""

    path: str


@dataclass(frozen=True, slots=True)
class Noted:
    """The writer promised something to somebody."""

    promise: Any


Change = Seen | Wrote | Truncated | Synced | FolderSynced | Unlinked | Noted
Synchronized = Literal["file", "journal", "folder"]


class RecordingDisk(Disk):
    """Makes every change and keeps it.

    Args:
        path: of the HDF5 file; no other file but its journal may be changed through this disk.
        deaf: what is never synchronized. A test that finds nothing wrong then finds nothing at all.
    """

    def __init__(self, path: str, deaf: Sequence[Synchronized] = ()) -> None:
        self.changes: list[Change] = []
        """All of them, in order."""
        self._file = os.path.realpath(path)
        self._journal = journal_path(path)
        self._deaf = deaf
        self._known: set[str] = set()
        self._nameless: list[Change] = []
        """Made to the file before it got its name."""
        self._look()

    def note(self, promise: Any) -> None:
        """Keep that the writer promises this from now on."""
        self.changes.append(Noted(promise))

    def write(self, step: Step, descriptor: int, pieces: Sequence[Bytes], address: int) -> None:
        """Write."""
        if not os.fstat(descriptor).st_nlink:
            super().write(step, descriptor, pieces, address)
            self._nameless = [Wrote(self._file, address, b"".join(pieces))]
            return
        path = self._path(descriptor)
        super().write(step, descriptor, pieces, address)
        self.changes.append(Wrote(path, address, b"".join(pieces)))

    def truncate(self, descriptor: int, size: int) -> None:
        """Give the file a size."""
        path = self._path(descriptor)
        super().truncate(descriptor, size)
        self.changes.append(Truncated(path, size))

    def reserve(self, descriptor: int, size: int) -> None:
        """Let the file have its first bytes on the disk, which may make it longer."""
        path = self._path(descriptor)
        before = os.fstat(descriptor).st_size
        super().reserve(descriptor, size)
        if size > before:
            self.changes.append(Truncated(path, size))

    def chmod(self, descriptor: int, mode: int) -> None:
        """Give the file permission bits; they are not kept, since images have none."""
        self._path(descriptor)
        super().chmod(descriptor, mode)

    def sync(self, descriptor: int) -> None:
        """Keep that it is synchronized; nothing is, which saves the time."""
        if not os.fstat(descriptor).st_nlink:
            if "file" not in self._deaf:
                self._nameless.append(Synced(self._file))
            return
        path = self._path(descriptor)
        if ("journal" if path == self._journal else "file") not in self._deaf:
            self.changes.append(Synced(path))

    def sync_folder(self, path: str) -> None:
        """Keep that the names are synchronized; nothing is."""
        self._look()
        if "folder" not in self._deaf:
            self.changes.append(FolderSynced(tuple(self._known)))

    def name(self, descriptor: int, folder: int, name: str) -> None:
        """Give the file its name, which does not last before the folder is synchronized."""
        super().name(descriptor, folder, name)
        self._known.add(self._file)
        self.changes += [Seen(self._file, b""), *self._nameless]

    def unlink(self, path: str) -> None:
        """Remove a file."""
        self._look()
        super().unlink(path)
        self._known.discard(path)
        self.changes.append(Unlinked(path))

    def _path(self, descriptor: int) -> str:
        self._look()
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path not in self._known:
            raise ValueError(f"{path} is neither {self._file} nor its journal")
        return path

    def _look(self) -> None:
        """Take note of the files that are new."""
        for path in (self._file, self._journal):
            if path not in self._known and os.path.exists(path):
                self._known.add(path)
                with open(path, "rb") as file:
                    self.changes.append(Seen(path, file.read()))
