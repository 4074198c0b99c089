"""What a scan promises before its first point: channels, devices, metadata, where to save it.

A source makes these values out of its own protocol; layouts read nothing else. Everything is
immutable, so that a description can cross threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NewType

import numpy as np

ScanKey = NewType("ScanKey", str)
"""Identifies a scan for ever, e.g. the Redis key ``esrf:scan:01M7X526WE80KHX19SPTAZ2NDR``."""

ChannelName = NewType("ChannelName", str)
"""Full name of a channel, parts separated by ":", e.g. ``axis:robx``."""

Shape = tuple[int, ...]
Json = Any
"""A value out of a JSON document."""


class Content(Enum):
    """What the points of a channel are."""

    NUMBERS = "numbers"
    """Arrays (or scalars) that travel with the stream."""
    IMAGES = "images"
    """Frames that a detector server saves itself; the stream says how many there are."""
    LOCATED = "located"
    """Values in files of other programs, told block by block."""
    SCANS = "scans"
    """References to other scans: a sequence."""


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Where a detector server saves the frames of one channel, and how frames map to files.

    Frame ``i`` belongs to acquisition ``a = i // frames_per_acquisition`` and is frame
    ``k = i % frames_per_acquisition`` of it; its file is number
    ``a * ceil(frames_per_acquisition / frames_per_file) + k // frames_per_file + first_file`` and
    its index in that file ``k % frames_per_file``. A zero for either count means "all in one".
    """

    path_template: str
    """Absolute path with one printf field for the file number, e.g. ``/d/scan0001/cam_%04d.h5``."""
    data_path: str
    """Path of the dataset inside an HDF5 file; empty for other formats."""
    file_format: str
    """Lower case: ``hdf5``, ``edf``, ``cbf``..."""
    frames_per_file: int = 0
    frames_per_acquisition: int = 0
    first_file: int = 0


@dataclass(frozen=True, slots=True)
class FileBlock:
    """Points of one channel that follow each other in one HDF5 dataset of a file."""

    path: str
    """Absolute path of the file."""
    data_path: str
    """Path of the dataset inside the file."""
    index: int
    """Of the first one along the first axis of the dataset."""
    points: int
    """Number of points."""
    each: int = 1
    """How many entries of the first axis make one point, which has shape (each, *rest) if more
    than one."""
    pictures: tuple[tuple[str, int], ...] = ()
    """Of a point that is not in an HDF5 file: each of its pictures, by file and number in it. There
    is one point then, and no ``data_path``."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What a channel promises before its first point."""

    name: ChannelName
    dtype: np.dtype[Any]
    shape: Shape
    """Shape of one point: () for a counter, (1024,) for a spectrum; -1 is a length that varies."""
    content: Content = Content.NUMBERS
    unit: str | None = None
    """Unit as the source gives it, e.g. "mm"; None when it says nothing (not the same as "")."""
    device: str | None = None
    """Key in ``ScanDescription.devices``."""
    dim: int | None = None
    """Number of dimensions of a point as announced; None when not announced."""
    display_name: str | None = None
    axis: Mapping[str, Json] = field(default_factory=dict)
    """What is announced of a scanned axis: start, stop, points, axis_id, axis_kind..."""
    aside: bool = False
    """It tells of the points of another channel (their times): not counted unless it is amiss."""
    images: ImageFiles | None = None
    """For IMAGES: the files, or None when the frames are not saved."""


@dataclass(frozen=True, slots=True)
class Device:
    """An acquisition device: master or slave in the acquisition chain."""

    name: str
    channels: tuple[ChannelName, ...] = ()
    triggers: tuple[str, ...] = ()
    """Keys of the devices that it triggers."""
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscan:
    """What one top master drives; becomes one NXentry."""

    name: str
    """Name of the top master."""
    devices: tuple[str, ...]
    """Keys of its devices, in order of the chain."""


@dataclass(frozen=True, slots=True)
class Positioners:
    """Motor positions around the scan: name to value; a value may be the text "ERR"."""

    start: Mapping[str, Json] = field(default_factory=dict)
    dial_start: Mapping[str, Json] = field(default_factory=dict)
    end: Mapping[str, Json] = field(default_factory=dict)
    dial_end: Mapping[str, Json] = field(default_factory=dict)
    units: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """What the BLISS session says of one channel's device (``nexuswriter.devices``)."""

    device_type: str = ""
    """samplingcounter, mca, mosca, mythen, lima, lima2, autofilter, or empty."""
    data_type: str = ""
    device_info: Mapping[str, Json] = field(default_factory=dict)
    alias: str = ""
    channel: Json = None
    """Detector number of an MCA ROI: an int, -1 for all, or a pair of ints."""


