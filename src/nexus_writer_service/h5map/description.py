"""The description of a scan out of its scan info alone, before it has data streams."""

from collections.abc import Mapping
from typing import Final

from nexus_writer_service.model.description import Json, ScanDescription, ScanKey
from nexus_writer_service.sources.bliss.scan_info import describe

_SCANS: Final = "SUBSCANS"
"""Name of the channel that tells of the scans of a sequence [BLISS]."""


def described(
    scan_info: Mapping[str, Json], data_streams: Mapping[str, Json] | None = None
) -> ScanDescription:
    """The description that a writer will get of a scan, as far as it is known.

    Args:
        scan_info: of the scan.
        data_streams: as in the scan's document, where it is known; otherwise a channel counts as
            one of float64, of so many dimensions of unknown length as it announces.
    """
    streams = data_streams
    if streams is None:
        channels = scan_info.get("channels")
        found = channels.items() if isinstance(channels, Mapping) else ()
        streams = {name: _stream(name, one) for name, one in found if isinstance(one, Mapping)}
    document = {"info": scan_info, "data_streams": streams}
    return describe(ScanKey(""), document)[0]


def _stream(name: str, channel: Mapping[str, Json]) -> Json:
    if name == _SCANS:
        return {"encoding": {"type": "json"}, "info": {"plugin": "scan_sequence"}}
    dim = channel.get("dim")
    points = {"dtype": "<f8", "dtype_str": "<f8", "shape": [-1] * (dim or 0)}
    if channel.get("no_saving"):
        return {"encoding": {"type": "json"}, "info": {"plugin": "lima", **points}}
    return {"encoding": {"type": "numeric", **points}, "info": {}}
