"""Events of one descriptor, turned into the values of each data key."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import itemgetter
from struct import pack
from typing import Any, Final, Self

import numpy as np

from nexus_writer_service.sources.bluesky.columns import MISSING, Values

Document = Mapping[str, Any]

EVENTS: Final = "events"
"""Stands where documents have their name, for ``Events``."""
BLOCK: Final = 128
"""Most events that are packed at once: fewer cost more when others used the processor meanwhile."""
_BLOCK_BYTES: Final = 1 << 18
"""Bytes of events that are packed in any case, and so accounted for."""
_EVENT_BYTES: Final = 64
_KEY_BYTES: Final = 24

_parts = itemgetter("seq_num", "data", "timestamps")


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one descriptor."""

    descriptor: str
    numbers: Sequence[Any]
    """Their ``seq_num``."""
    data: Mapping[str, Values]
    stamps: Mapping[str, Values]


class Events:
    """Events of one descriptor that have all of its data keys and no others: their values.

    These take a tenth of the memory of the documents, and less time later. They are taken out of
    each document when it comes, while it is in the processor's cache; and who keeps none lets the
    next one have its memory.

    Args:
        descriptor: uid.
        stream: the run and the name of their stream.
        keys: of the descriptor.
        nbytes: memory that an event takes, roughly; None: that of numbers.
    """

    def __init__(
        self,
        descriptor: str,
        stream: tuple[str, str],
        keys: tuple[str, ...],
        nbytes: int | None = None,
    ) -> None:
        self.descriptor = descriptor
        self.stream = stream
        self.keys = keys
        self.nbytes = nbytes or _EVENT_BYTES + len(keys) * _KEY_BYTES
        """Memory that one more event takes, roughly."""
        self.block = max(1, min(BLOCK, _BLOCK_BYTES // self.nbytes))
        """How many are packed at once."""
        self.newest: list[Any] = []
        """Those that are not packed, behind each other: number, values, time stamps. It stays the
        same list, and an event comes in one step, so that who adds needs no lock."""
        self.closed = False
        """Who adds one more has to look whether it was too late."""
        self._pick = _picker(keys)
        self._room = self.block * (1 + 2 * len(keys))
        self._blocks: list[_Block] = []

    def __reduce__(self) -> Any:
        return _again, (self.descriptor, self.stream, self.keys, self._blocks)

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

    def another(self, nbytes: int | None = None) -> Self:
        """The same without events, for some that take other memory."""
        return type(self)(self.descriptor, self.stream, self.keys, nbytes)

    def add(self, document: Document) -> bool:
        """Take an event.

        Returns:
            Whether to look at them: there are enough to be packed, or it came too late.

        Raises:
            LookupError: it has other keys; it is not taken.
            TypeError: it is no event; it is not taken.
        """
        number, data, stamps = _parts(document)
        if not len(data) == len(stamps) == len(self.keys):
            raise LookupError("an event has other keys than its descriptor")
        pick, newest = self._pick, self.newest
        newest += (number,) + pick(data) + pick(stamps)  # noqa: RUF005 - a fifth faster
        return len(newest) >= self._room or self.closed

    def pack(self) -> None:
        """Make numbers of the newest events, where they are floats."""
        if rows := self.take():
            self._blocks.append(_packed(rows, 1 + 2 * len(self.keys)))

    def take(self) -> list[Any]:
        """Take the newest events away; those that are added meanwhile stay."""
        rows = self.newest[:]
        del self.newest[: len(rows)]
        return rows

    def close(self) -> None:
        """Pack what was added up to now; from now on ``closed`` tells who adds."""
        self.closed = True
        self.pack()

    def batch(self) -> Batch | None:
        """All of them, column by column; None if there are none."""
        if not self.closed:  # else what comes late is for who adds it
            self.pack()
        blocks, keys = self._blocks, self.keys
        if not blocks:
            return None
        numbers = _joined([block.numbers for block in blocks])
        tables = [block.table for block in blocks if isinstance(block.table, np.ndarray)]
        if len(tables) == len(blocks):
            columns = _turned(tables, 2 * len(keys))
            data = dict(zip(keys, columns, strict=False))
            return Batch(
                self.descriptor, numbers, data, dict(zip(keys, columns[len(keys) :], strict=True))
            )
        values, stamps = zip(*(block.halves(len(keys)) for block in blocks), strict=True)
        return Batch(self.descriptor, numbers, _columns(keys, values), _columns(keys, stamps))


def _again(
    descriptor: str, stream: tuple[str, str], keys: tuple[str, ...], blocks: list["_Block"]
) -> Events:
    """Events that were packed, out of the temporary file."""
    events = Events(descriptor, stream, keys)
    events.closed = True
    events._blocks = blocks  # noqa: SLF001 - of this module
    return events


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


def _picker(keys: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Takes the values of all keys out of a mapping."""
    if len(keys) != 1:
        return itemgetter(*keys)
    (key,) = keys
    return lambda values: (values[key],)


def _packed(rows: list[Any], width: int) -> _Block:
    """Events as a block.

    Args:
        rows: number, values and time stamps, event by event; changed.
        width: how many items that are for each.
    """
    # In as few steps as can be: whoever puts events waits meanwhile.
    numbers = rows[::width]
    del rows[::width]
    table = _floats(rows)
    with suppress(TypeError, ValueError):  # they are for those who look at them closely
        expected = range(numbers[0], numbers[0] + len(numbers))
        if numbers == [*expected]:
            return _Block(expected, table)
    return _Block(numbers, table)


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
