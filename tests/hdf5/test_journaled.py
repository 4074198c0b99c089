"""Commits and the readers of a file: what shows, when, and in which order it is made to last."""

import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from tests.support_clock import FakeClock
from tests.support_hdf5 import read_elsewhere, root, stream

from nexus_writer_service.hdf5.commit import CommittedFile
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.journal import Journal, journal_path
from nexus_writer_service.hdf5.journaled import JournaledFile
from nexus_writer_service.hdf5.options import READER_PATIENCE, FileOptions
from nexus_writer_service.model.tree import Dataset

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


class DiskWithDiary(Disk):
    def __init__(self) -> None:
        self.diary: list[str] = []

    def write(self, step, descriptor, pieces, address):
        self.diary.append(step)
        super().write(step, descriptor, pieces, address)

    def sync(self, descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        self.diary.append("sync journal" if name.endswith(".nxj") else "sync file")
        super().sync(descriptor)


class Written:
    """A file of 100 bytes, open; HDF5 is not needed to see what shows."""

    def __init__(self, path, durability="process") -> None:
        path.write_bytes(b"o" * 100)
        self.path = path
        self.clock = FakeClock()
        self.disk = DiskWithDiary()
        self.file = JournaledFile(
            os.open(path, os.O_RDWR),
            Journal.acquire(str(path), self.disk),
            options=FileOptions(durability=durability),
            disk=self.disk,
            clock=self.clock.monotonic,
        )

    def put(self, address, data):
        self.file.seek(address)
        self.file.write(data)

    def held(self):
        self.file.seek(0)
        return self.file.read()


@pytest.fixture
def written(tmp_path):
    written = Written(tmp_path / "data.bin")
    yield written
    written.clock.advance(READER_PATIENCE)
    written.file.close()
    assert not os.path.exists(journal_path(str(written.path)))


def test_nothing_below_the_committed_end_shows_before_a_commit(written):
    written.put(95, b"n" * 10)
    assert written.path.read_bytes() == b"o" * 100 + b"n" * 5
    assert written.held() == b"o" * 95 + b"n" * 10
    written.file.commit()
    assert written.path.read_bytes() == b"o" * 95 + b"n" * 10


def test_a_commit_waits_for_readers_but_not_for_ever(written):
    with written.path.open("rb", buffering=0):
        for data in (b"1", b"2"):
            written.put(0, data)
            written.file.commit()
            written.file.poll()
        seen = os.open(written.path, os.O_RDONLY)
        assert os.pread(seen, 1, 0) == b"o"
        assert written.held()[:1] == b"2"
        written.clock.advance(READER_PATIENCE)
        written.file.poll()
        assert os.pread(seen, 1, 0) == b"2"
        os.close(seen)


def test_a_commit_shows_once_the_reader_has_left(written):
    with written.path.open("rb"):
        written.put(0, b"n")
        written.file.commit()
    written.file.poll()
    assert written.path.read_bytes()[:1] == b"n"


def test_bytes_beyond_a_shorter_end_stay_while_readers_see_the_longer_file(written):
    with written.path.open("rb") as reader:
        written.put(0, b"n")
        written.file.truncate(50)
        written.file.commit()
        written.put(60, b"x" * 10)
        assert reader.read() == b"o" * 100
        written.file.commit()
    written.file.poll()
    assert written.path.read_bytes()[60:70] == b"x" * 10


def test_the_journal_is_synchronized_between_what_it_guards(tmp_path):
    written = Written(tmp_path / "data.bin", "power")
    for _ in range(2):
        written.put(50, b"n" * 100)
        written.file.commit()
    written.file.close()
    once = ["sync file", "journal", "sync journal", "apply"]
    assert written.disk.diary == ["data", *once, *once, "sync file"]


def test_a_leased_file_that_is_opened_twice_kills_nobody(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    assert signal.getsignal(signal.SIGIO) is signal.SIG_IGN
    for number in range(5):
        file.merge(root(**{f"x{number}": Dataset(number)}))
        file.commit()
        assert read_elsewhere(path, f"/x{number}") == [number]
    file.close()


def test_this_process_can_read_what_it_writes(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))
    file.merge(root(d=stream()))
    for index in range(3):
        file.append("/d", index, [np.array([float(index)])])
        file.commit()
        with h5py.File(file.path) as seen:
            assert seen["d"][()].tolist() == list(range(index + 1))
    file.close()


def test_commits_that_outlast_a_loss_of_power_are_files_like_others(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"), options=FileOptions(durability="power"))
    file.merge(root(x=Dataset(1)))
    file.commit()
    assert read_elsewhere(file.path, "/x") == [1]
    file.close()
    assert os.listdir(tmp_path) == ["file.h5"]


def test_what_is_left_beyond_the_end_is_given_back(tmp_path):
    path = str(tmp_path / "file.h5")
    NexusFile.open(path).close()
    size = os.path.getsize(path)
    with open(path, "ab") as file:
        file.write(bytes(100_000))
    CommittedFile.open(path).close()
    assert os.path.getsize(path) == size


_READ_ALL_THE_TIME = """
import sys, h5py
print("ready", flush=True)
opened = bad = 0
while True:
    try:
        with h5py.File(sys.argv[1]) as file:
            names = list(file)
            assert all(file[name][()].tolist() == list(range(len(file[name]))) for name in names)
            done = "last" in file
    except Exception as error:
        bad += 1
        print(error, file=sys.stderr)
        done = False
    opened += 1
    if done:
        print(opened, bad)
        break
"""


def test_a_reader_that_comes_at_any_time_finds_a_whole_file(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    file.commit()
    reader = subprocess.Popen(
        [sys.executable, "-c", _READ_ALL_THE_TIME, path], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    for number in range(300):
        if number % 30 == 0:
            file.merge(root(**{f"d{number}": stream(chunks=(64,))}))
        for one in range(0, number + 1, 30):
            start = file.length(f"/d{one}")
            file.append(f"/d{one}", start, [np.arange(start, start + 5.0)])
        file.commit()
    file.merge(root(last=stream()))
    file.close()
    opened, bad = map(int, reader.communicate(timeout=30)[0].split())
    assert bad == 0
    assert opened > 5
