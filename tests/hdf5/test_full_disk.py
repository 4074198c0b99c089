"""A disk that becomes full: nothing is lost, and the writer says so."""

import errno
import os

import pytest
from tests.support_hdf5 import read_elsewhere, run_python

from nexus_writer_service.hdf5.file import NexusFile

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file.h5")


_FILL_THE_DISK = """
import resource, signal, sys
import h5py, numpy as np
from nexus_writer_service.errors import DiskSpaceError, FileError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import Group, StreamDataset

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))

path, other_path, ending = sys.argv[1:]
file = NexusFile.open(path)
nodes = {name: StreamDataset(name, np.dtype("f8"), (), chunks=(1000,)) for name in "ab"}
file.merge(Group(nodes))
file.commit()
limit(200_000)
errors = 0
for index in range(40):
    for name in nodes:
        file.append("/" + name, 500 * index, [np.arange(500.0) + 500 * index])
    try:
        file.commit()
    except DiskSpaceError as error:
        errors += 1
        if errors == 1:
            print(error)
        assert file.dirty
        committed = 500 * (index + 1 - errors)
        with h5py.File(path) as seen:
            assert seen["a"][()].tolist() == seen["b"][()].tolist() == list(range(committed))
if ending == "room":
    limit(most)
    file.commit()
    assert not file.buffered_bytes
try:
    file.close()
except FileError as error:
    print(type(error).__name__, "closing", error)
NexusFile.open(path).close()
other = NexusFile.open(other_path)
other.merge(Group({"d": nodes["a"]}))
other.append("/d", 0, [np.arange(500.0)])
other.close()
file.close()
print("alive", errors)
"""


def fill_the_disk(path, tmp_path, ending):
    done = run_python(_FILL_THE_DISK, path, str(tmp_path / "other.h5"), ending)
    lines = done.stdout.splitlines()
    assert path in lines[0]
    assert os.strerror(errno.EFBIG) in lines[0]
    assert "free disk space" in lines[0]
    word, errors = lines[-1].split()
    assert word == "alive"
    assert int(errors) > 10
    assert len(read_elsewhere(str(tmp_path / "other.h5"), "/d")[0]) == 500
    return lines


def test_a_full_disk_costs_nothing_once_there_is_room_again(path, tmp_path):
    lines = fill_the_disk(path, tmp_path, "room")
    assert len(lines) == 2
    for name in "ab":
        assert read_elsewhere(path, f"/{name}") == [list(range(20_000))]


def test_closing_on_a_full_disk_leaves_the_last_commit(path, tmp_path):
    lines = fill_the_disk(path, tmp_path, "no room")
    assert len(lines) == 3
    assert lines[1].startswith("DiskSpaceError closing")
    errors = int(lines[-1].split()[1])
    for name in "ab":
        assert read_elsewhere(path, f"/{name}") == [list(range(500 * (40 - errors)))]


_FILL_THE_DISK_BETWEEN_COMMITS = """
import resource, signal, sys
import numpy as np
from nexus_writer_service.errors import DiskSpaceError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import Group, StreamDataset

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
file = NexusFile.open(sys.argv[1])
file.merge(Group({"d": StreamDataset("d", np.dtype("f8"), (), chunks=(1000,))}))
for index in range(2):
    file.append("/d", index << 20, [np.zeros(1 << 20)])
print(file.length("/d"), file.buffered_bytes > (2 << 23) - 200_000)
try:
    file.commit()
except DiskSpaceError as error:
    print(file.dirty, file.buffered_bytes > (2 << 23) - 200_000, error)
try:
    file.close()
except DiskSpaceError:
    print("alive")
"""


def test_points_that_do_not_fit_between_commits_wait_for_the_commit_to_tell(path):
    lines = run_python(_FILL_THE_DISK_BETWEEN_COMMITS, path).stdout.splitlines()
    assert lines[0] == f"{2 << 20} True"
    assert lines[1].startswith("True True cannot ")
    assert lines[2:] == ["alive"]


_FULL_FROM_THE_START = """
import resource, signal, sys
from nexus_writer_service.hdf5.file import NexusFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    NexusFile.open(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
"""


def test_no_room_for_a_new_file_is_told(path):
    assert run_python(_FULL_FROM_THE_START, path).stdout.split() == ["DiskSpaceError"]
    NexusFile.open(path).close()
