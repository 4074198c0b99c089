"""Documents as JSON and MessagePack: nothing is lost, and nothing is executed."""

import enum
import json
import math
import pickle
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.sources.bluesky.encoding import (
    from_json,
    pack,
    to_json,
    unpack,
)

ARRAYS = stn.arrays(
    st.sampled_from(["i1", "u2", ">i4", "f4", "f8", "?", "c16", "U5"]),
    stn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    PLAIN | ARRAYS | stn.from_dtype(np.dtype("f4")) | stn.from_dtype(np.dtype("i2")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.sampled_from(["__nd__", "__tuple__", "nd"]), inner)
        | st.dictionaries(st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


def identical(left: Any, right: Any) -> bool:
    """Whether two values are the same, types and not-a-number included."""
    if type(left) is not type(right):
        return False
    match left:
        case np.ndarray():
            return left.dtype == right.dtype and np.array_equal(
                left, right, equal_nan=left.dtype.kind in "fc"
            )
        case np.generic():
            return left.dtype == right.dtype and (left == right or bool(np.isnan(left)))
        case dict():
            return list(left) == list(right) and all(identical(left[k], right[k]) for k in left)
        case list() | tuple():
            return len(left) == len(right) and all(map(identical, left, right))
        case float():
            return left == right or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


@given(VALUES)
def test_json_brings_back_what_was_given(value: Any) -> None:
    text = json.dumps(to_json(value), allow_nan=False)
    assert identical(from_json(json.loads(text)), value)


@given(VALUES)
def test_message_pack_brings_back_what_was_given(value: Any) -> None:
    assert identical(unpack(pack(value)), value)


def test_what_has_no_encoding_comes_back_as_text() -> None:
    assert from_json(to_json({"path": Path("scan.h5")})) == {"path": repr(Path("scan.h5"))}


def test_enumerations_are_their_values() -> None:
    class Mode(enum.StrEnum):
        STEP = "step"

    assert from_json(to_json(Mode.STEP)) == "step"
    assert unpack(pack([Mode.STEP])) == ["step"]


def test_endless_nesting_is_an_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested deeper"):
        to_json(endless)
    with pytest.raises(ValueError, match="nested deeper"):
        pack(endless)


@pytest.mark.parametrize(
    "damaged",
    [
        {"__nd__": ["<f8", [3], "AAAA"]},
        {"__nd__": ["no type", [3], ""]},
        {"__nd__": 1},
        {"__nps__": ["<i4"]},
        {"__f__": "one"},
        {"__dict__": [[[], 1]]},
        {"__bytes__": 3},
    ],
)
def test_damage_is_named(damaged: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match=next(iter(damaged))):
        from_json(damaged)
    with pytest.raises(DecodeError, match=next(iter(damaged))):
        unpack(msgpack.packb(damaged))


@pytest.mark.parametrize("text", [bytes, str])
def test_arrays_and_scalars_of_msgpack_numpy_are_understood(text: type) -> None:
    def key(name: str) -> Any:
        return name.encode() if text is bytes else name

    values = np.arange(6, dtype="<u2").reshape(2, 3)
    array = {
        key("nd"): True,
        key("type"): "<u2",
        key("kind"): b"",
        key("shape"): (2, 3),
        key("data"): values.tobytes(),
    }
    scalar = {key("nd"): False, key("type"): "<f4", key("data"): np.float32(0.5).tobytes()}
    data = msgpack.packb(["event", {"array": array, "scalar": scalar}])
    name, doc = unpack(data)
    assert name == "event"
    assert identical(doc, {"array": values, "scalar": np.float32(0.5)})


def test_pickled_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "harm",)

    pickled = pickle.dumps(np.array([Harm()], dtype=object))
    objects = {"nd": True, "type": "|O", "kind": "O", "shape": [1], "data": pickled}
    for value in (objects, {**objects, "kind": ""}):
        with pytest.raises(DecodeError, match="objects"):
            unpack(msgpack.packb(value))
    with pytest.raises(DecodeError):
        unpack(pickled)
    assert not (tmp_path / "harm").exists()
