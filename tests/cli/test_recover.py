"""``nexus-writer recover``: files whose writer died are put in order, all others left alone."""

import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import redis
from tests.support_damage import add_damaged_dataset
from tests.support_hdf5 import run_python
from tests.support_left import (
    POINTS,
    begin,
    entry_tree,
    journal,
    left_by_a_killed_writer,
    writer_of,
)
from tests.support_nexus import esrf_file
from tests.support_recover import ALL, recover, values, verdict_of

from nexus_writer_service.layout.writer_note import RUN_ENGINE
from nexus_writer_service.model.tree import Group, SoftLink
from nexus_writer_service.model.verdict import Outcome, Verdict


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.h5"


def test_the_last_commit_is_brought_into_the_file(path):
    left_by_a_killed_writer(path, e1="scan:1", e2="scan:2")
    assert len(values(path)) == POINTS
    status, output = recover(path)
    assert status == 0, output
    assert "replayed" in output
    assert "readable: 23 objects" in output
    for entry in ("1.1", "2.1"):
        np.testing.assert_array_equal(values(path, entry), np.arange(ALL))
    assert not journal(path).exists()
    with h5py.File(path, "a"):  # it can be written again
        pass


def test_recovering_again_does_nothing_more(path):
    left_by_a_killed_writer(path, e1="scan:1")
    recover(path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    status, output = recover(path)
    assert status == 0
    assert "nothing to recover" in output
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_file_of_another_program_is_left_as_it_is(tmp_path):
    path = esrf_file(tmp_path / "file.h5")
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert recover(path)[0] == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(os.listdir(tmp_path)) == ["camera_0000.h5", "file.h5"]


# ------------------------------------------------------------------------- what becomes of scans


def test_without_redis_scans_are_interrupted_and_may_be_gone_on_with(path):
    left_by_a_killed_writer(path, e1="scan:1")
    status, output = recover(path)
    assert status == 0
    assert "set REDIS_DATA_URL" in output
    assert "/1.1: interrupted: its writer was stopped" in output
    assert verdict_of(path).outcome is Outcome.INTERRUPTED


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "nonsense"])
def test_a_redis_that_cannot_be_asked_interrupts_scans_too(path, url):
    left_by_a_killed_writer(path, e1="scan:1")
    status, output = recover(path, f"--redis_url={url}")
    assert status == 0
    assert url in output
    assert verdict_of(path).outcome is Outcome.INTERRUPTED
    assert recover(path, f"--redis_url={url}", "--final")[0] == 0
    assert verdict_of(path).outcome is Outcome.INCOMPLETE
    assert len(verdict_of(path).reasons) == 2


@pytest.mark.integration
def test_scans_that_redis_still_holds_are_left_to_the_writer(path, redis_url):
    left_by_a_killed_writer(path, e1="scan:1", e2="scan:2")
    with redis.Redis.from_url(redis_url) as client:
        client.json().set("scan:2", "$", {"name": "scan"})
    status, output = recover(path, f"--redis_url={redis_url}", "--final")
    assert status == 0
    assert "/2.1: is still in Redis: start the writer, and it goes on" in output
    assert verdict_of(path, "2.1").outcome is Outcome.RUNNING
    assert verdict_of(path, "1.1").outcome is Outcome.INCOMPLETE
    assert "Redis does not hold the scan" in verdict_of(path, "1.1").summary


def test_a_bluesky_run_is_over_once_its_writer_died_whatever_redis_says(path):
    file = begin(path)
    file.merge(Group({"1.1": entry_tree("run", source=RUN_ENGINE)}))
    file.close()
    status, output = recover(path, "--redis_url=redis://127.0.0.1:1")
    assert status == 0
    assert "redis" not in output.lower()
    assert "nobody can go on with a Bluesky run" in output
    assert verdict_of(path).outcome is Outcome.INCOMPLETE
    before = path.read_bytes()
    assert recover(path)[0] == 0
    assert path.read_bytes() == before


def test_scans_of_two_sources_in_one_file_have_fates_of_their_own(path):
    file = begin(path, e1="scan:1")
    file.merge(Group({"2.1": entry_tree("run", source=RUN_ENGINE)}))
    file.close()
    status, output = recover(path)
    assert status == 0
    assert output.count("set REDIS_DATA_URL") == 1
    assert verdict_of(path, "1.1").outcome is Outcome.INTERRUPTED
    assert verdict_of(path, "2.1").outcome is Outcome.INCOMPLETE


def test_only_unfinished_entries_of_our_writers_are_concluded(path):
    file = begin(path, e1="scan:1")
    done = Verdict(Outcome.COMPLETE)
    file.merge(Group({"2.1": entry_tree("scan:2", done)}))
    file.merge(Group({"other": Group({"title": SoftLink("/1.1/title")}, {"NX_class": "NXentry"})}))
    file.close()
    status, output = recover(path, "--final")
    assert status == 0
    assert "/1.1: incomplete" in output
    assert "/2.1" not in output
    assert "/other" not in output
    assert verdict_of(path, "2.1") == done


# ------------------------------------------------------------------------- what cannot be recovered


