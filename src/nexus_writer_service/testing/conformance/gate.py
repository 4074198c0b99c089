"""The gate itself: all rules over one file."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from nexus_writer_service.testing.conformance import links, nxdl, plots, values
from nexus_writer_service.testing.conformance.finding import Finding
from nexus_writer_service.testing.conformance.walk import Members, groups


def check_file(path: str | Path, *, allow_missing_files: bool = False) -> list[Finding]:
    """Everything in a file that is not as NeXus wants it, sorted by path; empty for a good file.

    The file is opened for reading and without locking, so it may be in the middle of being
    written. Files that it refers to are opened in the same way; groups in them are not checked.
    Not to be called in two threads at a time.

    Args:
        path: the file.
        allow_missing_files: other files that it refers to may be away, e.g. the detector's.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = {
                finding
                for members in groups(file)
                for finding in _judge(members, allow_missing_files=allow_missing_files)
            }
    except OSError as error:
        return [Finding("/", "file", f"cannot be read as HDF5: {error}")]
    return sorted(found)


def _judge(members: Members, *, allow_missing_files: bool) -> Iterator[Finding]:
    yield from values.judge_names(members)
    yield from values.judge_class(members)
    yield from values.judge_units(members)
    yield from links.judge_links(members, allow_missing_files=allow_missing_files)
    yield from plots.judge_default(members)
    if members.nx_class not in nxdl.classes():
        return
    if members.nx_class == "NXdata":
        yield from plots.judge_data(members)
    texts = list(values.judge_texts(members))
    yield from texts
    prefix = len(members.path_of(""))
    yield from nxdl.judge_group(members, frozenset(finding.path[prefix:] for finding in texts))
