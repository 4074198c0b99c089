"""Recovery does what a journal says, to the file that it is about, and to no other."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import read_elsewhere, root, run_python, stream

from nexus_writer_service.errors import FileError, FileLockedError
from nexus_writer_service.hdf5 import recovery
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.journal import Journal, journal_path
from nexus_writer_service.hdf5.options import READER_PATIENCE
from nexus_writer_service.hdf5.record import Record, seals_of
from nexus_writer_service.hdf5.recovery import Recovery, recover
from nexus_writer_service.model.tree import Dataset

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

OLD = b"o" * 1000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "folder" / "data.bin"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return str(path)


def left_behind(path, *records):
    """The journal of a writer that died."""
    journal = Journal.acquire(path, Disk())
    descriptor = os.open(path, os.O_RDONLY)
    for number, record in enumerate(records):
        head = os.pread(descriptor, 512, 0)
        first = replace(record, head=head, seals=seals_of(record.runs, descriptor))
        journal.append(record if number else first)
    os.close(descriptor)
    journal.leave()


def content(path):
    with open(path, "rb") as file:
        return file.read()


ONE = Record(0, 1000, 1000, ((0, b"aa"), (500, b"bbb")))
TWO = Record(0, 1000, 990, ((1, b"c"),))
NEW = b"ac" + OLD[2:500] + b"bbb" + OLD[503:]


def test_recovery_does_what_complete_records_say(path):
    left_behind(path, ONE, TWO)
    done = recover(path)
    assert done == Recovery(path, replayed=2)
    assert str(done) == "replayed 2 commits from its journal"
    assert content(path) == NEW
    assert not os.path.exists(journal_path(path))
    assert not recover(path)
    assert str(recover(path)) == "nothing to recover"


@pytest.mark.parametrize("applied", range(0, len(NEW) + 1, 101))
def test_a_file_that_was_being_changed_is_brought_to_its_end(path, applied):
    left_behind(path, ONE, TWO)
    with open(path, "r+b") as file:
        file.write(NEW[:applied])
    assert recover(path).replayed == 2
    assert content(path) == NEW


def test_bytes_beyond_the_end_are_no_reason_to_refuse(path):
    left_behind(path, ONE)
    with open(path, "ab") as file:
        file.write(b"more")
    assert recover(path).replayed == 1


class PassingTime:
    """Time that passes only while somebody sleeps.

    Args:
        asleep: called each time.
    """

    def __init__(self, asleep) -> None:
        self.now = 0.0
        self.asleep = asleep

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.asleep()


def test_recovery_waits_until_readers_have_left(path, monkeypatch):
    left_behind(path, ONE, TWO)
    reader = os.open(path, os.O_RDONLY)
    found = []

    def asleep():
        found.append(os.pread(reader, 2000, 0))
        if len(found) == 3:
            os.close(reader)

    monkeypatch.setattr(recovery, "time", PassingTime(asleep))
    assert recover(path).replayed == 2
    assert found == [OLD] * 3
    assert content(path) == NEW


def test_recovery_does_not_wait_for_ever_for_readers(path, monkeypatch):
    left_behind(path, ONE, TWO)
    reader = os.open(path, os.O_RDONLY)
    time = PassingTime(lambda: None)
    monkeypatch.setattr(recovery, "time", time)
    assert recover(path).replayed == 2
    assert READER_PATIENCE <= time.now < READER_PATIENCE + 1
    assert os.pread(reader, 2000, 0)[: len(NEW)] == NEW
    os.close(reader)


def moved(path):
    os.rename(os.path.dirname(path), os.path.dirname(path) + "2")
    return path.replace("/folder/", "/folder2/")


def copied(path):
    shutil.copy(path, path + "2")
    os.replace(path + "2", path)
    return path


@pytest.mark.parametrize("change", [moved, copied])
def test_a_journal_fits_the_file_wherever_it_is(path, change):
    left_behind(path, ONE)
    path = change(path)
    assert recover(path) == Recovery(path, replayed=1)


def overwritten(path):
    with open(path, "r+b") as file:
        file.write(b"x")


def overwritten_where_it_changes(path):
    with open(path, "r+b") as file:
        file.seek(501)
        file.write(b"x")


def made_anew(path):
    os.unlink(path)
    with open(path, "wb") as file:
        file.write(b"n" * 2000)


def shortened(path):
    os.truncate(path, 999)


def emptied(path):
    os.truncate(path, 0)


def restored(path):
    with open(path, "r+b") as file:
        file.write(b"e" * 600)


@pytest.mark.parametrize(
    "change",
    [overwritten, overwritten_where_it_changes, made_anew, shortened, emptied, restored],
)
def test_a_journal_of_another_file_is_set_aside(path, change):
    left_behind(path, ONE, TWO)
    change(path)
    before = content(path)
    done = recover(path)
    assert done == Recovery(path, set_aside=journal_path(path) + ".refused-1")
    assert "does not fit" in str(done)
    assert content(path) == before
    assert not os.path.exists(journal_path(path))
    assert os.path.getsize(journal_path(path) + ".refused-1")
    assert not recover(path)


def test_what_is_set_aside_replaces_nothing(path):
    for number in (1, 2, 3):
        left_behind(path, ONE)
        overwritten(path)
        aside = recover(path).set_aside
        assert aside == f"{journal_path(path)}.refused-{number}"
        with open(path, "wb") as file:
            file.write(OLD)


@pytest.mark.parametrize("records", [(), (ONE,)])
def test_a_file_that_is_gone_is_not_made_again(path, records):
    left_behind(path, *records)
    os.unlink(path)
    done = recover(path)
    assert bool(done.set_aside) == bool(records)
    assert not os.path.exists(path)
    assert len(os.listdir(os.path.dirname(path))) == len(records)
    assert not recover(path)


def test_recovery_is_refused_while_somebody_writes(path):
    journal = Journal.acquire(path, Disk())
    with pytest.raises(FileLockedError, match="this process"):
        recover(path)
    journal.remove()
    assert not recover(path)


_HOLD = """
import sys, h5py
with h5py.File(sys.argv[1], "a"):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_recovery_is_refused_while_another_program_writes(tmp_path):
    path = str(tmp_path / "file.h5")
    with h5py.File(path, "w"):
        pass
    left_behind(path, Record(0, 96, 96, ((90, b"x"),)))
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(FileLockedError, match=f"process {other.pid}"):
            recover(path)
        other.communicate()


