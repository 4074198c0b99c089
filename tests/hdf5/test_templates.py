import tempfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support_hdf5 import root, stream
from tests.support_same_file import differences

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.templates import likeness
from nexus_writer_service.model.tree import Dataset, ExternalLink, Filters, Group, SoftLink

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

GZIP = stream("u4", (3,), chunks=(4, 3), filters=Filters(shuffle=True, gzip=4), fill=7)
GRID = stream("f4", scan=(2, 3), chunks=(2, 3), fill=float("nan"), attributes={"units": "é"})

SCALARS = [1, 1.0, True, 0.0, -0.0, float("nan"), "text", b"text", "", b"a\0b", 2**63, 1j]
TABLE = np.array([(1, b"x")], [("a", "i4"), ("b", "S2")])
ARRAYS = [np.float32(1), np.arange(3), np.arange(3.0), np.zeros((2, 0)), np.zeros(5000), TABLE]
VALUES = st.sampled_from([*SCALARS, *ARRAYS, ["a", "é"], [], np.array(["t"])])
ATTRIBUTES = st.dictionaries(st.sampled_from(["units", "NX_class", "é"]), VALUES, max_size=2)
LEAVES = st.one_of(
    st.builds(Dataset, VALUES, ATTRIBUTES),
    st.sampled_from([stream(), GZIP, GRID, stream("O"), SoftLink("data"), SoftLink("/x")]),
    st.just(ExternalLink("other.h5", "/x")),
)
GROUPS = st.recursive(
    st.builds(Group, st.dictionaries(st.sampled_from(["data", "type", "é"]), LEAVES), ATTRIBUTES),
    lambda below: st.builds(Group, st.dictionaries(st.sampled_from(["in", "beside"]), below)),
    max_leaves=3,
)


def channels(count, node):
    return Group({f"c{number:03}": node for number in range(count)}, {"NX_class": "NXinstrument"})


def detector(data=None):
    children = {"data": data or stream(), "type": Dataset("counter"), "value": SoftLink("data")}
    return Group(children, {"NX_class": "NXdetector"})


@given(st.lists(GROUPS, min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=9))
@settings(max_examples=60)
def test_groups_made_alike_are_what_they_are_when_made_one_by_one(kinds, order):
    trees = [root(**{f"g{n}": kinds[kind % len(kinds)]}) for n, kind in enumerate(order)]
    with tempfile.TemporaryDirectory() as folder:
        at_once, one_by_one = f"{folder}/at_once.h5", f"{folder}/one_by_one.h5"
        file = NexusFile.open(at_once)
        told = [file.merge(tree) for tree in trees]
        file.close()
        file = NexusFile.open(one_by_one)
        for tree, problems in zip(trees, told, strict=True):
            assert [text.replace("one_by_one", "at_once") for text in file.merge(tree)] == list(
                problems
            )
            file.commit()
        file.close()
        assert differences(at_once, one_by_one) == []


@pytest.mark.parametrize("data", [stream(), GZIP], ids=["plain", "gzip"])
def test_points_go_into_each_of_many_groups_that_are_alike(tmp_path, data):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    tree = root(instrument=channels(20, detector(data)))
    points: dict[int, list[np.ndarray]] = {}
    for round_number in range(3):
        assert file.merge(tree) == ()  # from the second one on all is there
        for number in range(20):
            start = 5 * round_number
            batch = np.full((5, *data.sample), 100 * number + round_number, data.dtype)
            file.append(f"/instrument/c{number:03}/data", start, [batch])
            points.setdefault(number, []).append(batch)
        file.commit()
    file.close()
    with h5py.File(path) as read:
        for number, batches in points.items():
            group = read[f"instrument/c{number:03}"]
            np.testing.assert_array_equal(group["value"][()], np.concatenate(batches))
            assert group["type"].asstr()[()] == "counter"


def test_points_of_a_scan_do_not_get_into_the_groups_of_the_next_one(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    for scan in range(4):
        file.merge(root(**{f"{scan}.1": channels(3, detector())}))
        file.append(f"/{scan}.1/c001/data", 0, [np.full(scan, 1.0)])
    file.commit()
    file.close()
    with h5py.File(path) as read:
        lengths = [len(read[f"{scan}.1/c001/data"]) for scan in range(4)]
        assert lengths == [0, 1, 2, 3]
        assert [len(read[f"{scan}.1/c002/data"]) for scan in range(4)] == [0, 0, 0, 0]


def test_what_is_committed_holds_no_template(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    file.merge(root(instrument=channels(10, detector())))
    file.commit()
    count = h5py.h5f.get_obj_count(file._file.h5.id, h5py.h5f.OBJ_GROUP)
    file.merge(root(other=channels(10, detector())))
    assert h5py.h5f.get_obj_count(file._file.h5.id, h5py.h5f.OBJ_GROUP) == count + 1
    file.commit()
    assert h5py.h5f.get_obj_count(file._file.h5.id, h5py.h5f.OBJ_GROUP) == count
    file.close()


def test_copies_take_less_room_than_groups_that_are_made(tmp_path):
    sizes = []
    for commit in (False, True):
        path = tmp_path / f"{commit}.h5"
        file = NexusFile.open(str(path))
        for number in range(200):
            file.merge(root(**{f"c{number:03}": detector()}))
            if commit:
                file.commit()
        file.close()
        sizes.append(path.stat().st_size)
    assert sizes[0] <= sizes[1]


def test_a_template_that_cannot_be_copied_costs_nothing(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    file.merge(root(a=detector(), b=detector()))
    holder = file._templates._holder
    for name in list(holder):
        holder.unlink(name)
    assert file.merge(root(c=detector(), d=detector(), e=detector())) == ()
    file.append("/c/data", 0, [np.arange(3.0)])
    file.close()
    with h5py.File(path) as read:
        assert sorted(read) == ["a", "b", "c", "d", "e"]
        assert read["c/data"][()].tolist() == [0, 1, 2]
        assert read["e/type"].asstr()[()] == "counter"


def test_a_group_with_a_problem_is_no_template(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))
    bad = Group({"type": Dataset("counter"), "a/b": Dataset(1)})
    problems = file.merge(root(a=bad, b=bad, c=bad))
    assert [text.split(": ")[1] for text in problems] == ["/a/a/b", "/b/a/b", "/c/a/b"]
    file.close()


def test_groups_of_groups_and_of_images_are_not_compared():
    assert likeness(Group({"in": detector()})) is None
    assert likeness(Group({"x": ExternalLink("other.h5", "/x")})) is None
    assert likeness(Group({}, {"NX_class": "NXdetector"})) is None
    assert likeness(Group({"x": Dataset(np.zeros(5000))})) is None
    assert likeness(detector()) == likeness(detector())