@dataclass(frozen=True, slots=True)
class PlotRequest:
    """A plot that the session or the scan itself asks for."""

    name: str
    """Wanted name of its NXdata."""
    signals: tuple[str, ...] = ()
    """Names of channels, which may lack their beginning; empty: all that ``ndim`` allows."""
    axes: tuple[str, ...] = ()
    """The same for what places the points, x before y; empty: what is scanned."""
    ndim: int | None = None
    """Only channels whose points have so many dimensions."""
    grid: bool = True
    """Whether a grid scan is shown as the grid that it is, and not point by point."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application definition that a scan is to have [NXsubentry]."""

    name: str
    """Wanted name of the NXsubentry."""
    definition: str
    """E.g. ``APPxrf``."""
    items: Mapping[str, Json] = field(default_factory=dict)
    """Names of channels, or lists of them, by what they are to the definition: I0, It, mca."""


@dataclass(frozen=True, slots=True)
class Technique:
    """What a BLISS 1 session says of the technique of a scan (``nexuswriter.technique``)."""

    name: str = ""
    applications: tuple[Application, ...] = ()
    plots: tuple[PlotRequest, ...] = ()
    """The default one first."""


@dataclass(frozen=True, slots=True)
class Note:
    """A comment made during the scan."""

    date: str
    """ISO 8601."""
    text: str


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """How the datasets of a scan are to be stored [spec: BLISS writer options]."""

    compression: str = ""
    """Name of a compression scheme, e.g. gzip-byteshuffle; empty: the default one."""
    chunk_bytes: int = 1 << 20
    compression_limit_bytes: int = 1 << 20
    """Datasets that are expected to stay below this many bytes are not compressed."""
    chunk_split: int = 4


@dataclass(frozen=True, slots=True)
class ScanDescription:
    """Everything that is announced of one scan, at one moment of its life."""

    key: ScanKey
    name: str
    """Short name for people and Tango commands, ``<number>_<scan name>``, e.g. ``4_ascan``."""
    number: int
    session: str = ""
    path: str | None = None
    """Absolute path of the dataset file; None when the scan is not to be saved."""
    images_path: str = ""
    """Template of the detector's file names, ``.../scan0004/{img_acq_device}_``."""
    save: bool = True
    data_writer: str = ""
    """Which writer BLISS selected: ``nexus`` (Tango device), ``external`` (process)..."""
    title: str | None = None
    start_time: str | None = None
    """ISO 8601 with zone."""
    end_time: str | None = None
    end_reason: str | None = None
    """SUCCESS, FAILURE, USER_ABORT, DELETION; None while the scan runs."""
    shape: Shape = (0,)
    """Numbers of points, slow axis first; (0,) when not known. A mesh has two axes or more."""
    count_time: float | None = None
    subscans: tuple[Subscan, ...] = ()
    """In the order of the acquisition chain."""
    devices: Mapping[str, Device] = field(default_factory=dict)
    channels: Mapping[ChannelName, Channel] = field(default_factory=dict)
    """The channels that have a stream. Empty before PREPARED."""
    positioners: Positioners = field(default_factory=Positioners)
    categories: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """User metadata to dump, by category: instrument, technique, sample..."""
    instrument_info: Mapping[str, Json] = field(default_factory=dict)
    """``name`` and ``name@short_name`` of the instrument."""
    device_records: Mapping[ChannelName, DeviceRecord] = field(default_factory=dict)
    """What the session says of the devices of ``channels``."""
    master_files: Mapping[str, str] = field(default_factory=dict)
    """``dataset``, ``dataset_collection``, ``proposal`` to absolute paths."""
    plotted: tuple[str, ...] = ()
    """Channels selected by the user for the default plot, by full name."""
    plots: tuple[PlotRequest, ...] = ()
    """Plots that the scan itself describes."""
    technique: Technique = field(default_factory=Technique)
    notes: tuple[Note, ...] = ()
    storage: StorageOptions = field(default_factory=StorageOptions)
    separate_files: bool = False
    """Each scan in a file of its own, linked from the dataset file."""
    publisher: str = ""
    publisher_version: str = ""
    data_policy: str = ""
    dataset_metadata: Mapping[str, Json] = field(default_factory=dict)
    is_sequence: bool = False
    h5maps: Mapping[str, Json] = field(default_factory=dict)
    """Maps of files that the scan brings along, by absolute path, as published: see
    ``layout/h5map``. They are only understood where they are followed, as they can be large."""
    unusable: Mapping[ChannelName, str] = field(default_factory=dict)
    """Channels whose data cannot be understood, so not saved, and why."""
