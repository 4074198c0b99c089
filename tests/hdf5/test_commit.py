"""Opening, committing and closing: other processes, locks, refusals."""

import contextlib
import errno
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import read_elsewhere, root, run_python, stream
from tests.support_waiting import wait_for

from nexus_writer_service.errors import (
    DiskSpaceError,
    FileAccessError,
    FileError,
    FileLockedError,
    FilePathError,
)
from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.failures import cause, file_error
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.model.tree import Dataset, ExternalLink, Group, SoftLink

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file.h5")


@pytest.fixture
def file(path):
    file = NexusFile.open(path)
    yield file
    file.close()


def test_a_missing_file_is_made_with_its_directories(tmp_path):
    path = str(tmp_path / "a" / "b" / "é.h5")
    NexusFile.open(path).close()
    assert read_elsewhere(path) == []


def test_new_directories_outlast_a_loss_of_power(tmp_path):
    synced = []

    class Noting(Disk):
        def sync_folder(self, path):
            synced.append(os.path.dirname(path))
            super().sync_folder(path)

    path = str(tmp_path / "a" / "b" / "file.h5")
    NexusFile.open(path, options=FileOptions(durability="power"), disk=Noting()).close()
    assert synced[:2] == [str(tmp_path), str(tmp_path / "a")]
    assert str(tmp_path / "a" / "b") in synced


def test_a_new_file_can_be_read_at_once(file):
    assert read_elsewhere(file.path) == []


def test_an_existing_file_is_appended_to(path):
    with h5py.File(path, "w", libver="latest") as old:
        old["old"] = 1
    file = NexusFile.open(path)
    file.merge(root(new=Dataset(2)))
    file.close()
    assert read_elsewhere(path, "/old", "/new") == [1, 2]


def test_an_empty_file_is_one_that_was_never_committed(path):
    open(path, "w").close()
    NexusFile.open(path).close()
    assert read_elsewhere(path) == []


def test_a_file_is_new_until_its_root_has_a_class(path):
    file = NexusFile.open(path)
    new = [file.is_new]
    for tree in (root(x=Dataset(1)), Group({}, {"NX_class": "NXroot"})):
        file.merge(tree)
        new.append(file.is_new)
    file.close()
    again = NexusFile.open(path)
    assert [*new, again.is_new] == [True, True, False, False]
    again.close()


def test_versions_are_those_of_the_libraries(file):
    assert file.versions == {
        "HDF5_Version": h5py.version.hdf5_version,
        "h5py_version": h5py.version.version,
    }


