"""The files that detector servers write: which frame is where, and its pixels.

They are opened read-only, apart from the writer's own file, with HDF5's locking off: the detector
may still be writing. What cannot be read is not an error here but "not yet".
"""

import errno
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import h5py
import numpy as np
from h5py import h5d

from nexus_writer_service.errors import DatasetError
from nexus_writer_service.hdf5.failures import FAILURES, cause
from nexus_writer_service.hdf5.values import Array
from nexus_writer_service.model.description import ImageFiles, Shape

_BLOCK_BYTES: Final = 8 << 20
"""Pixels read at once."""


@dataclass(frozen=True, slots=True)
class Run:
    """Frames that follow each other in one file."""

    path: str
    """Absolute path of the file."""
    index: int
    """Of the first of them in the file."""
    frame: int
    """Number of the first of them in the stack."""
    count: int


def runs(files: ImageFiles, start: int, stop: int) -> Iterator[Run]:
    """Where frames ``start .. stop - 1`` are, file by file [``ImageFiles``].

    Raises:
        DatasetError: the template has no field for the file number.
    """
    per_acquisition, per_file = files.frames_per_acquisition, files.frames_per_file
    files_each = -(-per_acquisition // per_file) if per_acquisition and per_file else 1
    while start < stop:
        acquisition, inside = divmod(start, per_acquisition) if per_acquisition else (0, start)
        file, index = divmod(inside, per_file) if per_file else (0, inside)
        count = stop - start
        if per_file:
            count = min(count, per_file - index)
        if per_acquisition:
            count = min(count, per_acquisition - inside)
        number = acquisition * files_each + file + files.first_file
        yield Run(_path(files.path_template, number), index, start, count)
        start += count


def _path(template: str, number: int) -> str:
    try:
        return template % number
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"image file template {template!r} has no single field for the file number: "
            "it must look like /data/scan0001/camera_%04d.h5"
        ) from error


def is_there(path: str) -> bool:
    """Whether a file exists and may be read."""
    return os.access(path, os.R_OK)


def lacking(files: ImageFiles, path: str, frames: int, rank: int) -> tuple[str, ...]:
    """What is not there of an HDF5 file that must have ``frames`` frames by now.

    That is the file itself; or, where it only shows the frames of other files (the master file of a
    detector), those of them that do not exist. Other formats are not looked into.

    Args:
        files: what kind of file it is.
        path: of the file.
        frames: how many there must be.
        rank: number of dimensions of a frame.
    """
    if not files.data_path:
        return () if is_there(path) else (path,)
    try:
        with h5py.File(path, "r", locking=False) as file:
            data = file[files.data_path]
            if data.ndim != rank and (data.ndim < rank or data.shape[0] < frames):
                return (path,)
            if data.ndim != rank and not data.is_virtual and not Ready(data)(frames - 1):
                return (path,)  # frames come in order: with the last one all are there
            return tuple(dict.fromkeys(one for one, low, _ in _absent(data) if low < frames))
    except FAILURES:
        return (path,)


def _absent(data: h5py.Dataset) -> Iterator[tuple[str, int, int]]:
    """Files that a virtual dataset shows and that do not exist, with first frame and stop."""
    if not data.is_virtual:
        return
    folder = os.path.dirname(os.path.realpath(data.file.filename))
    there: dict[str, bool] = {}
    for source in data.virtual_sources():
        name = source.file_name
        if name == "." or "%" in name:  # a pattern stands for any number of files
            continue
        path = os.path.join(folder, name)
        if not there.setdefault(path, is_there(path)):
            low, high = (bounds[0] for bounds in source.vspace.get_select_bounds())
            yield path, low, high + 1


def pixels(run: Run, files: ImageFiles, sample: Shape, dtype: np.dtype[Any]) -> Iterator[Array]:
    """The pixels of a run, as far as they can be read by now, in blocks of bounded size.

    Args:
        run: the frames to read.
        files: what kind of files they are in.
        sample: shape of one frame.
        dtype: what the pixels are converted to, if that loses nothing.

    Yields:
        Arrays of shape (frames, *sample).

    Raises:
        DatasetError: the frames in the file have another shape or type; or fabio, which reads all
            formats but HDF5, is not installed.
    """
    blocks = _hdf5_pixels(run, files.data_path, sample) if files.data_path else _fabio_pixels(run)
    for block in blocks:
        if block.shape[1:] != sample or not np.can_cast(block.dtype, dtype, "safe"):
            raise DatasetError(
                f"{run.path}: its frames have shape {block.shape[1:]} and type {block.dtype}, "
                f"the channel was announced with {sample} and {dtype}"
            )
        yield block.astype(dtype, copy=False)


