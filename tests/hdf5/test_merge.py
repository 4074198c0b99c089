import h5py
import numpy as np
import pytest
from tests.support_hdf5 import entry, root, stream

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.model.tree import (
    Dataset,
    ExternalLink,
    Group,
    SoftLink,
    Value,
    VirtualDataset,
    VirtualSource,
)

pytestmark = pytest.mark.nonconforming("trees that try the file, not NeXus")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file.h5")


def write(path, *trees):
    """Merge trees into a file; returns all problems."""
    file = NexusFile.open(path)
    problems = [problem for tree in trees for problem in file.merge(tree)]
    file.close()
    return problems


VALUES = [
    ("text é", "text é"),
    ("", ""),
    (b"bytes \xff", b"bytes \xff"),
    (True, np.True_),
    (False, np.False_),
    (3, np.int64(3)),
    (2**63, np.uint64(2**63)),
    (1.5, np.float64(1.5)),
    (1 + 2j, np.complex128(1 + 2j)),
    (np.float32(2), np.float32(2)),
    (np.str_("numpy text"), "numpy text"),
]


def same(found, expected):
    if isinstance(found, bytes) and isinstance(expected, str):
        found = found.decode()
    if isinstance(found, str) and isinstance(expected, bytes):
        found = found.encode(errors="surrogateescape")  # how h5py reads attributes
    return type(found) is type(expected) and found == expected


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=repr)
def test_single_values_keep_their_type_as_datasets_and_attributes(path, value, expected):
    assert write(path, root(x=Dataset(value, {"a": value}))) == []
    with h5py.File(path) as file:
        assert same(file["x"][()], expected)
        assert same(file["x"].attrs["a"], expected)


def test_text_is_variable_length_utf8(path):
    write(path, root(x=Dataset("é", {"a": "é"})))
    with h5py.File(path) as file:
        for kind in (file["x"].id.get_type(), file["x"].attrs.get_id("a").get_type()):
            assert kind.is_variable_str()
            assert kind.get_cset() == h5py.h5t.CSET_UTF8