def test_has_knows_objects_and_links_and_follows_none(file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["g/x"] = 1
    file.merge(
        root(
            g=Group({"x": Dataset(1)}),
            soft=SoftLink("/g"),
            dangling=SoftLink("/nowhere"),
            external=ExternalLink("other.h5", "/g"),
        )
    )
    for path in ("/", "/g", "/g/x", "g/x", "/soft", "/dangling", "/external"):
        assert file.has(path), path
    for path in ("/y", "/g/y", "/g/x/y", "/soft/x", "/external/x", "/dangling/x"):
        assert not file.has(path), path


def test_closing_twice_is_closing_once(file):
    file.close()
    file.close()
    with h5py.File(file.path, "a") as again:  # nobody holds it any more
        assert again.id.valid


def test_a_commit_with_nothing_new_is_fine(file):
    file.commit()
    assert not file.dirty


# ------------------------------------------------------------------------------ refused to open


def test_a_relative_path_is_refused():
    with pytest.raises(FilePathError, match="relative"):
        NexusFile.open("file.h5")


def test_a_file_that_is_not_hdf5_is_refused_and_left_as_it_is(path):
    text = "not HDF5" * 1000
    with open(path, "w") as other:
        other.write(text)
    with pytest.raises(FileError, match="not an HDF5 file"):
        NexusFile.open(path)
    with open(path) as other:
        assert other.read() == text


def test_a_damaged_file_is_refused(path):
    with h5py.File(path, "w") as other:
        other["x"] = np.zeros(10_000)
    os.truncate(path, 5_000)
    with pytest.raises(FileError, match="damaged"):
        NexusFile.open(path)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(FileError, match="Is a directory"):
        NexusFile.open(str(tmp_path))


def test_a_path_below_a_file_is_refused(path):
    open(path, "w").close()
    with pytest.raises(FileError, match="cannot open"):
        NexusFile.open(path + "/file.h5")


_OPEN_AS_NOBODY = """
import os, sys
from nexus_writer_service.hdf5.file import NexusFile
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    NexusFile.open(sys.argv[1])
except PermissionError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("name", ["file.h5", "new.h5", "folder/new.h5"])
def test_a_place_without_rights_is_refused(name):
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below a folder for one user
        with h5py.File(f"{folder}/file.h5", "w"):
            pass
        os.chmod(f"{folder}/file.h5", 0o444)
        os.chmod(folder, 0o555)  # noqa: S103 - so that the other user gets as far as the file
        try:
            said = run_python(_OPEN_AS_NOBODY, f"{folder}/{name}").stdout
        finally:
            os.chmod(folder, 0o700)
    assert said.startswith(FileAccessError.__name__)
    assert "Permission denied" in said
    assert "give the user" in said


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskSpaceError),
        (errno.EDQUOT, DiskSpaceError),
        (errno.EROFS, FileAccessError),
        (errno.EAGAIN, FileLockedError),
        (errno.EIO, FileError),
    ],
)
def test_errors_of_the_system_are_told_by_their_number_wherever_it_stands(number, kind):
    for error in (
        OSError(number, "text"),
        RuntimeError(f"Unable to flush file (write failed: errno = {number}, error message = 'x')"),
    ):
        told = file_error(error, "/d/f.h5", "commit")
        assert type(told) is kind
        assert os.strerror(number) in str(told)
        assert "/d/f.h5" in str(told)


def test_causes_are_one_line_of_bounded_length():
    text = cause(RuntimeError("many\n  words " * 100))
    assert "\n" not in text
    assert len(text) <= 300
    assert cause(RuntimeError()) == "RuntimeError"


# -------------------------------------------------------------------------------- other processes

_HOLD = """
import sys, h5py
file = h5py.File(sys.argv[1], sys.argv[2])
print("open", flush=True)
sys.stdin.readline()
file.close()
"""


@contextlib.contextmanager
def held(path, mode):
    """Another process has the file open with h5py's defaults."""
    environment = {k: v for k, v in os.environ.items() if k != "HDF5_USE_FILE_LOCKING"}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, path, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process.pid
        process.communicate("\n", timeout=30)


def test_a_file_that_readers_have_open_can_be_written(path):
    NexusFile.open(path).close()
    with held(path, "r"):
        file = NexusFile.open(path)
        file.merge(root(x=Dataset(1)))
        file.commit()
        assert not shows(path, "x")
        wait_for(lambda: shows_after_poll(file, "x"))
        file.close()


def shows(path, name):
    with h5py.File(path) as file:
        return name in file


def shows_after_poll(file, name):
    file.poll()
    return shows(file.path, name)


def test_readers_open_freely_while_it_is_written(file):
    file.merge(root(d=stream()))
    for index in range(3):
        file.append("/d", index, [np.array([float(index)])])
        file.commit()
        assert read_elsewhere(file.path, "/d") == [list(range(index + 1))]


def test_a_file_that_another_process_writes_is_refused(path):
    NexusFile.open(path).close()
    with held(path, "a") as pid, pytest.raises(FileLockedError, match=f"process {pid} .*close it"):
        NexusFile.open(path)
    NexusFile.open(path).close()


def test_another_process_cannot_append_while_it_is_written(file):
    code = "import sys, h5py; h5py.File(sys.argv[1], 'a')"
    done = run_python(code, file.path, check=False)
    # By the lock; where the writer took the permission off, that comes first, but not for root.
    assert "BlockingIOError" in done.stderr or "PermissionError" in done.stderr
    file.close()
    run_python(code, file.path)


def test_a_file_is_open_only_once_in_a_process(file):
    with pytest.raises(FileLockedError, match="this process"):
        NexusFile.open(file.path)


_CLAIM = """
import sys
from nexus_writer_service.errors import FileLockedError
from nexus_writer_service.hdf5.file import NexusFile
try:
    file = NexusFile.open(sys.argv[1])
except FileLockedError as error:
    print(error)
else:
    print("claimed", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_while_readers_are_not(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    assert "another NeXus writer is writing it" in run_python(_CLAIM, path).stdout
    assert run_python("import sys, h5py; h5py.File(sys.argv[1])", path).returncode == 0
    file.close()
    assert run_python(_CLAIM, path).stdout == "claimed\n"


def test_of_many_writers_that_start_at_once_one_gets_the_file(tmp_path):
    path = str(tmp_path / "file.h5")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _CLAIM, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    said = [writer.stdout.readline() for writer in writers if writer.stdout]
    assert said.count("claimed\n") == 1
    for writer in writers:
        writer.communicate()


def test_a_claim_ends_with_its_process(tmp_path):
    path = str(tmp_path / "file.h5")
    writer = subprocess.Popen(
        [sys.executable, "-c", _CLAIM, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "claimed\n"
    writer.kill()
    writer.communicate()
    NexusFile.open(path).close()
