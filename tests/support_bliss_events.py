"""What a source of BLISS scans tells, collected scan by scan and checked for its order."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Extended,
    Frames,
    Lost,
    Points,
    Prepared,
    ScanEvent,
    ScanReference,
    Scans,
    Sealed,
    Vanished,
)
from nexus_writer_service.sources.bliss.session import BlissSource


@dataclass
class HeardChannel:
    """What was told of a channel."""

    batches: list[np.ndarray[Any, Any]] = field(default_factory=list)
    references: list[ScanReference] = field(default_factory=list)
    frames: Frames | None = None
    lost: list[Lost] = field(default_factory=list)
    sealed: int | None = None
    next: int = 0
    over: bool = False

    def add(self, event: ScanEvent) -> None:
        assert not self.over, f"{event} after the end of the channel"
        match event:
            case Points(start=start, count=count):
                assert start == self.next
                assert count > 0
                self.batches += event.batches
                self.next += count
            case Scans(start=start, references=references):
                assert start == self.next
                self.references += references
                self.next += len(references)
            case Frames():
                assert self.frames is None or event.count >= self.frames.count
                assert event.saved <= event.count
                self.frames = event
                self.next = event.count
            case Lost(start=start, stop=stop):
                assert start == self.next
                self.lost.append(event)
                self.over = stop is None
                self.next = start if stop is None else stop
            case Sealed(length=length):
                assert length == self.next
                self.sealed = length
                self.over = True
            case _:
                raise AssertionError(f"{event} is not of a channel")

    @property
    def values(self) -> np.ndarray[Any, Any]:
        """All points, of shape (points, *sample)."""
        return np.concatenate(self.batches)

    @property
    def ragged_values(self) -> list[np.ndarray[Any, Any]]:
        """All points, one array each."""
        return [point for batch in self.batches for point in batch]


@dataclass
class HeardScan:
    """What was told of a scan."""

    events: list[ScanEvent] = field(default_factory=list)
    announced: Announced | None = None
    prepared: Prepared | None = None
    end: Ended | Vanished | None = None
    channels: dict[str, HeardChannel] = field(default_factory=dict)

    def add(self, event: ScanEvent) -> None:
        assert self.end is None, f"{event} after {self.end}"
        self.events.append(event)
        match event:
            case Announced():
                assert self.announced is None
                self.announced = event
                return
            case Prepared():
                assert self.prepared is None
                self.prepared = event
                self.channels = {name: HeardChannel() for name in event.scan.channels}
            case Ended():
                self.end = event
                told = " ".join(event.warnings)
                assert all(one.over or name in told for name, one in self.channels.items())
            case Vanished():
                self.end = event
            case Extended():
                raise AssertionError("BLISS tells all channels of a scan before its first point")
            case _:
                assert self.prepared is not None, f"{event} before the scan was prepared"
                self.channels.setdefault(event.channel, HeardChannel()).add(event)
        assert self.announced is not None, f"{event} before the scan was announced"


@dataclass
class Heard:
    """What was told altogether."""

    scans: dict[str, HeardScan] = field(default_factory=dict)

    def add(self, events: Iterable[ScanEvent]) -> None:
        for event in events:
            self.scans.setdefault(event.key, HeardScan()).add(event)

    def length(self, key: str, channel: str) -> int:
        """How many points of a channel have been told by now."""
        scan = self.scans.get(key)
        return scan.channels[channel].next if scan and scan.prepared else 0

    def has(self, key: str, channel: str, length: int) -> bool:
        """Whether just so many points of a channel have been told."""
        return self.length(key, channel) == length

    def ended(self, count: int = 1) -> bool:
        """Whether so many scans have ended, one way or the other."""
        return sum(scan.end is not None for scan in self.scans.values()) >= count


def listen(
    source: BlissSource,
    until: Callable[[Heard], object],
    heard: Heard | None = None,
    timeout: float = 30.0,
) -> Heard:
    """Read from a source until a condition holds for what it has told."""
    heard = heard or Heard()
    deadline = time.monotonic() + timeout
    while not until(heard):
        assert time.monotonic() < deadline, f"not told in time; told so far: {heard.scans}"
        heard.add(source.read(0.5))
    return heard


SEAL = b"18446744073709551615-18446744073709551615"


def entry(index: int, payload: bytes, length: int = 1) -> list[Any]:
    """An entry of a data stream, as Redis sends it."""
    fields = [b"payload", payload] + ([b"len", b"%d" % length] if length > 1 else [])
    return [b"%d-1" % index, fields]


def seal(length: int) -> list[Any]:
    """The entry that ends a stream."""
    return [SEAL, [b"id", b"%d" % length]]


SCAN = ScanKey("esrf:scan:01")
CHANNEL = ChannelName("ctl:a")