def test_bytes_with_a_zero_byte_are_opaque(path):
    assert write(path, root(x=Dataset(b"a\0b"))) == []
    with h5py.File(path) as file:
        assert file["x"][()].tobytes() == b"a\0b"


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "é", ""]])
def test_lists_of_text_are_arrays_of_text(path, texts):
    write(path, root(x=Dataset(texts, {"a": texts})))
    with h5py.File(path) as file:
        assert file["x"].shape == file["x"].attrs["a"].shape == (len(texts),)
        assert file["x"].asstr()[...].tolist() == texts
        assert file["x"].attrs["a"].tolist() == texts


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.array([True, False]),
        np.array([1, np.nan], "f2"),
        np.array([1 + 2j], "c8"),
        np.array([b"ab", b"c"]),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([(1, b"x")], dtype=[("a", "f8"), ("b", "S4")]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_stay_as_they_are(path, array):
    write(path, root(x=Dataset(array, {"a": array})))
    with h5py.File(path) as file:
        for found in (file["x"][()], file["x"].attrs["a"]):
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("array", [np.array(["a", "é"]), np.array(["a", "é"], dtype=object)])
def test_arrays_of_text_are_arrays_of_text(path, array):
    write(path, root(x=Dataset(array)))
    with h5py.File(path) as file:
        assert file["x"].asstr()[...].tolist() == ["a", "é"]


def test_a_bool_is_the_enum_that_h5py_makes(path):
    write(path, root(x=Dataset(True)))
    with h5py.File(path, "r+") as file:
        file["y"] = True
        assert file["x"].id.get_type().equal(file["y"].id.get_type())


def test_groups_merge_and_attributes_stay(path):
    problems = write(
        path,
        root(a=Group({"x": Dataset(1)}, {"NX_class": "NXentry", "one": 1})),
        root(a=Group({"y": Dataset(2)}, {"NX_class": "NXentry", "two": 2})),
        root(a=Group({"z": Dataset(3)})),
    )
    assert problems == []
    with h5py.File(path) as file:
        assert set(file["a"]) == {"x", "y", "z"}
        assert dict(file["a"].attrs) == {"NX_class": "NXentry", "one": 1, "two": 2}


def test_merging_twice_changes_nothing(path):
    tree = root(
        a=Group(
            {"x": Dataset("text", {"units": "mm"}), "s": SoftLink("x"), "n": stream()},
            {"NX_class": "NXentry", "list": ["a", "b"]},
        ),
        e=ExternalLink("other.h5", "/x"),
        v=VirtualDataset(np.dtype("f8"), (2,), (VirtualSource(".", "/y", (2,)),)),
    )
    file = NexusFile.open(path)
    assert file.merge(tree) == file.merge(tree) == ()
    file.close()
    with h5py.File(path) as reader:
        assert reader["a/x"].asstr()[()] == "text"
        assert reader["a/x"].attrs["units"] == "mm"
        assert list(reader["a"].attrs["list"]) == ["a", "b"]
        assert reader["a"].get("s", getlink=True).path == "x"
        assert set(reader) == {"a", "e", "v"}


def test_attributes_change_their_value_type_and_shape(path):
    write(
        path,
        root(x=Dataset(1, {"a": "old", "b": 1, "c": 1, "kept": "k"})),
        root(x=Dataset(1, {"a": "new", "b": 2.5, "c": [" list"]})),
    )
    with h5py.File(path) as file:
        attributes = file["x"].attrs
        assert attributes["a"] == "new"
        assert attributes["b"] == 2.5
        assert list(attributes["c"]) == [" list"]
        assert attributes["kept"] == "k"


def test_a_dataset_that_fits_is_overwritten_in_place(path):
    file = NexusFile.open(path)
    file.merge(root(x=Dataset(np.arange(3.0))))
    file.commit()
    with h5py.File(path, locking=False) as reader:
        before = h5py.h5o.get_info(reader["x"].id).addr
    file.merge(root(x=Dataset(np.arange(3.0) + 1)))
    file.close()
    with h5py.File(path) as reader:
        assert h5py.h5o.get_info(reader["x"].id).addr == before
        assert reader["x"][...].tolist() == [1, 2, 3]


@pytest.mark.parametrize("new", ["longer text", 2.5, np.arange(4), ["a"]])
def test_a_dataset_that_does_not_fit_is_made_anew_and_keeps_its_attributes(path, new):
    attributes: dict[str, Value] = {
        "kept": "k",
        "flag": True,
        "numbers": np.arange(3),
        "texts": ["a", "é"],
    }
    write(path, root(x=Dataset(np.arange(3), attributes)), root(x=Dataset(new, {"added": 1})))
    with h5py.File(path) as file:
        assert file["x"].attrs["kept"] == "k"
        assert file["x"].attrs["flag"] is np.True_
        assert file["x"].attrs["numbers"].tolist() == [0, 1, 2]
        assert list(file["x"].attrs["texts"]) == ["a", "é"]
        assert file["x"].attrs["added"] == 1
        assert file["x"].shape == np.shape(new)


def test_a_value_never_goes_through_a_virtual_dataset_or_a_link(path):
    mapped = VirtualDataset(np.dtype("f8"), (2,), (VirtualSource(".", "/source", (2,)),))
    write(
        path,
        root(source=Dataset(np.array([1.0, 2.0])), virtual=mapped, link=SoftLink("source")),
        root(virtual=Dataset(np.array([3.0, 4.0])), link=Dataset(np.array([5.0, 6.0]))),
    )
    with h5py.File(path) as file:
        assert file["source"][...].tolist() == [1, 2]
        assert file["virtual"][...].tolist() == [3, 4]
        assert file["link"][...].tolist() == [5, 6]


def test_links_take_the_place_of_what_has_their_name(path):
    write(
        path,
        root(a=Dataset(1), b=SoftLink("a"), c=ExternalLink("x.h5", "/x")),
        root(a=SoftLink("b"), b=ExternalLink("y.h5", "/y"), c=SoftLink("/z")),
    )
    with h5py.File(path) as file:
        assert file.get("a", getlink=True).path == "b"
        assert file.get("b", getlink=True).filename == "y.h5"
        assert file.get("c", getlink=True).path == "/z"


def test_a_link_never_takes_the_place_of_a_group(path):
    problems = write(path, root(a=Group({"b": Dataset(1)})), root(a=ExternalLink("x.h5", "/x")))
    assert any("is a group" in text for text in problems)
    with h5py.File(path) as file:
        assert file["a/b"][()] == 1


def test_names_and_targets_may_be_any_text(path):
    write(path, Group({"é": Dataset(1, {"ü": "ö"}), "l": SoftLink("/é"), "x:y z": Dataset(2)}))
    with h5py.File(path) as file:
        assert file["é"].attrs["ü"] == "ö"
        assert file["l"][()] == 1
        assert file["x:y z"][()] == 2


def test_a_virtual_dataset_maps_blocks_of_its_own_file_and_of_others(path, tmp_path):
    (tmp_path / "100%b").mkdir()
    with h5py.File(tmp_path / "100%b" / "o.h5", "w") as other:
        other["d"] = np.arange(20.0).reshape(4, 5)
    mapped = VirtualDataset(
        np.dtype("f8"),
        (3, 2),
        (
            VirtualSource(".", "/own", (1, 2)),
            VirtualSource(
                "100%b/o.h5", "/d", (1, 2), ((1, 1), (2, 2)), source_shape=(4, 5), start=(1, 0)
            ),
        ),
        fill=-1,
        attributes={"units": "mm"},
    )
    write(path, root(own=Dataset(np.array([[1.0, 2.0]])), mapped=mapped))
    with h5py.File(path) as file:
        assert file["mapped"][...].tolist() == [[1, 2], [7, 8], [-1, -1]]
        assert file["mapped"].attrs["units"] == "mm"
        assert file["mapped"].maxshape == (3, 2)


def test_files_and_groups_do_not_track_creation_order(path):
    write(path, root(g=Group()))
    with h5py.File(path) as file:
        assert file.id.get_create_plist().get_link_creation_order() == 0
        assert file["g"].id.get_create_plist().get_link_creation_order() == 0


# ------------------------------------------------------------------------------------ problems


def check_problem(problems, *words):
    (problem,) = problems
    for word in words:
        assert word in problem


def test_a_group_of_another_class_costs_what_is_below_it(path):
    problems = write(
        path,
        root(a=Group({}, {"NX_class": "NXentry"})),
        root(a=Group({"x": Dataset(1)}, {"NX_class": "NXcollection"}), b=Dataset(2)),
    )
    check_problem(problems, path, "/a", "NXentry", "NXcollection", "choose")
    with h5py.File(path) as file:
        assert file["a"].attrs["NX_class"] == "NXentry"
        assert "x" not in file["a"]
        assert "b" in file


def test_a_root_of_another_class_is_a_problem(path):
    problems = write(path, Group({}, {"NX_class": "NXroot"}), Group({}, {"NX_class": "NXentry"}))
    check_problem(problems, "/", "NXroot", "NXentry")


def test_a_class_can_be_given_later_and_may_have_been_bytes(path):
    with h5py.File(path, "w") as file:
        file.create_group("a").attrs["NX_class"] = np.bytes_(b"NXentry")
        file.create_group("b")
    tree = root(a=Group({}, {"NX_class": "NXentry"}), b=Group({}, {"NX_class": "NXdata"}))
    assert write(path, tree) == []
    with h5py.File(path) as file:
        assert file["b"].attrs["NX_class"] == "NXdata"


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (Dataset(1), Group({"x": Dataset(1)}), "not a group"),
        (SoftLink("/"), Group({"x": Dataset(1)}), "not a group"),
        (Group(), Dataset(1), "is a group"),
        (Group(), stream(), "is a group"),
        (Group(), VirtualDataset(np.dtype("f8"), (1,), ()), "is a group"),
        (Dataset(1), stream(), "choose"),
        (stream("i4"), stream("f8"), "choose"),
        (stream(), stream(sample=(3,)), "choose"),
        (Dataset(np.arange(2.0)), stream(), "cannot grow"),
    ],
)
def test_what_cannot_take_the_place_of_the_other_is_a_problem(path, first, second, word):
    assert write(path, root(a=first)) == []
    check_problem(write(path, root(a=second, b=Dataset(1))), "/a", word)
    with h5py.File(path) as file:
        assert "b" in file


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a"], dtype=object),
        np.array(["2026-01-01"], dtype="M8[s]"),
        "zero \0 inside",
        2**64,
        [1, "a", None],
    ],
    ids=repr,
)
def test_a_value_that_is_not_hdf5_data_costs_only_itself(path, value):
    tree = root(x=Dataset(value), a=Dataset(1, {"bad": value, "good": 1}))
    problems = write(path, tree)
    assert len(problems) == 2
    assert "/x" in problems[0]
    assert "/a@bad" in problems[1]
    with h5py.File(path) as file:
        assert "x" not in file
        assert file["a"].attrs["good"] == 1


