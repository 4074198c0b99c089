"""Commits and the readers of a file: what shows, when, and in which order it is made to last."""

import contextlib
import errno
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import read_elsewhere, root, run_python, seen, stream
from tests.support_journaled import Written

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.commit import CommittedFile
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import READER_PATIENCE, FileOptions
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.model.tree import Dataset
from nexus_writer_service.testing.faults import FailingDisk

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


def test_nothing_below_the_committed_end_shows_before_a_commit(written):
    written.put(95, b"n" * 10)
    assert written.path.read_bytes()[:100] == b"o" * 100
    assert written.held() == b"o" * 95 + b"n" * 10
    written.file.commit()
    assert written.path.read_bytes() == b"o" * 95 + b"n" * 10


def test_large_new_blocks_are_not_held_in_memory_and_small_ones_not_for_long(written):
    written.put(100, b"1" * 10)
    assert written.path.stat().st_size == 100
    written.put(110, b"2" * 16384)
    assert written.path.read_bytes() == b"o" * 100 + b"1" * 10 + b"2" * 16384
    for number in range(1030):
        written.put(16494 + number * 1024, b"3" * 1024)
    assert written.path.stat().st_size > 1 << 20


def test_what_is_written_last_counts_whatever_its_size(written):
    written.put(100, b"1" * 10)
    written.put(100, b"2" * 16384)
    written.put(105, b"3" * 10)
    written.put(16480, b"4" * 10)
    expected = b"o" * 100 + b"2" * 5 + b"3" * 10 + b"2" * 16365 + b"4" * 10
    assert written.held() == expected
    written.file.commit()
    assert written.path.read_bytes() == expected


def test_a_disk_that_refuses_new_bytes_is_asked_again_at_the_commit(tmp_path):
    disk = FailingDisk()
    written = Written(tmp_path / "data.bin", disk)
    written.put(100, b"1" * 10)
    disk.fail(errno.ENOSPC, "data", done=0.5)
    written.put(110, b"2" * 20000)
    written.put(20110, b"3" * 10)
    written.put(105, b"4" * 10)
    assert written.file.stranded_bytes >= 20020
    expected = b"o" * 100 + b"1" * 5 + b"4" * 10 + b"2" * 19995 + b"3" * 10
    assert written.held() == expected
    with pytest.raises(OSError, match="No space"):
        written.file.commit()
    disk.heal()
    written.file.commit()
    assert written.file.stranded_bytes == 0
    assert written.path.read_bytes() == expected
    written.file.close()


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
    disk = DiskWithDiary()
    written = Written(tmp_path / "data.bin", disk, durability="power")
    for _ in range(2):
        written.put(50, b"n" * 100)
        written.file.commit()
    written.file.close()
    once = ["sync file", "journal", "sync journal", "apply"]
    assert disk.diary == ["data", *once, *once, "sync file"]


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


# ------------------------------------------------------------- somebody else's writes


_STRANGER = "import sys, h5py; h5py.File(sys.argv[1], 'a', locking=False)['y'] = [1.0] * 1000"


@pytest.mark.parametrize("pending", [False, True])
def test_the_writes_of_another_program_are_noticed_before_the_next(tmp_path, pending):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path, options=FileOptions(protect=False, reader_patience=0.0))
    file.merge(root(d=stream()))
    file.append("/d", 0, [np.arange(10.0)])
    file.commit()
    disturb = "another program wrote into the file"
    with open(path, "rb") if pending else contextlib.nullcontext():
        run_python(_STRANGER, path)
        with open(path, "rb") as other:
            before = other.read()
        file.append("/d", 10, [np.arange(10.0)])
        for _ in range(2):
            with pytest.raises(FileError, match=disturb):
                file.commit()
        with pytest.raises(FileError, match=disturb):
            file.close()
    with open(path, "rb") as other:
        after = other.read()
    assert len(after) >= len(before)
    assert after[:512] == before[:512]
    assert not recover(path).replayed


def test_a_commit_that_waits_is_kept_when_another_program_writes(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path, options=FileOptions(protect=False))
    file.merge(root(d=stream()))
    file.commit()
    with open(path, "rb"):
        file.append("/d", 0, [np.arange(10.0)])
        file.commit()
        assert file.pending
        run_python(_STRANGER, path)
    for attempt in (file.poll, file.poll, file.close):
        with pytest.raises(FileError, match="another program wrote into the file"):
            attempt()
    assert seen(path, "d") == [[]]
    aside = recover(path).set_aside
    assert aside is not None
    assert os.path.getsize(aside) > 512


def test_a_journal_that_is_full_does_not_wait_for_readers(tmp_path, monkeypatch):
    monkeypatch.setattr("nexus_writer_service.hdf5.journaled.MOST", 1000)
    written = Written(tmp_path / "data.bin")
    with written.path.open("rb", buffering=0):
        commits = 0
        while not commits or written.file.pending:
            written.put(0, b"n" * 50)
            written.file.commit()
            commits += 1
    assert 2 < commits < 20
    written.file.close()


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
