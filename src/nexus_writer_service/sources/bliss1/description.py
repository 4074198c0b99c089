"""From the info of a scan's node, and of its channels' nodes, to the description of the scan.

The scan info of BLISS 1 differs little from that of BLISS 2, so it is brought into the form of the
latter and described by the same rules.
"""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import (
    ChannelName,
    Json,
    ScanDescription,
    ScanKey,
)
from nexus_writer_service.sources.bliss.scan_info import describe
from nexus_writer_service.sources.bliss1.nodes import Info, Node
from nexus_writer_service.sources.bliss1.pickles import Named
from nexus_writer_service.sources.bliss1.values import plain

_NOT_SAVED = "NOSAVING"
_OLD_LIMA = "<1.9.1"
_NO_POLICY = "None"
_ABORTS = ("KeyboardInterrupt", "ScanAbort", "GreenletExit")
"""Exceptions with which a scan ends because somebody wanted it to."""


@dataclass(frozen=True, slots=True)
class ChannelNode:
    """A node with data."""

    node: Node
    info: Info

    @property
    def name(self) -> ChannelName:
        """The channel's full name, ``axis:robx``."""
        found = self.info.content.get("fullname")
        return ChannelName(found if isinstance(found, str) and found else self.node.name)


def scan_key(db_name: str, info: Info) -> ScanKey:
    """Identifies a scan for ever: numbers, and with them names, begin anew when files are removed.

    ``<db name>@<seconds since 1970 at its start>``.
    """
    start = info.content.get("start_timestamp")
    return ScanKey(f"{db_name}@{start!r}" if isinstance(start, float) else f"{db_name}@")


def db_name_of(key: ScanKey) -> str:
    """The key of a scan's node in Redis."""
    return key.rpartition("@")[0]


def session_of(db_name: str) -> str:
    """The BLISS session to which a node belongs: its root."""
    return db_name.partition(":")[0]


def describe_scan(
    key: ScanKey,
    node: Node,
    info: Info,
    channels: Iterable[ChannelNode] = (),
    exception: str | None = None,
) -> tuple[ScanDescription, tuple[str, ...]]:
    """The description of a scan, and warnings about what was missing or strange.

    Args:
        key: identifies the scan.
        node: of the scan.
        info: of that node.
        channels: the nodes of its channels, as far as they are known.
        exception: what ended it, empty when nothing did; None while it goes on.
    """
    warnings = list(info.warnings)
    said = _plain_info(info.content, warnings)
    content = _in_today_s_words(said, node, exception)
    streams: dict[str, Json] = {}
    unusable: dict[ChannelName, str] = {}
    for channel in channels:
        warnings += channel.info.warnings
        try:
            streams[channel.name] = _stream(channel)
        except DecodeError as error:
            unusable[channel.name] = f"{error}, so its data are not saved"
    identity = {
        "name": node.name,
        "session": session_of(node.db_name),
        "path": content.get("filename"),
    }
    document = {"id": identity, "info": content, "data_streams": streams}
    scan, more = describe(key, document)
    scan = replace(scan, unusable={**scan.unusable, **unusable})
    return scan, (*warnings, *more) if scan.save else ()


def end_reason(exception: str) -> str:
    """What ended a scan, as BLISS 2 says it."""
    if not exception:
        return "SUCCESS"
    return "USER_ABORT" if any(name in exception for name in _ABORTS) else "FAILURE"


def number_type(info: Info) -> np.dtype[Any]:
    """The type of the points of a channel.

    Raises:
        DecodeError: they are no numbers, or it is not said what they are.
    """
    said = info.content.get("dtype")
    try:
        dtype = np.dtype(said.name if isinstance(said, Named) else said or "V")
    except (TypeError, ValueError, SyntaxError) as error:
        raise DecodeError(f"points of type {said!r} are unknown") from error
    if dtype.kind not in "biufc":
        raise DecodeError(f"points of type {said!r} are not numbers")
    return dtype


def point_shape(info: Info) -> tuple[int, ...]:
    """The announced shape of a point.

    Raises:
        DecodeError: it is unusable.
    """
    said = info.content.get("shape")
    lengths = said if isinstance(said, tuple | list) else ()
    if any(not isinstance(n, int | np.integer) or n < -1 for n in lengths):
        raise DecodeError(f"points of shape {said!r} are not possible")
    return tuple(int(n) for n in lengths)


