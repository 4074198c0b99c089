"""Which scans come next: live ones first, and of older ones only those that concern us.

A source that starts finds thousands of scans in Redis, nearly all of them over and saved long ago.
So each of them is only glimpsed at first: a few members of its document instead of the whole.
Nobody who measures now waits for what was measured yesterday. A scan that is heard of at its
creation is not glimpsed: BLISS asks for it within a millisecond, and a glimpse is one more round
trip before the answer.

Pure: keys and answers in, keys out.
"""

import json
from collections import deque
from collections.abc import Mapping
from itertools import islice

from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import Json, ScanKey
from nexus_writer_service.sources.bliss.scan_info import describe

GLIMPSED = (
    b"$.id.session",
    b"$.id.path",
    b"$.info.end_reason",
    b"$.info.save",
    b"$.info.filename",
    b"$.info.data_writer",
)
"""JSON paths of what decides whether a scan is followed, and when."""
_REMEMBERED = 100_000
"""Keys that are known again; blissdata keeps about 2000 in the stream of created scans."""


class Arrivals:
    """The scans that have been found and are not followed yet.

    Args:
        session: BLISS session whose scans are followed; None: those of all sessions.
        backlog: what of the past is followed.
    """

    def __init__(self, session: str | None, backlog: Backlog) -> None:
        self._session = session
        self._backlog = backlog
        self._known: dict[ScanKey, None] = {}
        self._unseen: dict[ScanKey, None] = {}
        """Created before they could be heard of."""
        self._live: deque[ScanKey] = deque()
        self._over: deque[ScanKey] = deque()
        self._expected = set(backlog.expected)
        for key in sorted(self._expected):
            self.add(key, past=True)

    def __bool__(self) -> bool:
        return bool(self._unseen or self._live or self._over)

    def know(self, key: ScanKey) -> bool:
        """Pass a scan over from now on; tells whether it was known before."""
        if key in self._known:
            return True
        self._known[key] = None
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return False

    def add(self, key: ScanKey, *, past: bool) -> None:
        """A scan was created, ``past``: before the source listened. Each is taken in once."""
        if self.know(key):
            return
        if key in self._expected or not self._backlog.skip(key):
            if past:
                self._unseen[key] = None
            else:
                self._live.append(key)

    def want(self, key: ScanKey) -> None:
        """Somebody asks for a scan: it comes, also when it was passed over before."""
        self.know(key)
        self._unseen.pop(key, None)
        if key not in self._live and key not in self._over:
            self._live.append(key)

    def unseen(self, most: int) -> list[ScanKey]:
        """Scans that are to be glimpsed now."""
        return list(islice(self._unseen, most))

    def glimpsed(self, key: ScanKey, text: bytes) -> None:
        """Take what was glimpsed of a scan: it will come, now or later, or is passed over."""
        del self._unseen[key]
        document = _document(text)
        scan, _ = describe(key, document)
        if self._session not in (None, document["id"].get("session")):
            return
        if key not in self._expected and not self._backlog.concerns(scan):
            return
        queue = self._over if scan.end_reason is not None else self._live
        queue.append(key)

    def unclear(self, key: ScanKey) -> None:
        """A scan could not be glimpsed: its whole document will tell."""
        del self._unseen[key]
        self._live.append(key)

    def gone(self, key: ScanKey) -> bool:
        """A scan is not there any more; tells whether it is one that was expected."""
        self._unseen.pop(key, None)
        return self.resolve(key)

    def next(self, live: int, over: int) -> list[ScanKey]:
        """The next scans to follow, in order; they stay until they are ``taken``.

        Args:
            live: at most so many of those that were not over when they were found.
            over: at most so many of the others.
        """
        return [*islice(self._live, max(0, live)), *islice(self._over, max(0, over))]

    def taken(self, key: ScanKey) -> None:
        """A scan that was ``next`` has been looked at."""
        for queue in (self._live, self._over):
            if queue and queue[0] == key:
                queue.popleft()
                return

    def resolve(self, key: ScanKey) -> bool:
        """What became of a scan is known; tells whether it was expected."""
        expected = key in self._expected
        self._expected.discard(key)
        return expected

    def give_up_expected(self) -> list[ScanKey]:
        """The expected scans that were not found so far; they will not be followed."""
        given_up = sorted(self._expected)
        for key in given_up:
            self._unseen.pop(key, None)
        self._live = deque(key for key in self._live if key not in self._expected)
        self._over = deque(key for key in self._over if key not in self._expected)
        self._expected.clear()
        return given_up


def _document(text: bytes) -> dict[str, dict[str, Json]]:
    """The part of a scan's document that was glimpsed: an answer has a list for each path."""
    document: dict[str, dict[str, Json]] = {"id": {}, "info": {}}
    try:
        found = json.loads(text)
    except ValueError:
        return document
    if isinstance(found, Mapping):
        for path in GLIMPSED:
            _, part, member = path.decode().split(".")
            values = found.get(path.decode())
            if isinstance(values, list) and values:
                document[part][member] = values[0]
    return document
