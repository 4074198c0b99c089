"""The program that reads all of a file, for ``inspect``: a damaged file can hang or kill HDF5.

It writes to its standard output, a JSON list a line, so that the parent knows how far it is:
``["at", path]`` before an object is touched, ``["on"]`` while it is read, ``[kind, path, text]``
for each trouble, ``["entry", name, note]`` for each NXentry; at last ``["end", objects, bytes]``,
or ``["refused", text]`` when the file cannot be opened.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import h5py
import hdf5plugin  # noqa: F401 - registers filters, without which data cannot be read
import numpy as np
from h5py import h5o

from nexus_writer_service.hdf5.failures import FAILURES, cause, file_error
from nexus_writer_service.hdf5.references import broken_link, missing_sources
from nexus_writer_service.layout.writer_note import DATA

Kind = Literal["unreadable", "unresolved"]
Tell = Callable[..., None]

_FAILURES: Final = (*FAILURES, MemoryError, AttributeError)
_MOST_BYTES: Final = 16 << 20
"""Read at a time, unless one chunk is larger."""
_MOST_TEXTS: Final = 1 << 14
"""Of variable length, read at a time."""
_LOOKS: Final = 3
"""A file that is being written may be read at a bad moment: what fails is looked at again."""


class Inspector:
    """Reads objects and tells what is wrong with them.

    Args:
        tell: takes the lines.
        values: whether to read the values of datasets as well.
    """

    def __init__(self, tell: Tell, *, values: bool) -> None:
        self._tell = tell
        self._values = values
        self._seen: set[int] = set()
        self.troubles: list[tuple[Kind, str, str]] = []
        """What is wrong: in which way, where, and what."""
        self.nbytes = 0
        """Bytes of values that were read."""

    @property
    def objects(self) -> int:
        """Objects that were read."""
        return len(self._seen)

    def read(self, file: h5py.File, path: str) -> None:
        """Read the object or link at a path, and all that is below."""
        waiting = [path]
        while waiting:
            place = waiting.pop()
            self._tell("at", place)
            try:
                waiting += reversed(self._members(file, place))
            except _FAILURES as error:
                self.troubles.append(("unreadable", place, cause(error)))

    def _members(self, file: h5py.File, path: str) -> list[str]:
        """Read one object, without what is below it; returns that."""
        above, _, name = path.rpartition("/")
        if name:
            group = file[above or "/"]
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                if problem := broken_link(group, name):
                    self.troubles.append(("unresolved", path, problem))
                return []
        item = file[path]
        address = h5o.get_info(item.id).addr
        if address in self._seen:
            return []
        self._seen.add(address)
        self._read_attributes(item, path)
        if isinstance(item, h5py.Dataset):
            self._read_dataset(item, path)
        if not isinstance(item, h5py.Group):
            return []
        return [f"{path.rstrip('/')}/{one}" for one in sorted(item)]

    def _read_attributes(self, item: Any, path: str) -> None:
        for name in item.attrs:
            try:
                item.attrs[name]
            except TypeError:
                continue  # of a type that Python does not know
            except _FAILURES as error:
                self.troubles.append(("unreadable", path, f"attribute {name}: {cause(error)}"))

    def _read_dataset(self, dataset: h5py.Dataset, path: str) -> None:
        try:
            dtype = dataset.dtype
        except TypeError:
            return
        if dataset.is_virtual or dataset.external:
            self.troubles += [("unresolved", path, text) for text in missing_sources(dataset)]
        elif self._values and dataset.shape in (None, ()):
            dataset[()]
        elif self._values and dataset.size and dataset.id.get_storage_size():
            most = _MOST_TEXTS if dtype.hasobject else max(1, _MOST_BYTES // dtype.itemsize)
            for block in blocks(dataset.shape, dataset.chunks, most):
                self.nbytes += np.asarray(dataset[block]).nbytes
                self._tell("on")


def blocks(
    shape: tuple[int, ...], chunks: tuple[int, ...] | None, most: int
) -> Iterator[tuple[slice, ...]]:
    """Blocks that cover a dataset, each chunk in one of them.

    Args:
        shape: of the dataset, without zeros.
        chunks: shape of its chunks, None when it has none.
        most: values in a block, if a chunk is not larger.
    """
    block = [min(pair) for pair in zip(shape, chunks or (1,) * len(shape), strict=True)]
    for axis in reversed(range(len(shape))):
        times = max(1, most // math.prod(block))
        block[axis] = min(shape[axis], block[axis] * times)
    counts = [-(-length // size) for length, size in zip(shape, block, strict=True)]
    for index in np.ndindex(*counts):
        yield tuple(
            slice(number * size, (number + 1) * size)
            for number, size in zip(index, block, strict=True)
        )


def inspect_file(path: str, tell: Tell, *, values: bool) -> None:
    """Read a file and tell what is in it and what is wrong with it."""
    first = looker = Inspector(tell, values=values)
    again = ["/"]
    for _ in range(_LOOKS):
        with h5py.File(path, "r", locking=False) as file:
            for place in again:
                looker.read(file, place)
            tell_entries(file, tell)
        troubles = looker.troubles
        if not troubles:
            break
        again = list(dict.fromkeys(place for _, place, _ in troubles))
        looker = Inspector(tell, values=values)
    for trouble in troubles:
        tell(*trouble)
    tell("end", first.objects, first.nbytes)


def tell_entries(file: h5py.File, tell: Tell) -> None:
    """Tell of each NXentry, and the writer's note in it if there is one that can be read."""
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        try:
            entry = file[name]
            if entry.attrs.get("NX_class") not in ("NXentry", b"NXentry"):
                continue
            found = entry[DATA][()] if DATA in entry else None
        except _FAILURES:
            continue  # told already
        note = found.decode("utf-8", "replace") if isinstance(found, bytes) else None
        tell("entry", name, note)


def main() -> None:
    """Arguments: path, and "values" or "structure"."""
    path, depth = sys.argv[1:]

    def tell(*words: str | int | None) -> None:
        sys.stdout.write(json.dumps(words) + "\n")
        sys.stdout.flush()

    try:
        inspect_file(path, tell, values=depth == "values")
    except _FAILURES as error:
        tell("refused", str(file_error(error, path, "read")))


if __name__ == "__main__":
    main()
