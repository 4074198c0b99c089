"""Values of one data key as arrays, whatever the events bring.

Descriptors say little of types that can be relied on (``number`` may be integers, ``dtype_numpy``
is rarely there and rarely right), so a column is what its values are. Its type only ever widens:
bool, integer, float, complex, text. Its sample may get lengths that vary, but keeps its rank.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from nexus_writer_service.model.description import Shape

Array = np.ndarray[Any, Any]
Values = Sequence[Any] | Array
"""What a data key has, event by event."""

MISSING: Final = object()
"""Stands for a value that an event does not have."""
NOT_THERE: Final = "the event does not have it"
IS_NONE: Final = "its value is None"
_LARGE: Final = 1 << 16
"""Bytes of one value from which on copying it costs more than another batch."""
TEXT: Final = np.dtype(object)


@dataclass(slots=True)
class Taken:
    """Values of a column that follow each other."""

    batches: tuple[Array, ...]
    """All of them, each of shape (points, *sample); fill stands for those that are not there."""
    count: int
    """How many they are: those behind them need a type or a shape of their own."""
    missing: dict[int, str] = field(default_factory=dict)
    """Why a value is not there, by its number."""
    widened: bool = False
    """The type or the shape of the column is not what it was before."""
    rounded: bool = False
    """Integers beyond 64 bits were rounded to floats."""


class Column:
    """What the values of a data key have been so far.

    What becomes of a value does not depend on which others are taken with it: it is as if they were
    taken one by one. So a value is of the type that the column has when it comes, and is converted
    with all others when the type widens: a False in a column of floats that becomes text is "0.0".
    """

    def __init__(self) -> None:
        self.dtype: np.dtype[Any] | None = None
        """None while there is no value. ``object`` is text."""
        self.sample: Shape = ()
        """Shape of one value; -1 where it varies."""

    @property
    def fill(self) -> Any:
        """What stands for a value that is not there."""
        return fill_of(self.dtype or np.dtype(float))

    def take(self, values: Values) -> Taken:
        """The next values as arrays of the column's type.

        Only the first of them may widen the type: those from the next one that does are left, to be
        taken when these have been told. While there was none, those before the first one are
        skipped, with no batch.

        Args:
            values: as the events have them; ``MISSING`` or None for none.
        """
        array = self._plain(values)
        if array is not None:
            return Taken((array,), len(values))
        if self.dtype is None and len(values) > 1:  # most often the others are like the first
            first = self._careful(values[:1])
            rest = self._plain(values[1:])
            if rest is not None:
                first.batches, first.count = (*first.batches, rest), len(values)
                return first
            self.dtype, self.sample = None, ()
        return self._careful(values)

    def _plain(self, values: Values) -> Array | None:
        """The values when they are numbers as known, or None."""
        if self.dtype is None or self.dtype.kind not in "biufc" or -1 in self.sample:
            return None
        if isinstance(values, np.ndarray) and values.dtype == self.dtype and not self.sample:
            return values if values.ndim == 1 else None
        if self.dtype == np.uint64:  # numpy takes small integers among large ones for unsigned
            return None
        if self.sample and (len(values) == 1 or getattr(values[0], "nbytes", 0) > _LARGE):
            return None
        try:
            array = np.array(values)
        except (ValueError, OverflowError):
            return None
        if array.dtype == self.dtype and array.shape[1:] == self.sample:
            return array
        return None

    def _careful(self, values: Values) -> Taken:
        taken = Taken((), len(values))
        items: list[Array | None] = []
        for number, value in enumerate(values):
            item, rounded = self._read(number, value, taken)
            if item is not None:
                item = self._fitting(item)
                if item is None:
                    what = f"its shape {np.shape(value)} is not that of the others, {self.sample}"
                    taken.missing[number] = what
                elif not self._holds(item):
                    if number:
                        taken.count = number
                        break
                    self._widen(item)
                    taken.widened = True
            taken.rounded |= rounded
            items.append(item)
        if self.dtype is not None:
            taken.batches = self._joined(items, self.dtype)
        return taken

    def _read(self, number: int, value: Any, taken: Taken) -> tuple[Array | None, bool]:
        """A value, and whether it had to be rounded; None when there is none."""
        if value is MISSING:
            taken.missing[number] = NOT_THERE
        elif value is None:
            taken.missing[number] = IS_NONE
        else:
            try:
                return _item(value)
            except (ValueError, TypeError, OverflowError) as error:
                taken.missing[number] = f"it cannot be written: {error}"
        return None, False

    def _fitting(self, item: Array) -> Array | None:
        """The item as one of as many axes as the column has; None when it is not."""
        if self.dtype is None or item.ndim == len(self.sample):
            return item
        return item.reshape(()) if item.size == 1 and not self.sample else None

    def _holds(self, item: Array) -> bool:
        return (
            self.dtype is not None
            and wider(self.dtype, item.dtype) == self.dtype
            and all(map(_in_axis, self.sample, item.shape))
        )

    def _widen(self, item: Array) -> None:
        if self.dtype is None:
            self.dtype, self.sample = item.dtype, item.shape
            return
        self.dtype = wider(self.dtype, item.dtype)
        lengths = zip(self.sample, item.shape, strict=True)
        self.sample = tuple(known if _in_axis(known, length) else -1 for known, length in lengths)

    def _joined(self, items: list[Array | None], dtype: np.dtype[Any]) -> tuple[Array, ...]:
        empty = np.full([max(length, 0) for length in self.sample], fill_of(dtype), dtype)
        arrays = [empty if item is None else converted(item, dtype) for item in items]
        alike = len({array.shape for array in arrays}) == 1
        if alike and (not self.sample or arrays[0].nbytes <= _LARGE):
            return (np.stack(arrays),)
        return tuple(array[np.newaxis] for array in arrays)


def _in_axis(known: int, length: int) -> bool:
    return known in (-1, length)


def fill_of(dtype: np.dtype[Any]) -> Any:
    """What stands for a value that is not there: NaN where there is one, else zero; empty text."""
    if dtype.kind in "fc":
        return float("nan")
    return "" if dtype.kind == "O" else dtype.type(0)


def wider(one: np.dtype[Any], other: np.dtype[Any]) -> np.dtype[Any]:
    """The type that holds the values of both."""
    if one == other:
        return one
    if "O" in (one.kind, other.kind):
        return TEXT
    return np.promote_types(one, other)


def converted(array: Array, dtype: np.dtype[Any]) -> Array:
    """An array as a type that is wider."""
    if dtype == TEXT and array.dtype != TEXT:
        texts = np.empty(array.shape, TEXT)
        texts.ravel()[:] = [str(item) for item in array.ravel().tolist()]
        return texts
    return array.astype(dtype, copy=False)


def _item(value: Any) -> tuple[Array, bool]:
    """One value as an array of numbers or texts, and whether it had to be rounded.

    Raises:
        ValueError: it is a list of lists of different lengths.
    """
    if isinstance(value, str):
        return _text(value), False
    if isinstance(value, bytes):
        return _text(value.decode("utf-8", "replace")), False
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 64:
        return np.array(float(value)), True
    array = np.asarray(value)
    if array.dtype.kind in "biufc":
        if array.dtype.itemsize > 16 or array.dtype == np.longdouble:
            array = array.astype(np.float64 if array.dtype.kind == "f" else np.complex128)
        return array, False
    if array.dtype.kind == "M":
        return converted(array.astype(str).astype(TEXT), TEXT), False
    if array.dtype.kind in "UTSO" and array.ndim:
        return _array_of_objects(array)
    return _text(json.dumps(value, default=str)), False


def _array_of_objects(array: Array) -> tuple[Array, bool]:
    items = array.ravel().tolist()
    if all(isinstance(item, int) for item in items):
        return np.array([float(item) for item in items]).reshape(array.shape), True
    if any(isinstance(item, list | tuple | np.ndarray) for item in items):
        raise ValueError("it holds lists of different lengths")
    texts = np.empty(array.shape, TEXT)
    texts.ravel()[:] = [_clean(item) for item in items]
    return texts, False


def _text(value: str) -> Array:
    array = np.empty((), TEXT)
    array[()] = _clean(value)
    return array


def _clean(item: Any) -> str:
    """Text as HDF5 can hold it: no zero bytes, no halves of surrogate pairs."""
    text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
