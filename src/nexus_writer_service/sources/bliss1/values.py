"""From unpickled values to the kinds of values that JSON has, which is what descriptions hold."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import Json
from nexus_writer_service.sources.bliss1.pickles import Named

_MOST_VALUES = 1_000_000
_DEEPEST = 64


def plain(value: Any) -> Json:
    """A value without numpy, tuples, sets and dates.

    Raises:
        DecodeError: it is nested too deeply, or grows beyond a million values: a pickle of a few
            bytes can hold one list in another, and that in another, many times over.
    """
    return _plain(value, iter(range(_MOST_VALUES)), 0)


def array_of(value: Any) -> np.ndarray[Any, Any]:
    """The points in a value.

    Raises:
        DecodeError: they are of different lengths, or a list holds itself many times over.
    """
    try:
        return np.asarray(plain(value) if isinstance(value, list | tuple) else value)
    except ValueError as error:
        raise DecodeError(f"points of different lengths in one block: {error}") from error


def _plain(value: Any, budget: Iterator[int], depth: int) -> Json:
    if next(budget, None) is None:
        raise DecodeError(f"more than {_MOST_VALUES} values")
    if depth > _DEEPEST:
        raise DecodeError(f"nested deeper than {_DEEPEST} levels")
    match value:
        case None | bool() | int() | float() | str():
            return _text(value) if isinstance(value, str) else _number(value)
        case np.ndarray() | np.generic():
            return _plain(value.tolist(), budget, depth + 1)
        case Mapping():
            return {_key(key): _plain(one, budget, depth + 1) for key, one in list(value.items())}
        case list() | tuple():
            return [_plain(one, budget, depth + 1) for one in value]
        case set() | frozenset():
            return sorted((_plain(one, budget, depth + 1) for one in value), key=repr)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.decode("utf-8", "replace")
        case Named():
            return value.name
    return str(value) if isinstance(value, complex) else _refused(value)


def _refused(value: Any) -> Json:
    raise DecodeError(f"a {type(value).__name__} is no value of a scan")


def _number(value: Any) -> Json:
    # Subclasses, such as numpy.float64, become what they are in JSON.
    if isinstance(value, bool) or value is None:
        return value
    return int(value) if isinstance(value, int) else float(value)


def _text(value: str) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _text(key)
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    if isinstance(key, int | float | bool | np.generic) or key is None:
        return str(key)
    raise DecodeError(f"a {type(key).__name__} as a key")
