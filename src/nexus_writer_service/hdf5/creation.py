"""A new file appears as a whole: whoever sees its name can open it."""

import contextlib
import functools
import io
import os

import h5py

from nexus_writer_service.hdf5.disk import Disk


def create(path: str, disk: Disk, *, sync: bool) -> None:
    """Make an HDF5 file without content, unless something of that name is there.

    It is written before it gets its name. Where the file system cannot do that (NFS, some others)
    it is empty for the moment between two calls of the system; a kill there leaves it empty.

    Args:
        path: of the file; a symbolic link may lead to where it shall be.
        disk: how files are changed.
        sync: let its content outlast a loss of power before it gets its name.

    Raises:
        OSError: it cannot be made.
    """
    place = os.path.realpath(path)
    with contextlib.suppress(FileExistsError):
        try:
            _make_then_name(place, disk, sync=sync)
        except FileExistsError:
            raise
        except OSError:  # no such kind of file here, no /proc; or a reason that shows again
            _name_then_make(place, disk, sync=sync)


def _make_then_name(path: str, disk: Disk, *, sync: bool) -> None:
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(".", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o666, dir_fd=folder)
        try:
            _fill(descriptor, disk, sync=sync)
            disk.name(descriptor, folder, os.path.basename(path))
        finally:
            os.close(descriptor)
    finally:
        os.close(folder)


def _name_then_make(path: str, disk: Disk, *, sync: bool) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _fill(descriptor, disk, sync=sync)
    except OSError:
        disk.truncate(descriptor, 0)  # a part of it would be taken for damage
        raise
    finally:
        os.close(descriptor)


def _fill(descriptor: int, disk: Disk, *, sync: bool) -> None:
    disk.write("new", descriptor, [_nothing()], 0)
    if sync:
        disk.sync(descriptor)


@functools.cache
def _nothing() -> bytes:
    """An HDF5 file with an empty root group."""
    image = io.BytesIO()
    h5py.File(image, "w").close()
    return image.getvalue()
