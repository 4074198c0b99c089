"""Events of one descriptor, turned into the values of each data key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, Final, Self

import numpy as np

from nexus_writer_service.sources.bluesky.columns import MISSING, Values

Table = Callable[[Mapping[str, Any]], tuple[Any, ...]]
"""The values of some keys, in their order."""

EVENTS: Final = "events"
"""Stands where documents have their name, for ``Events``."""


@dataclass(slots=True)
class Events:
    """Events of one descriptor that have all of its data keys and no others, without the rest.

    To keep their values takes a tenth of the memory of the documents, and less time later.
    """

    descriptor: str
    keys: tuple[str, ...]
    pick: Table
    numbers: list[Any] = field(default_factory=list)
    """Their ``seq_num``."""
    values: list[Any] = field(default_factory=list)
    """Event by event, in the order of the keys."""
    stamps: list[Any] = field(default_factory=list)
    """Likewise."""
    nbytes: int = 0
    """Memory that one more event takes."""

    @classmethod
    def of(cls, descriptor: Mapping[str, Any]) -> Self | None:
        """For the events of a descriptor; None if these need to be looked at one by one.

        Raises:
            LookupError, TypeError, AttributeError: it is no descriptor.
        """
        described = descriptor["data_keys"]
        external = [str(one.get("external") or "STREAM") for one in described.values()]
        keys = event_keys(described)
        if not keys or not all(one.startswith("STREAM") for one in external):
            return None
        return cls(str(descriptor["uid"]), keys, _pick(keys))

    def another(self) -> Self:
        """The same without events."""
        return type(self)(self.descriptor, self.keys, self.pick)

    def take(self, document: Mapping[str, Any]) -> bool:
        """Take an event; tells whether it could be taken.

        Raises:
            LookupError, TypeError: it could not.
        """
        data, stamps, number = document["data"], document["timestamps"], document["seq_num"]
        if not len(data) == len(stamps) == len(self.keys):
            return False
        values, stamps = self.pick(data), self.pick(stamps)
        self.values += values
        self.stamps += stamps
        self.numbers.append(number)
        return True

    def batch(self, *, floats: bool) -> "Batch":
        """Column by column.

        Args:
            floats: whether all values are, as far as is known, so that they may be converted at
                once.
        """
        table = _float_table(self.values, len(self.keys)) if floats else None
        return Batch(
            self.descriptor,
            self.numbers,
            _columns(self.keys, self.values, table),
            _columns(self.keys, self.stamps, _float_table(self.stamps, len(self.keys))),
        )

    def documents(self) -> list[dict[str, Any]]:
        """They as documents, with what is known of them."""
        count = len(self.keys)
        return [
            {
                "descriptor": self.descriptor,
                "seq_num": number,
                "data": dict(zip(self.keys, self.values[at : at + count], strict=True)),
                "timestamps": dict(zip(self.keys, self.stamps[at : at + count], strict=True)),
            }
            for number, at in zip(self.numbers, range(0, len(self.values), count), strict=True)
        ]


def event_keys(described: Mapping[str, Any]) -> tuple[str, ...]:
    """The data keys that events have themselves."""
    return tuple(
        key for key, one in described.items() if not str(one.get("external")).startswith("STREAM")
    )


def _pick(keys: tuple[str, ...]) -> Table:
    if len(keys) > 1:
        return itemgetter(*keys)
    (key,) = keys
    return partial(_one, key)


def _one(key: str, values: Mapping[str, Any]) -> tuple[Any]:
    return (values[key],)


def _columns(
    keys: Sequence[str], values: list[Any], table: np.ndarray[Any, Any] | None
) -> dict[str, Values]:
    if table is not None:
        return dict(zip(keys, table, strict=True))
    count = len(keys)
    return {key: values[number::count] for number, key in enumerate(keys)}


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one descriptor."""

    descriptor: str
    numbers: Sequence[Any]
    """Their ``seq_num``."""
    data: Mapping[str, Values]
    stamps: Mapping[str, Values]


def _float_table(values: list[Any], count: int) -> np.ndarray[Any, Any] | None:
    """Values event by event as one row for each data key, if all of them are numbers."""
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        return None
    if array.dtype != np.float64 or array.ndim != 1:
        return None
    return np.ascontiguousarray(array.reshape(-1, count).T)


def columns_of(
    documents: Sequence[Mapping[str, Any]], keys: Sequence[str], part: str, *, floats: bool
) -> dict[str, Values]:
    """The values of events, by data key; ``MISSING`` where an event has none.

    Args:
        documents: the events.
        keys: as described.
        part: ``data`` or ``timestamps``.
        floats: whether all of them are, as far as is known, so that they may be converted at once.
    """
    rows = [document[part] for document in documents]
    count = len(keys)
    if count > 1 and set(map(len, rows)) == {count}:
        try:
            told = map(itemgetter(*keys), rows)
            if floats:
                values = list(chain.from_iterable(told))
                array = _float_table(values, count)
                if array is not None:
                    return dict(zip(keys, array, strict=True))
                told = map(itemgetter(*keys), rows)
            return dict(zip(keys, zip(*told, strict=True), strict=True))
        except KeyError:
            pass  # as many, but others
    found = dict.fromkeys([*keys, *(key for row in rows for key in row)])
    return {key: [row.get(key, MISSING) for row in rows] for key in found}
