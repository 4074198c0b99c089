"""A disk that refuses: what it does not take waits, and is there once it does."""

import contextlib
import errno
import os
import stat

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import root, seen, stream

from nexus_writer_service.errors import DiskSpaceError, FileError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.hdf5.recovery import recover
from nexus_writer_service.model.tree import Dataset
from nexus_writer_service.testing.faults import MOMENTS, FailingDisk, Moment

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


def refusing(*moments: Moment, number=errno.ENOSPC) -> FailingDisk:
    """A disk that refuses changes from the start; a write is half done."""
    disk = FailingDisk()
    disk.fail(number, *moments, done=0.5)
    return disk


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("wrong", ["chmod", "preamble"])
def test_a_file_that_cannot_be_protected_is_written_all_the_same(tmp_path, wrong):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path, disk=refusing(wrong))
    assert mode_of(path) & 0o200
    file.merge(root(x=Dataset(1)))
    file.close()
    assert seen(path, "/x") == [1]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSPC])
def test_a_journal_without_a_reserve_works_too(tmp_path, number):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path, disk=refusing("reserve", number=number))
    file.merge(root(x=Dataset(1)))
    file.close()
    assert seen(path, "/x") == [1]


STEPS: dict[str, tuple[Moment, ...]] = {
    **{name: (name,) for name in MOMENTS if name not in ("preamble", "unlink")},
    "all": MOMENTS,
}
"""What is refused."""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("step", sorted(STEPS))
def test_a_disk_that_refuses_a_step_for_a_while_costs_nothing(tmp_path, step, durability, number):
    path = str(tmp_path / "file.h5")
    disk = FailingDisk()
    file = NexusFile.open(path, disk=disk, options=FileOptions(durability=durability))
    file.merge(root(d=stream(chunks=(100,)), e=stream(chunks=(100,))))
    file.commit()
    told = 0
    kinds = set()
    for index in range(12):
        broken = 3 <= index < 9
        if index == 3:
            disk.fail(number, *STEPS[step], done=0.5)
        elif index == 9:
            disk.heal()
        for name in "de":
            file.append(f"/{name}", 70 * index, [np.arange(70.0) + 70 * index])
        try:
            file.commit()
        except FileError as error:
            told += 1
            kinds.add((isinstance(error, DiskSpaceError), broken))
        if not told:
            assert seen(path, "/d")[0] == list(range(70 * (index + 1)))
    assert kinds <= {(number == errno.ENOSPC, True)}
    assert told or not disk.refused or step == "truncate"
    assert not file.pending
    assert seen(path, "/d", "/e") == [list(range(840))] * 2
    file.close()
    assert seen(path, "/d", "/e") == [list(range(840))] * 2
    assert os.listdir(tmp_path) == ["file.h5"]


@pytest.mark.parametrize("step", sorted(STEPS))
def test_closing_on_a_disk_that_refuses_leaves_what_a_recovery_needs(tmp_path, step):
    path = str(tmp_path / "file.h5")
    disk = FailingDisk()
    file = NexusFile.open(path, disk=disk)
    file.merge(root(d=stream(chunks=(100,))))
    file.append("/d", 0, [np.arange(70.0)])
    file.commit()
    file.append("/d", 70, [np.arange(70.0, 140.0)])
    disk.fail(errno.ENOSPC, *STEPS[step], done=0.5)
    try:
        file.close()
    except DiskSpaceError:
        assert disk.refused
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
            NexusFile.open(path, disk=refusing(step)).close()
    recover(path)
    assert seen(path, "/x") == [1]
    assert mode_of(path) & 0o200


@pytest.mark.parametrize("step", ["data", "journal", "apply", "clear"])
def test_a_file_that_cannot_be_made_does_not_stand_in_the_way(tmp_path, step):
    path = str(tmp_path / "file.h5")
    with contextlib.suppress(DiskSpaceError):
        NexusFile.open(path, disk=refusing(step)).close()
    file = NexusFile.open(path)
    file.merge(root(x=Dataset(1)))
    file.close()
    assert seen(path, "/x") == [1]


def test_permissions_that_cannot_be_given_back_are_kept_for_a_recovery(tmp_path):
    path = str(tmp_path / "file.h5")
    disk = FailingDisk()
    file = NexusFile.open(path, disk=disk)
    file.merge(root(x=Dataset(1)))
    before = mode_of(path)
    disk.fail(errno.EIO, "chmod", times=1)
    file.close()
    assert (disk.refused, before & 0o200, mode_of(path)) == (["chmod"], 0, before)
    assert recover(path).protected
    assert mode_of(path) & 0o200
    assert os.listdir(tmp_path) == ["file.h5"]
    assert seen(path, "/x") == [1]
