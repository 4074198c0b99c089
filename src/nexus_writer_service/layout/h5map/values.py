"""The values of a map: plain JSON, typed JSON, bytes in base64, and structures of these.

The rules are those of blissdata's models [blissdata 2.4, h5map].
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.model.description import Json
from nexus_writer_service.model.tree import Value

STREAM: Final = "stream"
_DTYPE = re.compile(r"bool|(int|uint)(8|16|32|64)|float(16|32|64|128)|complex(64|128|256)")
_BINARY_DTYPE = re.compile(r"\|?[iub]1|[><]([iuf][248]|[fc](8|16)|c32)")
_TEXT: Final = np.dtype("O", metadata={"vlen": str})
"""How HDF5 libraries for Python tell text of variable length, also as a column of a structure."""
_DEEPEST: Final = 32
"""HDF5 has no arrays of more dimensions."""

Array = np.ndarray[Any, Any]


def value(item: Json) -> Value:
    """The value that an item of a map stands for.

    Args:
        item: as in the JSON of the map.

    Raises:
        LayoutError: it is none; the text says why.
    """
    if not isinstance(item, Mapping):
        return _raw(item)
    match item.get("type"):
        case "inline":
            return _inline(item)
        case "inline_b64":
            return _binary(item)
        case "compound":
            return _compound(item)
        case "stream":
            raise LayoutError("a stream can be the value of a dataset, but of nothing else")
        case other:
            raise LayoutError(f"values of type {other!r} are not known")


def binary_dtype(name: Json) -> np.dtype[Any]:
    """The type of numbers that a name such as ``<f8`` stands for.

    Raises:
        LayoutError: it stands for none.
    """
    return _named(name, _BINARY_DTYPE)


def text(found: str) -> str:
    """The text as HDF5 can hold it: no zero bytes, no halves of surrogate pairs."""
    return found.replace("\0", "").encode("utf-8", "replace").decode()


def _raw(item: Json) -> Value:
    if isinstance(item, str):
        return text(item)
    if isinstance(item, bool | float):
        return item
    if isinstance(item, int):
        return item if -(1 << 63) <= item < 1 << 63 else _large(item)
    if isinstance(item, list | tuple):
        return _list(_clean(list(item), _DEEPEST))
    raise LayoutError(f"{type(item).__name__} is no value: a map has text, numbers, true and false")


def _list(items: list[Json]) -> Value:
    """A list, nested ones as more dimensions; numbers among texts become texts."""
    if items and all(isinstance(one, str) for one in items):
        return list(items)
    try:
        found = np.asarray(items)
    except ValueError as error:
        raise LayoutError(f"a list is not rectangular ({error})") from error
    if found.dtype.kind == "U":
        return found.astype(object).astype(_TEXT)
    if found.dtype.kind not in "biuf":
        raise LayoutError("a list holds numbers that are too large, or nothing that is a value")
    return found


def _clean(items: list[Json], deepest: int) -> list[Json]:
    if deepest == 0:
        raise LayoutError(f"lists are nested more than {_DEEPEST} deep")
    found: list[Json] = []
    for one in items:
        if isinstance(one, str):
            found.append(text(one))
        elif isinstance(one, list | tuple):
            found.append(_clean(list(one), deepest - 1))
        elif isinstance(one, bool | int | float):
            found.append(one)
        else:
            raise LayoutError(f"a list holds {type(one).__name__}, which is no value")
    return found


def _large(item: int) -> Value:
    if 0 <= item < 1 << 64:
        return np.uint64(item)
    raise LayoutError(f"{item} needs more than 64 bits")


def _inline(item: Mapping[str, Json]) -> Value:
    dtype = _named(item.get("dtype"), _DTYPE)
    found = item.get("value")
    if found is None:
        raise LayoutError("an inline value is missing")
    try:
        array = np.array(found, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise LayoutError(f"an inline value is not of type {dtype}: {error}") from error
    return array if array.shape else array[()]


def _binary(item: Mapping[str, Json]) -> Value:
    dtype = binary_dtype(item.get("dtype"))
    found, shape = item.get("value"), item.get("shape")
    try:
        if isinstance(found, bytes):
            found = found.decode("ascii")
        if not isinstance(found, str):
            raise TypeError("it is no text")
        array = np.frombuffer(base64.b64decode("".join(found.split()), validate=True), dtype)
        return array if shape is None else array.reshape(shape)
    except (binascii.Error, ValueError, TypeError) as error:
        raise LayoutError(f"a value in base64 cannot be decoded: {error}") from error


def _compound(item: Mapping[str, Json]) -> Value:
    columns = item.get("columns")
    if not isinstance(columns, list | tuple) or not columns:
        raise LayoutError("a structure has no columns")
    arrays: dict[str, Array] = {}
    for column in columns:
        match column:
            case [str(name), one] if name and name not in arrays:
                arrays[name] = _column(value(one))
            case _:
                raise LayoutError("the columns of a structure need names, each one its own")
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1:
        raise LayoutError(f"the columns of a structure differ in shape: {sorted(shapes)}")
    found = np.empty(shapes.pop(), [(name, array.dtype) for name, array in arrays.items()])
    for name, array in arrays.items():
        found[name] = array
    return found


def _column(found: Value) -> Array:
    array = np.asarray(found)
    return array.astype(object).astype(_TEXT) if array.dtype.kind == "U" else array


def _named(name: Json, known: re.Pattern[str]) -> np.dtype[Any]:
    try:
        if isinstance(name, str) and known.fullmatch(name):
            return np.dtype(name)
    except TypeError:  # a type that this machine does not have
        pass
    raise LayoutError(f"{name!r} is no type of numbers")
