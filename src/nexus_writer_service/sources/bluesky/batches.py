"""Events of one descriptor, turned into the values of each data key."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from operator import itemgetter
from struct import pack
from typing import Any, Final, Self

import numpy as np

from nexus_writer_service.sources.bluesky.columns import MISSING, Values

Document = Mapping[str, Any]

EVENTS: Final = "events"
"""Stands where documents have their name, for ``Events``."""
BLOCK: Final = 64
"""Events that are best packed at once, while they are in the processor's cache."""
_EVENT_BYTES: Final = 64
_KEY_BYTES: Final = 24

_parts, _number = itemgetter("data", "timestamps"), itemgetter("seq_num")


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one descriptor."""

    descriptor: str
    numbers: Sequence[Any]
    """Their ``seq_num``."""
    data: Mapping[str, Values]
    stamps: Mapping[str, Values]


class Events:
    """Events of one descriptor: of those that have all of its data keys and no others, the values.

    To keep these takes a tenth of the memory of the documents, and less time later.

    Args:
        descriptor: uid.
        stream: the run and the name of their stream.
        keys: of the descriptor.
    """

    def __init__(self, descriptor: str, stream: tuple[str, str], keys: tuple[str, ...]) -> None:
        self.descriptor = descriptor
        self.stream = stream
        self.keys = keys
        self.nbytes = _EVENT_BYTES + len(keys) * _KEY_BYTES
        """Memory that one more event takes, roughly."""
        self.newest: list[Document] = []
        """Those that are not packed; to be added to, and packed whenever they are a block. It
        stays the same list, so that who adds needs no lock."""
        self.closed = False
        """Who adds one more has to look whether it was too late."""
        self._blocks: list[_Block | list[Document]] = []

    @classmethod
    def of(cls, descriptor: Document) -> Self | None:
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

    def pack(self) -> None:
        """Keep of the newest events only what they have, if they are alike."""
        if documents := self.take():
            self._blocks.append(_packed(documents, self.keys) or documents)

    def take(self) -> list[Document]:
        """Take the newest events away; those that are added meanwhile stay."""
        documents = self.newest[:]
        del self.newest[: len(documents)]
        return documents

    def close(self) -> None:
        """Pack what was added up to now; from now on ``closed`` tells who adds."""
        self.closed = True
        self.pack()

    def parts(self) -> Iterator["Batch | list[Document]"]:
        """All of them in order: column by column, or as documents those that are not alike."""
        if not self.closed:  # else what comes late is for who adds it
            self.pack()
        for alike, blocks in groupby(self._blocks, lambda one: isinstance(one, _Block)):
            if alike:
                yield self._batch([block for block in blocks if isinstance(block, _Block)])
            else:
                yield [*chain.from_iterable(block for block in blocks if isinstance(block, list))]

    def _batch(self, blocks: Sequence["_Block"]) -> Batch:
        numbers = _joined([block.numbers for block in blocks])
        tables = [block.table for block in blocks if isinstance(block.table, np.ndarray)]
        keys = self.keys
        if len(tables) == len(blocks):
            columns = _turned(tables, 2 * len(keys))
            data = dict(zip(keys, columns, strict=False))
            return Batch(
                self.descriptor, numbers, data, dict(zip(keys, columns[len(keys) :], strict=True))
            )
        values, stamps = zip(*(block.halves(len(keys)) for block in blocks), strict=True)
        return Batch(self.descriptor, numbers, _columns(keys, values), _columns(keys, stamps))


@dataclass(frozen=True, slots=True)
class _Block:
    """Some events: what they have, event by event in the order of the keys."""

    numbers: Sequence[Any]
    table: Values
    """Of each event its values, then their time stamps."""

    def halves(self, count: int) -> tuple[Values, Values]:
        """The values and the time stamps."""
        table = self.table.tolist() if isinstance(self.table, np.ndarray) else self.table
        rows = [table[first : first + count] for first in range(0, len(table), count)]
        return _floats([*chain.from_iterable(rows[::2])]), _floats(
            [*chain.from_iterable(rows[1::2])]
        )


def event_keys(described: Mapping[str, Any]) -> tuple[str, ...]:
    """The data keys that events have themselves."""
    return tuple(
        key for key, one in described.items() if not str(one.get("external")).startswith("STREAM")
    )


def _packed(documents: Sequence[Document], keys: tuple[str, ...]) -> _Block | None:
    """What events have, if they have all keys and no others."""
    # In as few steps as can be: whoever puts events waits meanwhile.
    pick: Callable[[Document], Any] = itemgetter(*keys)
    try:
        parts = [*chain.from_iterable(map(_parts, documents))]
        if {*map(len, parts)} != {len(keys)}:
            return None
        picked = map(pick, parts)
        values = [*chain.from_iterable(picked)] if len(keys) > 1 else [*picked]
        numbers = [*map(_number, documents)]
        expected = range(numbers[0], numbers[0] + len(numbers))
        follow = numbers == [*expected]
    except (LookupError, TypeError, ValueError):
        return None  # it is for those who look at it closely
    return _Block(expected if follow else numbers, _floats(values))


def _joined(numbers: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """The numbers of blocks that follow each other: a range, if they are."""
    first, last = numbers[0], numbers[-1]
    if all(isinstance(one, range) for one in numbers):
        expected = range(first[0], last[-1] + 1)
        following = pairwise(numbers)
        if all(one[-1] + 1 == other[0] for one, other in following):
            return expected
    return [*chain.from_iterable(numbers)]


def _floats(values: list[Any]) -> Values:
    """Values as an array if all are floats, and nothing that only can be made one."""
    # Faster than numpy, which takes integers among floats for floats.
    if [*map(type, values)].count(float) == len(values):
        return np.frombuffer(pack(f"{len(values)}d", *values))
    return values


def _columns(keys: Sequence[str], blocks: Sequence[Values]) -> dict[str, Values]:
    """The values of each key, of blocks that hold them event by event."""
    count = len(keys)
    if all(isinstance(block, np.ndarray) for block in blocks):
        return dict(zip(keys, _turned(blocks, count), strict=True))
    values = list(chain.from_iterable(blocks))
    return {key: values[number::count] for number, key in enumerate(keys)}


def _turned(blocks: Sequence[Values], count: int) -> np.ndarray[Any, Any]:
    """Numbers of blocks that hold them event by event, as so many columns."""
    # Block by block: they are in the processor's cache, a table of all of them is not.
    columns = np.empty((count, sum(map(len, blocks)) // count))
    stop = 0
    for block in blocks:
        rows = np.reshape(block, (-1, count))
        stop += len(rows)
        columns[:, stop - len(rows) : stop] = rows.T
    return columns


def columns_of(documents: Sequence[Document], keys: Sequence[str], part: str) -> dict[str, Values]:
    """The values of events, by data key; ``MISSING`` where an event has none.

    Args:
        documents: the events.
        keys: as described.
        part: ``data`` or ``timestamps``.
    """
    rows = [document[part] for document in documents]
    found = dict.fromkeys([*keys, *(key for row in rows for key in row)])
    return {key: [row.get(key, MISSING) for row in rows] for key in found}
