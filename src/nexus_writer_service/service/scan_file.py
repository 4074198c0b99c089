"""The files of one scan: its own, with the entries, and those that only link to it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from nexus_writer_service.errors import EntryExistsError, FileError, FileLockedError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import Place, ScanPlan, Trees
from nexus_writer_service.layout.writer_note import DATA, WriterNote, read_writer_note
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.tree import Group, only_links
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
        FileLockedError: another process has it, or another one that is to get points.
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
        self._by_path: dict[str, NexusFile] = {}
        """Those that are let go, too: they know how much is in them."""
        self._held: list[NexusFile] = []
        self._refused: dict[str, str] = {}
        """Why files other than the scan's own, or datasets (``file::path``), are left alone."""
        try:
            notes = {plan.file: self._opened(plan.file, plan.entries, scan)}
            for path, entries in plan.further.items():
                notes[path] = self._opened_further(path, entries, scan)
        except BaseException:
            self.close()
            raise
        self.file = self._by_path[plan.file]
        self.note = self._together(notes)
        """What an earlier writer says of this scan; None when it is new in its files."""

    def merge(self, trees: Trees, *, warn: Callable[[str], None]) -> list[str]:
        """Merge trees into their files.

        Args:
            trees: by path of the file.
            warn: told what went wrong with links in files that have nothing else of the scan, and
                what was done otherwise than asked for: that costs no data.

        Returns:
            What else went wrong.
        """
        problems: list[str] = []
        for path, tree in trees.items():
            if path in self._by_path:
                file = self._signed(self._by_path[path], path)
                problems += file.merge(tree)
                for remark in file.remarks():
                    warn(remark)
            elif path not in self._refused:
                self._merge_elsewhere(path, tree, warn if only_links(tree) else problems.append)
        return problems

    @property
    def files(self) -> tuple[NexusFile, ...]:
        """The files that the scan has open."""
        return tuple(self._held)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why files of the scan, but for its own, cannot be had."""
        return tuple(text for where, text in self._refused.items() if "::" not in where)

    def refusal(self, place: Place) -> str | None:
        """Why nothing is written to a place; None when it can be."""
        return self._refused.get(place.file) or self._refused.get(f"{place.file}::{place.path}")

    def file_of(self, place: Place) -> NexusFile:
        """The open file of a place that is not refused."""
        return self._by_path[place.file]

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
        for path, file in self._by_path.items():
            for entry in self._entries(path):
                file.settle(f"/{entry}")
        for place in self._outside:
            if self.refusal(place) is None:
                self.file_of(place).settle(place.path)

    def close(self) -> None:
        """Let go of the scan's files.

        Raises:
            FileError: what was left to write could not be written.
        """
        failed: FileError | None = None
        while self._held:
            try:
                self._files.release(self._held.pop())
            except FileError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _entries(self, path: str) -> tuple[str, ...]:
        return self._plan.entries if path == self._plan.file else self._plan.further[path]

    @property
    def _outside(self) -> list[Place]:
        """Places that are in no entry."""
        places = self._plan.places.values()
        entries = {path: self._entries(path) for path in {one.file for one in places}}
        return [one for one in places if one.path.split("/", 2)[1] not in entries[one.file]]

    def _opened(self, path: str, entries: tuple[str, ...], scan: ScanKey) -> WriterNote | None:
        """Open a file; what is in the entries there that exist is of this scan."""
        file = self._by_path[path] = self._files.acquire(path)
        self._held.append(file)
        note = self._left_by_earlier_writer(file, path, entries, scan)
        for place in self._outside if note is None else ():
            if place.file == path and file.has(place.path):
                self._refused[f"{path}::{place.path}"] = (
                    f"{place.path} exists already in {path} and is left as it is"
                )
        return note

    def _opened_further(
        self, path: str, entries: tuple[str, ...], scan: ScanKey
    ) -> WriterNote | None:
        """Open one more file; what speaks against that costs only what belongs there."""
        try:
            return self._opened(path, entries, scan)
        except FileLockedError:
            raise
        except FileError as error:
            self._refused[path] = str(error)
            if file := self._by_path.pop(path, None):
                self._held.remove(file)
                self._files.release(file)
            return None

    def _left_by_earlier_writer(
        self, file: NexusFile, path: str, entries: tuple[str, ...], scan: ScanKey
    ) -> WriterNote | None:
        """The note in the entries that exist: all have the same one, but for broken files."""
        notes = []
        for entry in entries:
            if file.has(f"/{entry}"):
                note = read_writer_note(file.read_text(f"/{entry}/{DATA}"))
                if note is None or note.scan != scan:
                    raise EntryExistsError(
                        f"entry /{entry} exists already in {path} and is left as it is: "
                        "it is of another scan, or another writer saves this session, or the scan "
                        "number was used before; choose another file name or dataset"
                    )
                notes.append(note)
        over = [note for note in notes if note.over]
        return next(iter([*over, *notes]), None)

    def _together(self, notes: Mapping[str, WriterNote | None]) -> WriterNote | None:
        """What the notes of all files say, the scan's own first.

        A writer may have been killed after it committed one file and before it committed another:
        the scan is over when it is in all of them, and each one knows its own channels.
        """
        own = notes[self._plan.file]
        note = next((one for one in notes.values() if one and not one.over), own)
        if note is None or note.over or len(notes) == 1:
            return note
        places = self._plan.places
        channels = tuple(
            tally
            for path, one in notes.items()
            for tally in (one.verdict.channels if one else ())
            if path == (places[tally.channel].file if tally.channel in places else self._plan.file)
        )
        return replace(note, verdict=replace(note.verdict, channels=channels))

    def _merge_elsewhere(self, path: str, tree: Group, warn: Callable[[str], None]) -> None:
        try:
            file = self._files.acquire(path, hurried=True)
            try:
                for problem in self._signed(file, path).merge(tree):
                    warn(problem)
            finally:
                self._files.release(file)
        except FileError as error:
            what = "no link to the scan" if only_links(tree) else "what belongs there is not"
            warn(f"{what} in {path}: {error}")

    def _signed(self, file: NexusFile, path: str) -> NexusFile:
        """The file; a new one gets its root attributes."""
        if file.is_new:
            versions: Mapping[str, str] = {**file.versions, "creator_version": self._version}
            file.merge(Group(attributes=self._plan.root(self._clock.now(), versions, path)))
        return file
