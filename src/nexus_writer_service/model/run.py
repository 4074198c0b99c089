"""A Bluesky run, as a scan description: what its documents have told by one moment.

A run says what it measures while it goes on: streams and data keys come with descriptors, and what
kind of values a data key has shows with the first of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_writer_service.model.description import ChannelName, Json, ScanDescription
from nexus_writer_service.model.tree import Value


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one data key of a stream, since there are any."""

    key: str
    value: ChannelName
    """The channel of the values."""
    epoch: ChannelName
    """The channel of their time stamps, in seconds since 1970 (UTC)."""
    elapsed: ChannelName
    """The channel of the seconds since the first time stamp."""
    first_epoch: float
    """The first time stamp; NaN when the run gives none."""
    external: Mapping[str, str] = field(default_factory=dict)
    """Of values in files: ``file``, ``address`` and ``resource`` of the first ones; else empty."""
    first: Value | None = None
    """The first value, for the streams that are read at the start and the end of the run."""
    last: Value | None = None
    """The newest value, likewise."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One event stream of a run."""

    name: str
    descriptors: tuple[Mapping[str, Json], ...]
    """Its event descriptors, oldest first; more than one when devices were reconfigured."""
    columns: Mapping[str, Column] = field(default_factory=dict)
    """By data key; only those that have values."""
    keys: tuple[str, ...] = ()
    """All data keys, described or not, in the order in which they were met: new ones come last."""

    @property
    def data_keys(self) -> Mapping[str, Mapping[str, Json]]:
        """What is described of each data key, by name; of several descriptors the first counts."""
        found: dict[str, Mapping[str, Json]] = {}
        for descriptor in self.descriptors:
            for key, described in descriptor["data_keys"].items():
                found.setdefault(key, described)
        return found


@dataclass(frozen=True, slots=True)
class Run(ScanDescription):
    """A run; ``key`` is the uid of its start document."""

    start: Mapping[str, Json] = field(default_factory=dict)
    """The start document."""
    streams: Mapping[str, Stream] = field(default_factory=dict)
    """By name, in the order of their descriptors."""
    stop: Mapping[str, Json] | None = None
    """The stop document; None while the run goes on."""


def has_values(value: Any) -> bool:
    """Whether a start document lists something there."""
    return isinstance(value, list | tuple) and bool(value)
