"""Values and nodes as items of a map, and back again."""

import json
from typing import Any

import numpy as np
import pytest

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.h5map.items import item, value_item
from nexus_writer_service.hdf5.values import as_array
from nexus_writer_service.layout.h5map.values import value
from nexus_writer_service.model.tree import ExternalDataset, SoftLink

VALUES: dict[str, Any] = {
    "text": "a ☃",
    "true": True,
    "int": -3,
    "float": 1.5,
    "nan": float("nan"),
    "infinite": float("-inf"),
    "complex": np.complex128(1 + 2j),
    "unsigned": np.uint64(1 << 63),
    "ints": np.arange(6).reshape(2, 3),
    "floats": np.array([1.0, np.nan]),
    "small": np.array([1, 2], "i1"),
    "texts": ["a", "bc"],
    "none of them": np.zeros((0,), "f8"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_as_it_was(name):
    before = as_array(VALUES[name])
    after = as_array(value(json.loads(json.dumps(value_item(VALUES[name])))))
    assert after.dtype == before.dtype
    np.testing.assert_array_equal(after, before)


def test_structures_come_back_with_their_columns():
    rows = np.array([(1, b"a"), (2, b"bc")], [("n", "i8"), ("s", "S2")])
    found = value(json.loads(json.dumps(value_item(rows))))
    assert isinstance(found, np.ndarray)
    assert found["n"].tolist() == [1, 2]
    assert found["s"].tolist() == ["a", "bc"]


def test_what_has_no_item_is_an_error():
    with pytest.raises(TypeError, match="ExternalDataset"):
        item(ExternalDataset(np.dtype("f8"), (1,), ()))
    assert item(SoftLink("/a")) == {"type": "soft_link", "target_path": "/a"}


@pytest.mark.parametrize("bad", [None, {"type": "?"}, [None], [[1], [1, 2]], 1 << 70, {}])
def test_what_is_no_value_is_an_error(bad):
    with pytest.raises(LayoutError):
        value(bad)


def test_lists_without_end_are_refused():
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(LayoutError, match="deep"):
        value(deep)
