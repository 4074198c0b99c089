"""Documents as JSON values and as MessagePack, and back, without loss and without pickle.

What JSON lacks is an object with one key:

    {"__nd__": [dtype, shape, data]}    array; base64 of its bytes in C order, a list for text
    {"__nps__": [dtype, value]}         NumPy scalar
    {"__tuple__": [...]}                tuple
    {"__bytes__": text}                 bytes, base64
    {"__f__": "nan", "inf" or "-inf"}   number that JSON cannot say
    {"__int__": text}                   integer beyond 64 bits, which MessagePack cannot say
    {"__dict__": [[key, value], ...]}   mapping whose keys are not all text, or look like these
    {"__repr__": [type, text]}          anything else; the text comes back

In MessagePack, bytes are bytes, and arrays and scalars may also be as the package msgpack-numpy
encodes them; those of objects, which it pickles, are refused.
"""

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nexus_writer_service.errors import DecodeError, SettingsError

Json = Any
"""What json.dumps takes."""

UNPACKING: Final = {"strict_map_key": False, "unicode_errors": "surrogatepass"}
"""Options of msgpack with which it reads what ``pack`` wrote, ready for ``from_json``."""

_DEPTH = 200
"""Levels of nesting: a document deeper than this means harm, or an endless loop."""


def to_json(value: Any) -> Json:
    """A document, or a part of one, as a value for ``json.dumps(..., allow_nan=False)``.

    Raises:
        ValueError: it is nested deeper than any document.
    """
    return _encoded(value, packing=False)


def _encoded(value: Any, *, packing: bool, depth: int = 0) -> Any:
    """The value for JSON, or for MessagePack, which knows bytes and all numbers up to 64 bits."""
    if depth > _DEPTH:
        raise ValueError(f"a document is nested deeper than {_DEPTH} levels")
    # Exact types first: nearly all values of an event are plain numbers or text.
    kind = type(value)
    if value is None or kind in (bool, str, int, float):
        return _number(value, packing=packing) if kind in (int, float) else value

    def inner(item: Any) -> Any:
        return _encoded(item, packing=packing, depth=depth + 1)

    match value:
        case np.ndarray():
            return _from_array(value, inner, packing=packing)
        case np.generic():
            return {"__nps__": [value.dtype.str, inner(value.item())]}
        case bytes():
            return value if packing else {"__bytes__": base64.b64encode(value).decode()}
        case tuple():
            return {"__tuple__": [inner(item) for item in value]}
        case list():
            return [inner(item) for item in value]
        case Mapping():
            if all(isinstance(key, str) for key in value) and not _means_something(value):
                return {str(key): inner(item) for key, item in value.items()}
            return {"__dict__": [[inner(key), inner(item)] for key, item in value.items()]}
        case str() | int() | float():  # subclasses, such as enumerations
            plain = next(base for base in (str, int, float) if isinstance(value, base))
            return inner(plain(value))
    return {"__repr__": [kind.__name__, repr(value)]}


def _number(value: float, *, packing: bool) -> Any:
    if isinstance(value, int):
        return value if not packing or -(2**63) <= value < 2**64 else {"__int__": str(value)}
    return value if packing or math.isfinite(value) else {"__f__": repr(value)}


def _means_something(value: Mapping[Any, Any]) -> bool:
    """Whether a mapping would be taken for one of ours, or of msgpack-numpy."""
    return (len(value) == 1 and next(iter(value)) in _DECODERS) or _is_numpy(value)


def _from_array(array: NDArray[Any], inner: Callable[[Any], Any], *, packing: bool) -> Json:
    shape = list(array.shape)
    if array.dtype.kind in "OU":
        return {"__nd__": [array.dtype.str, shape, inner(array.ravel().tolist())]}
    data = np.ascontiguousarray(array).tobytes()
    dtype = array.dtype.str if array.dtype.fields is None else array.dtype.descr
    if packing:
        return {"nd": True, "type": dtype, "shape": shape, "data": data}
    return {"__nd__": [dtype, shape, base64.b64encode(data).decode()]}


