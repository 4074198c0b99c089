"""Trees to write, and reading back by another process as any user would."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import h5py
import numpy as np

from nexus_writer_service.model.description import ChannelName, ImageFiles
from nexus_writer_service.model.tree import Group, ImageStack, Node, StreamDataset, at


def stream(dtype: Any = "f8", sample=(), **options) -> StreamDataset:
    return StreamDataset(ChannelName("channel"), np.dtype(dtype), sample, **options)


def stack(files: ImageFiles, dtype: Any = "u2", sample=(3, 4), **options) -> ImageStack:
    return ImageStack(ChannelName("images"), np.dtype(dtype), sample, files, **options)


def root(**children: Node) -> Group:
    return Group(children)


def entry(node: Node, name: str = "data") -> Group:
    """A root group with ``node`` in an NXentry."""
    classes = {"/": "NXroot", "/1.1": "NXentry"}
    return at(f"/1.1/{name}", node, classes)


def run_python(
    code: str, *arguments: str, check: bool = True, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with HDF5's default locking.

    When it takes too long, processes that it made end with it.
    """
    environment = {
        name: value for name, value in os.environ.items() if name != "HDF5_USE_FILE_LOCKING"
    }
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        process_group=0,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if check and process.returncode:
        raise AssertionError(f"exit code {process.returncode}\n{stdout}\n{stderr}")
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


_READ = """
import sys, json, h5py
with h5py.File(sys.argv[1]) as file:
    print(json.dumps([file[path][()].tolist() for path in sys.argv[2:]], default=bytes.decode))
"""


def read_elsewhere(path: str, *datasets: str) -> list[Any]:
    """Values of datasets as a plain h5py.File(path) in another process reads them now."""
    values: list[Any] = json.loads(run_python(_READ, path, *datasets).stdout)
    return values


def seen(path: str, *datasets: str) -> list[Any]:
    """As ``read_elsewhere``, but read by this process, which costs less."""
    with h5py.File(path) as file:
        return [file[name][()].tolist() for name in datasets]
