"""The one place where a file is opened, committed and closed.

HDF5 writes into a ``JournaledFile``: a commit shows as a whole or not at all, whatever happens to
the process meanwhile. What an earlier writer left in the journal is brought into the file first.

Locks keep other writers out and let readers in (``claim.py``).

External links and virtual sources must never be followed through the file that is open here: HDF5
would take every other file for this one.
"""

import logging
import os
from dataclasses import replace
from typing import Any, Final, Self

import h5py
from h5py import h5f, h5g
from h5py._objects import phil

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.creation import create
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.failures import FAILURES, file_error
from nexus_writer_service.hdf5.journaled import JournaledFile
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.recovery import open_to_write, recovered

_log = logging.getLogger(__name__)

_METADATA: Final = 8 << 20
"""Bytes of HDF5's metadata cache, which fills only as needed: enough for some thousand datasets."""


class CommittedFile:
    """An HDF5 file open for writing, and the locks that keep other writers out."""

    def __init__(self, path: str, file: h5py.File, journaled: JournaledFile) -> None:
        self.path = path
        self._file = file
        self._journaled = journaled
        self.commits = 0
        """How many commits were made."""
        self.shown = 0
        """How many of them show to readers."""
        self.root: Any = h5g.open(file.id, b"/")

    @classmethod
    def open(
        cls, path: str, *, options: FileOptions | None = None, disk: Disk | None = None
    ) -> Self:
        """Open to append; creates the file and its directories when missing.

        Args:
            path: absolute.
            options: how it is kept safe.
            disk: how files are changed; the system's by default.

        Raises:
            FileAccessError: no right to create or change it, or to make a file beside it.
            FileLockedError: another process has it open for writing, or this one already.
            DiskSpaceError: no room to create it.
            FileError: it is not an HDF5 file, or damaged.
        """
        try:
            options, disk = options or FileOptions(), disk or Disk()
            _make_folders(path, disk, sync=options.durability == "power")
            journaled = _journaled(path, options, disk)
            return cls(path, _hdf5(journaled), journaled)
        except FileError:
            raise
        except FAILURES as error:
            raise file_error(error, path, "open") from error

    @property
    def h5(self) -> h5py.File:
        """The file as h5py has it."""
        return self._file

    @property
    def stranded_bytes(self) -> int:
        """Memory held by new bytes for which the disk had no room."""
        return self._journaled.stranded_bytes

    def commit(self) -> None:
        """Bring everything written so far into the file.

        Raises:
            DiskSpaceError: no room. The file stays as it was at the last commit; what could not be
                written stays in memory, and the next commit tries again.
            FileError: another failure of the disk, with the same consequence; or another program
                wrote into the file, which ends its commits for good.
        """
        try:
            with phil:  # nothing may get into HDF5 in between
                h5f.flush(self._file.id, h5f.SCOPE_LOCAL)
                self._journaled.commit()
        except FAILURES as error:
            raise file_error(error, self.path, "commit") from error
        self.commits += 1
        self._look()

    @property
    def pending(self) -> bool:
        """Whether there are commits that do not show yet."""
        return self._journaled.pending

    def poll(self) -> None:
        """Let commits show that wait for readers to leave the file.

        Raises:
            FileError: the disk does not take them, or another program wrote into the file. They
                stay in the journal.
        """
        try:
            self._journaled.poll()
        except OSError as error:
            raise file_error(error, self.path, "commit") from error
        self._look()

    def _look(self) -> None:
        if not self._journaled.pending:  # all commits show, or none of those that wait
            self.shown = self.commits

    def close(self) -> None:
        """Commit and close; while a reader stays inside it takes up to ``reader_patience``.

        Raises:
            DiskSpaceError: no room. The file is as it was at the last commit, the rest is lost.
            FileError: another failure, with the same consequence.
        """
        failure: BaseException | None = None
        try:
            with phil:
                self._file.close()
                self._journaled.commit()
        except (*FAILURES, FileError) as error:
            failure = error
        try:
            self._journaled.close()
        except (OSError, FileError) as error:
            failure = failure or error
        if isinstance(failure, FileError):
            raise failure
        if failure is not None:
            raise file_error(failure, self.path, "commit") from failure


def _make_folders(path: str, disk: Disk, *, sync: bool) -> None:
    """Make the folders above a file that are missing."""
    missing = []
    folder = os.path.dirname(path)
    while not os.path.exists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    for made in reversed(missing if sync else []):
        disk.sync_folder(made)


def _journaled(path: str, options: FileOptions, disk: Disk) -> JournaledFile:
    """Open a file, lock it, and bring it to the last commit of an earlier writer."""
    locks = options.locks
    if not os.path.exists(path):
        create(path, disk, sync=options.durability == "power")
    descriptor, given_back = open_to_write(path, os.O_RDWR | os.O_CREAT, disk, locks=locks)
    try:
        journal, done = recovered(path, descriptor, disk, locks=locks)
        if done or given_back:
            done = replace(done, protected=done.protected or given_back)
            _log.warning("%s: its last writer died; %s", path, done)
        try:
            return JournaledFile(descriptor, journal, options=options, disk=disk)
        except OSError:
            journal.leave()
            raise
    except FAILURES:
        os.close(descriptor)
        raise


def _hdf5(journaled: JournaledFile) -> h5py.File:
    """Let HDF5 open a file, and commit it."""
    # An empty file is one that a writer, of ours or not, did not come to fill: nothing to lose.
    mode = "r+" if journaled.seek(0, os.SEEK_END) else "w"
    file = None
    try:
        with phil:
            file = h5py.File(journaled, mode)
            _keep_metadata(file)
            # Also when nothing is new: a writer that died may have left bytes beyond the end.
            h5f.flush(file.id, h5f.SCOPE_LOCAL)
            journaled.commit()
            journaled.protect()
    except (*FAILURES, FileError):
        if file is not None:
            file.close()
        journaled.abandon()
        raise
    return file


def _keep_metadata(file: h5py.File) -> None:
    """Let HDF5 forget metadata later: to write and read them again between commits is dear here."""
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = _METADATA
    config.max_size = max(config.max_size, _METADATA)
    file.id.set_mdc_config(config)
