"""The streams of a run: a group for each data key, with its values and their times."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from nexus_writer_service.layout.bluesky.names import BLUESKY, STREAMS, object_names
from nexus_writer_service.layout.bluesky.values import (
    attribute,
    clean,
    iso,
    known,
    metadata_dataset,
)
from nexus_writer_service.layout.bluesky.view import BASELINE, PRIMARY, View
from nexus_writer_service.model.description import ChannelName, Shape
from nexus_writer_service.model.run import Column, Stream
from nexus_writer_service.model.tree import (
    Attributes,
    Dataset,
    Group,
    LocatedStack,
    Node,
    SoftLink,
    StreamDataset,
    Value,
)

_LEAST_CHUNK: Final = 16
_MOST_CHUNK: Final = 4096
_CHUNK_BYTES: Final = 1 << 20
_OPEN_END: Final = 512
_LIMITS: Final = ("lower_ctrl_limit", "upper_ctrl_limit")


def note(path: str, children: Mapping[str, Node] | None = None, **attributes: Value) -> Group:
    """An NXnote that holds other things."""
    return Group(children or {}, {"NX_class": "NXnote", "target": path, **attributes})


def streams(view: View) -> Group:
    """All streams with their data keys, without values; to be merged into ``streams``."""
    found: dict[str, Node] = {}
    for name, stream in view.run.streams.items():
        path = f"{STREAMS}/{view.stream_names[name]}"
        children: dict[str, Node] = {}
        for column in stream.columns.values():
            children[view.key_names[name][column.key]] = _key_group(view, stream, column, {})
        for key in view.key_names[name].values():
            camera = key.removesuffix("_image")
            taken = view.key_names[name].values()
            if key in children and camera and camera != key and camera not in taken:
                children[camera] = SoftLink(f"{path}/{key}")
        uid = attribute(stream.descriptors[0].get("uid", ""))
        found[view.stream_names[name]] = note(path, children, uid=uid)
    return Group(found)


def with_values(tree: Group, path: str = STREAMS) -> Group:
    """A tree without new data keys of which it has nothing: their first values bring them.

    Args:
        tree: of a run; what is new in it.
        path: of the streams in it.
    """
    name, _, below = path.strip("/").partition("/")
    children = dict(tree.children)
    found = children.get(name)
    if isinstance(found, Group):
        children[name] = with_values(found, below) if below else _streams_with_values(found)
    return replace(tree, children=children)


def _streams_with_values(tree: Group) -> Group:
    streams = dict(tree.children)
    for name, stream in streams.items():
        if isinstance(stream, Group):
            keys = {
                key: node
                for key, node in stream.children.items()
                if not isinstance(node, Group) or node.children or "NX_class" not in node.attributes
            }
            streams[name] = replace(stream, children=keys)
    return replace(tree, children=streams)


def values_of(view: View) -> Mapping[ChannelName, tuple[str, Group]]:
    """Path of each channel's dataset, and what comes with its first point, from ``streams`` on."""
    found: dict[ChannelName, tuple[str, Group]] = {}
    for name, stream in view.run.streams.items():
        for key, column in stream.columns.items():
            path = view.group_path(name, key)
            for item, (channel, node) in _datasets(view, name, column, path).items():
                group = _key_group(view, stream, column, {item: node})
                inner: Node = Group({view.key_names[name][key]: group})
                found[channel] = f"{path}/{item}", Group({view.stream_names[name]: inner})
    return found


def _key_group(view: View, stream: Stream, column: Column, children: Mapping[str, Node]) -> Group:
    name, path = stream.name, view.group_path(stream.name, column.key)
    attributes: dict[str, Value] = {"NX_class": "NXdata", "target": path, "signal": "value"}
    if known(column.first_epoch):
        rank = len(view.channel(column).shape)
        apstools = view.options.as_apstools
        attributes["axes"] = ["time"] if apstools else ["time", *["."] * rank]
        if apstools and view.external(column):
            del attributes["axes"]
    if name == PRIMARY:
        attributes["signal_type"] = view.signal_type(column.key)
    found = dict(children)
    if name == BASELINE:
        said = value_attributes(view, stream, column)
        for item, value in (("value_start", column.first), ("value_end", column.last)):
            if value is not None:
                more = {**said, "target": f"{path}/{item}", **_direction(view, column.key)}
                found[item] = Dataset(value, more)
    return Group(found, attributes)


def _direction(view: View, key: str) -> dict[str, Value]:
    """The direction of a field at the sample, which is a data key of its own."""
    direction = view.column(BASELINE, f"{key}_dir")
    if not key.startswith("sample_data_") or direction is None:
        return {}
    return {"direction": direction.first.lower()} if isinstance(direction.first, str) else {}


