"""Trees to write, and reading back by another process as any user would."""

import json
import os
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


def run_python(code: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with HDF5's default locking."""
    environment = {
        name: value for name, value in os.environ.items() if name != "HDF5_USE_FILE_LOCKING"
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


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