def test_a_journal_that_cannot_be_read_is_told(path):
    os.mkdir(journal_path(path))
    with pytest.raises(FileError, match="Is a directory"):
        recover(path)


# ------------------------------------------------------------------------- with HDF5

_DIE = """
import os, signal, sys
import numpy as np
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions
from tests.support_hdf5 import root, stream
path, moment, protect = sys.argv[1:]
file = NexusFile.open(path, options=FileOptions(protect=protect == "protect"))
file.merge(root(d=stream()))
file.append("/d", 0, [np.arange(10.0)])
file.commit()
if moment == "pending":
    reader = os.open(path, os.O_RDONLY)
    file.append("/d", 10, [np.arange(10.0, 20.0)])
    file.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path, moment="idle", protect="protect"):
    assert run_python(_DIE, path, moment, protect, check=False).returncode == -9


@pytest.fixture
def h5(tmp_path):
    return str(tmp_path / "file.h5")


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("mode", [0o644, 0o664, 0o600])
@pytest.mark.parametrize("opens", ["recover", "write"])
def test_the_permission_to_write_is_given_back_after_a_kill(h5, mode, opens):
    with h5py.File(h5, "w"):
        pass
    os.chmod(h5, mode)
    killed(h5)
    assert mode_of(h5) == mode & ~0o222
    if opens == "recover":
        done = recover(h5)
        assert (done.protected, done.replayed) == (True, 0)
        assert str(done) == "gave back the permission to write it"
    else:
        NexusFile.open(h5).close()
    assert mode_of(h5) == mode
    assert os.listdir(os.path.dirname(h5)) == ["file.h5"]


def test_without_protection_there_is_nothing_to_give_back(h5):
    killed(h5, protect="no")
    assert mode_of(h5) & 0o200
    assert not recover(h5)


def test_what_waited_for_a_reader_is_replayed(h5):
    killed(h5, "pending")
    assert read_elsewhere(h5, "/d") == [list(range(10))]
    assert recover(h5) == Recovery(h5, replayed=1, protected=True)
    assert read_elsewhere(h5, "/d") == [list(range(20))]


def test_a_backup_of_before_is_left_as_it_is(h5):
    file = NexusFile.open(h5)
    file.merge(root(x=Dataset(1)))
    file.close()
    backup = content(h5)
    killed(h5, "pending")
    os.chmod(h5, 0o644)
    with open(h5, "wb") as other:
        other.write(backup)
    assert recover(h5).set_aside
    assert content(h5) == backup


def test_a_file_made_anew_is_left_as_it_is(h5):
    killed(h5, "pending")
    os.unlink(h5)
    with h5py.File(h5, "w") as other:
        other["new"] = np.zeros(10_000)
    before = content(h5)
    assert recover(h5).set_aside
    assert content(h5) == before


def test_a_writer_that_finds_a_strange_journal_sets_it_aside_and_writes(h5):
    killed(h5, "pending")
    os.unlink(h5)
    file = NexusFile.open(h5)
    file.merge(root(d=stream()))
    file.close()
    assert read_elsewhere(h5, "/d") == [[]]
    assert sorted(os.listdir(os.path.dirname(h5))) == [".file.h5.nxj.refused-1", "file.h5"]


_RECOVER_AS_NOBODY = """
import os, sys
from nexus_writer_service.hdf5.recovery import recover
if os.geteuid() == 0:
    os.chown(os.path.dirname(sys.argv[1]), 65534, 65534)
    for name in os.listdir(os.path.dirname(sys.argv[1])):
        os.chown(os.path.join(os.path.dirname(sys.argv[1]), name), 65534, 65534)
    os.seteuid(65534)
print(recover(sys.argv[1]))
"""


def test_a_protected_file_is_recovered_by_its_owner():
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below a folder for one user
        h5 = f"{folder}/file.h5"
        killed(h5, "pending")
        said = run_python(_RECOVER_AS_NOBODY, h5).stdout
        assert said == "replayed a commit from its journal; gave back the permission to write it\n"
