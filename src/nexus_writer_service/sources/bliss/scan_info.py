"""From a scan's JSON document to its description.

The document is what blissdata keeps of a scan: identity, scan info, data streams. Nothing in it is
guaranteed: each thing that is missing or of the wrong type is left at its default and told in one
warning, with what it costs. Scans that are not to be saved cost nothing, so they get no warnings.
"""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    Device,
    DeviceRecord,
    Json,
    Note,
    Positioners,
    ScanDescription,
    ScanKey,
    Shape,
    StorageOptions,
    Subscan,
)
from nexus_writer_service.sources.bliss.channels import channel
from nexus_writer_service.sources.bliss.fields import Fields
from nexus_writer_service.sources.bliss.plots import described_plots, technique

_NOT_DUMPED = ("positioners", "nexuswriter")
"""Metadata categories that have places of their own in the layout."""
_USUAL_CATEGORIES = ("instrument", "technique", "sample")


Earlier = tuple[Json, ScanDescription]
"""A document of a scan in which nothing was strange, and the description that it gave."""


def describe(
    key: ScanKey, document: Json, earlier: Earlier | None = None
) -> tuple[ScanDescription, tuple[str, ...]]:
    """The description of a scan, and warnings about what was missing or strange.

    Never raises: the worst document still describes a scan of number 0 without channels.

    Args:
        key: the scan's key in Redis.
        document: ``id``, ``info`` and ``data_streams`` as blissdata 2 keeps them; also with the
            names of BLISS 1 in the scan info.
        earlier: the same scan at an earlier moment: what is said of channels and devices seldom
            changes, and is most of the document.
    """
    found = document if isinstance(document, Mapping) else {}
    root = Fields(found, f"scan {key}")
    identity = Fields(root.object("id").content, f"scan {key} id", root.warnings)
    name = root.object("info").text("name") or identity.text("name") or str(key)
    info = Fields(root.object("info").content, f"scan {name}", root.warnings)
    scan = _saving(_head(key, name, info, identity), info, identity)
    if earlier is not None and _of_devices(earlier[0]) == _of_devices(document):
        scan = _with_devices_of(scan, earlier[1])
    else:
        scan = _devices_and_channels(scan, root, info)
    scan = _content(scan, info)
    return scan, tuple(dict.fromkeys(root.warnings)) if scan.save else ()


def _head(key: ScanKey, name: str, info: Fields, identity: Fields) -> ScanDescription:
    """What scan it is, when it was, how it ended."""
    return ScanDescription(
        key=key,
        name=name,
        number=_number(info, identity),
        session=identity.text("session") or info.text("session_name") or "",
        title=info.text("title", f"the entry gets the title {name!r}"),
        start_time=_start_time(info),
        end_time=_time(info, "end_time", "end_timestamp"),
        end_reason=info.text("end_reason"),
        publisher=info.text("publisher") or "",
        publisher_version=info.text("publisher_version") or "",
        is_sequence=bool(info.flag("is_scan_sequence")),
    )


def _saving(scan: ScanDescription, info: Fields, identity: Fields) -> ScanDescription:
    """The scan with whether, where and how it is to be saved."""
    path = _path(info, identity)
    saved = info.flag("save")
    save = path is not None if saved is None else saved
    if save and path is None:
        info.warn("it is to be saved, but has no absolute file path: check SCAN_SAVING in BLISS")
    masters = info.object("nexuswriter").object("masterfiles").content
    return replace(
        scan,
        path=path,
        save=save,
        images_path=info.text("images_path") or "",
        data_writer=info.text("data_writer") or "",
        master_files={kind: file for kind, file in masters.items() if isinstance(file, str)},
        storage=_storage(info),
        separate_files=bool(info.object("writer_options").flag("separate_scan_files")),
        data_policy=info.text("data_policy") or identity.text("data_policy") or "",
        dataset_metadata=info.object("dataset_metadata_snapshot").content,
    )


