"""The faults are those that were asked for."""

import errno
import os
import random
import signal
import stat
import threading

import pytest
from tests.support_hdf5 import run_python

from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.journal import journal_path
from nexus_writer_service.testing.faults import (
    MOMENTS,
    FailingDisk,
    RecordingDisk,
    ShortDisk,
    StallingDisk,
    flip_bit,
    journal_size,
    power_loss,
    tear,
)
from nexus_writer_service.testing.faults.moments import StruckDisk
from nexus_writer_service.testing.faults.power import SECTOR


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"o" * 100)
    return str(path)


@pytest.fixture
def descriptor(path):
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def held(path):
    with open(path, "rb") as file:
        return file.read()


_CHANGES = """
import os, sys
from nexus_writer_service.testing.faults import DeadlyDisk
path, moment, count, done = sys.argv[1:]
disk = DeadlyDisk(moment, int(count), float(done))
file = os.open(path, os.O_RDWR)
disk.write("data", file, [b"d" * 10], 0)
disk.write("apply", file, [b"a" * 5, b"a" * 5], 10)
disk.write("apply", file, [b"b" * 10], 20)
disk.truncate(file, 50)
disk.reserve(file, 60)
disk.chmod(file, 0o400)
disk.sync(file)
disk.sync_folder(path)
disk.unlink(path)
"""


@pytest.mark.parametrize(
    ("moment", "count", "done", "left"),
    [
        ("data", 1, 0, b"o" * 100),
        ("apply", 1, 0.5, b"d" * 10 + b"a" * 5 + b"o" * 85),
        ("apply", 2, 1, b"d" * 10 + b"a" * 10 + b"b" * 10 + b"o" * 70),
        ("truncate", 1, 0, b"d" * 10 + b"a" * 10 + b"b" * 10 + b"o" * 70),
        ("truncate", 1, 1, b"d" * 10 + b"a" * 10 + b"b" * 10 + b"o" * 20),
        ("reserve", 1, 0, b"d" * 10 + b"a" * 10 + b"b" * 10 + b"o" * 20),
        ("reserve", 1, 1, b"d" * 10 + b"a" * 10 + b"b" * 10 + b"o" * 20 + bytes(10)),
        *(
            (moment, 1, 0, b"d" * 10 + b"a" * 10 + b"b" * 10 + b"o" * 20 + bytes(10))
            for moment in ("chmod", "sync", "sync folder", "unlink")
        ),
    ],
    ids=str,
)
def test_a_process_dies_where_it_was_told_to(path, moment, count, done, left):
    end = run_python(_CHANGES, path, moment, str(count), str(done), check=False)
    assert end.returncode == -signal.SIGKILL
    assert held(path) == left


@pytest.mark.parametrize("done", [0, 1])
def test_permissions_are_changed_before_a_process_dies_or_not(path, done):
    before = os.stat(path).st_mode
    run_python(_CHANGES, path, "chmod", "1", str(done), check=False)
    after = os.stat(path).st_mode
    assert after == before if not done else stat.S_IMODE(after) == 0o400


def test_no_change_to_files_escapes_the_faults():
    changes = {name for name in vars(Disk) if not name.startswith("_")} - {"write_some"}
    assert changes > {"write", "truncate", "chmod"}
    for kind in (StruckDisk, RecordingDisk):
        assert changes <= vars(kind).keys(), kind
    # What ``write`` is made of: only a disk that takes little at a time changes it.
    assert "write_some" in vars(ShortDisk)


def test_a_process_outlives_moments_that_never_come(path):
    assert run_python(_CHANGES, path, "journal", "1", "0").returncode == 0
    assert not os.path.exists(path)


def test_a_disk_refuses_what_it_was_told_to_until_it_heals(path, descriptor):
    disk = FailingDisk()
    disk.write("data", descriptor, [b"1"], 0)
    disk.fail(errno.ENOSPC, "journal", "truncate", done=0.5)
    with pytest.raises(OSError, match="No space left"):
        disk.write("journal", descriptor, [b"2" * 4], 10)
    with pytest.raises(OSError, match="No space left"):
        disk.truncate(descriptor, 50)
    disk.write("data", descriptor, [b"3"], 20)
    assert disk.refused == ["journal", "truncate"]
    disk.heal()
    disk.write("journal", descriptor, [b"4"], 30)
    text = held(path)
    assert (text[0:1], text[10:14], text[20:21], text[30:31]) == (b"1", b"22oo", b"3", b"4")


def test_a_disk_can_refuse_a_number_of_times(descriptor):
    disk = FailingDisk()
    disk.fail(errno.EIO, *MOMENTS, skip=3, times=2)
    for _ in range(3):
        disk.sync(descriptor)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            disk.sync(descriptor)
    disk.sync(descriptor)


@pytest.mark.parametrize("most", [1, 3, 7, 1000])
def test_short_writes_are_gone_on_with(path, descriptor, most):
    ShortDisk(most).write("apply", descriptor, [b"ab", memoryview(b"cdefg"), b"h"], 50)
    assert held(path) == b"o" * 50 + b"abcdefgh" + b"o" * 42


def test_a_stalled_change_is_made_once_it_is_released(path, descriptor):
    disk = StallingDisk()
    disk.stall("apply")
    disk.write("data", descriptor, [b"d"], 0)
    writer = threading.Thread(target=disk.write, args=("apply", descriptor, [b"a"], 1))
    writer.start()
    assert disk.stalled.wait(20)
    assert held(path)[:2] == b"do"
    disk.release()
    writer.join(20)
    assert not disk.stalled.is_set()
    assert held(path)[:2] == b"da"


