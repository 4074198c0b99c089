"""From the announcement of a data stream to a channel.

Streams come in several generations: those of blissdata 2 name a plugin, older ones a format; Lima2
has a protocol of its own since blissdata 2.4.
"""

import posixpath
import string
from collections.abc import Mapping
from typing import Any

import numpy as np

from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    Content,
    ImageFiles,
    Json,
    Shape,
)
from nexus_writer_service.sources.bliss.fields import Fields

_LEGACY_FORMATS = {"lima_v1": "lima", "lima_v2": "lima2", "subscan": "scan_sequence"}
_PLUGIN_OF_NUMBERS = ("", "hdf5_fallback")
"""Plugins whose numbers are the data: hdf5_fallback only helps readers once Redis forgot them."""
_AXIS_KEYS = ("start", "stop", "min", "max", "points", "axis_id", "axis_kind", "axis_points")
_NUMBER_KINDS = "biufc"
_NO_NUMBER = "%.0s"
"""A printf field that takes a number and prints nothing: for a file that has none in its name."""


def channel(name: str, stream: Fields, announced: Fields, device: str | None) -> Channel | str:
    """The channel of a stream; when its data cannot be understood, a text that says why.

    Args:
        name: full name of the channel.
        stream: its member of ``data_streams``: ``encoding`` and ``info``.
        announced: its member of ``channels`` in the scan info.
        device: key of its device.
    """
    info, encoding = stream.object("info"), stream.object("encoding")
    kind = encoding.text("type") or ""
    plugin = info.text("plugin") or _LEGACY_FORMATS.get(info.text("format") or "", "")
    content = _content(kind, plugin)
    if content is None:
        what = f"encoding {kind!r}" + (f" of plugin {plugin!r}" if plugin else "")
        return f"{what} is not known, so its data are not saved: update the writer"
    found = _points(content, encoding, info)
    if found is None:
        return "its type or shape of points is unusable, so its data are not saved"
    dtype, shape = found
    images = None
    if content is Content.IMAGES and not announced.flag("no_saving"):
        images = _image_files(info)
    return Channel(
        name=ChannelName(name),
        dtype=dtype,
        shape=shape,
        content=content,
        unit=announced.text("unit"),
        device=announced.text("device") or device,
        dim=announced.integer("dim"),
        display_name=announced.text("display_name"),
        axis={key: announced.content[key] for key in _AXIS_KEYS if key in announced.content},
        images=images,
    )


def _content(kind: str, plugin: str) -> Content | None:
    match kind, plugin:
        case "json", "scan_sequence":
            return Content.SCANS
        case "json", "lima" | "lima2":
            return Content.IMAGES
        case "numeric", "lima2":
            return Content.IMAGES
        case "numeric", _ if plugin in _PLUGIN_OF_NUMBERS:
            return Content.NUMBERS
    return None


def _points(content: Content, encoding: Fields, info: Fields) -> tuple[np.dtype[Any], Shape] | None:
    """Type and shape of one point; None when they are unusable."""
    if content is Content.SCANS:
        return np.dtype(object), ()
    fields, key = (encoding, "dtype_str") if content is Content.NUMBERS else (info, "dtype")
    try:
        dtype = np.dtype(fields.text(key) or "V")
    except (TypeError, ValueError, SyntaxError):
        return None
    shape = fields.content.get("shape", [])
    if dtype.kind not in _NUMBER_KINDS or not isinstance(shape, list | tuple):
        return None
    if any(not isinstance(n, int) or isinstance(n, bool) or n < -1 for n in shape):
        return None
    return dtype, tuple(shape)


def _image_files(info: Fields) -> ImageFiles | None:
    """The files of a detector's frames; None when there are none that can be found."""
    if "master_file" in info.content or info.integer("protocol_version") == 2:
        files = _master_file(info.content.get("master_file"))
    else:
        lima = info.object("lima_info")
        files = _lima2_files(lima) if "path_template" in lima.content else _lima_files(lima)
    if files is None or posixpath.isabs(files.path_template):
        return files
    info.warn(
        f"the image path {files.path_template!r} is not absolute: the images are not linked; "
        "check the saving directory of the detector"
    )
    return None


def _master_file(found: Json) -> ImageFiles | None:
    """Lima2, protocol 2: one HDF5 file made by the detector that shows all frames."""
    match found:
        case [str(path), str(data_path)]:
            return ImageFiles(_escaped(path) + _NO_NUMBER, data_path, "hdf5")
    return None


def _lima_files(lima: Fields) -> ImageFiles | None:
    """Lima, protocol 1: ``file_path`` has a printf field for the number of the file."""
    path = lima.text("file_path")
    if not path or not lima.text("file_format"):
        return None
    return _numbered(path, lima, lima.integer("file_offset") or 0)


def _lima2_files(lima: Fields) -> ImageFiles | None:
    """Lima2, protocol 1: ``path_template`` has named fields, one for the number of the file."""
    template, directory = lima.text("path_template"), lima.text("directory")
    if not template or directory is None or not lima.text("file_format"):
        return None
    values = {
        "filename_prefix": lima.content.get("prefix", ""),
        "filename_rank": lima.content.get("rank", 0),
        "filename_suffix": lima.content.get("suffix", ""),
    }
    try:
        name = _printf(template, values)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        lima.warn(f"the path template {template!r} is unusable ({error}): images are not linked")
        return None
    return _numbered(posixpath.join(_escaped(directory), name), lima, 0)


def _printf(template: str, values: Mapping[str, Json]) -> str:
    """A template with named fields as one with a printf field for the number of the file."""
    parts = []
    numbers = 0
    for literal, name, form, conversion in string.Formatter().parse(template):
        parts.append(_escaped(literal))
        if name == "file_number":
            parts.append(f"%{form or 'd'}")
            numbers += 1
        elif name is not None:
            suffix = f"!{conversion}" if conversion else ""
            parts.append(_escaped(f"{{0{suffix}:{form}}}".format(values[name])))
    if numbers > 1:
        raise ValueError("more than one file number")
    return "".join(parts) + ("" if numbers else _NO_NUMBER)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _numbered(path: str, lima: Fields, first_file: int) -> ImageFiles:
    return ImageFiles(
        path_template=path,
        data_path=lima.text("data_path") or "",
        file_format=(lima.text("file_format") or "").lower(),
        frames_per_file=_count(lima, "frame_per_file", "frames_per_file"),
        frames_per_acquisition=_count(lima, "frame_per_acquisition", "frames_per_acquisition"),
        first_file=first_file,
    )


def _count(lima: Fields, *keys: str) -> int:
    """A number of frames under one of its names; 0 means all in one."""
    for key in keys:
        if found := lima.integer(key):
            return max(0, found)
    return 0
