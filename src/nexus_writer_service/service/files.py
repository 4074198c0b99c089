"""The files that are open, shared by the scans that are written into them."""

import logging
import os
from collections.abc import Mapping

from nexus_writer_service.errors import FileError, FileLockedError, FilePathError
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.held import HeldBytes
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.templates import Templates
from nexus_writer_service.service.clock import Clock, SystemClock

_log = logging.getLogger(__name__)

LOCKED_FILE_PERIOD = 1.0
"""Seconds between two looks whether a file that another process has is free."""


class FilePool:
    """Open files by real path, closed when their last user lets go. For one thread.

    Args:
        roots: directories that files must be under; empty allows every absolute path.
        options: how files are kept safe.
        disk: how files are changed; the system's by default.
        clock: says when a file that another process has is tried again.
        templates: of groups that are made again and again; its own by default.
    """

    def __init__(
        self,
        roots: tuple[str, ...] = (),
        options: FileOptions | None = None,
        disk: Disk | None = None,
        clock: Clock | None = None,
        templates: Templates | None = None,
    ) -> None:
        self._options = options
        self._disk = disk
        self._held = HeldBytes()
        self._templates = templates or Templates()
        self._roots = tuple(os.path.realpath(root) for root in roots)
        self._files: dict[str, NexusFile] = {}
        self._users: dict[str, int] = {}
        self._trouble = ""
        self._clock = clock or SystemClock()
        self._locked: dict[str, tuple[float, FileLockedError]] = {}
        """Files that another process has: until when to leave them alone, and what was said."""

    def acquire(self, path: str, *, hurried: bool = False) -> NexusFile:
        """The open file; pair with ``release``.

        Args:
            path: of the file.
            hurried: look also at a file that another process had a moment ago.

        Raises:
            FilePathError: the path is relative or outside the allowed roots.
            FileLockedError: another process has it, or had it less than a second ago.
            FileError: the file cannot be opened or made.
        """
        real = self._allowed(path)
        if real not in self._files:
            self._files[real] = self._opened(real, hurried=hurried)
            self._users[real] = 0
        self._users[real] += 1
        return self._files[real]

    def _opened(self, real: str, *, hurried: bool) -> NexusFile:
        # To look whether a file is free disturbs its writer: not once for each scan that waits.
        now = self._clock.monotonic()
        until, error = self._locked.get(real, (now, None))
        if error is not None and now < until and not hurried:
            raise FileLockedError(str(error))
        self._locked.pop(real, None)
        try:
            return NexusFile.open(
                real,
                options=self._options,
                disk=self._disk,
                held=self._held,
                templates=self._templates,
            )
        except FileLockedError as error:
            self._locked[real] = now + LOCKED_FILE_PERIOD, error
            raise

    def release(self, file: NexusFile) -> None:
        """Let go of a file; the last user commits it, and it is closed once all commits show.

        Raises:
            FileError: what was left to write could not be written.
        """
        for real, one in self._files.items():
            if one is file:
                self._users[real] -= 1
                if not self._users[real]:
                    self._leave(real, file)
                return

    def _leave(self, real: str, file: NexusFile) -> None:
        try:
            if file.dirty:
                file.commit()
        finally:
            # To wait here for readers to leave would hold up all other files.
            if not file.pending:
                self._close(real)

    def _close(self, real: str) -> None:
        file = self._files.pop(real)
        del self._users[real]
        file.close()

    def close(self) -> None:
        """Close all files that nobody uses any more, also those that readers are in."""
        for real in [real for real, users in self._users.items() if not users]:
            self._close_quietly(real)

    def _close_quietly(self, real: str) -> None:
        """Close a file of which nobody is left to be told what goes wrong."""
        try:
            self._close(real)
        except FileError as error:
            _log.error("%s", error)

    def commit(self) -> Mapping[NexusFile, FileError]:
        """Commit every file that has something new; returns the errors."""
        errors: dict[NexusFile, FileError] = {}
        for file in list(self._files.values()):
            try:
                if file.dirty:
                    file.commit()
            except FileError as error:
                errors[file] = error
            except Exception as error:  # noqa: BLE001 - other files must be committed
                errors[file] = FileError(
                    f"unforeseen error in {file.path}, please report it: {error!r}"
                )
                _log.exception("committing %s failed", file.path)
        return errors

    def poll(self) -> None:
        """Let the commits show that wait for readers to leave, where these have left."""
        waiting = [real for real, file in self._files.items() if file.pending]
        for real in waiting:
            try:
                self._files[real].poll()
            except FileError as error:
                if str(error) != self._trouble:  # it is tried again many times
                    _log.warning("%s", error)
                self._trouble = str(error)
        for real in waiting:
            if not self._users[real] and not self._files[real].pending:
                self._close_quietly(real)

    @property
    def pending(self) -> bool:
        """Whether there are commits that do not show yet."""
        return any(file.pending for file in self._files.values())

    @property
    def dirty(self) -> bool:
        """Whether a commit has something to do."""
        return any(file.dirty for file in self._files.values())

    @property
    def buffered_bytes(self) -> int:
        """Memory held by what is not committed."""
        return sum(file.buffered_bytes for file in self._files.values())

    def _allowed(self, path: str) -> str:
        if not os.path.isabs(path):
            raise FilePathError(
                f"file path {path!r} is relative: the scan must be published with an absolute path"
            )
        real = os.path.realpath(path)
        if self._roots and not any(
            os.path.commonpath([root, real]) == root for root in self._roots
        ):
            raise FilePathError(
                f"file path {path!r} is outside the allowed roots {', '.join(self._roots)}: "
                "save below them, or allow its root when starting the writer"
            )
        return real
