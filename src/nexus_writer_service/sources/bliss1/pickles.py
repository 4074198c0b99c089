"""Pickled values, read without running anything.

BLISS 1 keeps half of all values in Redis as pickles, and a pickle is a program: whoever may write
into Redis would run what he likes in the writer. So this is no unpickler with a filter, but a
reader of its own for the few things that a scan is made of: plain values, dates, numpy's numbers
and arrays. It imports nothing, calls nothing that a pickle names, and takes no more memory than the
pickle has bytes, roughly. Whatever else a pickle asks for is an error.
"""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import numpy as np

from nexus_writer_service.errors import DecodeError

MOST_BYTES = 1 << 30
"""A value that is longer is not read: Redis itself keeps none above half of it."""
_LONGEST_NUMBER = 16
_PROTOCOLS = range(2, 6)
_PICKLED = b"\x80"

_NUMBER_TYPES = (
    *("bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("intc", "uintc", "longlong", "ulonglong", "float16", "float32", "float64"),
    *("complex64", "complex128", "str_"),
)
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")


@dataclass(frozen=True, slots=True)
class Named:
    """A type that stands in a pickle as a value: what a channel's numbers are."""

    name: str
    """As ``numpy.dtype`` knows it."""


@dataclass(slots=True)
class _TypeBuilt:
    """A ``numpy.dtype`` whose byte order is still to come."""

    code: str
    keys: list[int] = field(default_factory=list)
    """Under which it is remembered."""


@dataclass(slots=True)
class _ArrayBuilt:
    """A ``numpy.ndarray`` whose content is still to come."""

    keys: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Maker:
    """What makes a value of the arguments that a pickle gives."""

    make: Callable[..., Any]


def is_pickle(value: bytes) -> bool:
    """Whether a value is a pickle; BLISS 1 keeps some texts as they are."""
    return value[:1] == _PICKLED


def load(value: bytes) -> Any:
    """The value in a pickle.

    It is made of None, numbers, texts, bytes, dates, numpy's numbers and arrays, types of numbers
    (``Named``), and lists, tuples, sets and dictionaries of these.

    Raises:
        DecodeError: it is no pickle, is broken, or holds anything else; which is not imported.
    """
    if len(value) > MOST_BYTES:
        raise DecodeError(f"{len(value)} bytes of pickle are too many")
    try:
        return _Reader(value).run()
    except DecodeError:
        raise
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise DecodeError(f"a broken pickle: {error!r}") from error


_MARK = object()


@dataclass(slots=True)
class _Reader:
    data: bytes
    at: int = 0
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self) -> Any:
        protocol = self.data[1] if is_pickle(self.data[:2]) else None
        if protocol not in _PROTOCOLS:
            raise DecodeError("no pickle of protocol 2 to 5")
        self.at = 2
        while True:
            code = self.data[self.at]
            self.at += 1
            if code == _STOP:
                return self.stack.pop()
            step = _STEPS.get(code)
            if step is None:
                raise DecodeError(f"the pickle asks for {bytes([code])!r}, which is not allowed")
            step(self)

    def take(self, count: int) -> bytes:
        """The next bytes."""
        start, self.at = self.at, self.at + count
        if self.at > len(self.data):
            raise DecodeError("a pickle that is cut off")
        return self.data[start : self.at]

    def sized(self, bytes_of_size: int) -> bytes:
        """Bytes whose number comes first."""
        return self.take(int.from_bytes(self.take(bytes_of_size), "little"))

    def since_mark(self) -> list[Any]:
        """What is on the stack above the last mark, which goes."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                found = self.stack[place + 1 :]
                del self.stack[place:]
                return found
        raise DecodeError("a broken pickle: no mark")

    def several(self, count: int) -> tuple[Any, ...]:
        """The last values on the stack, which go."""
        if len(self.stack) < count:
            raise DecodeError("a broken pickle: the stack is empty")
        found = tuple(self.stack[-count:])
        del self.stack[-count:]
        return found

    def whole(self, number: bytes) -> int:
        """A whole number."""
        if len(number) > _LONGEST_NUMBER:
            raise DecodeError(f"a number of {len(number)} bytes is not allowed")
        return int.from_bytes(number, "little", signed=True)

    def replace(self, old: _TypeBuilt | _ArrayBuilt, new: Any) -> None:
        """Put a value in the place of what stood for it, which is the last one."""
        self.stack[-1] = new
        for key in old.keys:
            self.memo[key] = new


# ----------------------------------------------------------------------------- what may be named


def _named(module: str, name: str) -> Any:
    """What a pickle means by a name.

    Raises:
        DecodeError: it is none of those that a scan is made of.
    """
    found = _NAMES.get((module, name))
    if found is None:
        raise DecodeError(f"the pickle names {module}.{name}, which is not allowed")
    return found


def _new_type(code: Any, *_: Any) -> _TypeBuilt:
    if not isinstance(code, str) or code[:1] not in "biufcSUO" or len(code) > 9:
        raise DecodeError(f"the numpy type {code!r} is not allowed")
    return _TypeBuilt(code)


def _built_type(built: _TypeBuilt, state: Any) -> np.dtype[Any]:
    order = state[1]
    if order not in ("<", ">", "|", "="):
        raise DecodeError(f"the byte order {order!r} is unknown")
    code = built.code
    if code[0] in "SU" and code[1:] in ("", "0"):
        # Texts have their length in the state: in bytes, which are four for a character.
        length = int(state[5]) // (4 if code[0] == "U" else 1)
        code = f"{code[0]}{length}"
    return np.dtype(code if code[0] == "O" else order + code)


def _scalar(dtype: Any, data: Any = None) -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes) or dtype.hasobject:
        raise DecodeError("a broken pickle of a numpy number")
    return np.frombuffer(data, dtype, 1)[0]


def _built_array(state: Any) -> Any:
    _, shape, dtype, fortran, data = state
    if not isinstance(dtype, np.dtype) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise DecodeError("a broken pickle of a numpy array")
    if dtype.hasobject:
        if not isinstance(data, list) or len(shape) != 1:
            raise DecodeError("a numpy array of objects is not allowed")
        return list(data)
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        raise DecodeError("a numpy array whose content does not fit its shape")
    if not data:
        if math.prod(shape):
            raise DecodeError("a numpy array of points without content")
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _array_of_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    """An array in a pickle of protocol 5."""
    return _built_array((1, shape, dtype, order == "F", bytes(data)))


def _timezone(offset: timedelta, *name: str) -> timezone:
    return timezone(offset, *name)


_NAMES: dict[tuple[str, str], Any] = {
    **{("builtins", name): Named(name) for name in ("float", "int", "bool", "str")},
    **{("numpy", name): Named(name.removesuffix("_")) for name in _NUMBER_TYPES},
    ("builtins", "complex"): _Maker(complex),
    ("datetime", "datetime"): _Maker(datetime),
    ("datetime", "date"): _Maker(date),
    ("datetime", "time"): _Maker(time),
    ("datetime", "timedelta"): _Maker(timedelta),
    ("datetime", "timezone"): _Maker(_timezone),
    ("collections", "OrderedDict"): _Maker(dict),
    ("numpy", "dtype"): _Maker(_new_type),
    ("numpy", "ndarray"): Named("ndarray"),
    **{(module, "scalar"): _Maker(_scalar) for module in _ARRAY_MODULES},
    **{(module, "_reconstruct"): _Maker(lambda *_: _ArrayBuilt()) for module in _ARRAY_MODULES},
    **{
        (module, "_frombuffer"): _Maker(_array_of_buffer)
        for module in ("numpy.core.numeric", "numpy._core.numeric")
    },
}

# ----------------------------------------------------------------------------------- the opcodes


def _global(reader: _Reader) -> None:
    module, name, _ = reader.data[reader.at :].split(b"\n", 2)
    reader.take(len(module) + len(name) + 2)
    reader.stack.append(_named(module.decode(), name.decode()))


def _stack_global(reader: _Reader) -> None:
    module, name = reader.several(2)
    reader.stack.append(_named(module, name))


def _reduce(reader: _Reader) -> None:
    maker, arguments = reader.several(2)
    if not isinstance(maker, _Maker) or not isinstance(arguments, tuple):
        raise DecodeError(f"the pickle calls {maker!r}, which is not allowed")
    reader.stack.append(maker.make(*arguments))


def _build(reader: _Reader) -> None:
    (state,) = reader.several(1)
    target = reader.stack[-1]
    if isinstance(target, _TypeBuilt):
        reader.replace(target, _built_type(target, state))
    elif isinstance(target, _ArrayBuilt):
        reader.replace(target, _built_array(state))
    else:
        raise DecodeError(f"the pickle changes a {type(target).__name__}, which is not allowed")


def _set_items(reader: _Reader, items: list[Any]) -> None:
    target = reader.stack[-1]
    if not isinstance(target, dict) or len(items) % 2:
        raise DecodeError("a broken pickle of a dictionary")
    target.update(zip(items[::2], items[1::2], strict=True))


def _append(reader: _Reader, items: list[Any]) -> None:
    target = reader.stack[-1]
    if not isinstance(target, list):
        raise DecodeError("a broken pickle of a list")
    target.extend(items)


def _add_items(reader: _Reader, items: list[Any]) -> None:
    target = reader.stack[-1]
    if not isinstance(target, set):
        raise DecodeError("a broken pickle of a set")
    target.update(items)


def _memoize(reader: _Reader, key: int) -> None:
    # A dictionary: a key as large as it can be takes no more room than a small one.
    value = reader.memo[key] = reader.stack[-1]
    if isinstance(value, _TypeBuilt | _ArrayBuilt):
        value.keys.append(key)


def _number(reader: _Reader, size: int, *, signed: bool = False) -> int:
    return int.from_bytes(reader.take(size), "little", signed=signed)


def _double(reader: _Reader) -> float:
    (found,) = struct.unpack(">d", reader.take(8))
    return float(found)


def _pushing(value: Callable[[_Reader], Any]) -> Callable[[_Reader], None]:
    def step(reader: _Reader) -> None:
        reader.stack.append(value(reader))

    return step


def _nothing(reader: _Reader) -> None:
    """A frame: how the bytes were cut for writing."""
    reader.take(8)


def _drop(reader: _Reader) -> None:
    reader.several(1)


def _drop_to_mark(reader: _Reader) -> None:
    reader.since_mark()


def _steps() -> Iterator[tuple[bytes, Callable[[_Reader], None]]]:
    """Opcodes and what they do."""
    yield b"\x95", _nothing
    yield b"(", lambda reader: reader.stack.append(_MARK)
    yield b"0", _drop
    yield b"1", _drop_to_mark
    yield b"2", lambda reader: reader.stack.append(reader.stack[-1])
    pushed: dict[bytes, Callable[[_Reader], Any]] = {
        b"N": lambda _: None,
        b"\x88": lambda _: True,
        b"\x89": lambda _: False,
        b"K": lambda reader: _number(reader, 1),
        b"M": lambda reader: _number(reader, 2),
        b"J": lambda reader: _number(reader, 4, signed=True),
        b"\x8a": lambda reader: reader.whole(reader.sized(1)),
        b"\x8b": lambda reader: reader.whole(reader.sized(4)),
        b"G": _double,
        b"\x8c": lambda reader: reader.sized(1).decode("utf-8", "surrogatepass"),
        b"X": lambda reader: reader.sized(4).decode("utf-8", "surrogatepass"),
        b"\x8d": lambda reader: reader.sized(8).decode("utf-8", "surrogatepass"),
        b"C": lambda reader: reader.sized(1),
        b"B": lambda reader: reader.sized(4),
        b"\x8e": lambda reader: reader.sized(8),
        b"\x96": lambda reader: reader.sized(8),
        b"]": lambda _: [],
        b"}": lambda _: {},
        b")": lambda _: (),
        b"\x8f": lambda _: set(),
        b"t": lambda reader: tuple(reader.since_mark()),
        b"\x85": lambda reader: reader.several(1),
        b"\x86": lambda reader: reader.several(2),
        b"\x87": lambda reader: reader.several(3),
        b"\x91": lambda reader: frozenset(reader.since_mark()),
        b"h": lambda reader: reader.memo[_number(reader, 1)],
        b"j": lambda reader: reader.memo[_number(reader, 4)],
    }
    for code, value in pushed.items():
        yield code, _pushing(value)
    yield b"a", lambda reader: _append(reader, list(reader.several(1)))
    yield b"e", lambda reader: _append(reader, reader.since_mark())
    yield b"s", lambda reader: _set_items(reader, list(reader.several(2)))
    yield b"u", lambda reader: _set_items(reader, reader.since_mark())
    yield b"\x90", lambda reader: _add_items(reader, reader.since_mark())
    yield b"\x94", lambda reader: _memoize(reader, len(reader.memo))
    yield b"q", lambda reader: _memoize(reader, _number(reader, 1))
    yield b"r", lambda reader: _memoize(reader, _number(reader, 4))
    yield b"c", _global
    yield b"\x93", _stack_global
    yield b"R", _reduce
    yield b"b", _build


_STOP = ord(".")
_STEPS: dict[int, Callable[[_Reader], None]] = {code[0]: step for code, step in _steps()}
