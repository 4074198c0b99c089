"""Groups of an open file that are entered again and again."""

from collections.abc import Iterable
from typing import Any, Final

from h5py import h5g

_MOST_OPEN: Final = 64
"""Groups that are kept open; a scan enters some ten of them again and again."""


class KnownGroups:
    """Groups that merges have entered, open, with their NX_class.

    It saves most of the reading: a scan of a thousand channels enters the same few groups with each
    of them. Nobody else writes the file, and a group never gives way, so what was seen once holds.

    Args:
        root: low-level identifier of the root group of the file.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._groups: dict[str, tuple[Any, str]] = {}

    def get(self, path: str) -> tuple[Any, str] | None:
        """The group at ``path`` (low-level identifier) and its NX_class, if it is known."""
        known = self._groups.get(path)
        if known is not None and known[0] is None:
            known = self._groups[path] = h5g.open(self._root, path[1:].encode()), known[1]
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
        """Keep a group open, or open it later; all are let go when they have become many."""
        if len(self._groups) >= _MOST_OPEN:
            self._groups.clear()
        self._groups[path] = group, nx_class

    def close(self) -> None:
        """Let go of all groups."""
        self._groups.clear()
