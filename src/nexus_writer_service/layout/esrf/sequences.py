"""The record of a sequence, or of a group of scans, in its own entry.

The reference writer links scans of other files in the root and keeps no list: nobody can tell from
the file which scans a sequence has. Here its entry has a collection ``scans`` with a link to each
entry of them, and at the end ``scan_numbers``, the numbers of all its scans in their order.
"""

import posixpath
from collections.abc import Mapping, Sequence

import numpy as np

from nexus_writer_service.layout.esrf.names import unique_name
from nexus_writer_service.layout.esrf.structure import collection
from nexus_writer_service.layout.esrf.structure import entry as nxentry
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.tree import Dataset, Group, Node, SoftLink

RECORD = "scans"
"""Name of the collection in the entry."""
NUMBERS = "scan_numbers"


class SequenceRecord:
    """The scans that an entry refers to.

    Args:
        entry: name of the one of the sequence.
        file: absolute path of its file.
        taken: names in the entry that the record cannot have.
    """

    def __init__(self, entry: str, file: str, taken: frozenset[str]) -> None:
        self.name = unique_name(RECORD, taken)
        """Name in the entry."""
        self._entry = entry
        self._file = file
        self._numbers: list[int] = []

    def add(self, scans: Sequence[ScanReference], elsewhere: Mapping[str, Node]) -> Group:
        """Take note of scans.

        Args:
            scans: the next ones of the sequence; those that are not saved have no link.
            elsewhere: links to those of them that stand in other files, by name.
        """
        self._numbers += [scan.number for scan in scans]
        here = {
            entry: SoftLink(f"/{entry}")
            for scan in scans
            if scan.path is not None and posixpath.normpath(scan.path) == self._file
            for entry in scan.entries or (f"{scan.number}.1",)
            if entry != self._entry
        }
        return self._root({**elsewhere, **here})

    def finish(self) -> Group:
        """The order of the scans; nothing for a scan that has none."""
        if not self._numbers:
            return Group()
        return self._root({NUMBERS: Dataset(np.array(self._numbers, np.int64))})

    def _root(self, children: Mapping[str, Node]) -> Group:
        if not children:
            return Group()
        return Group({self._entry: nxentry({self.name: collection(children)})})
