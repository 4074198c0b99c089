"""What a scan publishes: channels of numbers, of images and of scans, and the devices they are of.

A channel is a description; `feed` makes what publishes it in one scan.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from blissdata import DataStore
from blissdata.streams import StreamDefinition
from blissdata.streams.default import Stream
from blissdata.streams.hdf5_fallback.stream import Hdf5BackedStream
from blissdata.streams.scan_sequence.stream import ScanStream
from numpy.typing import DTypeLike

from nexus_writer_service.testing.simulation.records import ChannelRecord
from nexus_writer_service.testing.simulation.values import (
    Array,
    Points,
    Values,
    ragged_table,
    table,
)

Json = Any
Shape = tuple[int, ...]

FLOAT64: np.dtype[Any] = np.dtype(np.float64)
OBJECT: np.dtype[Any] = np.dtype(object)

_BYTES_AHEAD = 4096


@dataclass(frozen=True, slots=True)
class Target:
    """The scan that a channel is published in."""

    number: int
    file: str | None
    """The dataset file; None for a scan that is not to be saved."""
    images_path: str
    """Template of image files, ``.../scan0004/{img_acq_device}_``."""
    store: DataStore


class Feed(Protocol):
    """One channel in one scan."""

    @property
    def definition(self) -> StreamDefinition:
        """What the stream is created with."""

    def batches(self, start: int, stop: int, block: int) -> Iterable[Any]:
        """What is to be sent for points start to stop - 1.

        Arrays of shape (points, *sample), to be split into entries of ``block`` points; or values
        for one entry each, such as single points whose shape varies.
        """

    def rest(self) -> Iterable[Any]:
        """What is sent once no more points will come."""


class SimulatedChannel(Protocol):
    """A channel of a device."""

    @property
    def name(self) -> str:
        """Full name, parts separated by ":"."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""

    @property
    def shape(self) -> Shape:
        """Shape of one point; -1 is a length that varies."""

    @property
    def path(self) -> str:
        """Path of its dataset inside the entry."""

    @property
    def about(self) -> Mapping[str, Json]:
        """What the scan info says of it beyond device, name and number of dimensions."""

    @property
    def record(self) -> Mapping[str, Json] | None:
        """What the session says of its device (``nexuswriter.devices``); None: nothing."""

    def feed(self, target: Target, record: ChannelRecord) -> Feed:
        """What publishes it in a scan, and tells the record what no length tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberChannel:
    """A channel whose points travel with the stream."""

    name: str
    values: Values
    path: str
    dtype: np.dtype[Any] = FLOAT64
    shape: Shape = ()
    about: Mapping[str, Json] = field(default_factory=dict)
    record: Mapping[str, Json] | None = None

    def feed(self, target: Target, record: ChannelRecord) -> Feed:
        """What publishes it; for a saved scan with the path where readers may find it later."""
        record.source = self.values
        if target.file is None:
            definition = Stream.make_definition(self.name, self.dtype, self.shape)
        else:
            # BLISS announces the first entry even for the channels of a second top master.
            record.published_path = f"{target.number}.1/{self.path}"
            definition = Hdf5BackedStream.make_definition(
                self.name, target.file, record.published_path, self.dtype, self.shape
            )
        return _NumberFeed(self, definition)


def number_channel(
    name: str,
    points: Sequence[Any] | Array,
    *,
    dtype: DTypeLike | None = None,
    shape: Shape | None = None,
) -> NumberChannel:
    """A channel whose points are given, of any type; its dataset is that of an untyped device.

    Args:
        name: full name, ``controller:channel``.
        points: of shape (points, *sample), or one array per point where their shapes differ.
        dtype: type of the numbers, if not that of the points.
        shape: shape of a point, with -1 for a length that varies.
    """
    path = f"instrument/{name.rpartition(':')[2]}/data"
    if shape is not None and -1 in shape:
        kind = np.dtype(dtype if dtype is not None else np.asarray(points[0]).dtype)
        source = ragged_table(list(points), kind)
        return NumberChannel(name=name, values=source, path=path, dtype=kind, shape=shape)
    array = np.asarray(points, dtype=dtype)
    return NumberChannel(
        name=name, values=table(array), path=path, dtype=array.dtype, shape=array.shape[1:]
    )


class _NumberFeed:
    def __init__(self, channel: NumberChannel, definition: StreamDefinition) -> None:
        self.definition = definition
        self._channel = channel
        self._varies = -1 in channel.shape
        # Asking for each point alone would cost more than publishing it.
        nbytes = channel.dtype.itemsize * abs(math.prod(channel.shape))
        self._ahead = max(_BYTES_AHEAD // max(nbytes, 1), 1)
        self._first = 0
        self._points: Points = ()

    def batches(self, start: int, stop: int, block: int) -> Iterable[Any]:
        if not self._first <= start < stop <= self._first + len(self._points):
            ahead = self._channel.values(start, max(stop, start + self._ahead))
            self._points = ahead if self._varies else np.asarray(ahead, self._channel.dtype)
            self._first = start
        points = self._points[start - self._first : stop - self._first]
        # The points of one entry share one shape.
        return points if self._varies else (points,)

    def rest(self) -> Iterable[Any]:
        return ()


@dataclass(frozen=True, slots=True)
class ScanChannel:
    """The channel of a sequence that refers to its scans; the sequence itself sends them."""

    name: str = "SUBSCANS"
    dtype: np.dtype[Any] = OBJECT
    shape: Shape = ()
    path: str = ""
    about: Mapping[str, Json] = field(default_factory=dict)
    record: Mapping[str, Json] | None = None

    def feed(self, target: Target, record: ChannelRecord) -> Feed:
        """What creates its stream."""
        return _ScanFeed(ScanStream.make_definition(self.name))


@dataclass(frozen=True, slots=True)
class _ScanFeed:
    definition: StreamDefinition

    def batches(self, start: int, stop: int, block: int) -> Iterable[Any]:
        return ()

    def rest(self) -> Iterable[Any]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedDevice:
    """An acquisition device, with those that it triggers. Two of them may have the same name."""

    name: str
    channels: tuple[SimulatedChannel, ...]
    triggers: tuple["SimulatedDevice", ...] = ()
    kind: str | None = None
    """Type of the device as BLISS gives it, ``mca`` or ``lima``."""
    metadata: Mapping[str, Json] | None = None
    """What is known when the scan is prepared; None for devices that have none, as a timer."""
    end_metadata: Mapping[str, Json] = field(default_factory=dict)
    """What is known at the end of the scan."""

    def tree(self) -> list["SimulatedDevice"]:
        """The device and all below it, as the acquisition chain lists them."""
        return [self, *(below for device in self.triggers for below in device.tree())]


@dataclass(frozen=True, slots=True)
class Chain:
    """What one top master drives; becomes one NXentry."""

    top_master: SimulatedDevice
    points: int
