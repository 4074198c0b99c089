import os
import threading

import pytest

from nexus_writer_service.errors import FileAccessError, FileError, FilePathError
from nexus_writer_service.service.directories import DirectoryMaker, is_within


@pytest.mark.parametrize(
    ("path", "within"),
    [("/data", True), ("/data/a/b", True), ("/data2", False), ("/", False), ("/a/data", False)],
)
def test_a_path_is_within_a_folder_or_not(path, within):
    assert is_within(path, "/data") is within


def test_the_folders_of_scans_what_is_below_and_what_leads_there_are_allowed():
    maker = DirectoryMaker((), lambda: ["/data/visitor/sample"])
    assert maker.allows("/data/visitor/sample")
    assert maker.allows("/data/visitor/sample/scan0001")
    assert maker.allows("/data/visitor")
    assert not maker.allows("/data/visitor/another")
    assert not maker.allows("/etc")


def test_with_roots_the_folders_of_scans_do_not_count():
    maker = DirectoryMaker(("/data",), lambda: ["/elsewhere"])
    assert maker.allows("/data/a")
    assert not maker.allows("/elsewhere")
    assert not maker.allows("/")


def test_a_directory_is_made_with_its_parents_and_may_exist(tmp_path):
    maker = DirectoryMaker((str(tmp_path),), list)
    for _ in range(2):
        maker.make(str(tmp_path / "a" / "b"), patience=10)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_link_out_of_the_root_is_not_followed(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    maker = DirectoryMaker((str(tmp_path / "root"),), list)
    with pytest.raises(FilePathError, match="outside the allowed roots"):
        maker.make(str(tmp_path / "root" / "link" / "out"), patience=10)
    assert not (tmp_path / "out").exists()


def test_what_is_in_the_way_is_told(tmp_path):
    (tmp_path / "file").touch()
    maker = DirectoryMaker((str(tmp_path),), list)
    with pytest.raises(FileError, match="cannot make the directory"):
        maker.make(str(tmp_path / "file" / "a"), patience=10)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_missing_permission_is_told(tmp_path):
    tmp_path.chmod(0o500)
    maker = DirectoryMaker((str(tmp_path),), list)
    try:
        with pytest.raises(FileAccessError, match="writable for user"):
            maker.make(str(tmp_path / "a"), patience=10)
    finally:
        tmp_path.chmod(0o700)


def test_a_disk_that_stalls_is_asked_once_and_may_still_answer(tmp_path, monkeypatch):
    stalled = threading.Event()
    calls = []

    def makedirs(path, **_options):
        calls.append(path)
        stalled.wait(60)

    monkeypatch.setattr(os, "makedirs", makedirs)
    maker = DirectoryMaker((str(tmp_path),), list)
    for _ in range(3):
        with pytest.raises(FileError, match="did not answer"):
            maker.make(str(tmp_path / "a"), patience=0.01)
    threading.Timer(0.05, stalled.set).start()
    maker.make(str(tmp_path / "a"), patience=10)
    assert len(calls) == 1
