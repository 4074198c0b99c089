"""What a pickle in Redis can mean, and what it can never do."""

import io
import os
import pickle
import pickletools
import tracemalloc
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.support_bliss1 import kinds, recording

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.sources.bliss1 import pickles
from nexus_writer_service.sources.bliss1.pickles import Named, is_pickle, load

PROTOCOLS = st.integers(4, 5)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=300)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=5)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=5)
        | st.sets(st.integers(), max_size=5)
    ),
    max_leaves=20,
)


@given(VALUES, PROTOCOLS)
def test_plain_values_come_back(value: Any, protocol: int) -> None:
    found = load(pickle.dumps(value, protocol=protocol))
    assert found == value
    assert type(found) is type(value)


@given(
    hnp.arrays(
        hnp.scalar_dtypes().filter(lambda dtype: dtype.kind in "biufc"),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
    ),
    PROTOCOLS,
    st.sampled_from("CF"),
)
def test_arrays_come_back_with_type_and_shape(
    array: np.ndarray[Any, Any], protocol: int, order: Literal["C", "F"]
) -> None:
    array = array.copy(order)
    found = load(pickle.dumps(array, protocol=protocol))
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "value",
    [np.float64(1.5), np.uint32(7), np.bool_(True), np.complex64(1j), np.str_("scan")],
    ids=repr,
)
def test_numbers_of_numpy_come_back(value: np.generic) -> None:
    found = load(pickle.dumps(value, protocol=4))
    assert found == value
    assert found.dtype == value.dtype


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 11, 21, 11, 27, 28, 620310),  # noqa: DTZ001 - BLISS 1 says no zone
        datetime(2026, 11, 21, tzinfo=UTC),
        date(2026, 11, 21),
        timedelta(hours=2),
        OrderedDict(a=1),
        complex(1, 2),
        np.array(["long", "er"]),
        np.array([b"ab"]),
    ],
    ids=repr,
)
def test_dates_and_texts_come_back(value: Any) -> None:
    found = load(pickle.dumps(value, protocol=4))
    assert list(found) == list(value) if hasattr(value, "__len__") else found == value


@pytest.mark.parametrize(
    ("kind", "name"),
    [(float, "float"), (int, "int"), (np.float64, "float64"), (np.uint32, "uint32")],
)
def test_a_type_is_told_by_name_and_never_made(kind: type, name: str) -> None:
    assert load(pickle.dumps(kind, protocol=4)) == Named(name)


@pytest.mark.parametrize("kind", kinds())
def test_all_that_bliss_pickled_is_understood_as_python_does(kind: str) -> None:
    values = [one for command in recording(kind) for one in command if is_pickle(one)]
    assert len(values) > 20
    for value in values:
        expected, found = pickle.loads(value), load(value)  # noqa: S301 - of our own lab
        np.testing.assert_equal(_names_for_types(found), _names_for_types(expected))


def _names_for_types(value: Any) -> Any:
    if isinstance(value, type):
        return Named(value.__name__)
    if isinstance(value, dict):
        return {key: _names_for_types(one) for key, one in value.items()}
    return value


# ------------------------------------------------------------------------------------- hostile


