"""One reading of many streams: which ones, how much of each, and what came of whom.

Pure: composes the arguments of one command of Redis and sorts its answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nexus_writer_service.sources.bliss.encodings import Entry
from nexus_writer_service.sources.bliss.scan import FollowedScan

if TYPE_CHECKING:
    from nexus_writer_service.sources.bliss.streams import ChannelStream

_COUNT = 100
"""Entries of one stream in one answer, while there is no backlog."""
_MOST_COUNT = 1000
"""With a backlog; with more than that the work per entry does not get less."""


@dataclass(slots=True)
class Reply:
    """What one reading brought."""

    created: list[Entry] = field(default_factory=list)
    """Entries of the stream of created scans."""
    states: dict[FollowedScan, list[Entry]] = field(default_factory=dict)
    data: dict[FollowedScan, dict[bytes, list[Entry]]] = field(default_factory=dict)
    """Entries by scan and Redis key of the stream."""
    full: bool = False
    """Whether a stream may hold more than was asked for."""

    @property
    def only_data(self) -> bool:
        """Whether nothing came but data."""
        return bool(self.data) and not self.created and not self.states


class Reading:
    """The streams of followed scans, as one reading takes them.

    Args:
        creations: Redis key of the stream of created scans.
        most_bytes: about how much memory an answer may take.
    """

    def __init__(self, creations: bytes, most_bytes: int) -> None:
        self._creations = creations
        self._most_bytes = most_bytes
        self._count = _COUNT
        self._full = False
        self._scans: dict[bytes, FollowedScan] = {}
        self._owners: dict[bytes, FollowedScan] = {}
        self._streams: list[ChannelStream] = []
        self._keys: list[bytes] = [creations]

    def cover(self, scans: Iterable[FollowedScan]) -> None:
        """From now on read these scans. Call again when one of them opens or ends a stream."""
        self._scans = {scan.state_key: scan for scan in scans}
        self._owners = {}
        self._streams = []
        for scan in self._scans.values():
            for key, stream in scan.streams().items():
                self._owners[key] = scan
                self._streams.append(stream)
        self._keys = [self._creations, *self._scans, *self._owners]

    def request(self, since: bytes, *, data: bool) -> tuple[Sequence[bytes], Sequence[bytes], int]:
        """Keys to read, the ids after which to read them, and the limit of entries per stream.

        Args:
            since: id in the stream of created scans.
            data: read all streams; otherwise only the ones of creations and states.
        """
        after = [since, *(scan.state_id for scan in self._scans.values())]
        if not data:
            return self._keys[: len(after)], after, _MOST_COUNT
        self._count = self._affordable()
        after += [stream.next_id for stream in self._streams]
        return self._keys, after, self._count

    def sort(self, answer: Iterable[Sequence[Any]]) -> Reply:
        """Tell apart what an answer holds: ``[key, entries]`` of each stream that has some."""
        reply = Reply()
        for key, entries in answer:
            if scan := self._owners.get(key):
                reply.data.setdefault(scan, {})[key] = entries
                reply.full |= len(entries) >= self._count
            elif scan := self._scans.get(key):
                reply.states[scan] = entries
            else:
                reply.created = entries
        self._full = reply.full
        return reply

    def _affordable(self) -> int:
        # Entries can grow a thousandfold from one to the next. So no more is asked for than is
        # there: twice as much after a full answer, half of it after one that was not.
        wished = min(2 * self._count, _MOST_COUNT) if self._full else max(self._count // 2, _COUNT)
        needed = sum(stream.entry_bytes for stream in self._streams) or 1
        return max(1, min(wished, self._most_bytes // needed))