def value_attributes(view: View, stream: Stream, column: Column) -> dict[str, Value]:
    """What is said of the values of a data key, but for their path."""
    described = stream.data_keys.get(column.key, {})
    found: dict[str, Value] = {"units": attribute(described.get("units") or "")}
    if column.external:
        found["source_file"] = clean(column.external["file"])
        found["source_address"] = clean(column.external["address"])
        found["resource_id"] = clean(column.external["resource"])
    else:
        found["source"] = attribute(described.get("source", "local"))
        found["long_name"] = clean(column.key)
        if described.get("dtype") != "string":
            found["precision"] = attribute(_known(described.get("precision"), 0))
            for limit in _LIMITS:
                value = described.get(limit, "")
                if value is not None:
                    found[limit] = attribute(value)
    if stream.name == PRIMARY:
        found["signal_type"] = view.signal_type(column.key)
    if isinstance(described.get("choices"), list | tuple):
        found["choices"] = [clean(str(one)) for one in described["choices"]]
    return found


def _known(value: Any, default: Any) -> Any:
    return default if value is None else value


def _datasets(
    view: View, name: str, column: Column, path: str
) -> Mapping[str, tuple[ChannelName, Node]]:
    stream = view.run.streams[name]
    said = {**value_attributes(view, stream, column), "target": f"{path}/value"}
    found: dict[str, tuple[ChannelName, Node]] = {}
    found["value"] = column.value, _values(view, column, said)
    if known(column.first_epoch):
        epoch: Attributes = {
            "units": "s",
            "long_name": "epoch time (s)",
            "target": f"{path}/EPOCH",
        }
        elapsed: Attributes = {
            "units": "s",
            "long_name": "time since first data (s)",
            "start_time": column.first_epoch,
            "start_time_iso": iso(column.first_epoch),
            "target": f"{path}/time",
        }
        found["EPOCH"] = column.epoch, _stream(view, column.epoch, np.dtype(float), (), epoch)
        found["time"] = column.elapsed, _stream(view, column.elapsed, np.dtype(float), (), elapsed)
    return found


def _values(view: View, column: Column, said: Attributes) -> Node:
    channel = view.channel(column)
    if channel.content.value == "located":
        copied, fill = view.options.copy_external_files, _fill(channel.dtype)
        pictures = not column.external["address"]
        return LocatedStack(
            channel.name, channel.dtype, channel.shape, copied, fill, said, pictures
        )
    return _stream(view, channel.name, channel.dtype, channel.shape, said)


def _stream(
    view: View, name: ChannelName, dtype: np.dtype[Any], sample: Shape, said: Attributes
) -> StreamDataset:
    chunks = _chunks(view.expected, sample, dtype)
    return StreamDataset(name, dtype, sample, chunks=chunks, fill=_fill(dtype), attributes=said)


def _chunks(expected: int, sample: Shape, dtype: np.dtype[Any]) -> Shape:
    """As many points as are expected, in chunks that are neither tiny nor large."""
    inner = tuple(length if length > 0 else 64 for length in sample)
    nbytes = max(1, math.prod(inner)) * dtype.itemsize
    points = min(max(expected or _OPEN_END, _LEAST_CHUNK), _MOST_CHUNK)
    return (max(1, min(points, _CHUNK_BYTES // nbytes)), *inner)


def _fill(dtype: np.dtype[Any]) -> Value | None:
    if dtype.kind == "f":
        return float("nan")
    return 0 if dtype.kind in "iu" else None


def configuration(view: View) -> Group:
    """The settings of the devices, as of each descriptor; to be merged into ``bluesky``.

    Orientation matrices of diffractometers are among them.
    """
    above = f"{BLUESKY}/configuration"
    found: dict[str, Node] = {}
    for name, stream in view.run.streams.items():
        for number, descriptor in enumerate(stream.descriptors, 1):
            here = view.stream_names[name] + (f"_{number}" if number > 1 else "")
            devices = _devices(descriptor.get("configuration"), f"{above}/{here}")
            if devices:
                uid = attribute(descriptor.get("uid", ""))
                found[here] = note(f"{above}/{here}", devices, uid=uid)
    return Group({"configuration": note(above, found)}) if found else Group()


def _devices(settings: Any, above: str) -> dict[str, Node]:
    found: dict[str, Node] = {}
    if not isinstance(settings, Mapping):
        return found
    names = object_names(str(one) for one in settings)
    for device, said in settings.items():
        values = said.get("data") if isinstance(said, Mapping) else None
        if not isinstance(values, Mapping) or not values:
            continue
        path = f"{above}/{names[str(device)]}"
        keys = object_names(str(one) for one in values)
        found[names[str(device)]] = note(
            path,
            {
                keys[str(key)]: metadata_dataset(
                    value, _setting(said, key, f"{path}/{keys[str(key)]}"), tagged=False
                )
                for key, value in values.items()
            },
        )
    return found


def _setting(said: Mapping[str, Any], key: str, path: str) -> dict[str, Value]:
    described = (said.get("data_keys") or {}).get(key) or {}
    stamp = (said.get("timestamps") or {}).get(key)
    found: dict[str, Value] = {"target": path}
    for name, value in (
        ("units", described.get("units")),
        ("source", described.get("source")),
        ("time", iso(stamp)),
    ):
        if value:
            found[name] = attribute(value)
    return found
