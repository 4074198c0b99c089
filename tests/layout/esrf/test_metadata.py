"""Dictionaries as groups, by the rules that BLISS users know from silx."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.layout.esrf import metadata
from nexus_writer_service.model.tree import Dataset, Group, Node, SoftLink

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(codec=None))
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def group(found: dict[str, Any]) -> tuple[Group, list[str]]:
    warnings: list[str] = []
    return metadata.group(found, "sample", warnings), warnings


def test_keys_with_at_signs_are_attributes() -> None:
    made, warnings = group(
        {"@NX_class": "NXsample", "@note": "x", "t": 293.5, "t@units": "K", "box": {"n": 1}}
    )
    assert made.attributes == {"NX_class": "NXsample", "note": "x"}
    assert made.children == {
        "t": Dataset(293.5, {"units": "K"}),
        "box": Group({"n": Dataset(1)}, {"NX_class": "NXcollection"}),
    }
    assert warnings == []


def test_a_dictionary_can_name_its_class_without_an_at_sign() -> None:
    made, _ = group({"NX_class": "NXslit", "x": 1})
    assert made == Group({"x": Dataset(1)}, {"NX_class": "NXslit"})


def test_attributes_of_a_group_can_stand_beside_it() -> None:
    made, _ = group({"box": {"n": 1}, "box@NX_class": "NXslit", "missing@units": "K"})
    assert made.children == {"box": Group({"n": Dataset(1)}, {"NX_class": "NXslit"})}


def test_nothing_is_written_for_none_and_for_empty_groups() -> None:
    made, _ = group({"a": None, "b": {}, "c": {"d": {"@NX_class": "NXcollection"}}, "e@u": None})
    assert metadata.is_empty(made)


def test_a_group_of_attributes_only_is_something() -> None:
    made, _ = group({"a": {"@flag": True}})
    assert set(made.children) == {"a"}


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ("é\0a", "éa"),
        ("\ud800", "?"),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        (["a", "b"], ["a", "b"]),
        (["a", 1], ["a", "1"]),
        (["a", None], '["a", null]'),
        ([1, None], "[1, null]"),
        ([[1], [2, 3]], "[[1], [2, 3]]"),
        ([["a"], ["b"]], '[["a"], ["b"]]'),
        (2**70, str(2**70)),
        ([2**70], f"[{2**70}]"),
    ],
)
def test_values_are_kept_as_hdf5_can_hold_them(value: Any, held: Any) -> None:
    assert metadata.value_of(value) == held


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        ([1, 2], "int64", (2,)),
        ([1, 2.5], "float64", (2,)),
        ([True, False], "bool", (2,)),
        ([[1.0, 0.0], [0.0, 1.0]], "float64", (2, 2)),
        ([], "float64", (0,)),
        (2**63, "uint64", ()),
    ],
)
def test_numbers_are_arrays(value: Any, dtype: str, shape: tuple[int, ...]) -> None:
    found = metadata.value_of(value)
    assert isinstance(found, np.ndarray | np.generic)
    assert (str(found.dtype), found.shape) == (dtype, shape)
    assert found.tolist() == value


def test_a_list_of_dictionaries_is_an_array_of_structures() -> None:
    rows = [{"id": 1, "x": 1.5, "name": "é", "more": [1]}, {"id": 2, "name": "ab", "": "z"}]
    found = metadata.value_of(rows)
    assert isinstance(found, np.ndarray)
    assert found.dtype.names == ("id", "x", "name", "more", "_")
    assert found["id"].tolist() == [1, 2]
    assert found["name"].tolist() == ["é".encode(), b"ab"]
    assert found["more"].tolist() == [b"[1]", b""]
    assert found["x"][0] == 1.5
    assert np.isnan(found["x"][1])


def test_numbers_too_large_for_a_column_are_texts() -> None:
    found = metadata.value_of([{"n": 10**400}, {"n": None}, {"n": 1}])
    assert isinstance(found, np.ndarray)
    assert found["n"].tolist() == [str(10**400).encode(), b"", b"1"]


def test_names_that_hdf5_cannot_have_are_changed_with_a_warning() -> None:
    made, warnings = group({"a/b": 1, "a_b": 2, "": 3})
    assert set(made.children) == {"a_b", "a_b_2", "_"}
    assert len(warnings) == 3
    assert "'a/b'" in warnings[0]


@given(st.dictionaries(st.text() | st.sampled_from(["@NX_class", "NX_class", "a@b"]), JSON))
def test_any_dictionary_can_be_written(found: dict[str, Any]) -> None:
    made, _ = group(found)
    for name, node in _all(made):
        assert name not in ("", ".", "..")
        assert not {"/", "\0"} & set(name)
        name.encode()
        _check(node)


def _all(found: Group) -> list[tuple[str, Node]]:
    below = [
        pair for node in found.children.values() if isinstance(node, Group) for pair in _all(node)
    ]
    return [*found.children.items(), *below]


def _check(node: Node) -> None:
    assert isinstance(node, Dataset | Group)
    values = [*node.attributes.values(), *([node.value] if isinstance(node, Dataset) else [])]
    for value in values:
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()
        else:
            kind = np.asarray(value).dtype.kind
            assert kind in "biufUV"
    if isinstance(node, Group):
        assert isinstance(node.attributes["NX_class"], str)


def test_metadata_leave_the_layout_s_own_items_alone() -> None:
    own = Group(
        {
            "title": Dataset("x"),
            "diode": Group({"data": SoftLink("signal")}, {"NX_class": "NXdetector"}),
        },
        {"NX_class": "NXentry"},
    )
    found = Group(
        {
            "title": Dataset("mine"),
            "title_metadata": Dataset("too"),
            "diode": Group({"data": Dataset(1), "gain": Dataset(2)}, {"NX_class": "NXfoo", "a": 1}),
        },
        {"NX_class": "NXcollection"},
    )
    warnings: list[str] = []
    assert metadata.fitted(found, own, "", warnings) == Group(
        {
            "title_metadata_2": Dataset("mine"),
            "title_metadata": Dataset("too"),
            "diode": Group(
                {"data_metadata": Dataset(1), "gain": Dataset(2)},
                {"NX_class": "NXdetector", "a": 1},
            ),
        },
        {"NX_class": "NXentry"},
    )
    assert len(warnings) == 2