def _of_devices(document: Json) -> tuple[Json, ...]:
    """What a document says of channels and devices."""
    info = document.get("info") if isinstance(document, Mapping) else None
    if not isinstance(info, Mapping):
        return ()
    session = info.get("nexuswriter")
    records = session.get("devices") if isinstance(session, Mapping) else None
    return document.get("data_streams"), info.get("channels"), info.get("devices"), records


def _with_devices_of(scan: ScanDescription, earlier: ScanDescription) -> ScanDescription:
    return replace(
        scan,
        devices=earlier.devices,
        channels=earlier.channels,
        unusable=earlier.unusable,
        device_records=earlier.device_records,
    )


def _devices_and_channels(scan: ScanDescription, root: Fields, info: Fields) -> ScanDescription:
    devices = _devices(info)
    channels, unusable = _channels(root, info, devices)
    return replace(
        scan,
        devices=devices,
        channels=channels,
        unusable=unusable,
        device_records=_device_records(info, channels),
    )


def _content(scan: ScanDescription, info: Fields) -> ScanDescription:
    """The scan with its points and metadata."""
    return replace(
        scan,
        shape=_shape(info),
        count_time=info.number("count_time"),
        subscans=_subscans(info),
        positioners=_positioners(info),
        categories=_categories(info),
        instrument_info=info.object("nexuswriter").object("instrument_info").content,
        plotted=_plotted(info),
        plots=described_plots(info),
        technique=technique(info.object("nexuswriter").object("technique")),
        notes=_notes(info),
        h5maps=info.object("h5maps").content,
    )


def _path(info: Fields, identity: Fields) -> str | None:
    path = info.text("filename") or identity.text("path")
    if path is None or posixpath.isabs(path):
        return path
    info.warn(f"the file path {path!r} is not absolute: the scan cannot be saved")
    return None


def _number(info: Fields, identity: Fields) -> int:
    number = info.integer("scan_nb")
    if number is not None:
        return number
    number = identity.integer("number") or 0
    info.warn(f"'scan_nb' is missing: the entry is named {number}.1")
    return number


def _start_time(info: Fields) -> str | None:
    found = _time(info, "start_time", "start_timestamp")
    if found is None:
        info.warn("'start_time' is missing: the entry is written without")
    return found


def _time(info: Fields, key: str, epoch_key: str) -> str | None:
    """A moment as ISO 8601 with zone; BLISS 1 has seconds since the epoch."""
    if info.content.get(key) is not None:
        found = info.text(key)
        return found and _zoned(info, key, found)
    seconds = info.number(epoch_key)
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    except (OverflowError, ValueError, OSError):
        info.warn(f"{epoch_key!r} is {seconds}, which is no time")
        return None


def _zoned(info: Fields, key: str, text: str) -> str:
    """A time with its zone; one without is taken for the time of this machine."""
    try:
        moment = datetime.fromisoformat(text)
        return text if moment.tzinfo else moment.astimezone().isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        info.warn(f"{key!r} is {text!r}, which is no time of ISO 8601: it is written as it is")
        return text


def _shape(info: Fields) -> Shape:
    """Numbers of points, slow axis first; a grid only if all its lengths are known."""
    dims = info.integer("data_dim") or 1
    if 1 < dims <= 32:
        lengths = tuple(info.integer(f"npoints{dim}") or 0 for dim in range(dims, 0, -1))
        if all(length > 0 for length in lengths):
            return lengths
    return (max(0, info.integer("npoints") or 0),)


def _subscans(info: Fields) -> tuple[Subscan, ...]:
    chain = info.object("acquisition_chain", "all channels are written in one entry")
    return tuple(
        Subscan(name, one.items("devices", str, "its channels are written in the first entry"))
        for name, one in chain.objects().items()
    )


def _devices(info: Fields) -> dict[str, Device]:
    return {
        key: Device(
            name=one.text("name") or key,
            channels=tuple(map(ChannelName, one.items("channels", str))),
            triggers=one.items("triggered_devices", str),
            metadata=one.object("metadata").content,
        )
        for key, one in info.object("devices").objects().items()
    }