def test_an_attribute_above_64_kib_is_a_problem_that_says_so(path):
    check_problem(write(path, root(x=Dataset(1, {"a": np.zeros(10_000)}))), "/x@a", "64 KiB")


@pytest.mark.parametrize("name", ["", ".", "a/b", "zero\0"])
def test_a_name_that_hdf5_cannot_have_is_a_problem(path, name):
    assert len(write(path, Group({name: Dataset(1), "good": Dataset(1)}))) == 1
    with h5py.File(path) as file:
        assert set(file) == {"good"}


def test_an_attribute_name_that_hdf5_cannot_have_is_a_problem(path):
    assert len(write(path, Group({}, {"": 1, "zero\0": 1, "good": 1}))) == 2


def test_a_stream_takes_the_place_of_a_link(path):
    assert write(path, root(a=SoftLink("/nowhere")), root(a=stream())) == []
    with h5py.File(path) as file:
        assert file.get("a", getclass=True, getlink=True) is h5py.HardLink


def test_a_named_datatype_is_no_group(path):
    with h5py.File(path, "w") as file:
        file["t"] = np.dtype("f8")
    check_problem(write(path, root(t=Group())), "/t", "not a group")


def test_what_replaces_a_stream_ends_it(path):
    file = NexusFile.open(path)
    file.merge(entry(stream()))
    file.append("/1.1/data", 0, [np.arange(3.0)])
    file.merge(entry(Dataset(5)))
    assert file.buffered_bytes == 0
    with pytest.raises(ValueError, match=r"/1\.1/data"):
        file.append("/1.1/data", 3, [np.arange(3.0)])
    file.close()
    with h5py.File(path) as reader:
        assert reader["1.1/data"][()] == 5
