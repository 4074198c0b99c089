"""How values become HDF5 types, datasets and attributes.

Text is variable-length UTF-8; bytes are variable-length, or opaque where they hold a zero byte; int
is int64 (uint64 above its range), float float64, bool the two-valued enum that h5py reads as bool.
"""

from functools import cache
from typing import Any, Final

import h5py
import numpy as np
from h5py import h5a, h5d, h5o, h5p, h5s, h5t

from nexus_writer_service.model.tree import Value

TEXT: Final = h5py.string_dtype()
_BYTES: Final = h5py.string_dtype("ascii")
_BLOCK: Final = 1 << 20
"""Values converted at once."""
_PLAIN_LAYOUTS: Final = (h5d.CONTIGUOUS, h5d.CHUNKED, h5d.COMPACT)

_COMPACT_BYTES: Final = 1024
"""Values up to this size stand in the header of their dataset: one write instead of two."""

Array = np.ndarray[Any, Any]


def stored_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in the file: text of every kind is variable-length UTF-8, others stay."""
    return TEXT if dtype.kind in "OUT" else dtype


def file_type(dtype: np.dtype[Any]) -> Any:
    """HDF5 type in the file."""
    return _type(dtype, logical=True)


def memory_type(dtype: np.dtype[Any]) -> Any:
    """HDF5 type of a numpy array in memory."""
    return _type(dtype, logical=False)


def _type(dtype: np.dtype[Any], *, logical: bool) -> Any:
    """HDF5 type of a dtype: made once for the few that nearly all values have."""
    if dtype is TEXT:
        return _text_type(logical)
    if dtype.kind in "iuf" and dtype.metadata is None:
        return _number_type(dtype.str, logical)
    return h5t.py_create(dtype, logical=logical)


@cache
def _text_type(logical: bool) -> Any:
    return h5t.py_create(TEXT, logical=logical)


@cache
def _number_type(dtype: str, logical: bool) -> Any:
    return h5t.py_create(np.dtype(dtype), logical=logical)


@cache
def _scalar() -> Any:
    return h5s.create(h5s.SCALAR)


def as_array(value: Value) -> Array:
    """The array to write for a value.

    Raises:
        TypeError: HDF5 has no type for it.
    """
    if isinstance(value, str):
        return np.array(str(value), dtype=TEXT)
    if isinstance(value, bytes):
        return np.array(np.void(value)) if b"\0" in value else np.array(value, dtype=_BYTES)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return np.array(value, dtype=TEXT)
    array = np.asarray(value)
    if array.dtype.kind in "UT":
        return array.astype(object).astype(TEXT)
    if array.dtype.kind == "O":
        if all(isinstance(item, str) for item in array.flat):
            return array.astype(TEXT)
        raise TypeError(f"an array of Python objects such as {array.flat[0]!r} is not HDF5 data")
    return np.require(array, requirements="C")


def space_of(array: Array) -> Any:
    """Dataspace of an array."""
    return h5s.create_simple(array.shape) if array.shape else _scalar()


def set_attribute(owner: Any, name: str, value: Value, *, new: bool = False) -> None:
    """Set an attribute of a group or dataset (low-level identifier).

    Args:
        owner: the group or dataset.
        name: of the attribute.
        value: what it becomes.
        new: the owner is known to have no attribute of that name.

    Raises:
        ValueError: HDF5 cannot have an attribute of that name, or what ``as_array`` raises.
    """
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be the name of an attribute")
    array = as_array(value)
    kind = file_type(array.dtype)
    key = name.encode()
    attribute = None
    if not new and h5a.exists(owner, key):
        attribute = h5a.open(owner, key)
        if attribute.shape != array.shape or not attribute.get_type().equal(kind):
            del attribute
            h5a.delete(owner, key)
            attribute = None
    if attribute is None:
        attribute = h5a.create(owner, key, kind, space_of(array))
    if array.size:
        attribute.write(array, memory_type(array.dtype))


def replace_text(owner: Any, name: str, text: str) -> None:
    """Give an attribute, which is known to be a text, another one (low-level identifier)."""
    attribute = h5a.open(owner, name.encode())
    attribute.write(np.array(text, dtype=TEXT), memory_type(TEXT))


def get_text_attribute(owner: Any, name: str) -> str | None:
    """A text attribute; None when there is none of that name."""
    if not h5a.exists(owner, name.encode()):
        return None
    attribute = h5a.open(owner, name.encode())
    found = np.empty(attribute.shape, attribute.dtype)
    attribute.read(found)
    item = found.flat[0] if found.size else ""
    return item.decode(errors="replace") if isinstance(item, bytes) else str(item)


def copy_attributes(source: Any, target: Any) -> None:
    """Give a new object all attributes of the one whose place it takes."""
    for index in range(h5a.get_num_attrs(source)):
        old = h5a.open(source, index=index)
        new = h5a.create(target, old.name, old.get_type(), old.get_space())
        if old.get_space().get_simple_extent_type() != h5s.NULL:
            held = np.empty(old.shape, old.dtype)
            old.read(held)
            new.write(held)


def fits_in_place(dataset: Any, array: Array) -> bool:
    """Whether an existing dataset can take a new value without being made anew."""
    properties = dataset.get_create_plist()
    return (
        properties.get_layout() in _PLAIN_LAYOUTS
        and not properties.get_external_count()
        and dataset.shape == array.shape
        and dataset.get_type().equal(file_type(array.dtype))
    )


def write_all(dataset: Any, array: Array) -> None:
    """Write the whole of a dataset."""
    if array.size:
        dataset.write(h5s.ALL, h5s.ALL, array, memory_type(array.dtype))


def new_dataset(group: Any, array: Array) -> Any:
    """A dataset with its value, not linked anywhere yet, so that it never shows half made."""
    properties = _creation(compact=array.nbytes <= _COMPACT_BYTES)
    dataset = h5d.create(group, None, file_type(array.dtype), space_of(array), properties)
    write_all(dataset, array)
    return dataset


@cache
def _creation(*, compact: bool) -> Any:
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    if compact:
        properties.set_layout(h5d.COMPACT)
    return properties


def put_in_place(group: Any, name: str, dataset: Any, *, free: bool = False) -> None:
    """Link a dataset into a group, in place of whatever has its name; ``free``: nothing has it."""
    key, link_properties = link_name(name)
    if not free and group.links.exists(key):
        group.unlink(key)
    h5o.link(dataset, group, key, link_properties)


def link_name(name: str) -> tuple[bytes, Any]:
    """Bytes of a link's name, and the link creation properties that go with them."""
    if name.isascii():
        return name.encode(), None
    properties = h5p.create(h5p.LINK_CREATE)
    properties.set_char_encoding(h5t.CSET_UTF8)
    return name.encode(), properties


