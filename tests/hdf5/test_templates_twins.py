"""Groups that are nearly alike are not made as copies of each other."""

import h5py
import numpy as np
import pytest
from h5py import h5g
from tests.support_hdf5 import root, seen, stream
from tests.support_same_file import differences

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.templates import Likeness, Templates, likeness
from nexus_writer_service.model.tree import Dataset, Filters, Group, Node, SoftLink

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")

VALUES = {
    "value": (1, 2),
    "int float": (1, 1.0),
    "int bool": (1, True),
    "float bool": (1.0, True),
    "sign of zero": (0.0, -0.0),
    "numbers": (1.5, float("nan")),
    "complex": (1j, 1j + 0),
    "precision": (np.float32(1), np.float64(1)),
    "python or numpy": (1, np.int32(1)),
    "text": ("mm", "µm"),
    "text bytes": ("mm", b"mm"),
    "text list": ("mm", ["mm"]),
    "list": (["a", "b"], ["a", "c"]),
    "longer list": (["a"], ["a", "b"]),
    "list of numbers": ([1, 2], [1.0, 2.0]),
    "list of flags": ([1, 0], [True, False]),
    "nested list": ([[1, 2]], [[1], [2]]),
    "array": (np.arange(3), np.arange(1, 4)),
    "type": (np.zeros(4, "i4"), np.zeros(4, "f4")),
    "width": (np.zeros(4, "i4"), np.zeros(4, "i8")),
    "order of bytes": (np.zeros(4, "<i4"), np.zeros(4, ">i4")),
    "length": (np.zeros(4), np.zeros(5)),
    "longer": (np.arange(2.0), np.arange(40.0)),
    "shape": (np.zeros(4), np.zeros((2, 2))),
    "scalar": (np.float64(0), np.zeros(1)),
    "texts": (np.array(["a"], object), np.array([["a"]], object)),
}
TEXTS = {
    "texts": ("/a/b", "/a/c"),
    "longer text": ("a", "a" * 10_000),
    "no text": ("a", ""),
    "subclass": ("a", np.str_("b")),
}
STREAMS = {
    "type": (stream("f4"), stream("f8")),
    "order of bytes": (stream("<f4"), stream(">f4")),
    "sample": (stream(sample=(3,)), stream(sample=(4,))),
    "scan": (stream(scan=(2, 3)), stream(scan=(3, 2))),
    "chunks": (stream(chunks=(8,)), stream(chunks=(16,))),
    "filters": (stream(filters=Filters(gzip=1)), stream(filters=Filters(gzip=2))),
    "shuffle": (stream(filters=Filters(gzip=1)), stream(filters=Filters(gzip=1, shuffle=True))),
    "fill": (stream(fill=1), stream(fill=2)),
    "no fill": (stream(fill=0), stream()),
    "sign of fill": (stream(fill=0.0), stream(fill=-0.0)),
}


def named(pairs):
    return {"argvalues": list(pairs.values()), "ids": list(pairs)}


def both(make, pair):
    return tuple(map(make, pair))


def with_child(child):
    return Group({"data": child, "beside": Dataset("same")}, {"NX_class": "NXlog"})


def made_alike_and_one_by_one(folder, one, other):
    """Differences between groups made after each other and by writers that know no other group."""
    order = [one, one, one, other, other, other, one]
    trees = [root(**{f"g{number}": node}) for number, node in enumerate(order)]
    alike, alone = str(folder / "alike.h5"), str(folder / "alone.h5")
    with_templates = NexusFile.open(alike)
    assert [with_templates.merge(tree) for tree in trees] == [()] * len(order)
    with_templates.close()
    for tree in trees:
        file = NexusFile.open(alone)
        assert file.merge(tree) == ()
        file.close()
    return differences(alike, alone)


@pytest.mark.parametrize("pair", **named(VALUES))
def test_groups_whose_datasets_differ(tmp_path, pair):
    one, other = both(lambda value: with_child(Dataset(value)), pair)
    assert likeness(one) is not None
    assert made_alike_and_one_by_one(tmp_path, one, other) == []