def test_a_file_that_is_being_written_is_skipped_and_others_are_recovered(path, tmp_path):
    left_by_a_killed_writer(tmp_path / "other.h5", e1="scan:1")
    with writer_of(path) as process:
        status, output = recover(path, tmp_path / "other.h5")
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0
    assert status == 1
    assert f"file.h5: left as it is: process {process.pid} is writing it" in output
    assert verdict_of(path).outcome is Outcome.RUNNING
    assert len(values(tmp_path / "other.h5")) == ALL


def test_a_file_that_another_program_writes_is_skipped(path):
    begin(path, e1="scan:1").close()
    with h5py.File(path, "a"):
        status, output = recover(path)
    assert status == 1
    assert "left as it is: another process is writing it" in output
    assert verdict_of(path).outcome is Outcome.RUNNING


def test_a_missing_file_is_not_made(path):
    status, output = recover(path)
    assert status == 1
    assert "there is no such file" in output
    assert os.listdir(path.parent) == []


def test_an_empty_file_has_lost_nothing(path):
    path.touch()
    status, output = recover(path)
    assert status == 0
    assert "nothing was lost" in output
    path.unlink()


@pytest.mark.nonconforming("damaged on purpose")
def test_what_is_unreadable_is_told_and_the_file_is_not_written_to(path):
    begin(path, e1="scan:1").close()
    add_damaged_dataset(path, "1.1/z")
    before = path.read_bytes()
    status, output = recover(path)
    assert status == 1
    assert "/1.1/z:" in output
    assert "it is damaged: no entry was concluded" in output
    assert path.read_bytes() == before


@pytest.mark.nonconforming("damaged on purpose")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), "damaged"),
        (lambda path: path.write_bytes(b"text" * 10_000), "not an HDF5 file"),
    ],
)
def test_a_file_that_is_no_hdf5_any_more_is_told(path, damage, message):
    begin(path, e1="scan:1").close()
    damage(path)
    status, output = recover(path)
    assert status == 1
    assert message in output


def test_a_journal_of_another_file_is_kept_but_not_used(path, tmp_path):
    other = left_by_a_killed_writer(tmp_path / "other.h5", e1="scan:1")
    begin(path, e7="scan:7", e8="scan:8").close()
    left = journal(other).read_bytes()
    journal(other).replace(journal(path))
    status, output = recover(path)
    assert status == 0
    assert "journal" in output
    for entry in ("7.1", "8.1"):
        np.testing.assert_array_equal(values(path, entry), np.arange(POINTS))
    assert not journal(path).exists()
    assert left in [one.read_bytes() for one in tmp_path.iterdir()]


# Modules, and the interpreter of the inspection, may be in a folder for one user only.
_AS_NOBODY = """
import os, sys
from nexus_writer_service.cli import recover
from nexus_writer_service.sources.bliss import presence

def become_nobody():
    if os.getuid() == 0:
        os.seteuid(65534)

def inspect(*arguments, **options):
    os.seteuid(os.getuid())
    try:
        return inspect_as_it_is(*arguments, **options)
    finally:
        become_nobody()

inspect_as_it_is, recover.inspect = recover.inspect, inspect
become_nobody()
fates = recover.Fates(None, {}, final=True)
recoverer = recover.Recoverer(fates, None, timeout=60, values=True)
sys.exit(not recoverer.recover(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("of_file", "of_folder", "missing"),
    [
        (0o444, 0o777, "the right to read and write the file"),
        (0o444, 0o555, "the right to make files in"),
        (0o666, 0o555, "the right to make files in"),
    ],
)
def test_without_the_right_to_write_it_is_said_which_one_is_missing(of_file, of_folder, missing):
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below a folder for one user
        path = Path(folder) / "file.h5"
        begin(path, e1="scan:1").close()
        before = path.read_bytes()
        path.chmod(of_file)
        os.chmod(folder, of_folder)
        try:
            done = run_python(_AS_NOBODY, str(path), check=False)
        finally:
            os.chmod(folder, 0o700)
        assert path.read_bytes() == before
    assert done.returncode == 1, done.stderr
    assert missing in done.stdout
    assert "give the user" in done.stdout


# ------------------------------------------------------------------------- which files


def test_of_a_directory_all_files_with_a_journal_are_recovered(tmp_path):
    (tmp_path / "below").mkdir()
    left = [
        left_by_a_killed_writer(tmp_path / name, e1="scan:1") for name in ("a.h5", "below/b.h5")
    ]
    begin(tmp_path / "c.h5", e1="scan:1").close()
    (tmp_path / ".gone.h5.nxj").touch()
    status, output = recover(tmp_path)
    assert status == 1
    assert "gone.h5" in output
    assert "c.h5" not in output
    assert [len(values(path)) for path in left] == [ALL, ALL]


def test_a_directory_without_journals_has_nothing_to_recover(tmp_path):
    begin(tmp_path / "c.h5", e1="scan:1").close()
    status, output = recover(tmp_path)
    assert status == 0
    assert "nothing to recover" in output


def test_files_are_recovered_once_however_often_they_are_named(path):
    left_by_a_killed_writer(path, e1="scan:1")
    assert recover(path, path, path.parent)[1].count("readable:") == 1


def test_naming_nothing_is_wrong_usage():
    assert recover()[0] == 2


def test_in_a_hurry_values_are_not_read(path):
    left_by_a_killed_writer(path, e1="scan:1")
    status, output = recover(path, "--quick")
    assert status == 0
    assert "MB of values" not in output
    assert len(values(path)) == ALL
