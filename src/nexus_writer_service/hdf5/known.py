"""Groups and datasets of an open file that are written again and again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from h5py import h5g

from nexus_writer_service.hdf5.values import Array
from nexus_writer_service.model.description import Shape
from nexus_writer_service.model.tree import Dataset

_MOST_OPEN: Final = 64
"""Groups that are kept open; a scan enters some ten of them again and again."""
_MOST_DATASETS: Final = 1024
_LONGEST: Final = 1024
"""Characters of a text above which it is not remembered."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What a dataset holds that was made here."""

    dtype: np.dtype[Any]
    shape: Shape
    text: str | None


class Known:
    """What merges have met in an open file: groups, open, and what datasets of theirs are like.

    It saves most of the reading: a scan of a thousand channels enters the same few groups with each
    of them. Nobody else writes the file, and a group never gives way, so what was seen once holds.

    Args:
        root: low-level identifier of the root group of the file.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._groups: dict[str, tuple[Any, str]] = {}
        """Those that were entered last are last."""
        self._datasets: dict[str, _Held] = {}

    def get(self, path: str) -> tuple[Any, str] | None:
        """The group at ``path`` (low-level identifier) and its NX_class, if it is known."""
        known = self._groups.get(path)
        if known is None:
            return None
        if known[0] is None:
            known = h5g.open(self._root, path[1:].encode()), known[1]
        del self._groups[path]
        self._groups[path] = known
        return known

    def expect(self, path: str, groups: Iterable[tuple[str, str]]) -> None:
        """Know groups that were made a moment ago, to be opened when they are entered.

        Args:
            path: of the outermost one.
            groups: path below that one (empty for itself) and NX_class of each.
        """
        for below, nx_class in groups:
            self.add(f"{path}/{below}" if below else path, None, nx_class)

    def add(self, path: str, group: Any, nx_class: str) -> None:
        """Keep a group open, or open it later; the one that was not entered for longest goes."""
        if len(self._groups) >= _MOST_OPEN:
            del self._groups[next(iter(self._groups))]
        self._groups[path] = group, nx_class

    def close(self) -> None:
        """Let go of all groups and datasets."""
        self._groups.clear()
        self._datasets.clear()

    def put(self, path: str, node: Dataset, array: Array) -> None:
        """A dataset was made here, or given a value in its place.

        Args:
            path: of the dataset.
            node: what it was made from.
            array: its value.
        """
        if len(self._datasets) >= _MOST_DATASETS:
            self._datasets.clear()
        value = node.value
        text = value if type(value) is str and len(value) <= _LONGEST else None
        self._datasets[path] = _Held(array.dtype, array.shape, text)

    def has(self, path: str, node: Dataset) -> bool:
        """Whether the dataset at ``path`` is known to be as a node would make it: a text."""
        known = self._datasets.get(path)
        if known is None or known.text is None or node.attributes:
            return False
        return type(node.value) is str and node.value == known.text

    def __contains__(self, path: str) -> bool:
        """Whether there is known to be a dataset at ``path``."""
        return path in self._datasets

    def takes(self, path: str, array: Array) -> bool:
        """Whether the dataset at ``path`` is known to take a value in its place."""
        known = self._datasets.get(path)
        return known is not None and (known.dtype, known.shape) == (array.dtype, array.shape)

    def forget(self, path: str) -> None:
        """Something else takes the place of a dataset."""
        self._datasets.pop(path, None)
