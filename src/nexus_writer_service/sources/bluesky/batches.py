"""Events of one descriptor, turned into the values of each data key."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from struct import pack
from typing import Any, Final, Self

import numpy as np

from nexus_writer_service.sources.bluesky.columns import MISSING, Values

Document = Mapping[str, Any]

EVENTS: Final = "events"
"""Stands where documents have their name, for ``Events``."""
BLOCK: Final = 32
"""Events that are best packed at once, while they are in the processor's cache."""
_EVENT_BYTES: Final = 64
_KEY_BYTES: Final = 24

_data, _stamps, _number = map(itemgetter, ("data", "timestamps", "seq_num"))


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
        """Those that are not packed; to be added to, and packed whenever they are a block."""
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
        documents, self.newest = self.newest, []
        self._blocks.append(_packed(documents, self.keys) or documents)

    def parts(self) -> Iterator["Batch | list[Document]"]:
        """All of them in order: column by column, or as documents those that are not alike."""
        if self.newest:
            self.pack()
        for alike, blocks in groupby(self._blocks, lambda one: isinstance(one, _Block)):
            if alike:
                yield self._batch([block for block in blocks if isinstance(block, _Block)])
            else:
                yield [*chain.from_iterable(block for block in blocks if isinstance(block, list))]

    def _batch(self, blocks: Sequence["_Block"]) -> Batch:
        return Batch(
            self.descriptor,
            [number for block in blocks for number in block.numbers],
            _columns(self.keys, [block.values for block in blocks]),
            _columns(self.keys, [block.stamps for block in blocks]),
        )


@dataclass(frozen=True, slots=True)
class _Block:
    """Some events: what they have, event by event in the order of the keys."""

    numbers: list[Any]
    values: Values
    stamps: Values


def event_keys(described: Mapping[str, Any]) -> tuple[str, ...]:
    """The data keys that events have themselves."""
    return tuple(
        key for key, one in described.items() if not str(one.get("external")).startswith("STREAM")
    )


def _packed(documents: Sequence[Document], keys: tuple[str, ...]) -> _Block | None:
    """What events have, if they have all keys and no others."""
    # In as few steps as can be: whoever puts events waits meanwhile.
    pick: Callable[[Document], tuple[Any, ...]] = (
        itemgetter(*keys) if len(keys) > 1 else lambda values: (values[keys[0]],)
    )
    try:
        data, stamps = [*map(_data, documents)], [*map(_stamps, documents)]
        if {*map(len, data), *map(len, stamps)} != {len(keys)}:
            return None
        values = [*chain.from_iterable(map(pick, data))]
        times = [*chain.from_iterable(map(pick, stamps))]
        return _Block([*map(_number, documents)], _floats(values), _floats(times))
    except (LookupError, TypeError):
        return None  # it is for those who look at it closely


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
        table = np.concatenate(blocks).reshape(-1, count).T
        return dict(zip(keys, np.ascontiguousarray(table), strict=True))
    values = list(chain.from_iterable(blocks))
    return {key: values[number::count] for number, key in enumerate(keys)}


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
