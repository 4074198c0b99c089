"""Bringing a file to its last commit after its writer died.

Without it the file is in almost all cases the one of a somewhat earlier commit, and rarely one
that was being changed. To be interrupted does no harm: recovery starts over.
"""

import os
from collections.abc import Sequence

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.extents import Extents
from nexus_writer_service.hdf5.failures import FAILURES, file_error
from nexus_writer_service.hdf5.journal import Journal, Record, journal_path


def recover(path: str, disk: Disk | None = None) -> str:
    """Bring the file to the last commit of a writer that died.

    Args:
        path: of the file.
        disk: how files are changed; the system's by default.

    Returns:
        What was done, as a sentence without subject and full stop.

    Raises:
        FileLockedError: a writer is writing it.
        FileError: the file or its journal cannot be read or written.
    """
    disk = disk or Disk()
    try:
        if not os.path.exists(journal_path(path)):
            return "nothing to recover"
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            journal, done = recovered(path, descriptor, disk)
            journal.remove()
        finally:
            os.close(descriptor)
    except FileError:
        raise
    except FAILURES as error:
        raise file_error(error, path, "recover") from error
    return done or "nothing to recover"


def recovered(path: str, descriptor: int, disk: Disk) -> tuple[Journal, str]:
    """Acquire the journal of an open file and do what it says.

    Returns:
        The journal, in which nothing is left to do, and what was done, empty for nothing.

    Raises:
        FileLockedError: a writer is writing the file.
        OSError: file or journal cannot be read or written.
    """
    journal = Journal.acquire(path, disk)
    try:
        records = journal.records()
        fits = not records or _belong(records, descriptor)
        if records and fits:
            replay(records, descriptor, disk)
            journal.clear()
    except OSError:
        journal.leave()
        raise
    if not fits:
        aside = journal.set_aside()
        done = f"refused a journal that belongs to another file, now {aside}"
        return Journal.acquire(path, disk), done
    return journal, f"replayed {len(records)} commits from the journal" if records else ""


def _belong(records: Sequence[Record], descriptor: int) -> bool:
    """Whether the file is the one of the records: it never ends before their beginning."""
    file = os.fstat(descriptor)
    return file.st_size >= records[0].before and {one.inode for one in records} == {file.st_ino}


def replay(records: Sequence[Record], descriptor: int, disk: Disk) -> None:
    """Do what records say, and wait until it outlasts a loss of power."""
    for record in records:
        if os.fstat(descriptor).st_size < record.after:
            disk.truncate(descriptor, record.after)
        extents = Extents()
        for address, data in record.extents:
            extents.put(address, data)
        for address, pieces in extents.runs():
            disk.write("apply", descriptor, pieces, address)
    disk.sync(descriptor)
