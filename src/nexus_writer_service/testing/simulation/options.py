"""What every kind of scan can be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

from nexus_writer_service.testing.simulation.faults import Faults

Json = Any


class OpenSequence(Protocol):
    """A sequence that takes scans."""

    @property
    def key(self) -> str:
        """Redis key of the sequence."""

    def refer(self, key: str, number: int) -> None:
        """Publish a reference to a scan that starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """Options of one scan."""

    period: float = 0.0
    """Seconds between points; 0: as fast as it goes."""
    block: int = 1
    """Points of one entry in a stream."""
    count_time: float = 0.02
    """Exposure as announced, seconds."""
    counters: tuple[str, ...] = ("diode1", "diode2")
    """Sampling counters: names of diodes, or full names ``controller:counter``."""
    abort_after: int | None = None
    """The user interrupts the scan after this many points; the top master has one more by then."""
    plotselect: tuple[str, ...] = ()
    """Full names of channels that the user has selected for plotting."""
    comments: tuple[str, ...] = ()
    """Made during the scan; the first one before it is prepared."""
    metadata: Mapping[str, Json] = field(default_factory=dict)
    """User metadata by category, on top of that of the session."""
    save: bool = True
    npoints_known: bool = True
    """Whether the number of points is announced."""
    title: str | None = None
    """Instead of the command that would make the scan."""
    sequence: OpenSequence | None = None
    """The sequence that the scan belongs to."""
    faults: Faults | None = None
    """What goes wrong."""


class ScanOptionsKeywords(TypedDict, total=False):
    """The fields of `ScanOptions`, as keyword arguments."""

    period: float
    block: int
    count_time: float
    counters: tuple[str, ...]
    abort_after: int | None
    plotselect: tuple[str, ...]
    comments: tuple[str, ...]
    metadata: Mapping[str, Json]
    save: bool
    npoints_known: bool
    title: str | None
    sequence: OpenSequence | None
    faults: Faults | None
