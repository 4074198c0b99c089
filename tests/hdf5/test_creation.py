"""New files: what somebody sees who looks while they are made."""

import errno
import os
import signal
import subprocess
import sys

import h5py
import pytest
from tests.support_processes import forked

from nexus_writer_service.errors import DiskSpaceError, FileError
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.journal import journal_path
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.testing.faults import DeadlyDisk, FailingDisk, RecordingDisk
from nexus_writer_service.testing.faults.changes import FolderSynced, Seen, Synced, Wrote

_OPEN_WHEN_IT_IS_THERE = """
import os, sys, h5py
print("ready", flush=True)
for path in sys.argv[1:]:
    while not os.path.exists(path):
        pass
    h5py.File(path).close()
"""


class _Nameless(Disk):
    """A file system without files that have no name."""

    def name(self, descriptor, folder, name):
        raise OSError(errno.EOPNOTSUPP, "not here")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "new.h5")


def _left(path):
    return sorted(os.listdir(os.path.dirname(path)))


def test_who_sees_a_new_file_can_open_it(tmp_path):
    paths = [str(tmp_path / f"{number}.h5") for number in range(300)]
    reader = subprocess.Popen(
        [sys.executable, "-c", _OPEN_WHEN_IT_IS_THERE, *paths],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    for path in paths:
        NexusFile.open(path).close()
    _, errors = reader.communicate(timeout=60)
    assert (reader.returncode, errors.decode()[-300:]) == (0, "")


@pytest.mark.parametrize("disk", [Disk, _Nameless])
def test_a_new_file_has_the_usual_permissions(path, disk):
    before = os.umask(0o027)
    try:
        NexusFile.open(path, disk=disk()).close()
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert _left(path) == ["new.h5"]


def test_with_policy_power_the_content_lasts_before_the_name(path):
    disk = RecordingDisk(path)
    NexusFile.open(path, options=FileOptions(durability="power"), disk=disk).close()
    of_file = [one for one in disk.changes if getattr(one, "path", path) == path]
    kinds = [type(one) for one in of_file]
    assert kinds[:3] == [Seen, Wrote, Synced]
    assert FolderSynced in kinds[3:]


def test_a_link_that_leads_nowhere_yet_leads_to_the_new_file(tmp_path):
    os.symlink("real.h5", tmp_path / "link.h5")
    NexusFile.open(str(tmp_path / "link.h5")).close()
    assert os.path.islink(tmp_path / "link.h5")
    assert h5py.is_hdf5(tmp_path / "real.h5")


@pytest.mark.parametrize("disk", [Disk, _Nameless])
def test_what_another_made_meanwhile_is_kept(path, disk, monkeypatch):
    with h5py.File(path, "w") as file:
        file["theirs"] = 1
    monkeypatch.setattr("nexus_writer_service.hdf5.commit.os.path.exists", lambda _: False)
    monkeypatch.setattr("nexus_writer_service.hdf5.commit._make_folders", lambda *_, **__: None)
    NexusFile.open(path, disk=disk()).close()
    monkeypatch.undo()
    with h5py.File(path) as file:
        assert list(file) == ["theirs"]


@pytest.mark.parametrize("done", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("moment", ["new", "name"])
def test_a_kill_leaves_nothing_or_a_file(path, moment, done):
    status = forked(lambda: NexusFile.open(path, disk=DeadlyDisk(moment, 1, done)))
    assert os.WTERMSIG(status) == signal.SIGKILL
    named = moment == "name" and done == 1
    assert _left(path) == (["new.h5"] if named else [])
    if named:
        h5py.File(path).close()
    NexusFile.open(path).close()
    h5py.File(path).close()


@pytest.mark.parametrize(
    ("error", "raised"), [(errno.ENOSPC, DiskSpaceError), (errno.EIO, FileError)]
)
def test_a_disk_that_takes_nothing_leaves_no_damage(path, error, raised):
    disk = FailingDisk()
    disk.fail(error, "new", done=0.5)
    with pytest.raises(raised, match=r"new\.h5"):
        NexusFile.open(path, disk=disk)
    assert not os.path.exists(journal_path(path))
    disk.heal()
    NexusFile.open(path, disk=disk).close()
    h5py.File(path).close()
