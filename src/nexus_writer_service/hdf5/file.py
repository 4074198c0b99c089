"""One HDF5 file that is being written: the only door of this package to HDF5."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import h5py
import numpy as np
from h5py import h5a, h5d, h5g

from nexus_writer_service.errors import FilePathError
from nexus_writer_service.hdf5.commit import CommittedFile
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.external import Clock
from nexus_writer_service.hdf5.failures import FAILURES, file_error
from nexus_writer_service.hdf5.growing import GrowingDatasets
from nexus_writer_service.hdf5.held import HeldBytes
from nexus_writer_service.hdf5.known import Known
from nexus_writer_service.hdf5.merge import Kind, Merge, kind_of
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.templates import Templates
from nexus_writer_service.model.description import FileBlock
from nexus_writer_service.model.tree import Group

T = TypeVar("T")


class NexusFile:
    """One HDF5 file that is being written. All calls from one thread.

    Nothing of what is done shows to others before ``commit``. Links are never followed. Paths are
    absolute and without repeated slashes.
    """

    def __init__(
        self,
        file: CommittedFile,
        clock: Clock,
        held: HeldBytes | None = None,
        templates: Templates | None = None,
    ) -> None:
        self.path = file.path
        """Absolute path of the file."""
        self._file = file
        self._growing = GrowingDatasets(file.root, file.path, clock, held)
        self._known = Known(file.root)
        self._templates = templates or Templates()
        self._changed = False
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str,
        *,
        options: FileOptions | None = None,
        clock: Clock = time.monotonic,
        disk: Disk | None = None,
        held: HeldBytes | None = None,
        templates: Templates | None = None,
    ) -> "NexusFile":
        """Create the file and its directories when missing, else open it to append.

        Args:
            path: absolute.
            options: how it is kept safe.
            clock: seconds since some moment; paces the growth of long image stacks.
            disk: how files are changed; the system's by default.
            held: counts the memory of the ends of compressed datasets, together with other files.
            templates: of groups that are made again and again, together with other files.

        Raises:
            FilePathError: the path is relative.
            FileAccessError: no right to create or change the file.
            FileLockedError: another process has it open for writing, or this one already.
            DiskSpaceError: no room to create it.
            FileError: it is not an HDF5 file, or damaged.
        """
        if not os.path.isabs(path):
            raise FilePathError(f"file path {path!r} is relative: give an absolute path")
        file = CommittedFile.open(path, options=options, disk=disk)
        return cls(file, clock, held, templates)

    @property
    def is_new(self) -> bool:
        """Whether the root has no NX_class yet."""
        return not h5a.exists(self._file.root, b"NX_class")

    @property
    def versions(self) -> Mapping[str, str]:
        """``HDF5_Version`` and ``h5py_version``, as the attributes of an NXroot are called."""
        return {
            "HDF5_Version": h5py.version.hdf5_version,
            "h5py_version": h5py.version.version,
        }

    def has(self, path: str) -> bool:
        """Whether there is an object, or a link even if dangling, of that name.

        Raises:
            FileError: the file cannot be read there.
        """
        try:
            return self._kind(path) is not Kind.NOTHING
        except FAILURES as error:
            raise file_error(error, f"{path} in {self.path}", "read") from error

    def read_text(self, path: str) -> str | None:
        """The text of a scalar dataset; None where there is no such thing.

        Raises:
            FileError: the file cannot be read there.
        """
        try:
            if self._kind(path) is not Kind.DATASET:
                return None
            value = h5py.Dataset(h5d.open(self._file.root, path.encode()))[()]
        except FAILURES as error:
            raise file_error(error, f"{path} in {self.path}", "read") from error
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else None

    def groups(self) -> tuple[str, ...]:
        """Names of the groups below the root, in order of their names.

        Raises:
            FileError: the file cannot be read.
        """
        try:
            names = [name.decode("utf-8", "surrogateescape") for name in self._file.root]
            return tuple(name for name in names if kind_of(self._file.root, name) is Kind.GROUP)
        except FAILURES as error:
            raise file_error(error, self.path, "read") from error

    def _kind(self, path: str) -> Kind:
        *above, last = [part for part in path.split("/") if part] or ["."]
        group = self._file.root
        for name in above:
            if kind_of(group, name) is not Kind.GROUP:
                return Kind.NOTHING
            group = h5g.open(group, name.encode())
        return Kind.GROUP if last == "." else kind_of(group, last)

    def merge(self, tree: Group) -> tuple[str, ...]:
        """Merge a root group into the file [rules in ``model/tree.py``].

        Returns:
            Problems, each with path, cause and cure: nodes that could not be written (what is below
            them is missing too, all else is written), and what happened to growing datasets since
            the last merge: HDF5 refused their points, or images had to be stored in another way.
        """
        merge = Merge(self.path, self._growing, self._known, self._templates)
        self._changed = True
        merge.root(self._file.root, tree)
        notices, self._growing.notices = self._growing.notices, []
        return (*notices, *merge.problems)

    def append(self, path: str, start: int, batches: Sequence[np.ndarray[Any, Any]]) -> None:
        """Take points ``start ..`` of the stream dataset at ``path``, made before by ``merge``.

        A start beyond the length leaves a gap of fill; points that are there already are skipped,
        so it does no harm to append twice. The arrays are kept: do not change them afterwards.

        Args:
            path: of the dataset.
            start: index of the first point.
            batches: each of shape (points, *sample).

        Raises:
            DatasetError: unknown dataset, wrong dtype or shape; nothing of this call is taken.
        """
        self._growing.append(path, start, batches)

    def replace(self, path: str, start: int, batches: Sequence[np.ndarray[Any, Any]]) -> None:
        """Take points in place of those that the stream dataset at ``path`` has from ``start`` on.

        Args:
            path: of the dataset, which must not be compressed.
            start: index of the first point.
            batches: as of ``append``.

        Raises:
            DatasetError: as of ``append``; or the dataset is compressed.
        """
        self._growing.replace(path, start, batches)

    def locate(self, path: str, start: int, blocks: Sequence[FileBlock]) -> int:
        """Points ``start ..`` of the located stack at ``path`` are, or will be, in files.

        Returns:
            How many points the stack has, or will have with the next commit.

        Raises:
            DatasetError: unknown stack.
        """
        return self._growing.locate(path, start, blocks)

    def extend(self, path: str, frames: int) -> int:
        """The image stack at ``path`` has ``frames`` frames by now; the number only grows.

        Returns:
            How many of them the dataset has, or will have with the next commits: all of a virtual
            stack and of references; of copies and raw data as many as could be read, and at most
            some 64 MiB of pixels at once, so call again.

        Raises:
            DatasetError: unknown stack, or its files do not hold the images that were announced.
        """
        return self._growing.extend(path, frames)

    def skip(self, path: str) -> tuple[int, int] | None:
        """Give up the next frame that ``extend`` waits for, and those that are with it in a file.

        They read as fill (zero in raw data), and ``extend`` goes on behind them.

        Returns:
            The first of them, and the next frame; None when no frame is awaited.

        Raises:
            DatasetError: unknown stack.
        """
        return self._growing.skip(path)

    def settle(self, path: str) -> None:
        """Nothing more will come at or below ``path``.

        The next commit completes its image stacks, however long they are, and forgets its datasets.
        """
        self._growing.settle(path)

    def missing_files(self, path: str) -> tuple[str, ...]:
        """Detector files (absolute) of the frames announced so far that are not there.

        A file counts as missing when it does not exist, when it may not be read, and, for the
        newest one if it is HDF5, when it does not hold its frames.

        Raises:
            DatasetError: unknown stack.
        """
        return self._growing.missing_files(path)

    def external_files(self, path: str) -> tuple[str, ...]:
        """Detector files (absolute) that the image stack at ``path`` refers to.

        Of more than 20 files the first ten and the last ten; none where pixels are copied.

        Raises:
            DatasetError: unknown stack.
        """
        return self._growing.external_files(path)

    def length(self, path: str) -> int:
        """Points or frames of a dataset that grows, buffered ones included.

        Raises:
            DatasetError: unknown dataset.
        """
        return self._growing.length(path)

    def edit(self, function: Callable[[h5py.File], T]) -> T:
        """Let a function of other people work on the file, with all points in it.

        What it does shows with the next commit, like all else. It must not read through links into
        other files, nor virtual datasets over them: HDF5 takes every other file for this one.

        Args:
            function: what to call, with the open file. What it raises is raised here.
        """
        self._raise(self._growing.write())
        self._changed = True
        self._known.close()  # it may take groups away
        return function(self._file.h5)

    @property
    def buffered_bytes(self) -> int:
        """Memory held by points and pixels that are not committed."""
        return self._growing.nbytes + self._file.stranded_bytes

    @property
    def dirty(self) -> bool:
        """Whether there is something for a commit to do."""
        return self._changed or self._growing.waiting

    def remarks(self) -> tuple[str, ...]:
        """What went otherwise than asked for since somebody asked, though nothing is lost by it."""
        remarks, self._growing.remarks = self._growing.remarks, []
        return tuple(remarks)

    def commit(self) -> None:
        """Bring everything into the file, as a whole: from now on no kill of the process undoes it.

        Whoever opens the file sees it, too; only while a reader stays in the file it may take 2 s
        until it shows (see ``poll``), so that readers do not see half of it. The growth of long
        image stacks may be left for a later commit, and the last chunk of a compressed dataset that
        grows fast for the next one; the file stays dirty then.

        Raises:
            DiskSpaceError: no room. What could not be written stays in memory for the next commit.
            FileError: another failure; what could be written is written, the rest stays in memory.
        """
        failed = self._growing.write(fast=True)
        self._changed = True  # and stays so if the next line fails
        self._file.commit()
        self._changed = False
        self._growing.committed()
        self._raise(failed)

    @property
    def commits(self) -> int:
        """How many commits were made."""
        return self._file.commits

    @property
    def shown(self) -> int:
        """How many of them show to readers; those that stay in the file can delay the others."""
        return self._file.shown

    @property
    def pending(self) -> bool:
        """Whether there are commits that do not show yet."""
        return self._file.pending

    def poll(self) -> None:
        """Let commits show that wait for readers to leave. Call it often while some are pending.

        Raises:
            FileError: the disk does not take them. They are safe, and wait on.
        """
        self._file.poll()

    def close(self) -> None:
        """Commit everything and close; does nothing the second time.

        Raises:
            DiskSpaceError: no room. What could not be written is lost.
            FileError: another failure, with the same consequence.
        """
        if self._closed:
            return
        self._closed = True
        self.settle("/")
        failed = self._growing.write()
        self._growing.close()
        self._known.close()
        self._file.close()
        self._raise(failed)

    def _raise(self, failed: tuple[str, BaseException] | None) -> None:
        if failed is not None:
            path, error = failed
            raise file_error(error, f"{path} in {self.path}", "write") from error