@pytest.mark.parametrize("name", ["a", "target"])
@pytest.mark.parametrize("owner", ["group", "group within", "dataset", "text", "stream"])
@pytest.mark.parametrize("pair", **named(VALUES | TEXTS))
def test_groups_whose_attributes_differ(tmp_path, pair, owner, name):
    def make(value):
        attributes = {name: value, "b": "same", "long_name": "same"}
        match owner:
            case "group":
                return Group({"data": Dataset(1)}, attributes)
            case "group within":
                return with_child(Group({"data": Dataset(1)}, attributes))
            case "dataset":
                return with_child(Dataset(1, attributes))
            case "text":
                return with_child(Dataset("x", attributes))
            case _:
                return with_child(stream(attributes=attributes))

    assert made_alike_and_one_by_one(tmp_path, *both(make, pair)) == []


@pytest.mark.parametrize("pair", **named(STREAMS))
def test_groups_whose_streams_differ(tmp_path, pair):
    one, other = both(with_child, pair)
    assert likeness(one) is not None
    assert made_alike_and_one_by_one(tmp_path, one, other) == []


CHILDREN = {
    "link": (SoftLink("beside"), SoftLink("data")),
    "link or value": (SoftLink("beside"), Dataset("beside")),
    "stream or value": (stream(), Dataset(1.0)),
    "group or value": (Group({}, {"NX_class": "NXlog"}), Dataset(1.0)),
    "deeper": (Group({"a": Dataset(1)}), Group({"a": Group({"a": Dataset(1)})})),
    "name": (Group({"a": Dataset(1)}), Group({"b": Dataset(1)})),
    "more": (Group({"a": Dataset(1)}), Group({"a": Dataset(1), "b": Dataset(1)})),
}


@pytest.mark.parametrize("pair", **named(CHILDREN))
def test_groups_whose_children_differ(tmp_path, pair):
    assert made_alike_and_one_by_one(tmp_path, *both(with_child, pair)) == []


@pytest.mark.parametrize("values", [(1, 2, 3), ("1", "2", "3")], ids=["numbers", "texts"])
def test_groups_whose_values_are_swapped(tmp_path, values):
    def kind(*values):
        return Group({name: Dataset(value) for name, value in zip("abc", values, strict=True)})

    assert made_alike_and_one_by_one(tmp_path, kind(*values), kind(*reversed(values))) == []


@pytest.mark.parametrize("names", [("target", "long_name"), ("long_name", "target")])
def test_groups_whose_own_attributes_are_swapped(tmp_path, names):
    def make(*texts):
        attributes = dict(zip(names, texts, strict=True))
        within = Group({"x": Dataset(1, attributes)}, attributes)
        return Group({"data": stream(attributes=attributes), "g": within}, attributes)

    assert made_alike_and_one_by_one(tmp_path, make("a", "b"), make("b", "a")) == []


def test_groups_that_differ_in_their_targets_are_copies(tmp_path, monkeypatch):
    copied = []
    copy = Templates.copy

    def counted(*given):
        copied.append(copy(*given))
        return copied[-1]

    monkeypatch.setattr(Templates, "copy", counted)
    file = NexusFile.open(str(tmp_path / "file.h5"))
    for name in "abcd":
        data = stream(attributes={"target": f"/{name}/data", "units": "mm"})
        assert file.merge(root(**{name: Group({"data": data}, {"target": f"/{name}"})})) == ()
    file.close()
    assert copied == [False, False, True, True]


# ------------------------------------------------------------------------------------ what fails


def test_a_target_that_hdf5_refuses_costs_itself_also_where_all_else_is_copied(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))

    def kind(text):
        return Group({"data": stream(attributes={"target": text, "units": "mm"})})

    assert file.merge(root(a=kind("a"), b=kind("b"), c=kind("c"))) == ()
    (problem,) = file.merge(root(d=kind("zero \0 inside")))
    assert "/d/data@target" in problem
    assert file.merge(root(e=kind("e"))) == ()
    file.append("/d/data", 0, [np.arange(3.0)])
    file.close()
    with h5py.File(file.path) as read:
        assert read["d/data"][()].tolist() == [0, 1, 2]
        found = [dict(read[name]["data"].attrs) for name in "abcde"]
    assert found == [{"units": "mm", "target": "" if name == "d" else name} for name in "abcde"]


