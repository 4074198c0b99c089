"""Which file holds a scan, and which other files link to it.

Below the data policy of the ESRF a dataset has a file, and a collection and a proposal have master
files with links to all scans of their datasets. Scans can also have a file each; then the dataset's
file is one more master.
"""

import posixpath
from collections.abc import Sequence
from pathlib import PurePosixPath

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.layout.esrf.names import unique_name
from nexus_writer_service.model.description import ScanDescription
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.tree import ExternalLink, Group, Node

SCAN_FILE_STEM = "bliss_master"
"""Name of the file of one scan in the directory of its images."""


def dataset_file(scan: ScanDescription) -> str:
    """Absolute path of the dataset file.

    Raises:
        LayoutError: the scan has none, so it cannot be saved.
    """
    if scan.path is None or not posixpath.isabs(scan.path):
        raise LayoutError(
            f"scan {scan.name} cannot be saved, as its file path is {scan.path!r}: an absolute "
            "path is needed; check SCAN_SAVING in the BLISS session"
        )
    return posixpath.normpath(scan.path)


def scan_file(scan: ScanDescription) -> str:
    """Absolute path of the file that holds the entries.

    With separate files, it stands in the directory of the scan's images: the part of the images'
    path before the first component with a field of the template.

    Raises:
        LayoutError: the scan has no absolute path.
    """
    dataset = PurePosixPath(dataset_file(scan))
    if not scan.separate_files:
        return str(dataset)
    name = SCAN_FILE_STEM + dataset.suffix
    if not scan.images_path:
        return str(dataset.parent / f"scan{scan.number:04d}" / name)
    fixed: list[str] = []
    for part in PurePosixPath(scan.images_path).parts:
        if "{" in part:
            break
        fixed.append(part)
    return posixpath.normpath(dataset.parent.joinpath(*fixed, name))


def master_links(
    scan: ScanDescription, entries: Sequence[str], *, configurable: bool
) -> dict[str, Group]:
    """Links to the entries, by absolute path of the file that holds them.

    In the dataset's file they are named like the entry, in the files of collection and proposal
    ``<dataset>_<entry>``, also for scans in files of their own, which all have the same name. Where
    another dataset of that name came first, the link gets a number: none takes another's place.

    Args:
        scan: the scan.
        entries: names of its entries.
        configurable: whether the session's list of master files counts.
    """
    file, dataset = scan_file(scan), dataset_file(scan)
    files: dict[str, str] = {}
    if file != dataset:
        files[dataset] = ""
    masters = scan.master_files.items() if configurable else ()
    for kind, path in masters:
        prefix = "" if kind == "dataset" else PurePosixPath(dataset).stem + "_"
        master = posixpath.normpath(posixpath.join(posixpath.dirname(dataset), path))
        if master != file:
            files.setdefault(master, prefix)
    return {
        master: Group({prefix + name: _link(master, file, name) for name in entries})
        for master, prefix in files.items()
    }


def _link(master: str, file: str, entry: str) -> ExternalLink:
    path = posixpath.relpath(file, posixpath.dirname(master))
    return ExternalLink(path, f"/{entry}", makes_way=True)


class ReferenceLinks:
    """Links in a sequence's file to the entries of its scans that live in other files.

    They are named ``<dataset>_<entry>``, as in master files: a bare ``7.1`` would stand in the way
    of a scan 7 of this file. Remembers the names it gave, so that scans of different datasets of
    one name get different ones.
    """

    def __init__(self, file: str, entries: Sequence[str]) -> None:
        self._file = file
        self._given: dict[str, tuple[str, str]] = {name: (file, name) for name in entries}

    def links(self, scans: Sequence[ScanReference]) -> dict[str, Node]:
        """Links by name; none for scans that are not saved, or stand in this very file."""
        found: dict[str, Node] = {}
        for scan in scans:
            if scan.path is None:
                continue
            target = posixpath.normpath(scan.path)
            for entry in scan.entries or (f"{scan.number}.1",):
                if target != self._file:
                    found[self._name(target, entry)] = self._relative(target, entry)
        return found

    def _name(self, target: str, entry: str) -> str:
        for name, given in self._given.items():
            if given == (target, entry):
                return name
        name = unique_name(f"{PurePosixPath(target).stem}_{entry}", self._given)
        self._given[name] = (target, entry)
        return name

    def _relative(self, target: str, entry: str) -> ExternalLink:
        path = posixpath.relpath(target, posixpath.dirname(self._file))
        path = path if path.startswith(("./", "../")) else f"./{path}"
        return ExternalLink(path, f"/{entry}", makes_way=True)