def from_json(value: Json) -> Any:
    """Undo ``to_json``.

    Raises:
        DecodeError: an object with one of the keys above does not hold what that key promises.
    """
    kind = type(value)
    if kind is list:
        return [from_json(item) for item in value]
    if kind is not dict:
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if decoder := _DECODERS.get(key):
            return _decoded(key, decoder, inner)
    if _is_numpy(value):
        return _decoded("an array", _from_numpy, value)
    return {key: from_json(item) for key, item in value.items()}


def _decoded(what: str, decoder: Callable[[Any], Any], inner: Any) -> Any:
    try:
        return decoder(inner)
    except DecodeError:
        raise
    except (TypeError, ValueError, LookupError) as error:
        raise DecodeError(f"{what} of a recorded document is damaged: {error}") from error


def _to_array(inner: Any) -> NDArray[Any]:
    dtype_text, shape, data = inner
    dtype = _dtype(dtype_text)
    if dtype.kind in "OU":
        array = np.empty(len(data), dtype)
        array[:] = [from_json(item) for item in data]
        return array.reshape(shape)
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape).copy()


def _dtype(text: Any) -> np.dtype[Any]:
    """The type that a text, or a list of fields, tells."""
    if isinstance(text, list):
        text = [tuple(_text(part) for part in field) for field in text]
    dtype: np.dtype[Any] = np.dtype(_text(text))
    if dtype.hasobject and dtype.fields is not None:
        raise ValueError("records with objects cannot be read safely")
    return dtype


_DECODERS: Mapping[Any, Callable[[Any], Any]] = {
    "__nd__": _to_array,
    "__nps__": lambda inner: np.dtype(inner[0]).type(from_json(inner[1])),
    "__f__": float,
    "__int__": int,
    "__bytes__": base64.b64decode,
    "__tuple__": lambda inner: tuple(from_json(item) for item in inner),
    "__dict__": lambda inner: {from_json(key): from_json(item) for key, item in inner},
    "__repr__": lambda inner: inner[1],
}


def message_pack() -> Any:
    """The package msgpack, which comes with an extra.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import msgpack  # noqa: PLC0415 - JSON does without
    except ImportError as error:
        raise SettingsError(
            "MessagePack cannot be read or written: install nexus_writer_service[bluesky]"
        ) from error
    return msgpack


def pack(value: Any) -> bytes:
    """A document, or anything made of such parts, as MessagePack.

    Raises:
        ValueError: it is nested deeper than any document.
    """
    msgpack = message_pack()
    packed: bytes = msgpack.packb(_encoded(value, packing=True), unicode_errors="surrogatepass")
    return packed


def unpack(data: bytes) -> Any:
    """Undo ``pack``.

    Raises:
        DecodeError: this is no MessagePack, or it holds pickled objects.
        SettingsError: the package msgpack is not installed.
    """
    msgpack = message_pack()
    try:
        value = msgpack.unpackb(data, **UNPACKING)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DecodeError(f"a packed document cannot be read: {error}") from error
    return from_json(value)


def _is_numpy(value: Mapping[Any, Any]) -> bool:
    """Whether msgpack-numpy, or ``pack``, made this; its keys are bytes or text, by version."""
    if "nd" not in value and b"nd" not in value:
        return False
    fields = {_text(key): item for key, item in value.items()}
    known = {"nd", "type", "data"} <= fields.keys() <= {"nd", "type", "data", "kind", "shape"}
    return known and isinstance(fields["data"], bytes)


def _from_numpy(value: Mapping[Any, Any]) -> Any:
    fields = {_text(key): item for key, item in value.items()}
    dtype = _dtype(fields["type"])
    if dtype.hasobject or _text(fields.get("kind")) == "O":
        raise ValueError("its objects are pickled, and reading them could run anything")
    values = np.frombuffer(fields["data"], dtype)
    return values.reshape(fields["shape"]).copy() if fields["nd"] else values[0]


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
