"""Values in files: from resource and datum documents, and their streamed successors, to blocks.

Specs of the area detector family and what is in them: ophyd and area-detector-handlers. Streamed
ones: event-model's stream_resource and stream_datum.
"""

from collections.abc import Callable, Mapping, Sequence
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

_TIFF_TYPE: Final = "multipart/related;type=image/tiff"

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
    """Where one datum is; None when its spec is not of files that are known here.

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
        return FileBlock(_templated(settings, path, number), _ADDRESSES["AD_HDF5"], 0, 1, each)
    if spec == "NPY_SEQ":
        return _point([(f"{path}_{number}.npy", 0)])
    if spec == "AD_TIFF" and "template" in settings:
        frames = range(number * each, (number + 1) * each)
        return _point([(_templated(settings, path, frame), 0) for frame in frames])
    address = settings.get("dataset") or _ADDRESSES.get(spec)
    if address is None:
        return None
    return FileBlock(path, str(address), number * each, 1, each)


def datum_uri(resource: Mapping[str, Any], datum: Mapping[str, Any], path: str) -> str:
    """How a value in a file of another kind is referred to: the file, then what is in it."""
    settings = resource.get("resource_kwargs") or {}
    number = datum.get("point_number", datum.get("index"))
    if number is not None and "template" in settings:
        first = int(number) * int(settings.get("frame_per_point") or 1)
        return _templated(settings, path, first)
    return path if number is None else f"{path}::{number}"


def _templated(settings: Mapping[str, Any], path: str, number: int) -> str:
    """The file of an area detector that has this number."""
    name = str(settings["template"]) % (path + "/", settings.get("filename", ""), number)
    return name.replace("//", "/")


def _point(pictures: Sequence[tuple[str, int]]) -> FileBlock:
    return FileBlock(pictures[0][0], "", pictures[0][1], 1, len(pictures), tuple(pictures))


def streamed_blocks(
    resource: Mapping[str, Any], datum: Mapping[str, Any], shape: tuple[int, ...], path: str
) -> list[FileBlock]:
    """Where the values of a stream_datum are, in order; none when their files are not known here.

    Args:
        resource: the stream_resource.
        datum: the stream_datum.
        shape: of one value, as described: (frames, *frame), or () for a number.
        path: of the file on this machine.
    """
    parameters = resource.get("parameters") or {}
    address = parameters.get("dataset") or parameters.get("path")
    mimetype = str(resource.get("mimetype", ""))
    each = shape[0] if shape and shape[0] > 0 else 1
    first, stop = int(datum["indices"]["start"]), int(datum["indices"]["stop"])
    if mimetype == _TIFF_TYPE and parameters.get("template"):
        folder, template = path.rstrip("/"), str(parameters["template"])
        in_file = max(1, int((parameters.get("chunk_shape") or (1,))[0]))
        frames = [divmod(frame, in_file) for frame in range(first * each, stop * each)]
        pictures = [(f"{folder}/{template.format(number)}", index) for number, index in frames]
        return [_point(pictures[at : at + each]) for at in range(0, len(pictures), each)]
    if mimetype not in _HDF5_TYPES or not address:
        return []
    return [FileBlock(path, str(address), first * each, stop - first, each)]


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
