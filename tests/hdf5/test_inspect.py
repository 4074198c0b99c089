"""Everything in a file is read, whatever state it is in; what is wrong is told with its place."""

import math
import os
import sys
from itertools import product

import h5py
import hdf5plugin
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from hypothesis import given
from hypothesis import strategies as st
from tests.support_damage import damage_chunk
from tests.support_left import (
    begin,
    entry_tree,
    journal,
    left_by_a_killed_writer,
    writer_of,
)

from nexus_writer_service.errors import FileError
from nexus_writer_service.hdf5.inspect import (
    Inspection,
    Trouble,
    files_with_journal,
    inspect,
    journal_of,
)
from nexus_writer_service.hdf5.inspector import blocks
from nexus_writer_service.model.tree import Group
from nexus_writer_service.model.verdict import Outcome, Verdict

pytestmark = pytest.mark.nonconforming("files that are not what they should be")

TIMEOUT = 60.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.h5"


def troubles(path, **options) -> list[str]:
    return [str(trouble) for trouble in inspect(str(path), timeout=TIMEOUT, **options).troubles]


def everything(path):
    """A file with all kinds of things that can be read."""
    with h5py.File(path, "w") as file:
        file["scalar"], file["empty"] = 1, h5py.Empty("f8")
        file["none"] = np.zeros((0, 3))
        file["texts"] = ["a", "b"] * 20_000
        file["spectra"] = np.ones((100, 33, 7))
        file.create_dataset("gzip", data=np.arange(10_000.0), chunks=(99,), compression="gzip")
        file.create_dataset("plugin", data=np.arange(10_000), **hdf5plugin.Bitshuffle())
        file.create_dataset("unwritten", (1 << 40, 1 << 20), "f8", chunks=(1, 1 << 10))
        file["compound"] = np.zeros(3, [("a", "f4"), ("b", "i8", (2, 2))])
        file["é/deep/er"] = [b"bytes"]
        file["type"] = np.dtype("f8")
        file["again"], file["é/circle"] = file["gzip"], file["/"]
        file["soft"], file["gzip"].attrs["long"] = h5py.SoftLink("é/deep"), np.arange(5000)
        file["ref"] = file["gzip"].ref
    return path


def test_a_sound_file_has_no_troubles_and_is_read_as_a_whole(path):
    found = inspect(str(everything(path)), timeout=TIMEOUT)
    assert found.troubles == []
    assert found.readable
    assert found.objects == 15
    assert found.nbytes > 100 * 33 * 7 * 8 + 2 * 10_000 * 8


def test_without_values_only_the_structure_is_read(path):
    damage_chunk(everything(path), "gzip")
    assert troubles(path, values=False) == []
    assert troubles(path) != []


def test_a_damaged_chunk_is_found_and_the_rest_is_read(path):
    damage_chunk(everything(path), "gzip")
    (trouble,) = inspect(str(path), timeout=TIMEOUT).troubles
    assert (trouble.kind, trouble.path) in [("unreadable", "/again"), ("unreadable", "/gzip")]


def test_a_damaged_group_is_found_and_the_rest_is_read(path):
    with h5py.File(path, "w") as file:
        file["good/x"], file["bad/x"] = 1, 1
        file.flush()
        address = h5py.h5o.get_info(file["bad"].id).addr
    with open(path, "r+b") as raw:
        raw.seek(address)
        raw.write(b"\xff" * 16)
    (trouble,) = inspect(str(path), timeout=TIMEOUT).troubles
    assert (trouble.kind, trouble.path) == ("unreadable", "/bad")


def test_a_damaged_root_is_an_error_or_a_trouble_but_never_sound(path):
    begin(path, e1="scan:1").close()
    size = path.stat().st_size
    rng = np.random.default_rng(7)
    data = bytearray(path.read_bytes())
    data[96:size] = rng.bytes(size - 96)  # all but the superblock
    path.write_bytes(data)
    try:
        found = inspect(str(path), timeout=TIMEOUT)
    except FileError:
        return
    assert not found.readable


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_text("text" * 1000), "not an HDF5 file"),
        (lambda path: os.truncate(everything(path), 20_000), "damaged"),
    ],
)
def test_what_cannot_be_opened_is_an_error_that_says_why(path, make, message):
    make(path)
    with pytest.raises(FileError, match=message):
        inspect(str(path), timeout=TIMEOUT)