class _Runs:
    """A pickle of it runs a command where it is unpickled."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> tuple[Any, ...]:
        function, *arguments = self._call
        return function, tuple(arguments)


def test_a_pickle_that_runs_a_command_runs_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(DecodeError, match=r"names \w+\.system, which is not allowed"):
        load(pickle.dumps(_Runs(os.system, f"touch {trace}"), protocol=4))
    assert not trace.exists()


@pytest.mark.parametrize(
    "call",
    [
        (eval, "1"),
        (exec, "1"),
        (open, "/etc/passwd"),
        (getattr, 1, "real"),
        (bytes, 10),
        (bytearray, 10),
        (range, 10),
        (np.fromfile, "/etc/passwd"),
        (np.frombuffer, b"12345678"),
        (Fraction, "1/3"),
        (pickle.loads, b""),
    ],
    ids=lambda call: call[0].__name__,
)
def test_what_is_not_allowed_is_named_and_not_called(call: tuple[Any, ...]) -> None:
    with pytest.raises(DecodeError, match=call[0].__name__):
        load(pickle.dumps(_Runs(*call), protocol=4))


@pytest.mark.parametrize(
    "value",
    [
        b"\x80\x02cno_such_module\nThing\n.",
        b"\x80\x04\x8c\x0eno_such_module\x8c\x05Thing\x93.",
        b"\x80\x04\x8c\x08builtins\x8c\x0fint.__class__.x\x93.",
        b"\x80\x02cnumpy\ncore.multiarray.scalar\n.",
        b"\x80\x02cnumpy.core.multiarray\nscalar.__globals__\n.",
    ],
)
def test_modules_are_never_imported(value: bytes) -> None:
    with pytest.raises(DecodeError, match="which is not allowed"):
        load(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"\x80\x02cbuiltins\nfloat\n(X\x03\x00\x00\x001.5tR.", "calls .*float"),
        (b"\x80\x02]}b.", "changes a list"),
        (b"\x80\x02}]s.", "broken"),
        (b"\x80\x02}(]K\x01u.", "unhashable"),
        (b"\x80\x02h\x05.", "broken"),
        (b"\x80\x02K\x01a.", "broken"),
        (b"\x80\x02K\x01\x87.", "stack is empty"),
        (b"\x80\x02e.", "no mark"),
        (b"\x80\x02.", "broken"),
        (b"\x80\x02K\x01", "broken"),
        (b"\x80\x02X\xff\xff\xff\x7fab.", "cut off"),
        (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "cut off"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f1.", "cut off"),
        (b"\x80\x02(lp0\n.", "asks for"),
        (b"\x80\x02cdatetime\ndatetime\n)\x81.", "asks for"),
        (b"\x80\x00N.", "no pickle"),
        (b"I1\n.", "no pickle"),
        (b"", "no pickle"),
    ],
)
def test_broken_pickles_are_errors_that_say_so(value: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        load(value)


def test_a_value_that_is_too_large_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    value = b"\x80\x02K\x01."
    assert load(value) == 1
    monkeypatch.setattr(pickles, "MOST_BYTES", len(value) - 1)
    with pytest.raises(DecodeError, match="5 bytes of pickle are too many"):
        load(value)


def test_a_place_in_the_memo_takes_no_room_however_large_its_number() -> None:
    value = b"\x80\x02K\x01r\xff\xff\xff\xffj\xff\xff\xff\xff\x86."
    tracemalloc.start()
    try:
        assert load(value) == (1, 1)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def _array(shape: tuple[int, ...], code: str, data: Any) -> bytes:
    """A pickle of an array that claims this."""
    whole = pickle.dumps(np.zeros(2, code), protocol=4)
    state = (1, shape, np.dtype(code), False, data)
    head = whole[: whole.index(b"\x94b") - 1]
    parts = [op.name for op, _, _ in pickletools.genops(whole)]
    assert "BUILD" in parts
    return _with_state(head, state)


def _with_state(head: bytes, state: Any) -> bytes:
    """The call of ``_reconstruct`` of a pickle, with this state after it."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=4)
    pickler.fast = True
    pickler.dump(state)
    body = file.getvalue()
    start = 11 if body[2:3] == b"\x95" else 2
    made = head[: head.index(b"R") + 1]
    made = made[:2] + (made[11:] if made[2:3] == b"\x95" else made[2:])
    return made + body[start:-1] + b"b."


@pytest.mark.parametrize(
    ("shape", "code", "data"),
    [
        ((1 << 40,), "f8", b"12345678"),
        ((1 << 40,), "S0", b""),
        ((-1,), "f8", b"12345678"),
        ((2,), "f8", b"1234567"),
        ((2, 2), "O", [1, 2, 3, 4]),
        ((1,), "O", b"12345678"),
    ],
)
def test_an_array_that_is_larger_than_its_bytes_is_an_error(
    shape: tuple[int, ...], code: str, data: Any
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            load(_array(shape, code, data))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_number_of_a_thousand_digits_is_an_error() -> None:
    with pytest.raises(DecodeError, match="bytes is not allowed"):
        load(pickle.dumps(1 << 3000, protocol=4))


@given(st.binary(max_size=200))
def test_noise_is_an_error_or_a_value(noise: bytes) -> None:
    try:
        load(b"\x80\x04" + noise)
    except DecodeError as error:
        assert str(error)  # noqa: PT017 - either way is fine, but no other exception


@given(st.data())
def test_a_damaged_pickle_is_an_error_or_a_value(data: st.DataObject) -> None:
    whole = pickle.dumps({"a": [np.arange(3.0), np.float64(2), "text", (1, 2)]}, protocol=4)
    place = data.draw(st.integers(2, len(whole) - 1))
    damaged = whole[:place] + data.draw(st.binary(min_size=1, max_size=2)) + whole[place + 1 :]
    try:
        load(damaged)
    except DecodeError as error:
        assert str(error)  # noqa: PT017 - either way is fine, but no other exception
