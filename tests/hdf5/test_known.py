"""Groups that are entered again and again: what is remembered of them holds."""

import h5py
import numpy as np
import pytest
from tests.support_hdf5 import root, seen, stream

from nexus_writer_service.hdf5.failures import FAILURES
from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.known import Known
from nexus_writer_service.hdf5.values import write_all
from nexus_writer_service.model.tree import Dataset, Group, Instead, SoftLink, VirtualDataset

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


@pytest.fixture
def h5file(tmp_path):
    with h5py.File(tmp_path / "known.h5", "w") as file:
        yield file


@pytest.fixture
def known(h5file):
    known = Known(h5file.id)
    yield known
    known.close()


def open_groups(file):
    return h5py.h5f.get_obj_count(file.id, h5py.h5f.OBJ_GROUP)


def name_of(known, path):
    group, nx_class = known.get(path)
    return h5py.h5i.get_name(group), nx_class


def test_groups_that_are_expected_are_opened_when_they_are_entered_and_once(known, h5file):
    h5file.create_group("1.1/instrument/diode")
    before = open_groups(h5file)
    below = [("", "NXentry"), ("instrument", "NXinstrument"), ("instrument/diode", "NXdetector")]
    known.expect("/1.1", below)
    assert open_groups(h5file) == before
    assert name_of(known, "/1.1") == (b"/1.1", "NXentry")
    assert name_of(known, "/1.1/instrument/diode") == (b"/1.1/instrument/diode", "NXdetector")
    assert open_groups(h5file) == before + 2
    assert known.get("/1.1/instrument/diode")[0] is known.get("/1.1/instrument/diode")[0]
    assert known.get("/1.1/") is known.get("/2.1") is known.get("/1.1/diode") is None


def test_a_group_that_was_expected_and_is_not_there_is_opened_once_it_is(known, h5file):
    known.expect("/1.1", [("", "NXentry")])
    with pytest.raises(FAILURES):
        known.get("/1.1")
    h5file.create_group("1.1")
    assert name_of(known, "/1.1") == (b"/1.1", "NXentry")


def test_at_most_64_groups_are_open_of_which_the_newest_are_known(known, h5file):
    paths = [f"/g{number}" for number in range(200)]
    before = open_groups(h5file)
    for path in paths:
        h5file.create_group(path)
        known.expect(path, [("", "NXlog")])
        assert known.get(path)[1] == "NXlog"
        assert open_groups(h5file) <= before + 64
    assert known.get(paths[0]) is None
    assert [name_of(known, path) for path in paths[-5:]] == [
        (path.encode(), "NXlog") for path in paths[-5:]
    ]


# --------------------------------------------------------------------------------- in merged files


def scan(value):
    """As a scan begins: the third of its kind is a copy, whose groups are expected."""
    diode = Group({"data": stream(), "gain": Dataset(value)}, {"NX_class": "NXdetector"})
    instrument = Group({"diode": diode}, {"NX_class": "NXinstrument"})
    return Group({"title": Dataset("x"), "instrument": instrument}, {"NX_class": "NXentry"})


def below(path, node):
    for name in reversed(path.strip("/").split("/")):
        node = Group({name: node})
    return node


@pytest.fixture
def copied(file):
    """A file whose third entry is a copy."""
    assert file.merge(root(a=scan(1), b=scan(2), c=scan(3))) == ()
    return file


def test_the_groups_of_a_copy_are_expected_with_their_class(copied):
    for path, nx_class in [("/c", "NXentry"), ("/c/instrument", "NXinstrument")]:
        assert name_of(copied._known, path) == (path.encode(), nx_class)
    assert copied.merge(below("/c/instrument/diode", Group({"x": Dataset(1)}))) == ()
    copied.close()
    assert seen(copied.path, "/c/instrument/diode/x", "/c/instrument/diode/gain") == [1, 3]


@pytest.mark.parametrize("path", ["/c", "/c/instrument", "/c/instrument/diode"])
def test_a_group_of_another_class_does_not_get_into_a_copy(copied, path):
    other = Group({"x": Dataset(1)}, {"NX_class": "NXother"})
    (problem,) = copied.merge(below(path, other))
    assert path in problem
    assert "NXother" in problem
    copied.close()
    with h5py.File(copied.path) as reader:
        assert "x" not in reader[path]


@pytest.mark.parametrize("entered", [False, True], ids=["expected", "entered"])
@pytest.mark.parametrize("path", ["/c", "/c/instrument", "/c/instrument/diode"])
def test_what_stands_instead_of_an_expected_group_is_what_is_entered(copied, path, entered):
    if entered:
        assert copied.merge(below("/c/instrument/diode", Group({"x": Dataset(1)}))) == ()
    assert copied.merge(below(path, Instead(None))) == ()
    assert not copied.has(path)
    new = below("/c/instrument/diode", Group({"y": Dataset(2), "data": stream()}))
    assert copied.merge(new) == ()
    assert copied.merge(below("/c/instrument/diode", Group({"z": Dataset(3)}))) == ()
    copied.append("/c/instrument/diode/data", 0, [np.arange(3.0)])
    other = Group({"new": Dataset(4)}, {"NX_class": "NXlog"})
    assert copied.merge(below(path, Instead(other))) == ()
    assert copied.merge(below(path, Group({"newer": Dataset(5)}))) == ()
    copied.close()
    with h5py.File(copied.path) as reader:
        assert sorted(reader[path]) == ["new", "newer"]
        assert reader[path].attrs["NX_class"] == "NXlog"