def test_a_file_on_which_hdf5_hangs_is_given_up(path):
    os.mkfifo(path.with_name("pipe"))
    with h5py.File(path, "w") as file:
        file["a"], file["z"] = 1, 1
        file["link"] = h5py.ExternalLink("pipe", "/")
    found = inspect(str(path), timeout=5)
    assert found.troubles == [Trouble("unreadable", "/link", "no answer from HDF5 for 5 s")]
    assert found.objects == 0


def test_a_file_that_kills_hdf5_is_told(path, monkeypatch):
    everything(path)
    program = path.with_name("python")
    program.write_text('#!/bin/sh\necho \'["at", "/bad"]\'\nkill -SEGV $$\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    assert troubles(path) == ["/bad: HDF5 gave up here: killed by SIGSEGV [unreadable]"]


def test_what_lies_in_the_working_directory_is_not_imported(path, monkeypatch):
    everything(path)
    path.with_name("json.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(path.parent)
    assert troubles("file.h5") == []


# ------------------------------------------------------------------------- what it refers to


def test_links_that_lead_nowhere_are_told_with_the_reason(path):
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["x"] = 1
    path.with_name("text.h5").write_text("not HDF5")
    with h5py.File(path, "w") as file:
        file["good"] = h5py.ExternalLink("other.h5", "x")
        file["moved"] = h5py.ExternalLink("/nowhere/other.h5", "x")
        file["chain"] = h5py.SoftLink("good")
        file["g/soft"] = h5py.SoftLink("nothing")
        file["circle"] = h5py.SoftLink("circle")
        file["away"] = h5py.ExternalLink("away.h5", "x")
        file["inside"] = h5py.ExternalLink("other.h5", "y")
        file["text"] = h5py.ExternalLink("text.h5", "y")
    found = troubles(path)
    assert [text.partition(": ")[0] for text in found] == [
        *("/away", "/circle", "/g/soft", "/inside", "/text"),
    ]
    assert "a file that is not there [unresolved]" in found[0]
    assert "soft link to nothing" in found[2]
    assert "which is not in that file" in found[3]
    assert "cannot be read" in found[4]
    assert inspect(str(path), timeout=TIMEOUT).readable


def virtual(file, name, source, dataset="data"):
    """A virtual dataset that shows the first five rows of a longer one, as far as it knows."""
    layout = h5py.VirtualLayout((5, 3), "f8")
    layout[:] = h5py.VirtualSource(source, dataset, (9, 3))[:5]
    file.create_virtual_dataset(name, layout)


def numbered(file, name, source):
    """A virtual dataset whose rows are in files with consecutive numbers."""
    space = h5s.create_simple((5, 3), (h5s.UNLIMITED, 3))
    space.select_hyperslab((0, 0), (h5s.UNLIMITED, 1), (1, 1), (1, 3))
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.VIRTUAL)
    properties.set_virtual(space, source.encode(), b"data", h5s.create_simple((1, 3)))
    limits = h5s.create_simple((5, 3), (h5s.UNLIMITED, 3))
    h5d.create(file.id, name.encode(), h5t.IEEE_F64LE, limits, properties)


def test_missing_and_too_small_sources_of_virtual_data_are_told(path):
    with h5py.File(path.with_name("frames.h5"), "w") as frames:
        frames["data"], frames["few"], frames["group/x"] = np.zeros((5, 3)), np.zeros((4, 3)), 1
    path.with_name("100%.h5").write_bytes(path.with_name("frames.h5").read_bytes())
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((5, 3))
        virtual(file, "good", "frames.h5")
        virtual(file, "own", ".")
        virtual(file, "percent", "100%%.h5")
        numbered(file, "numbered", "frames%b.h5")
        virtual(file, "away", "away.h5")
        virtual(file, "few", "frames.h5", "few")
        virtual(file, "other", "frames.h5", "absent")
        virtual(file, "kind", "frames.h5", "group")
    assert troubles(path) == [
        "/away: source away.h5 is a file that is not there [unresolved]",
        "/few: source few of shape (4, 3) is smaller than what is taken of it in frames.h5 "
        "[unresolved]",
        "/kind: source group is not there in frames.h5 [unresolved]",
        "/numbered: source frames0.h5 is a file that is not there [unresolved]",
        "/other: source absent is not there in frames.h5 [unresolved]",
    ]


def test_missing_and_too_short_files_of_raw_data_are_told(path):
    path.with_name("raw").write_bytes(bytes(80))
    with h5py.File(path, "w") as file:
        for name, source, offset in (("good", "raw", 0), ("short", "raw", 8), ("away", "x", 0)):
            place = str(path.with_name(source))
            file.create_dataset(name, (10,), "f8", external=[(place, offset, 80)])
    found = troubles(path)
    assert [text.partition(": ")[0] for text in found] == ["/away", "/short"]
    assert "not there" in found[0]
    assert "too short" in found[1]


# ------------------------------------------------------------------------- whose entries these are


def test_entries_are_told_with_the_notes_of_our_writers(path):
    file = begin(path, e1="scan:1")
    done = Verdict(Outcome.COMPLETE)
    file.merge(Group({"2.1": entry_tree("scan:2", done), "x": Group()}))
    file.merge(Group({"other": Group({}, {"NX_class": "NXentry"})}))
    file.close()
    entries = inspect(str(path), timeout=TIMEOUT).entries
    assert {name: note and (note.scan, note.verdict.outcome) for name, note in entries.items()} == {
        "1.1": ("scan:1", Outcome.RUNNING),
        "2.1": ("scan:2", Outcome.COMPLETE),
        "other": None,
    }


def test_a_file_that_is_being_written_can_be_inspected(path):
    file = begin(path, e1="scan:1")
    assert inspect(str(path), timeout=TIMEOUT).troubles == []
    state = journal_of(str(path))
    assert state is not None
    assert state.writer == os.getpid()
    file.close()
    assert journal_of(str(path)) is None


def test_another_process_that_writes_is_named(path):
    with writer_of(path) as process:
        state = journal_of(str(path))
        assert state is not None
        assert state.writer == process.pid
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0
    assert journal_of(str(path)) is None


def test_a_journal_that_is_left_does_not_keep_the_file_from_being_read(path):
    left_by_a_killed_writer(path, e1="scan:1")
    before = journal(path).read_bytes()
    assert inspect(str(path), timeout=TIMEOUT).troubles == []
    state = journal_of(str(path))
    assert state is not None
    assert state.writer is None
    assert journal(path).read_bytes() == before


def test_files_with_a_journal_are_found_in_directories(path):
    assert files_with_journal(str(path.parent)) == []
    (path.parent / "below").mkdir()
    for name in (
        ".file.h5.nxj",
        "below/.other.nxs.nxj",
        ".nxj",
        "plain.nxj",
        ".file2.h5.nxj.refused",
    ):
        (path.parent / name).touch()
    found = [os.path.relpath(one, path.parent) for one in files_with_journal(str(path.parent))]
    assert found == ["below/other.nxs", "file.h5"]


def test_nothing_found_is_a_readable_file():
    assert Inspection().readable
    assert not Inspection([Trouble("unreadable", "/", "text")]).readable


# ------------------------------------------------------------------------- bounded memory


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 50)), min_size=1, max_size=3),
    st.integers(1, 500),
    st.booleans(),
)
def test_blocks_cover_a_dataset_once_with_each_chunk_in_one(axes, most, chunked):
    shape = tuple(length for length, _ in axes)
    chunks = tuple(chunk for _, chunk in axes) if chunked else (1,) * len(shape)
    counts = np.zeros(shape, int)
    limit = max(most, math.prod(map(min, zip(shape, chunks, strict=True))))
    for block in blocks(shape, chunks if chunked else None, most):
        assert counts[block].size <= limit
        assert all(part.start % chunk == 0 for part, chunk in zip(block, chunks, strict=True))
        counts[block] += 1
    assert (counts == 1).all()


def test_a_long_dataset_is_read_in_few_blocks():
    found = list(blocks((1_000_000, 2048), (1, 1024), 1 << 21))
    assert len(found) == -(-1_000_000 // 1024)
    assert list(product(blocks((7,), None, 100), [0])) == [((slice(0, 7),), 0)]
