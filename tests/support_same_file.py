"""Whether two HDF5 files say the same, object by object."""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

TIMES = frozenset({"file_time", "date", "end_time", "start_time"})
"""Names of attributes and datasets that tell when the writer did something."""


def differences(one: Any, other: Any, *, ignored: frozenset[str] = TIMES) -> list[str]:
    """In what two files (paths) differ: links, types, shapes, storage, values, attributes."""
    with h5py.File(one, "r") as a, h5py.File(other, "r") as b:
        return list(_differences("/", a, b, ignored))


def _differences(path: str, a: Any, b: Any, ignored: frozenset[str]) -> Iterator[str]:
    yield from _attributes(path, a, b, ignored)
    if type(a) is not type(b):
        yield f"{path}: {type(a).__name__} and {type(b).__name__}"
    elif isinstance(a, h5py.Group):
        for name in sorted({*a, *b} - ignored):
            where = f"{path.rstrip('/')}/{name}"
            links = [group.get(name, getlink=True) for group in (a, b)]
            if None in links:
                yield f"{where}: only in the {'second' if links[0] is None else 'first'} file"
            elif not all(isinstance(link, h5py.HardLink) for link in links):
                yield from _unequal(where, *(_target(link) for link in links))
            else:
                yield from _differences(where, a[name], b[name], ignored)
    else:
        yield from _unequal(f"{path}: how it is stored", _storage(a), _storage(b))
        if a.shape == b.shape and a.dtype == b.dtype:
            yield from _values(path, a[()], b[()])


def _attributes(path: str, a: Any, b: Any, ignored: frozenset[str]) -> Iterator[str]:
    for name in sorted({*a.attrs, *b.attrs} - ignored):
        if (name in a.attrs) != (name in b.attrs):
            yield f"{path}@{name}: in one file only"
        else:
            yield from _values(f"{path}@{name}", a.attrs[name], b.attrs[name])


def _values(path: str, a: Any, b: Any) -> Iterator[str]:
    x, y = np.asarray(a), np.asarray(b)
    same = x.dtype == y.dtype and x.shape == y.shape
    if not same or not np.array_equal(x, y, equal_nan=x.dtype.kind in "fc"):
        yield f"{path}: {_short(a)} and {_short(b)}"


def _storage(dataset: Any) -> tuple[Any, ...]:
    filters = (dataset.compression, dataset.compression_opts, dataset.shuffle)
    virtual = [tuple(source) for source in dataset.virtual_sources()] if dataset.is_virtual else ()
    sources = [(one[1], one[2]) for one in virtual]
    return dataset.dtype, dataset.shape, dataset.maxshape, dataset.chunks, *filters, sources


def _target(link: Any) -> tuple[Any, ...]:
    return type(link).__name__, getattr(link, "filename", ""), getattr(link, "path", "")


def _unequal(path: str, a: Any, b: Any) -> Iterator[str]:
    if a != b:
        yield f"{path}: {_short(a)} and {_short(b)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}..."
