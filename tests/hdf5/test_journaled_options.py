"""What can be chosen about commits: patience with readers, leases, locks, protection."""

import os
import stat
import tempfile

import pytest
from tests.support_hdf5 import read_elsewhere, root, run_python
from tests.support_journaled import Written

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.journal import journal_path
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.model.tree import Dataset

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


def test_readers_are_waited_for_as_long_as_is_asked(tmp_path):
    written = Written(tmp_path / "data.bin", reader_patience=60.0)
    with written.path.open("rb", buffering=0) as reader:
        written.put(0, b"n")
        written.file.commit()
        written.clock.advance(59.0)
        written.file.poll()
        assert (written.file.pending, reader.read(1)) == (True, b"o")
        written.clock.advance(1.0)
        written.file.poll()
        assert not written.file.pending
    written.file.close()


def test_readers_are_not_waited_for_without_patience(tmp_path):
    written = Written(tmp_path / "data.bin", reader_patience=0.0)
    with written.path.open("rb", buffering=0) as reader:
        written.put(0, b"n")
        written.file.commit()
        assert reader.read(1) == b"n"
    written.file.close()


def test_without_leases_a_commit_shows_at_once(tmp_path):
    written = Written(tmp_path / "data.bin", leases=False)
    with written.path.open("rb", buffering=0) as reader:
        written.put(0, b"n")
        written.file.commit()
        assert reader.read(1) == b"n"
    written.file.close()


def test_without_locks_nothing_is_locked(tmp_path):
    path = str(tmp_path / "file.h5")
    one = NexusFile.open(path, options=FileOptions(locks=False, protect=False))
    read_elsewhere(path)
    other = NexusFile.open(str(tmp_path / "other.h5"))
    other.close()
    assert not locks_on(path)
    assert not locks_on(journal_path(path))
    one.close()


def locks_on(path):
    inode = os.stat(path).st_ino
    with open("/proc/locks", encoding="ascii") as locks:
        return [line for line in locks if f":{inode} " in line and "FLOCK" in line]


_TRUNCATE = """
import os, sys, h5py
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    h5py.File(sys.argv[1], "w", locking=False)
except PermissionError:
    print("refused")
"""


@pytest.mark.parametrize("protect", [True, False])
def test_a_file_is_protected_while_it_is_open(tmp_path, protect):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path, options=FileOptions(protect=protect))
    assert bool(mode_of(path) & 0o222) != protect
    file.merge(root(x=Dataset(1)))
    file.commit()
    assert read_elsewhere(path, "/x") == [1]
    file.close()
    assert mode_of(path) & 0o200


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_protected_file_cannot_be_truncated_by_its_owner():
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below a folder for one user
        path = f"{folder}/file.h5"
        NexusFile.open(path).close()
        os.chmod(folder, 0o755)  # noqa: S103 - so that the other user gets as far as the file
        file = NexusFile.open(path)
        if os.geteuid() == 0:
            os.chown(path, 65534, -1)
        assert run_python(_TRUNCATE, path).stdout == "refused\n"
        file.close()
