"""Events of one descriptor, turned into the values of each data key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import itemgetter
from struct import pack
from typing import Any, Final, Self

import numpy as np

from nexus_writer_service.sources.bluesky.columns import MISSING, Values

Table = Callable[[Mapping[str, Any]], tuple[Any, ...]]
"""The values of some keys, in their order."""

EVENTS: Final = "events"
"""Stands where documents have their name, for ``Events``."""
_EVENT_BYTES: Final = 64
_KEY_BYTES: Final = 32
_BLOCK: Final = 64
"""Events whose values are packed at once, while they are in the processor's cache."""


class Events:
    """Events of one descriptor that have all of its data keys and no others, without the rest.

    To keep their values takes a tenth of the memory of the documents, and less time later.

    Args:
        descriptor: uid.
        stream: the run and the name of their stream.
        keys: of the descriptor.
    """

    def __init__(self, descriptor: str, stream: tuple[str, str], keys: tuple[str, ...]) -> None:
        self.descriptor = descriptor
        self.stream = stream
        self.keys = keys
        self.numbers: list[Any] = []
        """Their ``seq_num``."""
        self.nbytes = _EVENT_BYTES + len(keys) * _KEY_BYTES
        """Memory that one more event takes, roughly."""
        self._pick = _pick(keys)
        self._values: list[Any] = []
        """Of the newest events, event by event in the order of the keys."""
        self._stamps: list[Any] = []
        self._blocks: list[tuple[Values, Values]] = []
        """Those of the events before: values and stamps, as numbers if all of them are floats."""

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
        stream = str(descriptor["run_start"]), str(descriptor["name"])
        return cls(str(descriptor["uid"]), stream, keys)

    def another(self) -> Self:
        """The same without events."""
        return type(self)(self.descriptor, self.stream, self.keys)

    def take(self, document: Mapping[str, Any]) -> bool:
        """Take an event; tells whether it could be taken.

        Raises:
            LookupError, TypeError: it could not.
        """
        data, stamps, number = document["data"], document["timestamps"], document["seq_num"]
        if not len(data) == len(stamps) == len(self.keys):
            return False
        values, stamps = self._pick(data), self._pick(stamps)
        self._values += values
        self._stamps += stamps
        self.numbers.append(number)
        if not len(self.numbers) % _BLOCK:
            self._pack()
        return True

    def _pack(self) -> None:
        self._blocks.append((_packed(self._values), _packed(self._stamps)))
        self._values, self._stamps = [], []

    def batch(self) -> "Batch":
        """Column by column."""
        if self._values:
            self._pack()
        values, stamps = zip(*self._blocks, strict=True)
        return Batch(
            self.descriptor,
            self.numbers,
            _columns(self.keys, values),
            _columns(self.keys, stamps),
        )

    def documents(self) -> list[dict[str, Any]]:
        """They as documents, with what is known of them."""
        batch = self.batch()
        return [
            {
                "descriptor": self.descriptor,
                "seq_num": number,
                "data": {key: batch.data[key][index] for key in self.keys},
                "timestamps": {key: batch.stamps[key][index] for key in self.keys},
            }
            for index, number in enumerate(self.numbers)
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


def _packed(values: list[Any]) -> Values:
    """Values as an array if all are floats, and nothing that only can be made one."""
    # Faster than numpy, which takes integers among floats for floats, and for each other.
    if [*map(type, values)].count(float) == len(values):
        return np.frombuffer(pack(f"{len(values)}d", *values))
    return values


def _columns(keys: Sequence[str], blocks: Sequence[Values]) -> dict[str, Values]:
    """The values of each key, of blocks that hold them event by event."""
    count = len(keys)
    if all(isinstance(block, np.ndarray) for block in blocks):
        table = np.concatenate(blocks).reshape(-1, count).T
        return dict(zip(keys, np.ascontiguousarray(table), strict=True))
    values = list(chain.from_iterable(blocks))
    return {key: values[number::count] for number, key in enumerate(keys)}


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one descriptor."""

    descriptor: str
    numbers: Sequence[Any]
    """Their ``seq_num``."""
    data: Mapping[str, Values]
    stamps: Mapping[str, Values]


def columns_of(
    documents: Sequence[Mapping[str, Any]], keys: Sequence[str], part: str
) -> dict[str, Values]:
    """The values of events, by data key; ``MISSING`` where an event has none.

    Args:
        documents: the events.
        keys: as described.
        part: ``data`` or ``timestamps``.
    """
    rows = [document[part] for document in documents]
    found = dict.fromkeys([*keys, *(key for row in rows for key in row)])
    return {key: [row.get(key, MISSING) for row in rows] for key in found}
