"""Which row of a stream an event is.

``seq_num`` counts from 1. A run that is wound back (paused, then resumed from its last checkpoint)
tells events of the same number once more: what was measured again takes the place of the old row. A
number that is left out leaves a row without values.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import eq
from typing import Any, Final

from nexus_writer_service.sources.bluesky.columns import Values

LARGEST_GAP: Final = 100_000
"""Numbers left out at once above which a number is taken for a wrong one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Events ``first .. stop - 1`` of a batch, which follow each other in the stream."""

    first: int
    stop: int
    row: int
    """Of the first one."""
    again: bool = False
    """Their rows were there before."""


class Rows:
    """The rows of one stream so far."""

    def __init__(self) -> None:
        self.count = 0
        self._offsets: dict[str, int] = {}
        self._offset = 0

    def place(self, descriptor: str, numbers: Sequence[Any]) -> tuple[list[Segment], list[Any]]:
        """The rows of the next events.

        Args:
            descriptor: uid of their descriptor.
            numbers: their ``seq_num``.

        Returns:
            The events in segments; and the numbers that cannot be right, whose events were put
            behind all others.
        """
        if descriptor not in self._offsets:
            self._begin(descriptor, numbers[0])
        count = len(numbers)
        first = self.count - self._offsets[descriptor] + 1
        expected = range(first, first + count)
        if numbers == expected or [*numbers] == [*expected]:
            segment = Segment(0, count, self.count)
            self.count += count
            return [segment], []
        return self._one_by_one(descriptor, numbers)

    def _begin(self, descriptor: str, number: Any) -> None:
        """A new descriptor goes on counting, or begins again at 1."""
        self._offsets[descriptor] = self.count if number == 1 else self._offset
        self._offset = self._offsets[descriptor]

    def _one_by_one(
        self, descriptor: str, numbers: Sequence[Any]
    ) -> tuple[list[Segment], list[Any]]:
        segments: list[Segment] = []
        wrong = []
        for index, number in enumerate(numbers):
            row = self._row(descriptor, number)
            if row is None:
                wrong.append(number)
                row = self.count
                if (whole := _whole(number)) is not None:
                    self._offsets[descriptor] = row + 1 - whole
            again = row < self.count
            last = segments[-1] if segments else None
            if last and (last.row + index - last.first, last.again) == (row, again):
                segments[-1] = Segment(last.first, index + 1, last.row, again)
            else:
                segments.append(Segment(index, index + 1, row, again))
            self.count = max(self.count, row + 1)
        return segments, wrong

    def _row(self, descriptor: str, number: Any) -> int | None:
        whole = _whole(number)
        if whole is None:
            return None
        row = whole - 1 + self._offsets[descriptor]
        return row if 0 <= row <= self.count + LARGEST_GAP else None


def cut(segments: Sequence[Segment], columns: Iterable[Values]) -> Iterator[Segment]:
    """Segments in which values of each column either are in files or have come with the events.

    What comes first decides what the column is, also when both come together.

    Args:
        segments: of a batch.
        columns: values of it; texts say where values are.
    """
    places: set[int] = set()
    for values in columns:
        texts = [isinstance(value, str) for value in values]
        places.update(
            place for place, alike in enumerate(map(eq, texts[1:], texts), 1) if not alike
        )
    for segment in segments:
        within = sorted(place for place in places if segment.first < place < segment.stop)
        for first, stop in pairwise([segment.first, *within, segment.stop]):
            yield Segment(first, stop, segment.row + first - segment.first, segment.again)


def _whole(number: Any) -> int | None:
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        return None
    return whole if whole == number else None