def convert(old: Any, new: Any, length: int) -> None:
    """Give a new dataset the points of an old one, as its own type (low-level identifiers).

    Args:
        old: with ``length`` points along its first axis.
        new: empty, of the same rank.
        length: number of points.
    """
    kind = new.dtype
    new.set_extent(old.shape)
    step = max(1, _BLOCK // max(1, int(np.prod(old.shape[1:], initial=1))))
    for start in range(0, length, step):
        rows = read_rows(old, start, min(start + step, length))
        if kind.kind == "O" and rows.dtype.kind != "O":
            texts = np.empty(rows.shape, object)
            texts.ravel()[:] = [str(item) for item in rows.ravel().tolist()]
            rows = texts
        rows = np.require(rows, None if kind.kind == "O" else kind, "C")
        space = new.get_space()
        space.select_hyperslab((start, *(0,) * (rows.ndim - 1)), rows.shape)
        new.write(h5s.create_simple(rows.shape), space, rows, memory_type(kind))


def read_rows(dataset: Any, start: int, stop: int) -> Array:
    """Points ``start .. stop - 1`` along the first axis of a dataset (low-level identifier)."""
    counts = (stop - start, *dataset.shape[1:])
    rows = np.empty(counts, dataset.dtype)
    space = dataset.get_space()
    space.select_hyperslab((start, *(0,) * (len(counts) - 1)), counts)
    dataset.read(h5s.create_simple(counts), space, rows)
    return rows
