"""All datasets of an open file that grow: streams of points and image stacks, by their path."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from h5py import h5d

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.detector_files import runs
from nexus_writer_service.hdf5.external import (
    Clock,
    CopiedStack,
    RawRefusedError,
    RawStack,
    ReferenceStack,
    Stack,
    VirtualStack,
    create_raw,
)
from nexus_writer_service.hdf5.failures import FAILURES, RefusedError, cause, cure, system_error
from nexus_writer_service.hdf5.held import HeldBytes
from nexus_writer_service.hdf5.located import Located, LocatedCopy, create_located, is_virtual
from nexus_writer_service.hdf5.located_pictures import Pictures
from nexus_writer_service.hdf5.place import Place
from nexus_writer_service.hdf5.resume import points_in
from nexus_writer_service.hdf5.selections import Spaces
from nexus_writer_service.hdf5.storage import Recipes, first_shape
from nexus_writer_service.hdf5.stream import Growing, Stream
from nexus_writer_service.hdf5.values import TEXT, convert, file_type, stored_dtype
from nexus_writer_service.hdf5.virtual import create_virtual
from nexus_writer_service.model.description import FileBlock
from nexus_writer_service.model.tree import ImageStack, LocatedStack, StreamDataset

GrowingNode = StreamDataset | ImageStack | LocatedStack

_REFERENCE_CHUNK: Final = 1024


class GrowingDatasets:
    """What grows in one open file.

    Args:
        root: low-level identifier of its root group.
        file: its absolute path.
        clock: seconds since some moment.
        held: counts the memory of the ends of compressed datasets.
    """

    def __init__(self, root: Any, file: str, clock: Clock, held: HeldBytes | None = None) -> None:
        self._root = root
        self._file = file
        self._clock = clock
        self._recipes = Recipes(held)
        self._by_path: dict[str, Growing] = {}
        self._active: dict[str, Growing] = {}
        self._done: list[str] = []
        self.nbytes = 0
        """Memory held by points and pixels."""
        self.notices: list[str] = []
        """What went otherwise than asked for since somebody looked."""
        self.remarks: list[str] = []
        """Likewise, where nothing is lost by it."""

    def __contains__(self, path: str) -> bool:
        return path in self._by_path

    @property
    def waiting(self) -> bool:
        """Whether the next commits have something to do."""
        return bool(self._active)

    # ------------------------------------------------------------------------ coming and going

    def create(self, group: Any, node: GrowingNode) -> Any:
        """An empty dataset for a node, not linked anywhere yet.

        Args:
            group: low-level identifier of any group of the file.
            node: what to make.

        Raises:
            RefusedError: the node cannot be made.
        """
        if isinstance(node, StreamDataset):
            return self._recipes.create(group, node)
        if isinstance(node, LocatedStack):
            return create_located(group, node)
        _check(node)
        match node.storage:
            case "virtual":
                shape = first_shape(node)
                return create_virtual(group, node.dtype, shape, (), fill=node.fill, growing=True)
            case "raw":
                return create_raw(group, node.dtype, (0, *node.sample), [])
            case _:
                return self._recipes.create(group, _as_stream(node, node.storage))

    def open(self, group: Any, name: str, node: GrowingNode) -> Any:
        """The dataset that stands for a node already."""
        if isinstance(node, StreamDataset):
            return self._recipes.open(group, name, node)
        return h5d.open(group, name.encode())

    def attach(self, path: str, node: GrowingNode, dataset: Any, *, new: bool) -> None:
        """Let a dataset grow from now on.

        Args:
            path: where it is linked.
            node: what it stands for.
            dataset: its low-level identifier.
            new: it was made by ``create`` a moment ago, not by an earlier writer.

        Raises:
            RefusedError: it is not such a dataset as the node describes.
        """
        if new and isinstance(node, StreamDataset):
            shape = first_shape(node)
            self._by_path[path] = Stream(path, dataset, node, 0, self._recipes.held, shape)
        else:
            self._by_path[path] = self._attached(path, node, dataset)

    def _attached(self, path: str, node: GrowingNode, dataset: Any) -> Growing:
        if isinstance(node, StreamDataset):
            _check_stream(path, node, dataset)
            return Stream(path, dataset, node, points_in(dataset, node), self._recipes.held)
        if isinstance(node, LocatedStack):
            if not is_virtual(dataset):
                raise RefusedError(f"{path} exists and is not virtual: choose another name for it")
            place = Place(self._root, self._file, path)
            if node.pictures:
                return Pictures(place, node, self._clock, self._recipes)
            if node.copied:
                return LocatedCopy(place, node, self._clock, self._recipes)
            return Located(place, node, self._clock)
        _check(node)
        place = Place(self._root, self._file, path)
        referenced = node.storage == "raw" and dataset.get_type().equal(file_type(TEXT))
        if node.storage == "raw" and not referenced:
            _check_type(path, dataset, node.dtype, len(node.sample) + 1)
            return RawStack(place, node, self._clock)
        if node.storage == "virtual":
            _check_type(path, dataset, node.dtype, len(first_shape(node)))
            return VirtualStack(place, node, _frames_mapped(path, dataset, node), self._clock)
        stream = _as_stream(node, "uris" if referenced else node.storage)
        _check_stream(path, stream, dataset)
        if node.storage == "copy":
            return CopiedStack(path, node, dataset, stream, self._recipes.held)
        return ReferenceStack(place, node, dataset, stream)

    def forget(self, path: str) -> None:
        """Something else takes the place of the dataset at ``path``, if there is one."""
        growing = self._by_path.pop(path, None)
        if growing is not None:
            self._active.pop(path, None)
            self.nbytes -= growing.nbytes
            growing.release()

    def forget_below(self, path: str) -> None:
        """What is at or below ``path`` is taken away."""
        for one in [one for one in self._by_path if one == path or one.startswith(f"{path}/")]:
            self.forget(one)

    def settle(self, path: str) -> None:
        """Nothing more will come at or below ``path``: the next commit writes all and lets go."""
        below = path.rstrip("/") + "/"
        for one, growing in self._by_path.items():
            if one == path or one.startswith(below):
                self._active[one] = growing
                growing.settled = True

    # --------------------------------------------------------------------------------- growing

    def append(self, path: str, start: int, batches: Any) -> None:
        """Take points of a stream [``NexusFile.append``]."""
        stream = self._by_path.get(path)
        if not isinstance(stream, Stream) or isinstance(stream, Stack):
            raise DatasetError(f"{path} in {self._file} is not a stream dataset: merge it first")
        if stream.problem:
            raise DatasetError(stream.problem)
        before = stream.nbytes
        stream.append(start, batches)
        self.nbytes += stream.nbytes - before
        if stream.waiting:
            self._active[path] = stream

    def replace(self, path: str, start: int, batches: Any) -> None:
        """Take points that stand in for others [``NexusFile.replace``]."""
        stream = self._by_path.get(path)
        if not isinstance(stream, Stream) or isinstance(stream, Stack):
            raise DatasetError(f"{path} in {self._file} is not a stream dataset: merge it first")
        if stream.problem:
            raise DatasetError(stream.problem)
        before = stream.nbytes
        stream.replace(start, batches)
        self.nbytes += stream.nbytes - before
        self._active[path] = stream

    def widen(self, path: str, node: StreamDataset) -> None:
        """Let a stream dataset hold what ``node`` describes, with the points that it has.

        Raises:
            RefusedError: its points cannot be converted.
        """
        stream = self._by_path.get(path)
        if not isinstance(stream, Stream) or isinstance(stream, Stack) or stream.takes(node):
            return
        stream.write(Spaces())
        place = Place(self._root, self._file, path)
        old = place.open()
        dataset = self._recipes.create(place.group, node)
        wider = Stream(path, dataset, node, 0, self._recipes.held)
        convert(old, dataset, stream.length)
        wider.found(stream.length)
        stream.release()
        place.replace(dataset)
        self._by_path[path] = self._active[path] = wider

    def locate(self, path: str, start: int, blocks: Sequence[FileBlock]) -> int:
        """Take note of points in files [``NexusFile.locate``]."""
        stack = self._stack(path)
        if not isinstance(stack, Located):
            raise DatasetError(f"{path} in {self._file} is not made of located blocks")
        if stack.problem:
            raise DatasetError(stack.problem)
        self._active[path] = stack
        return stack.locate(start, blocks)

    def extend(self, path: str, frames: int) -> int:
        """Take note of frames of a stack [``NexusFile.extend``]."""
        stack = self._stack(path)
        if stack.problem:
            raise DatasetError(stack.problem)
        before = stack.nbytes
        try:
            return stack.extend(frames)
        except RawRefusedError as refusal:
            self.notices.append(
                f"{path} in {self._file}: {refusal}; it holds references to the frames "
                "(path::index) instead"
            )
            return self._refer_instead(path, refusal.stack).extend(frames)
        finally:
            now = self._by_path[path]
            self.nbytes += now.nbytes - before
            if now.waiting:
                self._active[path] = now

    def skip(self, path: str) -> tuple[int, int] | None:
        """Wait no longer for the next frames of a stack [``NexusFile.skip``]."""
        stack = self._stack(path)
        skipped = None if stack.problem else stack.skip()
        if stack.waiting:
            self._active[path] = stack
        return skipped

    def _refer_instead(self, path: str, stack: RawStack) -> Stack:
        """Replace a raw stack by references to its frames."""
        node = _as_stream(stack.node, "uris")
        try:
            dataset = self._recipes.create(stack.place.group, node)
            stack.place.replace(dataset)
        except FAILURES as error:
            raise DatasetError(
                f"{path} in {self._file} cannot hold references: {cause(error)}; {cure(error)}"
            ) from error
        references = ReferenceStack(stack.place, stack.node, dataset, node)
        self._by_path[path] = references
        return references

    def missing_files(self, path: str) -> tuple[str, ...]:
        """Detector files of a stack that are not there."""
        stack = self._stack(path)
        missing = stack.missing_files()
        self._note(stack)
        if stack.waiting:  # one that came says what the dataset is to look like
            self._active[path] = stack
        return missing

    def external_files(self, path: str) -> tuple[str, ...]:
        """Detector files that a stack refers to."""
        return self._stack(path).external_files()

    def length(self, path: str) -> int:
        """Points or frames."""
        growing = self._by_path.get(path)
        if growing is None:
            raise DatasetError(f"{path} in {self._file} does not grow: merge it first")
        return growing.length

    def _stack(self, path: str) -> Stack:
        stack = self._by_path.get(path)
        if not isinstance(stack, Stack):
            raise DatasetError(f"{path} in {self._file} is not an image stack: merge it first")
        return stack

    def write(self, *, fast: bool = False) -> tuple[str, BaseException] | None:
        """Bring all that waits into HDF5.

        Args:
            fast: but for what is cheaper to write with the next commit.

        Returns:
            Path and error of the first dataset that the disk did not take.
        """
        failed: tuple[str, BaseException] | None = None
        spaces = Spaces()
        active, self._active, self.nbytes = self._active, {}, 0
        for path, growing in active.items():
            try:
                if growing.waiting:
                    (growing.write_fast if fast else growing.write)(spaces)
            except FAILURES as error:
                if system_error(error) is not None:
                    failed = failed or (path, error)
                else:
                    self._give_up(path, growing, error)
            self.nbytes += growing.nbytes
            self._note(growing)
            if growing.waiting:
                self._active[path] = growing
            elif growing.settled:
                growing.release()
                self._done.append(path)
        return failed

    def close(self) -> None:
        """Let go of all memory."""
        for growing in self._by_path.values():
            growing.release()

    def _note(self, growing: Growing) -> None:
        if growing.notice:
            self.remarks.append(growing.notice)
            growing.notice = ""

    def committed(self) -> None:
        """Let go of what is settled and written.

        Not before the flush: HDF5 writes a dataset when it is let go, and crashes when it cannot.
        """
        for path in self._done:
            growing = self._by_path.get(path)
            if growing is not None and growing.settled and not growing.waiting:
                del self._by_path[path]
        self._done = []

    def _give_up(self, path: str, growing: Growing, error: BaseException) -> None:
        """A dataset that HDF5 itself refuses costs only that dataset."""
        problem = f"{path} in {self._file} cannot be written: {cause(error)}; {cure(error)}"
        growing.give_up(problem)
        self.notices.append(problem)


def _check_stream(path: str, node: StreamDataset, dataset: Any) -> None:
    _check_type(path, dataset, stored_dtype(node.dtype), len(first_shape(node)))
    if dataset.get_create_plist().get_layout() != h5d.CHUNKED:
        raise RefusedError(f"{path} exists and cannot grow: choose another name for it")


def _check_type(path: str, dataset: Any, dtype: np.dtype[Any], rank: int) -> None:
    if dataset.rank != rank or not dataset.get_type().equal(file_type(dtype)):
        raise RefusedError(
            f"{path} exists with {dataset.rank} axes of {dataset.dtype} and not with {rank} axes "
            f"of {dtype}: choose another name for one of them"
        )


def _check(node: ImageStack) -> None:
    if any(length < 1 for length in node.sample):
        raise RefusedError(f"images of unknown shape {node.sample} cannot be saved")
    if node.storage not in ("virtual", "uris", "copy", "raw"):
        raise RefusedError(f"images cannot be stored as {node.storage!r}")
    if node.storage == "virtual" and not node.files.data_path:
        raise RefusedError(
            f"images in {node.files.file_format} files cannot be mapped: only those in HDF5 files"
        )
    next(runs(node.files, 0, 1))


def _as_stream(node: ImageStack, storage: str) -> StreamDataset:
    """The stream dataset behind a stack of pixels or of references."""
    if storage == "copy":
        return StreamDataset(
            node.channel, node.dtype, node.sample, node.scan, node.chunks, node.filters, node.fill
        )
    return StreamDataset(node.channel, TEXT, (), chunks=(_REFERENCE_CHUNK,))


def _frames_mapped(path: str, dataset: Any, node: ImageStack) -> int:
    """Frames that a virtual dataset has, by its mapping alone: sources are never opened here."""
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.VIRTUAL:
        raise RefusedError(f"{path} exists and is not virtual: choose another name for it")
    values = sum(
        properties.get_virtual_vspace(index).get_select_npoints()
        for index in range(properties.get_virtual_count())
    )
    return int(values // np.prod(node.sample))