def test_a_journal_can_be_torn_and_its_bits_flipped(path):
    assert journal_size(path) == 0
    with open(journal_path(path), "wb") as journal:
        journal.write(b"\0" * 10)
    flip_bit(path, 0)
    flip_bit(path, 31)
    tear(path, 5)
    assert held(journal_path(path)) == b"\1\0\0\x80\0"


# -------------------------------------------------------------------------------- loss of power


def images(disk, count=200):
    """The contents of the file in many images."""
    chance = random.Random(3)  # noqa: S311 - no secret
    return [power_loss(disk.changes, chance) for _ in range(count)]


def test_a_recording_disk_does_all_that_it_is_asked_for(path, descriptor):
    disk = RecordingDisk(path)
    disk.write("data", descriptor, [b"1", b"2"], 0)
    disk.truncate(descriptor, 10)
    assert held(path) == b"12" + b"o" * 8
    disk.reserve(descriptor, 12)
    disk.reserve(descriptor, 5)
    assert held(path) == b"12" + b"o" * 8 + bytes(2)
    disk.chmod(descriptor, 0o400)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o400
    disk.unlink(path)
    assert not os.path.exists(path)


def test_what_was_synchronized_is_in_all_images(path, descriptor):
    disk = RecordingDisk(path)
    disk.write("data", descriptor, [b"n" * 100], 50)
    disk.sync(descriptor)
    assert {image.files[path] for image in images(disk)} == {b"o" * 50 + b"n" * 100}


def test_what_was_not_synchronized_is_there_by_sectors_or_not(path, descriptor):
    disk = RecordingDisk(path)
    disk.truncate(descriptor, 3 * SECTOR)
    disk.sync(descriptor)
    before = held(path)
    for text in (b"a", b"b"):
        disk.write("apply", descriptor, [text * SECTOR * 2], SECTOR // 2)
    found = {image.files[path] for image in images(disk)}
    assert {len(one) for one in found} == {3 * SECTOR}
    assert {before, held(path)} < found
    sectors = {one[SECTOR : 2 * SECTOR] for one in found}
    assert sectors == {bytes(SECTOR), b"a" * SECTOR, b"b" * SECTOR}
    for one in found:  # a sector is as of one moment
        assert one[SECTOR // 2 : SECTOR] in {before[256:512], b"a" * 256, b"b" * 256}
    assert any(one[SECTOR] == one[2 * SECTOR] != one[SECTOR // 2] for one in found)


def test_lengths_may_be_lost(path, descriptor):
    disk = RecordingDisk(path)
    disk.write("data", descriptor, [b"n" * 50], 100)
    disk.truncate(descriptor, 120)
    disk.reserve(descriptor, 110)  # it is longer: nothing changes
    disk.reserve(descriptor, 130)
    assert {len(image.files[path]) for image in images(disk)} == {100, 120, 130, 150}


def test_names_may_be_lost_until_the_folder_is_synchronized(tmp_path):
    path = str(tmp_path / "new.bin")
    disk = RecordingDisk(path)
    with open(path, "wb") as file:
        disk.write("data", file.fileno(), [b"n"], 0)
        disk.sync(file.fileno())
    assert {image.files[path] for image in images(disk)} == {None, b"n"}
    disk.sync_folder(path)
    assert {image.files[path] for image in images(disk)} == {b"n"}
    disk.unlink(path)
    assert {image.files.get(path) for image in images(disk)} == {None, b"n"}
    disk.sync_folder(path)
    assert {image.files.get(path) for image in images(disk)} == {None}


@pytest.mark.parametrize("deaf", ["file", "journal", "folder"])
def test_a_deaf_disk_forgets_what_was_synchronized(path, deaf):
    disk = RecordingDisk(path, [deaf])
    with open(path, "r+b") as file, open(journal_path(path), "wb") as journal:
        for one in (file, journal):
            disk.write("data", one.fileno(), [b"n"], 0)
            disk.sync(one.fileno())
        disk.sync_folder(path)
    file_left = {image.files[path] for image in images(disk)}
    journal_left = {image.files[journal_path(path)] for image in images(disk)}
    assert len(file_left) == (2 if deaf == "file" else 1)
    lost: dict[str, list[bytes | None]] = {"journal": [b"", b"\0"], "folder": [None]}
    assert journal_left == {b"n", *lost.get(deaf, [])}


def test_an_image_tells_the_last_promise_and_can_be_restored_again_and_again(path, descriptor):
    disk = RecordingDisk(path)
    assert images(disk, 1)[0].promise is None
    disk.note("one")
    disk.note("two")
    image = images(disk, 1)[0]
    assert image.promise == "two"
    inode = os.stat(path).st_ino
    disk.unlink(path)
    disk.sync_folder(path)
    with open(path, "wb") as other:
        other.write(b"other")
    image.restore()
    assert held(path) == b"o" * 100
    assert os.stat(path).st_ino != inode
    kept = os.stat(path).st_ino
    gone = type(image)({path: None}, None)
    for _ in range(2):
        gone.restore()
        assert not os.path.exists(path)
        image.restore()
        assert (held(path), os.stat(path).st_ino) == (b"o" * 100, kept)


def test_only_the_file_and_its_journal_may_be_changed(path, tmp_path):
    with (
        open(tmp_path / "other", "wb") as other,
        pytest.raises(ValueError, match=r"neither .*data\.bin nor its journal"),
    ):
        RecordingDisk(path).write("data", other.fileno(), [b"x"], 0)