def _channels(
    root: Fields, info: Fields, devices: Mapping[str, Device]
) -> tuple[dict[ChannelName, Channel], dict[ChannelName, str]]:
    """The channels, and why others cannot be used."""
    announced = info.object("channels").objects()
    owners = {name: key for key, device in devices.items() for name in device.channels}
    found: dict[ChannelName, Channel] = {}
    unusable: dict[ChannelName, str] = {}
    for name, stream in root.object("data_streams").objects().items():
        place = f"{info.place}, channel {name}"
        known = announced.get(name) or Fields({}, place, root.warnings)
        one = channel(
            name,
            Fields(stream.content, place, root.warnings),
            Fields(known.content, place, root.warnings),
            owners.get(ChannelName(name)),
        )
        if isinstance(one, str):
            unusable[ChannelName(name)] = one
        else:
            found[one.name] = one
    return found, unusable


def _positioners(info: Fields) -> Positioners:
    found = info.object("positioners")
    return Positioners(
        start=found.object("positioners_start").content,
        dial_start=found.object("positioners_dial_start").content,
        end=found.object("positioners_end").content,
        dial_end=found.object("positioners_dial_end").content,
        units=found.object("positioners_units").content,
    )


def _categories(info: Fields) -> dict[str, Mapping[str, Json]]:
    usual = ", ".join(_USUAL_CATEGORIES)
    names: tuple[str, ...] = _USUAL_CATEGORIES
    cost = f"only the metadata categories {usual} are written"
    if info.content.get("scan_meta_categories") is None:
        info.warn(f"'scan_meta_categories' is missing: {cost}")
    else:
        names = info.items("scan_meta_categories", str)
    # A category that has nothing to say about this scan is listed, but not there.
    wanted = [name for name in dict.fromkeys(names) if name not in _NOT_DUMPED]
    found = {name: info.object(name).content for name in wanted}
    return {name: content for name, content in found.items() if content}


def _plotted(info: Fields) -> tuple[str, ...]:
    """The channels that the user selected for display; BLISS 1 has them under another name."""
    for key in ("display_extra", "_display_extra"):
        display = info.object(key)
        for selection in ("displayed_channels", "plotselect"):
            if found := display.items(selection, str):
                return found
    return ()


def _notes(info: Fields) -> tuple[Note, ...]:
    found = []
    for number, comment in enumerate(info.items("comments", Mapping)):  # type: ignore[type-abstract]
        one = Fields(comment, f"{info.place}, comment {number}", info.warnings)
        text = one.text("message", "it is left out")
        if text is not None:
            found.append(Note(_time(one, "date", "timestamp") or "", text))
    return tuple(found)


def _storage(info: Fields) -> StorageOptions:
    chosen = info.object("writer_options").object("chunk_options")
    usual = StorageOptions()
    return StorageOptions(
        compression=chosen.text("compression_scheme") or usual.compression,
        chunk_bytes=_at_least(chosen, "chunk_nbytes", 1, usual.chunk_bytes),
        compression_limit_bytes=_at_least(
            chosen, "compression_limit_nbytes", 0, usual.compression_limit_bytes
        ),
        chunk_split=_at_least(chosen, "chunk_split", 1, usual.chunk_split),
    )


def _at_least(chosen: Fields, key: str, least: int, usual: int) -> int:
    found = chosen.integer(key)
    if found is None or found >= least:
        return usual if found is None else found
    chosen.warn(f"{key!r} is {found}: {usual} is used")
    return usual


def _device_records(
    info: Fields, channels: Iterable[ChannelName]
) -> dict[ChannelName, DeviceRecord]:
    """What the session says of the devices of these channels; it lists all that it has."""
    known = info.object("nexuswriter").object("devices")
    return {
        name: DeviceRecord(
            device_type=one.text("device_type") or "",
            data_type=one.text("data_type") or "",
            device_info=one.object("device_info").content,
            alias=one.text("alias") or "",
            channel=one.content.get("channel"),
        )
        for name in channels
        if name in known.content
        for one in [known.object(name)]
    }
