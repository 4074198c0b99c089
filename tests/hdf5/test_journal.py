"""Records of the journal: what is not whole is never believed."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.errors import FileError, FileLockedError
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.extents import Extents
from nexus_writer_service.hdf5.journal import Journal, Record, decode, encode, journal_path
from nexus_writer_service.hdf5.recovery import recover


@st.composite
def record(draw, number=7):
    extents = Extents()
    for address, data in draw(
        st.lists(st.tuples(st.integers(0, 90), st.binary(min_size=1, max_size=10)), max_size=5)
    ):
        extents.put(address, data)
    return Record(number, 42, 100, draw(st.integers(0, 1 << 60)), tuple(extents))


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
    "extents",
    [((0, b"abc"), (2, b"d")), ((5, b"a"), (3, b"b")), ((99, b"abc"),)],
    ids=["overlapping", "unsorted", "beyond the end"],
)
def test_a_record_that_makes_no_sense_does_not_count(extents):
    assert list(decode(stored(Record(1, 42, 100, 90, extents)))) == []


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(100))
    return str(path)


def left_behind(path, *records):
    """The journal of a writer that died."""
    with open(journal_path(path), "wb") as journal:
        journal.write(stored(*records))


def test_recovery_does_what_complete_records_say(path):
    inode = os.stat(path).st_ino
    one = Record(1, inode, 100, 120, ((0, b"aa"), (50, b"bb")))
    two = Record(2, inode, 120, 110, ((1, b"c"),))
    left_behind(path, one, two)
    assert recover(path) == "replayed 2 commits from the journal"
    with open(path, "rb") as file:
        found = file.read()
    assert (len(found), found[:3], found[50:52]) == (120, b"ac\0", b"bb")
    assert recover(path) == "nothing to recover"
    assert not os.path.exists(journal_path(path))


@pytest.mark.parametrize("wrong", ["another inode", "a longer file"])
def test_a_journal_of_another_file_is_set_aside(path, wrong):
    inode = os.stat(path).st_ino + (wrong == "another inode")
    left_behind(path, Record(1, inode, 100 + (wrong == "a longer file"), 120, ((0, b"aa"),)))
    assert recover(path).startswith("refused a journal that belongs to another file")
    with open(path, "rb") as file:
        assert file.read() == bytes(100)
    assert os.path.exists(journal_path(path) + ".refused")


def test_recovery_is_refused_while_somebody_writes(path):
    journal = Journal.acquire(path, Disk())
    with pytest.raises(FileLockedError, match="this process"):
        recover(path)
    journal.remove()
    assert recover(path) == "nothing to recover"


def test_recovery_of_a_file_that_is_gone_is_told(path):
    left_behind(path)
    os.unlink(path)
    with pytest.raises(FileError, match="No such file"):
        recover(path)


def test_links_to_a_file_share_its_journal(path, tmp_path):
    os.symlink(path, tmp_path / "link")
    assert journal_path(str(tmp_path / "link")) == journal_path(path)
