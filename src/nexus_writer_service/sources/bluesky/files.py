"""Values in files: from resource and datum documents, and their streamed successors, to blocks.

Specs of the area detector family and what is in them: ophyd and area-detector-handlers. Streamed
ones: event-model's stream_resource and stream_datum.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.model.description import FileBlock

_ADDRESSES: Final = {
    "AD_HDF5": "/entry/data/data",
    "AD_HDF5_SWMR": "/entry/data/data",
    "AD_HDF5_SWMR_STREAM": "/entry/data/data",
    "AD_HDF5_TS": "/entry/instrument/NDAttributes/NDArrayTimeStamp",
    "XSP3": "/entry/instrument/detector/data",
    "XSP3_FLY": "/entry/instrument/detector/data",
}
"""Where the specs of one file have their frames."""
_HDF5_TYPES: Final = ("application/x-hdf5", "application/x-hdf5;type=stream")

Locate = Callable[[Mapping[str, Any]], str | None]
"""Tells the file of a resource; None when it has no opinion."""
Documents = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class PathMap:
    """How paths of the machine that wrote a file (an IOC) read on this one."""

    prefixes: Mapping[str, str]
    """Directory there to directory here; the longest that fits counts."""

    def here(self, path: str) -> str:
        """A path there as one on this machine."""
        for there in sorted(self.prefixes, key=len, reverse=True):
            below = path.removeprefix(there.rstrip("/"))
            if below != path and (not below or below.startswith("/")):
                return self.prefixes[there].rstrip("/") + below
        return path


def resource_path(resource: Mapping[str, Any]) -> str:
    """The path that a resource document gives, as on the machine that wrote it."""
    path = str(resource["resource_path"])
    if resource.get("path_semantics") == "windows":
        path = path.replace("\\", "/")
    return str(PurePosixPath(str(resource.get("root") or "/"), path))


def uri_path(uri: str) -> str:
    """The path of a ``file:`` URI.

    Raises:
        DecodeError: it is no URI of a file.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise DecodeError(f"{uri} is not a file: only those can be referred to")
    return unquote(parts.path)


def datum_block(
    resource: Mapping[str, Any], datum: Mapping[str, Any], path: str
) -> FileBlock | None:
    """Where one datum is; None when its spec is not of HDF5 files that are known here.

    Args:
        resource: its document.
        datum: the ``datum_kwargs``.
        path: of the resource on this machine.
    """
    spec = str(resource.get("spec", ""))
    settings = resource.get("resource_kwargs") or {}
    each = int(settings.get("frame_per_point") or 1)
    number = int(datum.get("point_number", datum.get("index", 0)) or 0)
    if spec == "AD_HDF5_SINGLE":
        name = str(settings["template"]) % (path + "/", settings["filename"], number)
        return FileBlock(name.replace("//", "/"), _ADDRESSES["AD_HDF5"], 0, 1, each)
    address = settings.get("dataset") or _ADDRESSES.get(spec)
    if address is None:
        return None
    return FileBlock(path, str(address), number * each, 1, each)


def datum_uri(resource: Mapping[str, Any], datum: Mapping[str, Any], path: str) -> str:
    """How a value in a file of another kind is referred to: the file, then what is in it."""
    settings = resource.get("resource_kwargs") or {}
    number = datum.get("point_number", datum.get("index"))
    spec = resource.get("spec")
    if number is not None and spec == "NPY_SEQ":
        return f"{path}_{number}.npy"
    if number is not None and "template" in settings:
        first = int(number) * int(settings.get("frame_per_point") or 1)
        name = str(settings["template"]) % (path + "/", settings.get("filename", ""), first)
        return name.replace("//", "/")
    return path if number is None else f"{path}::{number}"


def streamed_block(
    resource: Mapping[str, Any], datum: Mapping[str, Any], shape: tuple[int, ...], path: str
) -> FileBlock | None:
    """Where the values of a stream_datum are; None when they are not in HDF5 files.

    Args:
        resource: the stream_resource.
        datum: the stream_datum.
        shape: of one value, as described: (frames, *frame), or () for a number.
        path: of the file on this machine.
    """
    parameters = resource.get("parameters") or {}
    address = parameters.get("dataset") or parameters.get("path")
    if str(resource.get("mimetype", "")) not in _HDF5_TYPES or not address:
        return None
    each = shape[0] if shape and shape[0] > 0 else 1
    first, stop = datum["indices"]["start"], datum["indices"]["stop"]
    return FileBlock(path, str(address), int(first) * each, int(stop) - int(first), each)


def streamed_uris(
    resource: Mapping[str, Any], datum: Mapping[str, Any], shape: tuple[int, ...], path: str
) -> list[str]:
    """How the values of a stream_datum in files of another kind are referred to, one by one."""
    template = (resource.get("parameters") or {}).get("template")
    each = shape[0] if shape and shape[0] > 0 else 1
    found = []
    for index in range(int(datum["indices"]["start"]), int(datum["indices"]["stop"])):
        if template:
            found.append(f"{path.rstrip('/')}/{str(template).format(index * each)}")
        else:
            found.append(f"{path}::{index}")
    return found
