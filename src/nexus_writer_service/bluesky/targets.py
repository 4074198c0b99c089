"""Which file a run is written to: never over a good one.

A file that has the name already is kept under another one. One that is being written, or whose
writer died and that waits for ``nexus-writer recover``, keeps its name, and the run gets another.
"""

import logging
import os
from pathlib import Path

from nexus_writer_service.hdf5.journal import journal_path

_log = logging.getLogger(__name__)


class Targets:
    """The files that runs of this process are written to."""

    def __init__(self) -> None:
        self._taken: set[Path] = set()

    def take(self, wanted: Path, uid: str) -> Path:
        """The file for a run.

        Args:
            wanted: its absolute path.
            uid: of the run.

        Returns:
            A path at which there is no file, in a directory that exists or can be made.

        Raises:
            OSError: the file that has the name cannot be kept under another one.
        """
        path = wanted
        if path in self._taken or _in_use(path):
            path = wanted.with_name(f"{wanted.stem}-{uid[:7]}{wanted.suffix}")
            _log.warning("%s is being written: run %s is written to %s", wanted, uid[:7], path)
        if os.path.lexists(path):
            kept = _free_name(path)
            os.rename(path, kept)
            _log.warning("%s existed: it is kept as %s", path, kept)
        self._taken.add(path)
        return path

    def release(self, path: Path) -> None:
        """A run is in its file."""
        self._taken.discard(path)


def _in_use(path: Path) -> bool:
    return path.exists() and os.path.exists(journal_path(str(path)))


def _free_name(path: Path) -> Path:
    number = 1
    while True:
        kept = path.with_name(f"{path.stem}.{number}{path.suffix}")
        if not os.path.lexists(kept):
            return kept
        number += 1
