"""Ground truth: what a simulated scan has published, to compare with what a writer wrote."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus_writer_service.testing.simulation.values import Values

Json = Any


@dataclass(slots=True)
class ChannelRecord:
    """What one channel has published."""

    name: str
    """Full name, e.g. ``axis:robx``."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """Shape of one point; -1 is a length that varies."""
    entry: str
    """Name of its NXentry; the second top master in alphabetical order has ``4.2``."""
    path: str
    """Path of its dataset inside the entry, e.g. ``instrument/diode1/signal``."""
    length: int = 0
    """Points published by now."""
    first: int = 0
    """The first point that a reader can get; later than 0 when the stream was trimmed."""
    garbage: int | None = None
    """A point whose bytes were published wrong."""
    files: list[Path] = field(default_factory=list)
    """Image files written by now, in order."""
    saved: int = 0
    """Of a camera: frames on disk by now."""
    published_path: str | None = None
    """Dataset path that the stream announces: always in the first entry, as BLISS does."""
    source: Values | None = None

    @property
    def dataset(self) -> str:
        """Where the dataset belongs in the file, e.g. ``/4.1/instrument/diode1/signal``."""
        return f"/{self.entry}/{self.path}"

    def values(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Points start to stop - 1 (by default all that were published): (points, *sample)."""
        return np.asarray(self._points(start, stop), dtype=self.dtype)

    def ragged_values(self, start: int = 0, stop: int | None = None) -> list[NDArray[Any]]:
        """The same, one array per point."""
        return list(self._points(start, stop))

    def _points(self, start: int, stop: int | None) -> NDArray[Any] | Sequence[NDArray[Any]]:
        stop = self.length if stop is None else min(stop, self.length)
        if self.source is None:
            return np.zeros((0, *self.shape), self.dtype)
        return self.source(start, max(stop, start))


@dataclass(slots=True)
class ScanRecord:
    """What one scan has published; its own fields change while it runs."""

    key: str
    """Redis key."""
    number: int
    name: str
    """For people and Tango commands, e.g. ``4_ascan``."""
    title: str
    path: Path | None
    """The dataset file, None for a scan that is not to be saved."""
    entries: tuple[str, ...] = ()
    """Names of its NXentries: one for each top master."""
    channels: dict[str, ChannelRecord] = field(default_factory=dict)
    state: str = "CREATED"
    end_reason: str | None = None
    info: dict[str, Json] = field(default_factory=dict)
    """The scan info as last published."""
    subscans: list["ScanRecord"] = field(default_factory=list)
    """The scans of a sequence."""
