"""Disks that are full, fail, stall or take little at a time; journals that were damaged."""

import errno
import gc
import itertools
import json
import os
import random
import stat
import subprocess
import sys
import threading

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import read_elsewhere, root, run_python, stream
from tests.support_same_file import differences

from nexus_writer_service.errors import DiskSpaceError, FileError
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.journal import journal_path
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.model.tree import Dataset, Filters
from nexus_writer_service.testing.faults import (
    MOMENTS,
    FailingDisk,
    ShortDisk,
    StallingDisk,
    flip_bit,
    tear,
)

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

NODES = {
    "plain": stream(chunks=(16,)),
    "gzip": stream("i4", chunks=(64,), filters=Filters(gzip=4)),
    "text": stream("O", chunks=(16,)),
}


def values(name, start, stop):
    numbers = np.arange(start, stop)
    if name == "text":
        return np.array([f"point {number}" for number in numbers], dtype=object)
    return numbers.astype(NODES[name].dtype)


def grow(file, points):
    """Let all streams grow, and one more dataset appear."""
    for name in NODES:
        start = file.length(f"/{name}")
        file.append(f"/{name}", start, [values(name, start, start + points)])
    file.merge(root(**{f"at_{start + points}": Dataset(f"text {start}", {"units": "mm"})}))


def points_seen(path):
    """How many points a reader sees, all of which are right."""
    with h5py.File(path) as file:
        lengths = {len(file[name]) for name in NODES}
        (length,) = lengths
        for name in NODES:
            found = file[name].asstr()[()] if name == "text" else file[name][()]
            np.testing.assert_array_equal(found, values(name, 0, length))
        for name in set(file) - set(NODES):
            assert file[name].asstr()[()].startswith("text")
            assert file[name].attrs["units"] == "mm"
        assert length == 0 or f"at_{length}" in file
    return length


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file.h5")


def begun(path, disk, options=None):
    """A file with 10 points."""
    file = NexusFile.open(path, disk=disk, options=options)
    file.merge(root(**NODES))
    grow(file, 10)
    file.commit()
    return file


REFUSED = [
    (errno.ENOSPC, ("data",), 0.0),
    (errno.ENOSPC, ("journal",), 0.0),
    (errno.ENOSPC, ("journal",), 0.6),
    (errno.EDQUOT, ("data", "journal", "truncate"), 0.6),
    (errno.EFBIG, ("data", "truncate"), 0.6),
    (errno.EIO, ("data", "journal", "truncate"), 0.0),
    (errno.EIO, ("journal",), 1.0),
]


@pytest.mark.parametrize(("error", "moments", "done"), REFUSED, ids=str)
def test_what_a_disk_refuses_for_a_while_is_all_there_afterwards(path, error, moments, done):
    disk = FailingDisk()
    file = begun(path, disk)
    disk.fail(error, *moments, done=done)
    kind = FileError if error == errno.EIO else DiskSpaceError
    for _ in range(4):
        grow(file, 10)
        with pytest.raises(kind, match=path) as told:
            file.commit()
        assert os.strerror(error) in str(told.value)
        assert file.dirty
        assert points_seen(path) == 10
    assert file.buffered_bytes > 0 or "data" not in moments
    disk.heal()
    grow(file, 5)
    file.commit()
    assert not file.dirty
    assert file.buffered_bytes == 0
    assert points_seen(path) == 55
    file.close()
    assert points_seen(path) == 55


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("done", [0.0, 0.5])
def test_a_commit_that_cannot_be_applied_is_safe_in_the_journal(path, error, done):
    disk = FailingDisk()
    file = begun(path, disk)
    disk.fail(error, "apply", "clear", done=done)
    for _ in range(3):
        grow(file, 10)
        with pytest.raises(FileError, match=path):
            file.commit()
        with pytest.raises(FileError, match=path):
            file.poll()
    if not done:
        assert points_seen(path) == 10
    disk.heal()
    file.poll()
    assert points_seen(path) == 40
    grow(file, 10)
    file.close()
    assert points_seen(path) == 50


