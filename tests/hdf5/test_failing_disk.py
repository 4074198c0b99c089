"""A disk that refuses: what it does not take waits, and is there once it does."""

import contextlib
import errno
import os
import stat
from typing import Literal, get_args

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import root, seen, stream

from nexus_writer_service.errors import DiskSpaceError, FileError
from nexus_writer_service.hdf5.disk import Disk, Step
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.model.tree import Dataset

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

Moment = Step | Literal["truncate", "reserve", "chmod", "sync", "unlink"]


class FailingDisk(Disk):
    """Refuses one kind of change, or all, while it is broken; a write is half done."""

    def __init__(self, moment: Moment | Literal["all"], number=errno.ENOSPC, broken=True) -> None:
        self.moment = moment
        self.number = number
        self.broken = broken
        self.failures = 0

    def check(self, moment: Moment) -> None:
        if self.broken and self.moment in (moment, "all"):
            self.failures += 1
            raise OSError(self.number, os.strerror(self.number))

    def write(self, step, descriptor, pieces, address):
        try:
            self.check(step)
        except OSError:
            whole = b"".join(pieces)
            super().write(step, descriptor, [whole[: len(whole) // 2]], address)
            raise
        super().write(step, descriptor, pieces, address)

    def truncate(self, descriptor, size):
        self.check("truncate")
        super().truncate(descriptor, size)

    def reserve(self, descriptor, size):
        self.check("reserve")
        super().reserve(descriptor, size)

    def chmod(self, descriptor, mode):
        self.check("chmod")
        super().chmod(descriptor, mode)

    def sync(self, descriptor):
        self.check("sync")
        super().sync(descriptor)

    def unlink(self, path):
        self.check("unlink")
        super().unlink(path)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("wrong", ["chmod", "preamble"])
def test_a_file_that_cannot_be_protected_is_written_all_the_same(tmp_path, wrong):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path, disk=FailingDisk(wrong))
    assert mode_of(path) & 0o200
    file.merge(root(x=Dataset(1)))
    file.close()
    assert seen(path, "/x") == [1]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSPC])
def test_a_journal_without_a_reserve_works_too(tmp_path, number):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path, disk=FailingDisk("reserve", number))
    file.merge(root(x=Dataset(1)))
    file.close()
    assert seen(path, "/x") == [1]


STEPS = [*(set(get_args(Step)) - {"preamble"}), "truncate", "sync", "all"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("step", sorted(STEPS))
def test_a_disk_that_refuses_a_step_for_a_while_costs_nothing(tmp_path, step, durability, number):
    path = str(tmp_path / "file.h5")
    disk = FailingDisk(step, number, broken=False)
    file = NexusFile.open(path, disk=disk, options=FileOptions(durability=durability))
    file.merge(root(d=stream(chunks=(100,)), e=stream(chunks=(100,))))
    file.commit()
    told = 0
    kinds = set()
    for index in range(12):
        disk.broken = 3 <= index < 9
        for name in "de":
            file.append(f"/{name}", 70 * index, [np.arange(70.0) + 70 * index])
        try:
            file.commit()
        except FileError as error:
            told += 1
            kinds.add((isinstance(error, DiskSpaceError), disk.broken))
        if not told:
            assert seen(path, "/d")[0] == list(range(70 * (index + 1)))
    assert kinds <= {(number == errno.ENOSPC, True)}
    assert told or not disk.failures or step == "truncate"
    assert not file.pending
    assert seen(path, "/d", "/e") == [list(range(840))] * 2
    file.close()
    assert seen(path, "/d", "/e") == [list(range(840))] * 2
    assert os.listdir(tmp_path) == ["file.h5"]


@pytest.mark.parametrize("step", sorted(STEPS))
def test_closing_on_a_disk_that_refuses_leaves_what_a_recovery_needs(tmp_path, step):
    path = str(tmp_path / "file.h5")
    disk = FailingDisk(step, broken=False)
    file = NexusFile.open(path, disk=disk)
    file.merge(root(d=stream(chunks=(100,))))
    file.append("/d", 0, [np.arange(70.0)])
    file.commit()
    file.append("/d", 70, [np.arange(70.0, 140.0)])
    disk.broken = True
    try:
        file.close()
    except DiskSpaceError:
        assert disk.failures
    recover(path)
    count = len(seen(path, "/d")[0])
    assert count == {"journal": 70, "all": 70, "data": 70}.get(step, 140)
    assert mode_of(path) & 0o200
    NexusFile.open(path).close()


@pytest.mark.parametrize("step", ["journal", "apply", "clear", "truncate"])
def test_a_file_that_cannot_be_opened_to_append_is_not_lost(tmp_path, step):
    """Its first commit fails: what the disk took of it is completed by a recovery."""
    path = str(tmp_path / "file.h5")
    with h5py.File(path, "w", libver="latest") as old:
        old["x"] = 1
    for _ in range(2):
        with contextlib.suppress(DiskSpaceError):
            NexusFile.open(path, disk=FailingDisk(step)).close()
    recover(path)
    assert seen(path, "/x") == [1]
    assert mode_of(path) & 0o200


@pytest.mark.parametrize("step", ["data", "journal", "apply", "clear"])
def test_a_file_that_cannot_be_made_does_not_stand_in_the_way(tmp_path, step):
    path = str(tmp_path / "file.h5")
    with contextlib.suppress(DiskSpaceError):
        NexusFile.open(path, disk=FailingDisk(step)).close()
    file = NexusFile.open(path)
    file.merge(root(x=Dataset(1)))
    file.close()
    assert seen(path, "/x") == [1]
