"""Records of the journal: what is not whole is never believed; and what the journal keeps."""

import errno
import os
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support_hdf5 import run_python
from tests.support_waiting import wait_for

from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.extents import Extents
from nexus_writer_service.hdf5.journal import Journal, journal_path
from nexus_writer_service.hdf5.record import Record, decode, encode
from nexus_writer_service.testing.faults import FailingDisk


@st.composite
def record(draw, number=7):
    extents = Extents()
    for address, data in draw(
        st.lists(st.tuples(st.integers(0, 90), st.binary(min_size=1, max_size=10)), max_size=5)
    ):
        extents.put(address, data)
    runs = tuple((address, bytes(data)) for address, data in extents.runs())
    sealed = draw(st.booleans())
    return Record(
        number,
        100,
        draw(st.integers(100, 1 << 60)),
        runs,
        head=draw(st.binary(max_size=20)) if sealed else b"",
        seals=tuple(b"s" * len(data) for _, data in runs) if sealed else (),
    )


def stored(*records):
    return b"".join(b"".join(encode(one)) for one in records)


@given(record(7), record(8), st.binary(max_size=200))
def test_records_in_a_row_are_read_as_they_were(one, two, rubbish):
    assert list(decode(stored(one, two) + rubbish)) == [one, two]


@given(record(7), record(9))
def test_a_record_from_earlier_behind_the_last_does_not_count(one, old):
    assert list(decode(stored(one, old))) == [one]


@given(record(), st.data())
def test_a_record_with_a_flipped_bit_does_not_count(one, data):
    whole = bytearray(stored(one))
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    assert list(decode(bytes(whole))) == []


@given(record(7), record(8), st.data())
def test_a_record_that_is_cut_does_not_count(one, two, data):
    whole = stored(one, two)
    length = data.draw(st.integers(0, len(whole) - 1))
    assert list(decode(whole[:length])) == [one] * (length >= len(stored(one)))


@pytest.mark.parametrize(
    "runs",
    [((0, b"abc"), (2, b"d")), ((5, b"a"), (3, b"b")), ((99, b"abc"),)],
    ids=["overlapping", "unsorted", "beyond the end"],
)
def test_a_record_that_makes_no_sense_does_not_count(runs):
    assert list(decode(stored(Record(1, 100, 90, runs)))) == []


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(100))
    return str(path)


@pytest.fixture
def journal(path):
    journal = Journal.acquire(path, Disk())
    yield journal
    journal.remove()


ONE = Record(0, 100, 100, ((0, b"one"),))


def test_a_journal_with_only_its_reserve_has_no_records(journal):
    journal.reserve()
    assert os.path.getsize(journal.path) > 1 << 20
    assert (journal.records(), journal.mode) == ([], None)


def test_a_record_has_as_many_runs_as_it_takes(journal):
    runs = tuple((2 * index, b"x") for index in range(3000))
    journal.append(Record(0, 9000, 9000, runs))
    assert [len(one.runs) for one in journal.records()] == [3000]


def test_records_follow_each_other_until_they_are_cleared(journal):
    for _ in range(3):
        journal.append(ONE)
    numbers = [one.number for one in journal.records()]
    assert numbers == [numbers[0] + index for index in range(3)]
    journal.rewind()
    journal.append(ONE)
    assert len(journal.records()) == 1
    journal.clear()
    assert journal.records() == []


def test_permissions_are_remembered_beside_records(journal):
    journal.append(ONE)
    journal.remember_mode(0o664)
    journal.clear()
    assert journal.mode == 0o664
    os.pwrite(journal.descriptor, b"x", 13)
    assert journal.mode is None


@pytest.mark.parametrize("during", ["journal", "sync"])
def test_a_record_that_failed_does_not_count_even_if_it_was_written(path, during):
    disk = FailingDisk()
    journal = Journal.acquire(path, disk)
    journal.append(ONE, sync=True)
    disk.fail(errno.EIO, during, done=1.0, times=1)
    with pytest.raises(OSError, match="Input/output error"):
        journal.append(replace(ONE, after=120), sync=True)
    assert [one.after for one in journal.records()] == [100]
    journal.append(replace(ONE, after=130), sync=True)
    assert [one.after for one in journal.records()] == [100, 130]
    journal.remove()


def test_a_journal_that_was_large_shrinks(journal):
    runs = ((0, bytes(70 << 20)),)
    journal.append(Record(0, 80 << 20, 80 << 20, runs))
    journal.clear()
    journal.rewind()
    assert os.path.getsize(journal.path) < 8 << 20


def test_links_to_a_file_share_its_journal(path, tmp_path):
    os.symlink(path, tmp_path / "link")
    assert journal_path(str(tmp_path / "link")) == journal_path(path)


# ----------------------------------------------------------------------------------------- ends


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_the_disk_frees_the_blocks_of_a_journal_while_its_writer_goes_on(path, monkeypatch):
    journal = Journal.acquire(path, Disk())
    begun, go_on, close = threading.Event(), threading.Event(), os.close

    def slow(descriptor):
        if descriptor == journal.descriptor:
            begun.set()
            go_on.wait(20)
        close(descriptor)

    monkeypatch.setattr(os, "close", slow)
    journal.remove()
    assert begun.wait(20)
    assert not os.path.exists(journal.path)
    again = Journal.acquire(path, Disk())  # although the lock on the old one is not let go yet
    assert is_open(journal.descriptor)
    go_on.set()
    wait_for(lambda: not is_open(journal.descriptor), what="the journal closed")
    again.remove()


def test_a_journal_is_closed_at_once_where_no_thread_can_be_started(path):
    journal = Journal.acquire(path, Disk())
    before = threading.stack_size(1 << 46)  # more than there are addresses
    try:
        journal.remove()
    finally:
        threading.stack_size(before)
    assert not is_open(journal.descriptor)
    assert not os.path.exists(journal.path)


def test_a_journal_that_cannot_be_removed_is_let_go_at_once(path):
    disk = FailingDisk()
    journal = Journal.acquire(path, disk)
    disk.fail(errno.EIO, "unlink", times=1)
    with pytest.raises(OSError, match="Input/output error"):
        journal.remove()
    again = Journal.acquire(path, disk)
    assert again.path == journal.path
    again.remove()
    assert not os.path.exists(journal.path)


def test_records_that_are_left_can_be_recovered_at_once(path):
    for after in range(100, 150):
        journal = Journal.acquire(path, Disk())
        assert [one.after for one in journal.records()] == ([after - 1] if after > 100 else [])
        journal.append(replace(ONE, after=after))
        journal.leave()
    Journal.acquire(path, Disk()).remove()


_CLOSED_AT_THE_VERY_END = """
import atexit, sys
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import Dataset, Group
file = NexusFile.open(sys.argv[1])
file.merge(Group({"x": Dataset(1)}))
atexit.register(file.close)
"""


def test_a_file_that_is_closed_while_the_interpreter_ends_is_closed_in_silence(tmp_path):
    done = run_python(_CLOSED_AT_THE_VERY_END, str(tmp_path / "file.h5"))
    assert (done.stdout, done.stderr) == ("", "")
    assert os.listdir(tmp_path) == ["file.h5"]