_DIE_WHEN_THE_DISK_FAILS = """
import errno, os, signal, sys
from tests.hdf5.test_disk_trouble import begun, grow
from nexus_writer_service.errors import FileError
from nexus_writer_service.testing.faults import FailingDisk
disk = FailingDisk()
file = begun(sys.argv[1], disk)
disk.fail(errno.EIO, "apply", "clear", done=0.5)
for _ in range(3):
    grow(file, 10)
    try:
        file.commit()
    except FileError:
        print("refused", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_dies_on_a_failing_disk_leaves_its_commits_in_the_journal(path):
    died = run_python(_DIE_WHEN_THE_DISK_FAILS, path, check=False)
    assert died.stdout.split() == ["refused"] * 3, died.stderr
    recover(path)
    assert points_seen(path) == 40


def test_closing_on_a_failing_disk_leaves_the_last_commit_and_tells(path):
    disk = FailingDisk()
    file = begun(path, disk)
    disk.fail(errno.EIO, "data", "journal", "apply", "truncate", "clear")
    grow(file, 10)
    with pytest.raises(FileError, match=path):
        file.close()
    recover(path)
    assert points_seen(path) == 10


def written_all_the_same(path, disk, options):
    """Open, four commits and close; what fails is tried again. Whether it was closed."""
    try:
        file = NexusFile.open(path, options=options, disk=disk)
    except FileError:
        file = NexusFile.open(path, options=options, disk=disk)
    for number in range(1, 5):
        if number == 1:
            assert file.merge(root(**NODES)) == ()
        grow(file, 10)
        try:
            file.commit()
        except FileError:
            file.commit()
    try:
        file.close()
    except FileError:
        return False
    return True


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("done", [0.0, 0.5, 1.0])
def test_any_single_failure_of_the_disk_costs_nothing(tmp_path, durability, done):
    options = FileOptions(durability=durability)
    for number in itertools.count():
        path = str(tmp_path / f"{number}.h5")
        disk = FailingDisk()
        disk.fail(errno.EIO, *MOMENTS, skip=number, times=1, done=done)
        closed = written_all_the_same(path, disk, options)
        if not closed or disk.refused == ["chmod"]:  # it may lack its permissions
            recover(path)
        assert points_seen(path) == 40, (number, disk.refused)
        assert os.stat(path).st_mode & stat.S_IWUSR, (number, disk.refused)
        assert not os.path.exists(journal_path(path)), (number, disk.refused)
        if not disk.refused:
            break
    assert number > 20


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_system_that_takes_little_at_a_time_makes_the_same_file(path, tmp_path, durability):
    other = str(tmp_path / "other.h5")
    options = FileOptions(durability=durability)
    for name, disk in ((path, ShortDisk(301)), (other, Disk())):
        file = begun(name, disk, options)
        for _ in range(5):
            grow(file, 20)
            file.commit()
        file.close()
    assert points_seen(path) == 110
    assert differences(path, other, ignored=frozenset()) == []


@pytest.mark.parametrize("moment", ["data", "journal"])
def test_a_commit_on_a_disk_that_stalls_waits_while_readers_read_on(path, moment):
    gc.collect()  # what earlier tests left of h5py waits for HDF5, which the stalled thread has
    disk = StallingDisk()
    file = begun(path, disk)
    disk.stall(moment)

    def write():
        grow(file, 10)
        file.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert disk.stalled.wait(20)
        assert [len(one) for one in read_elsewhere(path, "/plain", "/text")] == [10, 10]
    finally:
        disk.release()
    writer.join(20)
    assert not writer.is_alive()
    assert points_seen(path) == 20
    file.close()


_READ_ONCE = """
import sys
from tests.hdf5.test_disk_trouble import points_seen
print("opening", flush=True)
print(points_seen(sys.argv[1]))
"""


def test_readers_wait_while_a_commit_is_being_applied(path):
    disk = StallingDisk()
    file = begun(path, disk)
    disk.stall("apply")
    grow(file, 10)
    writer = threading.Thread(target=file.commit)
    writer.start()
    try:
        assert disk.stalled.wait(20)
        reader = subprocess.Popen(
            [sys.executable, "-c", _READ_ONCE, path], stdout=subprocess.PIPE, text=True
        )
        assert reader.stdout is not None
        assert reader.stdout.readline() == "opening\n"
    finally:
        disk.release()
    writer.join(20)
    said, _ = reader.communicate(timeout=30)
    assert said in ("10\n", "20\n")
    file.close()
    assert points_seen(path) == 20


# ------------------------------------------------------------------------------ damaged journals

_LEAVE_A_JOURNAL = """
import json, os, signal, sys
from tests.hdf5.test_disk_trouble import begun, grow
from nexus_writer_service.testing.faults import journal_size
path = sys.argv[1]
file = begun(path, None)
os.open(path, os.O_RDONLY)  # a reader who stays: the commits wait in the journal
sizes = [journal_size(path)]
for _ in range(3):
    grow(file, 10)
    file.commit()
    sizes.append(journal_size(path))