@pytest.mark.parametrize("entered", [False, True], ids=["expected", "entered"])
def test_groups_that_somebody_else_made_anew_are_entered(copied, entered):
    if entered:
        assert copied.merge(below("/c/instrument/diode", Group({"x": Dataset(1)}))) == ()

    def other_people(root):
        del root["c"]
        root.create_group("c/instrument").attrs["NX_class"] = "NXinstrument"

    copied.edit(other_people)
    assert copied.merge(below("/c/instrument/diode", Group({"y": Dataset(2)}))) == ()
    copied.close()
    assert seen(copied.path, "/c/instrument/diode/y") == [2]


def test_scans_of_more_groups_than_are_kept_open_are_complete(tmp_path):
    file = NexusFile.open(str(tmp_path / "file.h5"))
    devices = Group(
        {
            f"d{number}": Group({"data": stream(), "n": Dataset(number)}, {"NX_class": "NXlog"})
            for number in range(100)
        },
        {"NX_class": "NXcollection"},
    )
    assert file.merge(root(a=devices, b=devices, c=devices)) == ()
    more = Group({name: Group({"more": Dataset(1)}) for name in devices.children})
    assert file.merge(root(a=more, b=more, c=more)) == ()
    file.close()
    with h5py.File(file.path) as reader:
        assert [sorted(reader[f"{one}/d{n}"]) for one in "abc" for n in range(100)] == [
            ["data", "more", "n"]
        ] * 300
        assert [reader[f"c/d{n}/n"][()] for n in range(100)] == list(range(100))


# -------------------------------------------------------------------------- datasets made before


def test_a_text_that_is_there_already_is_not_written_again(file, monkeypatch):
    assert file.merge(root(a=Group({"status": Dataset("RUNNING"), "n": Dataset(1)}))) == ()
    written = []

    def counted(dataset, array):
        written.append(array)
        write_all(dataset, array)

    monkeypatch.setattr("nexus_writer_service.hdf5.merge.write_all", counted)
    for status in ("RUNNING", "SUCCEEDED", "SUCCEEDED", "RUNNING"):
        assert file.merge(below("/a/status", Dataset(status))) == ()
    assert [str(array) for array in written] == ["SUCCEEDED", "RUNNING"]


@pytest.mark.parametrize(
    "between",
    [
        lambda file: file.merge(below("/a/x", Instead(None))),
        lambda file: file.merge(below("/a", Instead(Group({"y": Dataset("y")})))),
        lambda file: file.merge(below("/a/x", SoftLink("y"))),
        lambda file: file.merge(below("/a/x", Instead(stream()))),
        lambda file: file.edit(lambda h5: h5["a"].pop("x")),
        lambda file: file.edit(lambda h5: h5["a/x"].write_direct(np.array("z", object))),
    ],
    ids=["away", "away with its group", "link", "stream", "taken by others", "changed by others"],
)
def test_what_took_the_place_of_a_dataset_is_not_taken_for_it(file, between):
    tree = root(a=Group({"x": Dataset("x"), "y": Dataset("y")}, {"NX_class": "NXlog"}))
    assert file.merge(tree) == ()
    between(file)
    assert file.merge(below("/a/x", Dataset("x"))) == ()
    file.close()
    with h5py.File(file.path) as reader:
        assert reader["a/x"].asstr()[()] == "x"


def test_values_are_not_written_through_a_map_that_took_the_place_of_a_dataset(file):
    assert file.merge(root(a=Group({"x": Dataset(np.arange(3.0))}))) == ()
    mapped = VirtualDataset(np.dtype(float), (3,), ())
    assert file.merge(below("/a/x", mapped)) == ()
    assert file.merge(below("/a/x", Dataset(np.arange(3.0) + 1))) == ()
    file.close()
    with h5py.File(file.path) as reader:
        assert not reader["a/x"].is_virtual
        assert reader["a/x"][()].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "values",
    [
        ("x", "y"),
        ("x", 1),
        (1, 2),
        (1, 2.0),
        (1.0, "x"),
        ([1, 2], [3, 4]),
        ([1], [1, 2]),
        (1, True),
    ],
)
@pytest.mark.parametrize("units", [{}, {"units": "mm"}])
def test_a_dataset_that_is_known_gets_the_type_value_and_attributes_of_the_newest_node(
    file, values, units
):
    one, other = values
    assert file.merge(root(a=Group({"x": Dataset(one)}))) == ()
    assert file.merge(below("/a/x", Dataset(one, units))) == ()
    assert file.merge(below("/a/x", Dataset(other))) == ()
    file.close()
    with h5py.File(file.path) as reader:
        assert dict(reader["a/x"].attrs) == units
        found = reader["a/x"].asstr()[()] if isinstance(other, str) else reader["a/x"][()]
        assert np.array_equal(found, other)
        assert np.asarray(found).dtype.kind == np.asarray(other).dtype.kind
