"""Bringing a file to its last commit after its writer died.

Without it the file is in almost all cases the one of a somewhat earlier commit, and rarely one
that was being changed. To be interrupted does no harm: recovery starts over. What a journal says is
done only to the file that its writer left; a journal that does not fit is kept under another name.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.claim import claim_file, lock_shared
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.failures import FAILURES, file_error
from nexus_writer_service.hdf5.journal import Journal, journal_path
from nexus_writer_service.hdf5.lease import Lease
from nexus_writer_service.hdf5.options import READER_PATIENCE
from nexus_writer_service.hdf5.protection import give_back
from nexus_writer_service.hdf5.record import Record, fit

_RETRY: Final = 0.02
"""Seconds between two looks whether readers have left."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done for a file whose writer died; true if anything was."""

    path: str
    """Of the file."""
    replayed: int = 0
    """How many commits the journal still had to bring into it."""
    set_aside: str | None = None
    """Where a journal is now that does not fit the file."""
    protected: bool = False
    """Whether the file got back its permission to be written."""

    def __bool__(self) -> bool:
        return bool(self.replayed or self.set_aside or self.protected)

    def __str__(self) -> str:
        """One sentence for people."""
        done = []
        if self.replayed:
            commits = "a commit" if self.replayed == 1 else f"{self.replayed} commits"
            done.append(f"replayed {commits} from its journal")
        if self.set_aside:
            done.append(
                "its journal does not fit it, which was changed or replaced since its writer died, "
                f"and was not used: it is kept as {self.set_aside}"
            )
        if self.protected:
            done.append("gave back the permission to write it")
        return "; ".join(done) or "nothing to recover"


def recover(path: str, disk: Disk | None = None, *, locks: bool = True) -> Recovery:
    """Bring the file to the last commit of a writer that died; does nothing the second time.

    A file that is gone is not made again; its journal is set aside.

    Args:
        path: of the file.
        disk: how files are changed; the system's by default.
        locks: whether to look if a writer is alive; off for file systems where locks fail or hang,
            and then it is up to the caller that none is.

    Raises:
        FileLockedError: a writer, or another program, is writing it.
        FileError: the file or its journal cannot be read or written.
    """
    disk = disk or Disk()
    try:
        if not os.path.exists(journal_path(path)):
            return Recovery(path)
        try:
            descriptor, given_back = open_to_write(path, os.O_RDWR, disk, locks=locks)
        except FileNotFoundError:
            return _orphaned(path, disk, locks=locks)
        try:
            journal, done = recovered(path, descriptor, disk, locks=locks)
            journal.remove()
        finally:
            os.close(descriptor)
    except FileError:
        raise
    except FAILURES as error:
        raise file_error(error, path, "recover") from error
    return replace(done, protected=done.protected or given_back)


def _orphaned(path: str, disk: Disk, *, locks: bool) -> Recovery:
    """Recover a file that is gone."""
    journal = Journal.acquire(path, disk, locks=locks)
    aside = None
    try:
        if not os.path.exists(path):  # else a writer has just made it, and closed it again
            if journal.records():
                aside = journal.set_aside()
            else:
                disk.unlink(journal.path)
    finally:
        journal.leave()
    return Recovery(path, set_aside=aside)


def open_to_write(path: str, flags: int, disk: Disk, *, locks: bool) -> tuple[int, bool]:
    """Open a file, also one that a dead writer protected, with the shared lock on it.

    Args:
        path: of the file.
        flags: of the system's ``open``.
        disk: how files are changed.
        locks: whether to look if a writer is alive.

    Returns:
        A descriptor, and whether the file was given back its permission to be written.

    Raises:
        FileLockedError: a writer, or another program, is writing it.
        OSError: it cannot be opened.
    """
    try:
        return _open(path, flags, locks=locks), False
    except PermissionError:
        if not os.path.exists(path) or not os.path.exists(journal_path(path)):
            raise
        journal = Journal.acquire(path, disk, locks=locks)
        try:
            if not give_back(journal, path):
                raise
        finally:
            journal.leave()
    return _open(path, flags, locks=locks), True


def _open(path: str, flags: int, *, locks: bool) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        if locks:
            lock_shared(descriptor, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def recovered(
    path: str, descriptor: int, disk: Disk, *, locks: bool = True
) -> tuple[Journal, Recovery]:
    """Acquire the journal of an open file and do what it says.

    Returns:
        The journal, in which nothing is left to do, and what was done.

    Raises:
        FileLockedError: a writer is writing the file.
        OSError: file or journal cannot be read or written.
    """
    journal = _claimed(path, descriptor, disk, locks=locks)
    try:
        records = journal.records()
        fits = not records or fit(records, descriptor)
        if records and fits:
            _replay_without_readers(records, descriptor, disk)
            journal.clear()
        protected = give_back(journal, path)
        aside = None if fits else journal.set_aside()
    except OSError:
        journal.leave()
        raise
    if aside:
        journal.leave()
        done = Recovery(path, set_aside=aside, protected=protected)
        return Journal.acquire(path, disk, locks=locks), done
    return journal, Recovery(path, replayed=len(records), protected=protected)


def _claimed(path: str, descriptor: int, disk: Disk, *, locks: bool) -> Journal:
    """The journal of an open file that nobody else writes, under whatever name."""
    journal = Journal.acquire(path, disk, locks=locks)
    try:
        if locks:
            claim_file(descriptor, path)
    except OSError:
        if journal.records():
            journal.leave()
        else:
            journal.remove()
        raise
    return journal


def _replay_without_readers(records: Sequence[Record], descriptor: int, disk: Disk) -> None:
    """Replay once no reader is in the file, or none has left for a while."""
    lease = Lease(descriptor)
    deadline = time.monotonic() + READER_PATIENCE
    while True:
        with lease.taken() as readers_are_out:
            if readers_are_out or time.monotonic() >= deadline:
                replay(records, descriptor, disk)
                return
        time.sleep(_RETRY)


def replay(records: Sequence[Record], descriptor: int, disk: Disk) -> None:
    """Do what records say, and wait until it outlasts a loss of power."""
    for record in records:
        if os.fstat(descriptor).st_size < record.after:
            disk.truncate(descriptor, record.after)
        for address, data in record.runs:
            disk.write("apply", descriptor, [data], address)
    disk.sync(descriptor)
