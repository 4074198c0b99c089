"""Of all that want to write a file one does, and when it dies the next one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import h5py
import pytest
from tests.support_hdf5 import read_elsewhere

from nexus_writer_service.errors import FileLockedError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.journal import journal_path
from nexus_writer_service.model.tree import Dataset, Group

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

WRITERS = 8

_WRITER = """
import sys
from nexus_writer_service.errors import FileLockedError
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import Dataset, Group
path, name = sys.argv[1:]
print("ready", flush=True)
for line in sys.stdin:
    try:
        file = NexusFile.open(path)
    except FileLockedError as error:
        print("refused:", error, flush=True)
        continue
    file.merge(Group({name: Dataset(int(name[1:]))}))
    file.commit()
    print("writes", flush=True)
"""

_READER = """
import sys, h5py
file = h5py.File(sys.argv[1])
print("inside", flush=True)
for line in sys.stdin:
    print(sorted(file), flush=True)
"""


class Program:
    """A process that answers each line with one."""

    def __init__(self, code: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> None:
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def programs(*commands: tuple[str, ...]) -> Iterator[list[Program]]:
    started = [Program(*command) for command in commands]
    try:
        for program in started:
            assert program.answer() in ("ready", "inside")
        yield started
    finally:
        for program in started:
            program.kill()


@pytest.mark.parametrize("reader_inside", [False, True])
def test_of_eight_writers_one_writes_and_each_death_makes_way_for_the_next(tmp_path, reader_inside):
    path = str(tmp_path / "file.h5")
    first = NexusFile.open(path)
    first.merge(Group({"w": Dataset(99)}))
    first.close()
    readers = [(_READER, path)] if reader_inside else []
    writers = [(_WRITER, path, f"w{number}") for number in range(WRITERS)]
    with programs(*readers) as inside, programs(*writers) as left:
        while left:
            for writer in left:  # all at once
                writer.ask()
            said = [writer.answer() for writer in left]
            assert said.count("writes") == 1
            assert sum(text.startswith("refused: ") for text in said) == len(left) - 1
            assert all("another NeXus writer" in text for text in said if text != "writes")
            left.pop(said.index("writes")).kill()
        for reader in inside:
            reader.ask()
            assert "'w'" in reader.answer()
    NexusFile.open(path).close()
    with h5py.File(path) as file:
        names = sorted(file)
    assert names == ["w", *(f"w{number}" for number in range(WRITERS))]
    assert read_elsewhere(path, *names) == [99, *range(WRITERS)]


@pytest.mark.parametrize("how", ["hard link", "renamed"])
def test_a_file_has_one_writer_whatever_its_name(tmp_path, how):
    path, other = str(tmp_path / "file.h5"), str(tmp_path / "other.h5")
    first = NexusFile.open(path)
    first.merge(Group({"7.1": Group()}))
    first.commit()
    if how == "renamed":
        os.rename(path, other)
    else:
        os.link(path, other)
    with pytest.raises(FileLockedError, match="under another name"):
        NexusFile.open(other)
    assert not os.path.exists(journal_path(other))
    first.merge(Group({"7.2": Group()}))
    first.close()
    second = NexusFile.open(other)
    assert second.groups() == ("7.1", "7.2")
    second.close()