def _hdf5_pixels(run: Run, data_path: str, sample: Shape) -> Iterator[Array]:
    # Registers the filters with which detectors compress: only where pixels are read.
    import hdf5plugin  # noqa: F401, PLC0415

    try:
        with h5py.File(run.path, "r", locking=False) as file:
            data = file[data_path]
            if data.ndim == len(sample):  # a file with one frame need not have an axis for it
                yield data[()][np.newaxis]
                return
            end = min(run.index + run.count, data.shape[0])
            stop = Ready(data).run(run.index, end, ready=True)
            step = max(1, _BLOCK_BYTES // max(1, data.nbytes // max(1, data.shape[0])))
            for start in range(run.index, stop, step):
                yield data[start : min(start + step, stop)]
    except FAILURES:
        return


class Ready:
    """Which frames of a dataset the detector has written, as far as the file tells.

    A detector server can make the dataset for all frames before it has the first one, and a master
    file before the files that it shows: what is not there would read as zeros. Where the frames are
    not in chunks, the file system tells what has been written; it cannot tell of a server that
    filled the dataset beforehand.
    """

    def __init__(self, data: h5py.Dataset) -> None:
        self._data = data
        self._chunk = data.chunks[0] if data.chunks else 0
        self._absent = [(low, stop) for _, low, stop in _absent(data)]
        if data.id.get_create_plist().get_layout() == h5d.CONTIGUOUS and not data.external:
            self._absent += _unwritten(data)

    def __call__(self, frame: int) -> bool:
        """Whether a frame was written."""
        if self._chunk:
            corner = (frame // self._chunk * self._chunk, *(0,) * (self._data.ndim - 1))
            return self._data.id.get_chunk_info_by_coord(corner).byte_offset is not None
        return not any(low <= frame < stop for low, stop in self._absent)

    def run(self, start: int, stop: int, *, ready: bool) -> int:
        """Where the frames from ``start`` on that are ready, or are not, end."""
        if not self._chunk and not self._absent:
            return stop if ready else start
        return next((n for n in range(start, stop) if self(n) is not ready), stop)


def _unwritten(data: h5py.Dataset) -> Iterator[tuple[int, int]]:
    """Frames of a contiguous dataset that nobody wrote, with first frame and stop.

    HDF5 gives it its place in the file, for all frames, with the first one. Those of which half is
    a hole count: holes are of whole blocks, and some file systems make one of a block of zeros.
    """
    place = data.id.get_offset()
    size = data.nbytes // max(1, len(data))
    if place is None or not size:
        yield 0, len(data)
        return
    for low, stop in _holes(data.file.filename, place, place + data.nbytes):
        begin, end = 2 * (low - place), 2 * (stop - place)
        first, last = -((size - begin) // (2 * size)), (end - size) // (2 * size)
        if end - begin >= size and first <= last:
            yield first, last + 1


def _holes(path: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Bytes of a file that nobody wrote; none where the file system does not tell."""
    with open(path, "rb", buffering=0) as file:
        while start < stop:
            try:
                low = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            except OSError:
                return
            if low >= stop:
                return
            try:
                start = min(stop, os.lseek(file.fileno(), low, os.SEEK_DATA))
            except OSError as error:
                if error.errno != errno.ENXIO:
                    return
                start = stop  # nothing behind the hole
            yield low, start


def unreadable(run: Run, files: ImageFiles, sample: Shape) -> int:
    """How many frames at the beginning of a run cannot be read; all if the file cannot be."""
    if not files.data_path:
        return run.count
    try:
        with h5py.File(run.path, "r", locking=False) as file:
            data = file[files.data_path]
            stop = min(run.index + run.count, data.shape[0]) if data.ndim > len(sample) else 0
            end = Ready(data).run(run.index, stop, ready=False)
    except FAILURES:
        return run.count
    return end - run.index if end < stop else run.count


def _fabio_pixels(run: Run) -> Iterator[Array]:
    for frame in _fabio_frames(run):
        yield frame.data[np.newaxis]


def _fabio_frames(run: Run) -> Iterator[Any]:
    """The complete frames of a run that fabio finds in the file by now."""
    fabio = _fabio(run.path)
    try:
        with fabio.open(run.path) as image:
            for index in range(run.index, min(run.index + run.count, image.nframes)):
                frame = image.get_frame(index)
                if getattr(frame, "incomplete_data", False):
                    return
                yield frame
    except (*FAILURES, AttributeError):
        return


def fabio_pictures(path: str) -> Iterator[Array]:
    """The pictures in a file, as fabio reads them.

    Raises:
        DatasetError: it cannot read all of them, or is not installed.
    """
    fabio = _fabio(path)
    try:
        with fabio.open(path) as image:
            if image.nframes == 1:  # some formats know no other way
                yield image.data
                return
            for index in range(image.nframes):
                yield image.get_frame(index).data
    except (*FAILURES, AttributeError) as error:
        raise DatasetError(f"{path} cannot be read: {cause(error)}") from error


def _fabio(path: str) -> Any:
    try:
        import fabio  # noqa: PLC0415 - optional: only for images that are not HDF5
    except ImportError as error:
        raise DatasetError(
            f"{path} can only be read with fabio: pip install 'nexus_writer_service[images]'"
        ) from error
    return fabio


def raw_places(run: Run, sample: Shape, dtype: np.dtype[Any]) -> Iterator[int]:
    """Where in an EDF file the pixels of each frame begin, for the frames that are there by now.

    Raises:
        DatasetError: the bytes at that place are not the pixels: the file is compressed, or has
            another byte order, type or shape than announced, or is not an EDF file.
    """
    size = math.prod(sample) * dtype.itemsize
    for number, frame in enumerate(_fabio_frames(run)):
        place: int = getattr(frame, "start", None) or 0  # 0, where a header is, for other formats
        plain = place > 0 and frame.shape == sample and frame.dtype == dtype
        if plain and os.path.getsize(run.path) < place + size:
            return
        if not plain or (number == 0 and not _are_the_pixels(run.path, place, frame.data)):
            raise DatasetError(
                f"{run.path} cannot be mapped as raw {dtype} pixels of shape {sample}: it is "
                "compressed, or has another byte order, type or shape than announced"
            )
        yield place


def _are_the_pixels(path: str, place: int, data: Array) -> bool:
    stored = np.fromfile(path, data.dtype, count=data.size, offset=place)
    return bool(np.array_equal(stored, data.ravel()))
