"""The files of one scan: its own, with the entries, and those that only link to it."""

import logging
from collections.abc import Callable, Mapping

from nexus_writer_service.errors import EntryExistsError, FileError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import ScanPlan, Trees
from nexus_writer_service.layout.writer_note import DATA, WriterNote, read_writer_note
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.tree import Group
from nexus_writer_service.service.clock import Clock
from nexus_writer_service.service.files import FilePool

_log = logging.getLogger(__name__)


class ScanFile:
    """Merges what a plan says into the right files.

    Args:
        plan: of the scan.
        scan: whose entries may exist already.
        files: the open files of the process.
        clock: for the times of new files.
        version: of this package, for new files.

    Raises:
        FileError: the scan's own file cannot be opened or made.
        EntryExistsError: one of the entries exists and is not of this scan.
    """

    def __init__(
        self, plan: ScanPlan, scan: ScanKey, files: FilePool, clock: Clock, version: str
    ) -> None:
        self._plan = plan
        self._files = files
        self._clock = clock
        self._version = version
        self._unlinked: dict[str, Group] = {}
        self.file = files.acquire(plan.file)
        try:
            self.note = self._left_by_earlier_writer(scan)
            """What an earlier writer says of this scan; None when it is new in the file."""
        except BaseException:
            files.release(self.file)
            raise

    def merge(self, trees: Trees, *, warn: Callable[[str], None]) -> list[str]:
        """Merge trees into their files.

        Args:
            trees: by path of the file.
            warn: told what went wrong in other files than the scan's own, or otherwise than asked
                for: that costs no data.

        Returns:
            What went wrong in the scan's own file.
        """
        problems: list[str] = []
        for path, tree in trees.items():
            if path == self._plan.file:
                problems += self._signed(self.file, path).merge(tree)
                for remark in self.file.remarks():
                    warn(remark)
            else:
                self._merge_elsewhere(path, tree, warn)
        return problems

    def link(self, trees: Trees) -> None:
        """Put links to the scan into other files, now or, where that fails, with ``link_again``."""
        self._unlinked = dict(trees)
        for problem in self.link_again():
            _log.warning("%s; it is tried again until the scan ends", problem)

    def link_again(self) -> list[str]:
        """Make the links that could not be made before: other sessions may have been in the way.

        Returns:
            What still went wrong.
        """
        problems: list[str] = []
        for path, tree in list(self._unlinked.items()):
            before = len(problems)
            self._merge_elsewhere(path, tree, problems.append)
            if len(problems) == before:
                del self._unlinked[path]
        return problems

    def settle(self) -> None:
        """Nothing more will come into the entries: the next commit completes their datasets."""
        for entry in self._plan.entries:
            self.file.settle(f"/{entry}")

    def close(self) -> None:
        """Let go of the scan's file.

        Raises:
            FileError: what was left to write could not be written.
        """
        self._files.release(self.file)

    def _left_by_earlier_writer(self, scan: ScanKey) -> WriterNote | None:
        """The note in the entries that exist: all have the same one, but for broken files."""
        notes = []
        for entry in self._plan.entries:
            if self.file.has(f"/{entry}"):
                note = read_writer_note(self.file.read_text(f"/{entry}/{DATA}"))
                if note is None or note.scan != scan:
                    raise EntryExistsError(
                        f"entry /{entry} exists already in {self._plan.file} and is left as it is: "
                        "it is of another scan, or another writer saves this session, or the scan "
                        "number was used before; choose another file name or dataset"
                    )
                notes.append(note)
        over = [note for note in notes if note.over]
        return next(iter([*over, *notes]), None)

    def _merge_elsewhere(self, path: str, tree: Group, warn: Callable[[str], None]) -> None:
        try:
            file = self._files.acquire(path, hurried=True)
            try:
                for problem in self._signed(file, path).merge(tree):
                    warn(problem)
            finally:
                self._files.release(file)
        except FileError as error:
            warn(f"no link to the scan in {path}: {error}")

    def _signed(self, file: NexusFile, path: str) -> NexusFile:
        """The file; a new one gets its root attributes."""
        if file.is_new:
            versions: Mapping[str, str] = {**file.versions, "creator_version": self._version}
            file.merge(Group(attributes=self._plan.root(self._clock.now(), versions, path)))
        return file