# ------------------------------------------------------------------------------------ scan info


def _plain_info(content: Mapping[str, Any], warnings: list[str]) -> dict[str, Json]:
    found = {}
    for name, value in content.items():
        try:
            found[name] = plain(value)
        except DecodeError as error:
            warnings.append(f"{name!r} of the scan info is left out: {error}")
    return found


def _in_today_s_words(said: dict[str, Json], node: Node, exception: str | None) -> dict[str, Json]:
    """The scan info as BLISS 2 would have it."""
    found = dict(said)
    for moment in ("start", "end"):
        seconds = found.get(f"{moment}_timestamp")
        # Dates come without a zone: seconds since 1970 are not to be mistaken.
        if isinstance(seconds, float | int) and (text := _local_time(seconds)):
            found[f"{moment}_time"] = text
    if found.get("data_policy") == _NO_POLICY:
        del found["data_policy"]
    if not found.get("filename"):
        found.pop("filename", None)
    devices = found.get("devices")
    if isinstance(devices, dict):
        found["devices"] = {key: _named_device(key, one) for key, one in devices.items()}
    options = found.get("writer_options")
    if isinstance(options, dict):
        found["writer_options"] = {key: one for key, one in options.items() if one is not None}
    found["is_scan_sequence"] = node.kind == "scan_group"
    if exception is not None:
        found["end_reason"] = end_reason(exception)
    return found


def _named_device(key: str, device: Json) -> Json:
    """Keys of devices are ``<number>:<name>``."""
    if not isinstance(device, dict) or device.get("name"):
        return device
    return {**device, "name": key.partition(":")[2] or key}


def _local_time(seconds: float) -> str | None:
    try:
        moment = datetime.fromtimestamp(seconds, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="microseconds")


# ------------------------------------------------------------------------------------- channels


def _stream(channel: ChannelNode) -> Json:
    """A channel as blissdata 2 announces its stream."""
    if channel.node.kind == "node_ref_channel":
        return {"encoding": {"type": "json"}, "info": {"plugin": "scan_sequence"}}
    dtype, shape = number_type(channel.info), list(point_shape(channel.info))
    if channel.node.kind == "channel":
        encoding = {"type": "numeric", "dtype_str": dtype.str, "shape": shape}
        return {"encoding": encoding, "info": {}}
    info = {"plugin": "lima", "dtype": dtype.str, "shape": shape[-2:]}
    return {"encoding": {"type": "json"}, "info": {**info, "lima_info": _lima_info(channel.info)}}


def _lima_info(info: Info) -> Json:
    """Where a Lima server saves its frames; empty when it does not.

    File ``n`` is ``<directory>/<prefix><index format % n><suffix>``; in HDF5 the frames are at a
    path that names the detector and, since Lima 1.9.1, the instrument [blissdata 0.3].
    """
    said = info.content
    directory, file_format = said.get("saving_directory"), said.get("saving_format")
    if said.get("saving_mode", _NOT_SAVED) == _NOT_SAVED or not directory or not file_format:
        return {}
    number = said.get("saving_index_format") or "%04d"
    prefix, suffix = (str(said.get(f"saving_{part}") or "") for part in ("prefix", "suffix"))
    detector = said.get("user_detector_name") or ""
    if said.get("lima_version", _OLD_LIMA) == _OLD_LIMA:
        data_path = f"/entry_0000/instrument/{detector}/data/array"
    else:
        instrument = said.get("user_instrument_name") or "instrument"
        data_path = f"/entry_0000/{instrument}/{detector}/data"
    is_hdf5 = str(file_format).lower().startswith("hdf5")
    return plain(
        {
            "file_path": posixpath.join(_escaped(str(directory)), _escaped(prefix))
            + f"{number}{_escaped(suffix)}",
            "file_format": "hdf5" if is_hdf5 else str(file_format),
            "file_offset": said.get("saving_next_number") or 0,
            "data_path": data_path if is_hdf5 else "",
            "frame_per_file": said.get("saving_frame_per_file") or 0,
            "frame_per_acquisition": said.get("saving_frame_per_acquisition") or 0,
        }
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
