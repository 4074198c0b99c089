"""A run as the layout sees it: names, paths, which data keys are detectors and which are motors."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from nexus_writer_service.layout.bluesky.names import STREAMS, object_names
from nexus_writer_service.layout.bluesky.options import BlueskyOptions
from nexus_writer_service.model.description import Channel, ChannelName, Content, Json
from nexus_writer_service.model.run import Column, Run, Stream

PRIMARY: Final = "primary"
BASELINE: Final = "baseline"
DATA_PARTS: Final = ("detectors", "motors", "unassigned")


@dataclass(frozen=True)
class View:
    """What the parts of the layout ask of a run."""

    run: Run
    options: BlueskyOptions

    @cached_property
    def stream_names(self) -> Mapping[str, str]:
        """HDF5 names of the streams."""
        return object_names(self.run.streams)

    @cached_property
    def key_names(self) -> Mapping[str, Mapping[str, str]]:
        """HDF5 names of the data keys of each stream."""
        return {name: object_names(stream.keys) for name, stream in self.run.streams.items()}

    def group_path(self, stream: str, key: str) -> str:
        """Path of the NXdata group of a data key."""
        return f"{STREAMS}/{self.stream_names[stream]}/{self.key_names[stream][key]}"

    @property
    def primary(self) -> Stream | None:
        """The primary stream."""
        return self.run.streams.get(PRIMARY)

    def column(self, stream: str, key: str) -> Column | None:
        """A data key that has values."""
        found = self.run.streams.get(stream)
        return found.columns.get(key) if found else None

    def channel(self, column: Column) -> Channel:
        """The channel of a column's values."""
        return self.run.channels[column.value]

    def is_number(self, column: Column) -> bool:
        """Whether its values are numbers, not texts."""
        return self.channel(column).dtype.kind in "biufc"

    def starts(self, key: str) -> str | None:
        """Path of the first value of a data key of the baseline; None when it has none."""
        column = self.column(BASELINE, key)
        if column is None or column.first is None:
            return None
        return f"{self.group_path(BASELINE, key)}/value_start"

    @cached_property
    def data_map(self) -> Mapping[str, list[str]]:
        """The data keys of the primary stream by their part in the measurement."""
        if self.primary is None:
            return {}
        return data_map(self.run.start, self.primary.descriptors[-1])

    def signal_type(self, key: str) -> str:
        """Part of a data key of the primary stream: detector, positioner or other."""
        if key in self.data_map.get("detectors", ()):
            return "detector"
        if key in self.data_map.get("motors", ()):
            return "positioner"
        described = self.primary.data_keys.get(key, {}) if self.primary else {}
        # A channel of an EPICS scaler record, such as gp:scaler1.S2
        return "detector" if str(described.get("source", "")).find(".S") > 0 else "other"

    @cached_property
    def members(self) -> Mapping[str, Column]:
        """What the primary stream shows, by HDF5 name; images also by the name of their camera."""
        if self.primary is None:
            return {}
        names = self.key_names[PRIMARY]
        found = {names[key]: column for key, column in self.primary.columns.items()}
        for name, column in list(found.items()):
            camera = name.removesuffix("_image")
            if camera and camera != name and camera not in found:
                found[camera] = column
        return found

    @property
    def title(self) -> str | None:
        """The title, unless it is the one of the start document."""
        if self.options.title is not None:
            return self.options.title
        return None if "title" in self.run.start else self.run.name

    @property
    def expected(self) -> int:
        """How many points the plan promises; 0 when it does not."""
        points = self.run.start.get("num_points")
        return points if isinstance(points, int) and points > 0 else 0

    def external(self, column: Column) -> bool:
        """Whether the values are in files of other programs."""
        return self.channel(column).content is Content.LOCATED

    @cached_property
    def _times(self) -> Mapping[ChannelName, tuple[ChannelName, ChannelName]]:
        columns = [one for stream in self.run.streams.values() for one in stream.columns.values()]
        return {column.value: (column.epoch, column.elapsed) for column in columns}

    def times_of(self, channel: ChannelName) -> tuple[ChannelName, ...]:
        """The channels of the times of a channel of values."""
        return self._times.get(channel, ())


def data_map(start: Mapping[str, Json], descriptor: Mapping[str, Json]) -> dict[str, list[str]]:
    """Which data keys are detectors, which are motors.

    Those that an object hints at stand for it; without hints all its keys; without both the one of
    its name. So the setpoint of a motor is neither.

    Args:
        start: a start document.
        descriptor: of the primary stream.
    """
    hints, objects = descriptor.get("hints") or {}, descriptor.get("object_keys") or {}
    left = list(descriptor.get("data_keys") or {})
    found: dict[str, list[str]] = {part: [] for part in DATA_PARTS}
    for part in ("detectors", "motors"):
        for name in start.get(part) or ():
            hinted = (hints.get(name) or {}).get("fields") or objects.get(name) or [name]
            for key in hinted:
                if key in left:
                    left.remove(key)
                    found[part].append(key)
    found["unassigned"] = left
    return found
