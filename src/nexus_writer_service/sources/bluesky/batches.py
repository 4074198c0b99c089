"""Events of one descriptor, turned into the values of each data key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from nexus_writer_service.sources.bluesky.columns import MISSING, Values


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
