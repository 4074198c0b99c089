"""Every NeXus file that a test leaves in its folder passes the conformance gate."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

SUFFIXES = (".h5", ".hdf5", ".hdf", ".nx", ".nxs")


def check_files_of(request: pytest.FixtureRequest) -> Iterator[None]:
    """Body of an autouse fixture: after the test, the gate over the files below its ``tmp_path``.

    Links into other files must resolve. A test whose files are not meant to pass says so by
    ``@pytest.mark.nonconforming("reason")``.
    """
    if "tmp_path" not in request.fixturenames:
        yield
        return
    folder = request.getfixturevalue("tmp_path")  # set up before, so torn down after the check
    marker = request.node.get_closest_marker("nonconforming")
    assert marker is None or marker.args, "nonconforming wants a reason"
    yield
    if marker is None:
        findings = findings_below(folder)
        assert not findings, "files left by the test do not conform:\n" + "\n".join(findings)


def findings_below(folder: Path) -> list[str]:
    """What the gate says of the NeXus files in a folder and below."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES]
    files = [path for path in files if path.is_file() and is_nexus(path)]
    if not files:
        return []
    # Here, because it takes a quarter of a second to import, and most tests leave no file.
    from nexus_writer_service.testing.conformance import check_file  # noqa: PLC0415

    return [f"{path.relative_to(folder)}::{one}" for path in files for one in check_file(path)]


def is_nexus(path: Path) -> bool:
    """Whether a file means to be NeXus, unlike a detector's frames; a file that is broken does."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            classes = [file.attrs.get("NX_class")]
            classes += [
                file[name].attrs.get("NX_class")
                for name in file
                if isinstance(file.get(name, getlink=True), h5py.HardLink)
            ]
    except OSError:
        return True
    return classes[0] in ("NXroot", b"NXroot") or any(
        one in ("NXentry", b"NXentry") for one in classes
    )
