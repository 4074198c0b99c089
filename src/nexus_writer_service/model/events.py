"""What happens to a scan, as every source tells it.

The story of one scan is ``Announced, Prepared, (Extended | Points | Located | Frames | Scans |
Sealed | Lost)*, Ended``; steps may be missing (a scan that fails early is ended without having been
prepared) but never come in another order. Points of one channel come in the order of their index.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nexus_writer_service.model.description import ChannelName, FileBlock, ScanDescription, ScanKey


@dataclass(frozen=True, slots=True)
class Announced:
    """A scan exists; it may not have its channels yet."""

    key: ScanKey
    scan: ScanDescription
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """All channels are known; points may follow."""

    key: ScanKey
    scan: ScanDescription
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Extended:
    """More is known of a scan that goes on: channels that are new, or hold other values.

    A channel that has points already may get a wider type, or lengths that vary.
    """

    key: ScanKey
    scan: ScanDescription
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What of the scan will be missing in the file, apart from points of channels."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points ``start .. start + count - 1`` of a channel of numbers."""

    key: ScanKey
    channel: ChannelName
    start: int
    batches: tuple[np.ndarray[Any, Any], ...]
    """Each of shape (points, *sample). More than one where the sample's shape varies."""
    again: bool = False
    """They take the place of points that were told before: the run was wound back."""

    @property
    def count(self) -> int:
        """Number of points."""
        return sum(len(batch) for batch in self.batches)

    @property
    def nbytes(self) -> int:
        """Memory that the points hold."""
        return sum(batch.nbytes for batch in self.batches)


@dataclass(frozen=True, slots=True)
class Located:
    """Points ``start .. start + count - 1`` of a channel are, or will be, in files."""

    key: ScanKey
    channel: ChannelName
    start: int
    blocks: tuple[FileBlock, ...]
    """Where they are, in order."""

    @property
    def count(self) -> int:
        """Number of points."""
        return sum(block.points for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Frames:
    """A detector has taken ``count`` frames by now, ``saved`` of them are on disk."""

    key: ScanKey
    channel: ChannelName
    count: int
    saved: int


@dataclass(frozen=True, slots=True)
class ScanReference:
    """A scan that belongs to a sequence."""

    key: ScanKey
    number: int
    path: str | None = None
    """Its main file, None when it is not saved."""
    entries: tuple[str, ...] = ()
    """Names of its entries, ``("7.1",)``."""


@dataclass(frozen=True, slots=True)
class Scans:
    """Scans ``start ..`` of a sequence."""

    key: ScanKey
    channel: ChannelName
    start: int
    references: tuple[ScanReference, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A channel is complete: it published ``length`` points (or frames, or scans)."""

    key: ScanKey
    channel: ChannelName
    length: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Points ``start .. stop - 1`` of a channel cannot be had; ``stop`` None: all that follow."""

    key: ScanKey
    channel: ChannelName
    start: int
    stop: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The scan is over and nothing of it will follow."""

    key: ScanKey
    scan: ScanDescription
    """The description with its end: end_time, end_reason, positioners at the end, notes."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vanished:
    """The source no longer holds the scan: it was deleted, or the database was emptied."""

    key: ScanKey
    reason: str


ScanEvent = (
    Announced
    | Prepared
    | Extended
    | Points
    | Located
    | Frames
    | Scans
    | Sealed
    | Lost
    | Ended
    | Vanished
)
