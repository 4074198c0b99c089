"""What writers leave behind: entries with notes, journals, programs that die while they write."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tests.support_hdf5 import run_python, stream

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.writer_note import NOTE, writer_note
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.tree import Dataset, Group, merged
from nexus_writer_service.model.verdict import Outcome, Verdict

DATE = "2026-11-20T18:56:33.936586+01:00"
POINTS = 10
LATE_POINTS = 7
"""Those of the last commit, which a writer that is killed leaves in the journal."""


def entry_tree(scan: str, verdict: Verdict | None = None, source: str = "") -> Group:
    """An NXentry as a writer of ours begins it; running unless a verdict is given."""
    note = writer_note(ScanKey(scan), verdict or Verdict(Outcome.RUNNING), source)
    return Group(
        {
            "title": Dataset("ascan robx 0 1 9 0.1"),
            "start_time": Dataset(DATE),
            "data": Group({"x": stream()}, {"NX_class": "NXcollection"}),
            NOTE: merged(note, Group({"date": Dataset(DATE)})),
        },
        {"NX_class": "NXentry"},
    )


def begin(path: Any, **scans: str) -> NexusFile:
    """A file with entries (their numbers without the dot) of running scans; committed."""
    file = NexusFile.open(str(path))
    file.merge(Group({}, {"NX_class": "NXroot"}))
    for name, scan in scans.items():
        file.merge(Group({entry_name(name): entry_tree(scan)}))
        append(file, name, 0, POINTS)
    file.commit()
    return file


def entry_name(name: str) -> str:
    return f"{name[1:]}.1"


def append(file: NexusFile, name: str, start: int, stop: int) -> None:
    file.append(f"/{entry_name(name)}/data/x", start, [np.arange(start, stop, dtype="f8")])


_DIE = """
import os, signal, sys
from tests.support_left import POINTS, LATE_POINTS, append, begin
path, scans = sys.argv[1], dict(one.split("=") for one in sys.argv[2:])
file = begin(path, **scans)
os.open(path, os.O_RDONLY)  # a reader: the next commit stays in the journal
for name in scans:
    append(file, name, POINTS, POINTS + LATE_POINTS)
file.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


def left_by_a_killed_writer(path: Path, **scans: str) -> Path:
    """A file whose writer was killed, with the last commit in its journal."""
    done = run_python(_DIE, str(path), *map("=".join, scans.items()), check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert journal(path).exists()
    return path


def journal(path: Path) -> Path:
    return path.with_name(f".{path.name}.nxj")


_WRITE = """
import sys
from tests.support_left import begin
file = begin(sys.argv[1], e1="scan:1")
print("writing", flush=True)
sys.stdin.read()
file.close()
"""


def writer_of(path: Path) -> subprocess.Popen[str]:
    """A process that writes a file, for as long as its standard input is open."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process
