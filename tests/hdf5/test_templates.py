import tempfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support_hdf5 import root, stream
from tests.support_same_file import differences

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.templates import Templates, likeness
from nexus_writer_service.model.tree import Dataset, ExternalLink, Filters, Group, Node, SoftLink

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


@given(
    st.lists(GROUPS, min_size=1, max_size=4), st.lists(st.integers(0, 3), min_size=1, max_size=9)
)
@settings(max_examples=60)
def test_groups_made_alike_are_what_they_are_when_made_one_by_one(kinds, order):
    trees = [root(**{f"g{n}": kinds[kind % len(kinds)]}) for n, kind in enumerate(order)]
    with tempfile.TemporaryDirectory() as folder:
        at_once, one_by_one = f"{folder}/at_once.h5", f"{folder}/one_by_one.h5"
        file = NexusFile.open(at_once)
        told = [file.merge(tree) for tree in trees]
        file.close()
        for tree, problems in zip(trees, told, strict=True):
            file = NexusFile.open(one_by_one)  # which has no templates yet
            assert [text.replace("one_by_one", "at_once") for text in file.merge(tree)] == list(
                problems
            )
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


def test_a_file_holds_no_template(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))

    def open_groups():
        file.edit(lambda root: None)  # lets go of groups that are likely to be entered again
        return h5py.h5f.get_obj_count(file._file.h5.id, h5py.h5f.OBJ_GROUP)

    file.merge(root(instrument=channels(10, detector())))
    groups = open_groups()
    file.merge(root(other=channels(10, detector())))
    assert open_groups() == groups
    file.close()


def entry(number, *, motors=3, comment="none", more=None):
    """As a scan begins: values that differ from scan to scan, links that hold its name."""
    positions: dict[str, Node] = {
        f"m{n}": Dataset(float(number * n), {"units": "mm"}) for n in range(motors)
    }
    children: dict[str, Node] = {
        "title": Dataset(f"scan {number}"),
        "comment": Dataset(comment),
        "counts": Dataset(np.arange(3) + number),
        "labels": Dataset([f"label {number}", "é"]),
        "instrument": Group(
            {
                "positioners": Group(positions, {"NX_class": "NXcollection"}),
                "first": SoftLink(f"/{number}.1/instrument/positioners/m0"),
                "beside": SoftLink("positioners/m0"),
                "é": Dataset(number),
                **(more or {}),
            },
            {"NX_class": "NXinstrument"},
        ),
    }
    return root(**{f"{number}.1": Group(children, {"NX_class": "NXentry"})})


MORE = [
    {},
    {"link": ExternalLink("other.h5", "/x")},
    {"flag": Dataset(b"bytes")},
    {"text": Dataset("long " * 300)},
    {"inner": Group({"data": stream()}, {"odd": np.array(["t"], object)})},
]


@pytest.mark.parametrize("more", MORE, ids=["plain", "link", "bytes", "long", "inner"])
def test_an_entry_like_the_last_one_has_its_own_values_and_links(tmp_path, more):
    copied, made = str(tmp_path / "copied.h5"), str(tmp_path / "made.h5")
    templates = Templates()
    for number in range(1, 6):
        trees = [
            entry(number, more=more, comment="c" * (5 - number)),
            root(**{f"{number}.1": Group({"instrument": Group({"end": Dataset(number)})})}),
        ]
        file = NexusFile.open(copied, templates=templates)
        assert [file.merge(tree) for tree in trees] == [(), ()]
        file.close()
        for tree in trees:
            file = NexusFile.open(made)
            assert file.merge(tree) == ()
            file.close()
    assert differences(copied, made) == []


def test_templates_serve_more_kinds_than_they_keep(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))
    for motors in range(300):
        for name in "abc":
            kind = Group({f"k{motors}": Dataset(motors)})
            assert file.merge(root(**{f"{name}{motors}": kind})) == ()
    file.close()
    with h5py.File(tmp_path / "file.h5") as read:
        values = [read[f"{name}{n}/k{n}"][()] for n in range(300) for name in "abc"]
        assert values == [n for n in range(300) for _ in "abc"]


def test_a_template_that_cannot_be_copied_costs_nothing(tmp_path):
    path = str(tmp_path / "file.h5")
    file = NexusFile.open(path)
    file.merge(root(a=detector(), b=detector()))
    group = h5py.h5g.open(file._templates._file, b"/")
    for name in list(group):
        group.unlink(name)
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


def kind(node):
    like = likeness(node)
    assert like is not None
    return like.key


def test_only_what_can_be_copied_is_compared():
    assert likeness(Group({"x": ExternalLink("other.h5", "/x")})) is None
    assert likeness(Group({"x": SoftLink("/x")})) is None
    assert likeness(Group({}, {"NX_class": "NXdetector"})) is None
    assert likeness(Group({"x": Dataset(np.zeros(5000))})) is None
    assert likeness(Group({"x": Dataset(2**70)})) is None
    assert kind(Group({"x": Dataset(1)})) != kind(Group({"x": Dataset(1.0)}))
    assert kind(Group({"x": Dataset(1)})) == kind(Group({"x": Dataset(2)}))
    assert likeness(detector()) == likeness(detector())
    beside = Group({"in": detector(), "out": SoftLink("/x")})
    assert kind(beside) == kind(Group({"in": detector()}))