def test_a_value_that_hdf5_refuses_costs_itself_also_where_all_else_is_copied(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))

    def kind(text):
        children: dict[str, Node] = {
            "a": Dataset(1),
            "text": Dataset(text),
            "z": Dataset(3),
            "data": stream(),
        }
        return Group(children, {"NX_class": "NXlog"})

    assert file.merge(root(a=kind("a"), b=kind("b"), c=kind("c"))) == ()
    (problem,) = file.merge(root(d=kind("zero \0 inside")))
    assert "/d/text" in problem
    assert file.merge(root(e=kind("e"), f=kind("f"), g=kind("g"))) == ()
    for name in "cdeg":
        file.append(f"/{name}/data", 0, [np.full(3, ord(name), "f8")])
    file.close()
    with h5py.File(file.path) as read:
        assert sorted(read["d"]) == ["a", "data", "z"]
        for name in "cdeg":
            group = read[name]
            assert (group["a"][()], group["z"][()]) == (1, 3)
            assert group["data"][()].tolist() == [ord(name)] * 3
            assert group.attrs["NX_class"] == "NXlog"
        assert [read[name]["text"].asstr()[()] for name in "abcefg"] == list("abcefg")


def test_what_cannot_be_made_is_told_of_every_group_that_has_it(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))
    bad = Group({"type": Dataset("counter"), "data": stream(chunks=(4, 4))})
    problems = file.merge(root(a=bad, b=bad, c=bad, d=bad))
    assert [text.split(": ")[1].split(" ")[0] for text in problems] == [
        "/a/data",
        "/b/data",
        "/c/data",
        "/d/data",
    ]
    file.close()
    with h5py.File(file.path) as read:
        assert [list(read[name]) for name in "abcd"] == [["type"]] * 4


# --------------------------------------------------------------------------------- several files


def test_files_that_are_open_together_share_templates_and_nothing_else(tmp_path):
    templates = Templates()
    node = Group({"n": Dataset(0), "data": stream(chunks=(4,))}, {"NX_class": "NXlog"})
    names = ["one.h5", "two.h5", "three.h5"]
    first, second, third = (
        NexusFile.open(str(tmp_path / name), templates=templates) for name in names
    )
    first.merge(root(a=node, b=node))
    first.close()  # whose groups the templates were made from
    for number, file in enumerate((second, third), 2):
        value = Dataset(number)
        tree = root(a=Group({**node.children, "n": value}, node.attributes), b=node)
        assert file.merge(tree) == ()
    for start in (0, 5):
        for number, file in enumerate((second, third), 2):
            file.append("/a/data", start, [np.full(5, float(number))])
            file.commit()
    second.close()
    third.close()
    for number, name in enumerate(names[1:], 2):
        found = seen(str(tmp_path / name), "/a/n", "/b/n", "/a/data", "/b/data")
        assert found == [number, 0, [float(number)] * 10, []]


# --------------------------------------------------------------------------------------- limits


@pytest.fixture
def group(tmp_path):
    """A group (low-level identifier) with a group ``one`` in it."""
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["one/value"] = 1
        yield file.id


def test_kinds_that_were_made_once_are_forgotten_when_they_are_many(group):
    templates = Templates()
    assert not templates.wanted(Likeness(key="first"))
    for number in range(900):
        assert not templates.wanted(Likeness(key=number))
    assert templates.wanted(Likeness(key="first"))
    for number in range(900, 2000):
        assert not templates.wanted(Likeness(key=number))
    assert not templates.wanted(Likeness(key="first"))


def test_templates_are_kept_up_to_a_limit_and_then_made_anew(group):
    templates = Templates()
    most = 0
    for number in range(700):
        templates.made(group, "one", Likeness(key=number))
        if templates._file is not None:
            most = max(most, h5g.open(templates._file, b"/").get_num_objs())
    assert most == 256
    assert not templates.copy(group, "early", Likeness(key=0))
    assert templates.copy(group, "late", Likeness(key=699))
    assert h5py.File(group)["late/value"][()] == 1


def test_the_texts_of_a_table_are_compared_by_nothing():
    """Only their addresses could be, where other texts may stand by then."""
    table = np.array([("a", 1)], [("name", h5py.string_dtype()), ("number", "i4")])
    assert likeness(Group({"data": Dataset(1)}, {"table": table})) is None
    beside = likeness(with_child(Dataset(1, {"table": table})))
    assert beside is not None
    assert [name for _, name, _ in beside.rest] == ["data"]


def test_groups_of_more_than_a_thousand_children_have_no_template():
    def many(count):
        return Group({f"c{number}": Dataset(number) for number in range(count)})

    assert likeness(many(1000)) is not None
    assert likeness(many(1001)) is None
