"""In which order scans end that were found to be over at the same time."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from nexus_writer_service.model.events import Ended, ScanEvent

_NEVER = "~"
"""Comes after every date as text."""


def ends_in_order(events: Sequence[ScanEvent]) -> list[ScanEvent]:
    """Events in which no scan ends before one that ended earlier; all else stays where it is.

    A sequence begins before its scans and ends after them. Who was last decides what a file shows
    by default.

    Args:
        events: of any number of scans.
    """
    if sum(isinstance(event, Ended) for event in events) < 2:
        return [*events]
    times = [_end_of(event) for event in events]
    # The earliest end that is told later on, for each event.
    later = [*accumulate(reversed(times[1:]), min, initial=_NEVER)][::-1]
    told: list[ScanEvent] = []
    held: list[tuple[str, ScanEvent]] = []
    for event, time, earliest in zip(events, times, later, strict=True):
        if time > earliest and isinstance(event, Ended):
            held.append((time, event))
            continue
        told.append(event)
        if held and isinstance(event, Ended):
            told += _released(held, earliest)
    return told


def _released(held: list[tuple[str, ScanEvent]], earliest: str) -> Iterable[ScanEvent]:
    """Take those for which nothing earlier is to come, in order."""
    held.sort(key=lambda one: one[0])
    free = [event for time, event in held if time <= earliest]
    del held[: len(free)]
    return free


def _end_of(event: ScanEvent) -> str:
    # Times as one process writes them, ISO 8601 with its zone, are in order as text.
    time = event.scan.end_time if isinstance(event, Ended) else None
    return time or _NEVER
