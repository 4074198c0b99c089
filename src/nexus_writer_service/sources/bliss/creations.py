"""The scans that were created, as Redis lists them: looked back at, heard of, glimpsed."""

import logging
from collections.abc import Callable
from typing import Any

from redis import ResponseError

from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.sources.bliss.arrivals import GLIMPSED, Arrivals
from nexus_writer_service.sources.bliss.encodings import Entry, field_of

_log = logging.getLogger(__name__)

Ask = Callable[..., list[Any]]
"""``ask(*commands)``: the answers of Redis to commands that are sent together."""

CREATIONS = b"_SCAN_HISTORY_"
"""Stream with one entry per created scan, whose field ``key`` is the scan's key."""
_DELETED = range(11)
"""A scan whose key lives no longer than ten seconds counts as deleted [blissdata]."""
_PAGE = 5000
"""Created scans that are looked at by one command; blissdata keeps about 2000."""
_GLIMPSES = 250
"""Scans that are glimpsed at once: a few milliseconds of the server's time."""


class Creations:
    """Finds new scans.

    Args:
        session: BLISS session whose scans are followed; None: those of all sessions.
        backlog: what of the past is followed.
    """

    def __init__(self, session: str | None, backlog: Backlog) -> None:
        self.arrivals = Arrivals(session, backlog)
        """The scans that are not followed yet."""
        self.since = b"0-0"
        """Hearing of scans created after this id goes on where it stopped."""
        self._origin = None if backlog.since is None else _order(backlog.since.encode())
        """Scans created until then are passed over; None before it is known."""

    def look_back(self, request: Ask) -> None:
        """Find the scans that were created until now and are not known."""
        # The server may be another one, whose ids have nothing to do with the ones before.
        self.since = b"0-0"
        start = b"-"
        while True:
            entries: list[Entry]
            (entries,) = request((b"XRANGE", CREATIONS, start, "+", "COUNT", _PAGE))
            for entry in entries:
                self._arrive(entry, past=True)
            if not entries:
                break
            self.since = entries[-1][0]
            start = b"(" + self.since
        self._origin = self._origin or (0, 0)

    def hear(self, entry: Entry) -> None:
        """Take the next entry of the stream."""
        self.since = entry[0]
        self._arrive(entry, past=False)

    def glimpse(self, ask: Ask) -> list[ScanKey]:
        """Look at some of the scans of the past; returns those that are gone."""
        keys = self.arrivals.unseen(_GLIMPSES)
        answers = ask(
            *((b"JSON.GET", key, *GLIMPSED) for key in keys), *((b"TTL", key) for key in keys)
        )
        gone = []
        for key, text, life in zip(keys, answers, answers[len(keys) :], strict=False):
            if text is None or life in _DELETED:
                gone.append(key)
            elif isinstance(text, ResponseError):
                self.arrivals.unclear(key)
            else:
                self.arrivals.glimpsed(key, text)
        return gone

    def _arrive(self, entry: Entry, *, past: bool) -> None:
        try:
            key = ScanKey(field_of(entry, b"key").decode())
            if past and (self._origin is None or _order(entry[0]) <= self._origin):
                self.arrivals.know(key)
            else:
                self.arrivals.add(key, past=past)
        except ValueError as error:
            _log.warning("the created scan %s is not followed: %s", entry[0], error)


def _order(entry_id: bytes) -> tuple[int, int]:
    """The id of an entry as something that can be compared."""
    time, _, number = entry_id.partition(b"-")
    return int(time), int(number or 0)