print(json.dumps(sizes), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


class LeftBehind:
    """A file with 10 points, and three commits of 10 more in the journal."""

    def __init__(self, path) -> None:
        self.path = path
        died = run_python(_LEAVE_A_JOURNAL, path, check=False)
        self.ends = json.loads(died.stdout)
        """Of the records in the journal."""
        with open(path, "rb") as file, open(journal_path(path), "rb") as journal:
            self._file, self._journal = file.read(), journal.read(self.ends[-1])
        self.commits = []
        """Bytes of the file after so many of the records were replayed."""
        for count, end in enumerate(self.ends):
            self.commits.append(self.recovered(lambda end=end: tear(path, end)))
            assert points_seen(path) == 10 + 10 * count

    def recovered(self, damage):
        """The file after the journal was damaged, and recovery did what it can."""
        with open(self.path, "r+b") as file, open(journal_path(self.path), "wb") as journal:
            file.truncate()
            file.write(self._file)
            file.truncate()
            journal.write(self._journal)
        damage()
        recover(self.path, HastyDisk())
        with open(self.path, "rb") as file:
            return file.read()


class HastyDisk(Disk):
    def sync(self, descriptor):
        """Do nothing: a thousand recoveries would wait for the disk."""


@pytest.fixture
def left_behind(path):
    return LeftBehind(path)


def whole_before(ends, place):
    """How many records end at or before a place in the journal."""
    return sum(end <= place for end in ends[1:])


def places(ends, most):
    """The first bytes of each record, its last ones, and some between: magic to payload."""
    chance = random.Random(5)  # noqa: S311 - no secret
    chosen = set()
    for start, end in itertools.pairwise(ends):
        chosen |= {*range(start, start + most), *range(end - 8, end)}
        chosen |= {chance.randrange(start, end) for _ in range(most)}
    return sorted(chosen)


def test_a_journal_that_is_torn_anywhere_leaves_the_last_whole_commit(left_behind):
    for place in places(left_behind.ends, 120):
        found = left_behind.recovered(lambda place=place: tear(left_behind.path, place))
        assert found == left_behind.commits[whole_before(left_behind.ends, place)], place


def test_a_journal_with_any_bit_flipped_leaves_the_last_commit_before_it(left_behind):
    chance = random.Random(6)  # noqa: S311 - no secret
    for place in places(left_behind.ends, 200):
        bit = 8 * place + chance.randrange(8)
        found = left_behind.recovered(lambda bit=bit: flip_bit(left_behind.path, bit))
        assert found == left_behind.commits[whole_before(left_behind.ends, place)], bit


def test_recovering_twice_is_recovering_once(left_behind):
    once = left_behind.recovered(lambda: None)
    recover(left_behind.path)
    with open(left_behind.path, "rb") as file:
        assert file.read() == once
