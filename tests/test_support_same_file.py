"""The comparison of files tells every kind of difference."""

import h5py
import numpy as np
import pytest
from tests.support_same_file import differences

pytestmark = pytest.mark.nonconforming("trees that try the comparison, not NeXus")


def write(path, **changes):
    """A file; each change replaces what is there by that name."""
    things = {"value": 1.0, "unit": "mm", "soft": h5py.SoftLink("/d"), "gzip": 4, **changes}
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        group = file.create_group("g")
        fill, dtype = things.get("fill", 0), things.get("dtype", "f8")
        data = file.create_dataset(
            "d", (3,), dtype, maxshape=things.get("maxshape"), chunks=(2,), fillvalue=fill
        )
        data[...] = things["value"]
        data.attrs["units"] = things["unit"]
        file.create_dataset("z", data=np.zeros(9), chunks=(3,), compression=things["gzip"])
        layout = h5py.VirtualLayout((6,), "f8")
        layout[things.get("place", slice(3))] = h5py.VirtualSource(str(path), "d", (3,))
        file.create_virtual_dataset("v", layout)
        group["soft"] = things["soft"]
        file["date"] = things.get("date", "now")
        for name in things.get("more", ()):
            group.create_group(name)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "one" / "file.h5")


def test_files_in_two_folders_are_the_same_but_for_times(path, tmp_path):
    assert differences(path, write(tmp_path / "two" / "file.h5", date="later")) == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"value": 2.0}, "/d: "),
        ({"dtype": "f4"}, "/d: "),
        ({"fill": 5}, "/d: "),
        ({"maxshape": (None,)}, "/d: "),
        ({"unit": "µm"}, "/d@units: "),
        ({"unit": np.bytes_(b"mm")}, "/d@units: "),
        ({"gzip": 5}, "/z: "),
        ({"place": slice(3, 6)}, "/v: "),
        ({"soft": h5py.SoftLink("/z")}, "/g/soft: "),
        ({"soft": h5py.ExternalLink("x.h5", "/d")}, "/g/soft: "),
        ({"more": ("new",)}, "/g/new: nothing and "),
    ],
    ids=str,
)
def test_a_difference_is_told_with_its_place(path, tmp_path, changes, where):
    found = differences(path, write(tmp_path / "two" / "file.h5", **changes))
    assert any(one.startswith(where) for one in found)


def test_times_count_when_they_are_asked_for(path, tmp_path):
    other = write(tmp_path / "two" / "file.h5", date="later")
    found = differences(path, other, ignored=frozenset())
    assert [one.split(":")[0] for one in found] == ["/date"]
