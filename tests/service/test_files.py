import os
import stat
from contextlib import contextmanager

import pytest
from tests.support_hdf5 import root, seen
from tests.support_scan_writer import FullDisk

from nexus_writer_service.errors import DiskSpaceError, FileLockedError, FilePathError
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.model.tree import Dataset
from nexus_writer_service.service.files import FilePool

pytestmark = pytest.mark.nonconforming("trees that try the files, not NeXus")


def test_a_file_is_open_once_and_closed_by_its_last_user(tmp_path):
    files = FilePool()
    link = tmp_path / "link.h5"
    link.symlink_to(tmp_path / "data.h5")
    first, second = files.acquire(str(tmp_path / "data.h5")), files.acquire(str(link))
    assert first is second
    files.release(first)
    with pytest.raises(FileLockedError):
        FilePool().acquire(str(link))
    files.release(second)
    other = FilePool()
    other.release(other.acquire(str(link)))


def test_a_file_outside_the_roots_is_refused(tmp_path):
    files = FilePool((str(tmp_path / "data"),))
    with pytest.raises(FilePathError, match="outside the allowed roots"):
        files.acquire(str(tmp_path / "other" / "data.h5"))
    assert not (tmp_path / "other").exists()


def test_any_of_several_roots_will_do_and_a_longer_name_is_no_root(tmp_path):
    roots = [tmp_path / "data", tmp_path / "more"]
    files = FilePool(tuple(map(str, roots)))
    for root_ in roots:
        files.release(files.acquire(str(root_ / "data.h5")))
        assert (root_ / "data.h5").exists()
    with pytest.raises(FilePathError, match="outside the allowed roots"):
        files.acquire(str(tmp_path / "data2" / "data.h5"))
    assert not (tmp_path / "data2").exists()


def test_a_link_out_of_the_roots_is_not_followed(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path)
    files = FilePool((str(tmp_path / "data"),))
    with pytest.raises(FilePathError, match="outside the allowed roots"):
        files.acquire(str(tmp_path / "data" / "link" / "data.h5"))
    assert not (tmp_path / "data.h5").exists()


def test_a_file_that_cannot_be_committed_keeps_no_other_from_it(tmp_path):
    disk = FullDisk("one.h5")
    files = FilePool(disk=disk)
    one, two = (files.acquire(str(tmp_path / name)) for name in ("one.h5", "two.h5"))
    disk.full = True
    for file in (one, two):
        file.merge(root(text=Dataset("text")))
    errors = files.commit()
    assert list(errors) == [one]
    assert isinstance(errors[one], DiskSpaceError)
    assert one.dirty
    assert not two.dirty
    disk.full = False
    assert not files.commit()
    for file in (one, two):
        files.release(file)


class CountingDisk(Disk):
    """Knows how often it was to wait for the medium."""

    syncs = 0

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        super().sync(descriptor)


@pytest.mark.parametrize("durability", ["process", "power"])
def test_files_are_kept_as_safe_as_the_options_say(tmp_path, durability):
    disk = CountingDisk()
    files = FilePool(options=FileOptions(durability=durability), disk=disk)
    file = files.acquire(str(tmp_path / "data.h5"))
    file.merge(root(text=Dataset("text")))
    files.commit()
    files.release(file)
    assert bool(disk.syncs) is (durability == "power")
    assert os.stat(file.path).st_mode & stat.S_IWUSR


@contextmanager
def reader_in(file):
    """Somebody has the file open."""
    descriptor = os.open(file.path, os.O_RDONLY)
    try:
        yield
    finally:
        os.close(descriptor)


def is_open(file):
    """Whether its writer has not let go of it."""
    try:
        other = FilePool()
        other.release(other.acquire(file.path))
    except FileLockedError:
        return True
    return False


def test_a_reader_inside_one_file_holds_up_no_other(tmp_path):
    files = FilePool(options=FileOptions(reader_patience=20))
    one, two = (files.acquire(str(tmp_path / name)) for name in ("one.h5", "two.h5"))
    with reader_in(one):
        for file in (one, two):
            file.merge(root(x=Dataset(1)))
            files.release(file)
        # The first is closed later; it would have been waited for for as long as the reader stays.
        assert (one.pending, is_open(one), is_open(two)) == (True, True, False)
        assert seen(two.path, "/x") == [1]
        files.poll()
        assert is_open(one)
    assert files.pending
    files.poll()
    assert (files.pending, is_open(one)) == (False, False)
    assert seen(one.path, "/x") == [1]


def test_a_file_that_lingers_can_be_taken_up_again(tmp_path):
    files = FilePool(options=FileOptions(reader_patience=20))
    file = files.acquire(str(tmp_path / "data.h5"))
    with reader_in(file):
        file.merge(root(x=Dataset(1)))
        files.release(file)
        assert files.acquire(file.path) is file
    files.poll()
    assert is_open(file)
    files.release(file)
    assert not is_open(file)


def test_the_end_closes_also_files_that_readers_are_in(tmp_path):
    files = FilePool(options=FileOptions(reader_patience=0.05))
    file = files.acquire(str(tmp_path / "data.h5"))
    with reader_in(file):
        file.merge(root(x=Dataset(1)))
        files.release(file)
        assert is_open(file)
        files.close()
        assert not is_open(file)
    assert seen(file.path, "/x") == [1]
