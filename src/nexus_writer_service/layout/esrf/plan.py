"""The plan of a scan in the classic ESRF layout: one NXentry per top master."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from nexus_writer_service.layout.esrf.applications import Applications
from nexus_writer_service.layout.esrf.datasets import EsrfOptions, image_storage
from nexus_writer_service.layout.esrf.entry import Entry, iso
from nexus_writer_service.layout.esrf.masterfiles import ReferenceLinks, master_links, scan_file
from nexus_writer_service.layout.esrf.plots import plots
from nexus_writer_service.layout.esrf.sequences import SequenceRecord
from nexus_writer_service.layout.esrf.slots import slots_of
from nexus_writer_service.layout.esrf.storage import COMPRESSIONS, DEFAULT_COMPRESSION
from nexus_writer_service.layout.esrf.structure import Structure
from nexus_writer_service.layout.plan import OneFilePlan, Place, Trees
from nexus_writer_service.model.description import ChannelName, ScanDescription, Subscan
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.tree import Group, merged
from nexus_writer_service.model.verdict import Verdict

CREATOR = "nexus_writer_service"


def plan(scan: ScanDescription, options: EsrfOptions) -> "EsrfPlan":
    """The plan of a prepared scan (or of one that ended before it was prepared).

    Raises:
        LayoutError: the scan has no absolute file path.
    """
    return EsrfPlan(scan, options)


class EsrfPlan(OneFilePlan):
    """The trees of one scan in the classic ESRF layout; a ``ScanPlan``.

    Everything follows from the description, but for the names of links to the scans of a sequence:
    the plan remembers those it gave.
    """

    def __init__(self, scan: ScanDescription, options: EsrfOptions) -> None:
        self._scan = scan
        self._options = options
        self._file = scan_file(scan)
        warnings: list[str] = []
        self._entries = tuple(entry for _, entry in entries_of(scan, options, warnings))
        self._by_channel = {name: entry for entry in self._entries for name in entry.by_channel}
        self._links = master_links(scan, self.entries, configurable=options.configurable)
        self._references = ReferenceLinks(self._file, self.entries)
        self._applications = [Applications(entry, options.stack_mcas) for entry in self._entries]
        taken = self._entries[0].taken | self._applications[0].names
        self._record = SequenceRecord(self._entries[0].name, self._file, taken)
        for entry, applications in zip(self._entries, self._applications, strict=True):
            warnings += entry.warnings
            warnings += applications.warnings
        if scan.storage.compression not in ("", *COMPRESSIONS):
            warnings.append(
                f"scan {scan.name}: compression {scan.storage.compression!r} is not known, "
                f"{DEFAULT_COMPRESSION} is used; choose one of {', '.join(COMPRESSIONS)}"
            )
        self._warnings = tuple(dict.fromkeys(warnings))
        self._places = {
            name: Place(self._file, f"/{entry.name}/{slot.path}", copied=self._copied(name))
            for entry in self._entries
            for name, slot in entry.by_channel.items()
        }

    @property
    def file(self) -> str:
        """Absolute path of the file that holds the entries."""
        return self._file

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries: ``<scan number>.<n>``, n = 1.. over the top masters by name."""
        return tuple(entry.name for entry in self._entries)

    def links(self, now: datetime) -> Trees:
        """Links to the entries in the files of dataset, collection and proposal."""
        updated = _updated(now)
        return {path: merged(links, updated) for path, links in self._links.items()}

    @property
    def places(self) -> Mapping[ChannelName, Place]:
        """Where each channel goes; channels of scans and of unsaved images go nowhere."""
        return self._places

    def _copied(self, name: ChannelName) -> bool:
        files = self._scan.channels[name].images
        return files is not None and image_storage(files, self._options) in ("copy", "raw")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about names, metadata and options."""
        return self._warnings

    def root(
        self, now: datetime, versions: Mapping[str, str], file: str | None = None
    ) -> Mapping[str, str]:
        """Attributes of the root of a new file [NXroot].

        ``create_version`` is a misspelling that readers may have got used to.

        Args:
            now: the moment, with zone.
            versions: HDF5_Version, h5py_version and creator_version, as far as known.
            file: absolute path of the file; by default the one with the entries.
        """
        return stamps(self._scan, now, versions, file or self._file)

    def start(self, now: datetime) -> Trees:
        """The entries with title, start, instrument, positions and the user's metadata."""
        trees = [entry.start(now) for entry in self._entries]
        trees += [one.start(self._scan.start_time) for one in self._applications]
        return {self._file: merged(*trees, _updated(now))}

    def first_points(self, channels: Iterable[ChannelName]) -> Trees:
        """The datasets of channels, their devices, their links; nothing without a place."""
        by_entry: dict[str, list[ChannelName]] = {}
        for channel in channels:
            if entry := self._by_channel.get(channel):
                by_entry.setdefault(entry.name, []).append(channel)
        trees = [
            entry.first_points(by_entry[entry.name])
            for entry in self._entries
            if entry.name in by_entry
        ]
        return {self._file: merged(*trees)} if trees else {}

    def plots(self, lengths: Mapping[ChannelName, int], *, final: bool) -> Trees:
        """The plots of each entry that can be shown, and what applications have of the data."""
        found = []
        for entry, applications in zip(self._entries, self._applications, strict=True):
            taken = applications.names | {self._record.name}
            found.append(plots(entry, lengths, final=final, taken=taken))
            found.append(applications.data(lengths, final=final))
        tree = merged(*found)
        return {self._file: tree} if tree.children else {}

    def references(self, channel: ChannelName, scans: tuple[ScanReference, ...]) -> Trees:
        """Links to the scans of a sequence: in its own entry, to other files also in the root."""
        found = self._references.links(scans)
        tree = merged(Group(found), self._record.add(scans, found))
        return {self._file: tree} if tree.children else {}

    def finish(self, scan: ScanDescription, now: datetime) -> Trees:
        """End time and reason, last positions, all metadata again; the last entry as default.

        Merging keeps the default of a file that leads to a plot, unless the new one has a plot too.
        """
        trees = [entry.finish(scan, now) for entry in self._entries]
        trees += [one.finish(iso(now)) for one in self._applications]
        trees.append(self._record.finish())
        default = Group(attributes={"default": self._entries[-1].name})
        return {self._file: merged(*trees, default, _updated(now))}

    def verdict(self, verdict: Verdict) -> Trees:
        """The verdict in the writer's note of every entry."""
        return {self._file: merged(*(entry.verdict(verdict) for entry in self._entries))}


def stamps(
    scan: ScanDescription, now: datetime, versions: Mapping[str, str], file: str
) -> Mapping[str, str]:
    """What a writer says of a new file, as attributes of its root [NXroot].

    Args:
        scan: the first one in it.
        now: the moment, with zone.
        versions: HDF5_Version, h5py_version and creator_version, as far as known.
        file: absolute path of the file.
    """
    found = {
        "NX_class": "NXroot",
        "file_time": iso(now),
        "file_name": file,
        "creator": CREATOR,
        **versions,
    }
    if "creator_version" in versions:
        found["create_version"] = versions["creator_version"]
    if scan.publisher:
        found["publisher"] = scan.publisher
    if scan.publisher_version:
        found["publisher_version"] = scan.publisher_version
    return found


def _updated(now: datetime) -> Group:
    """What every change of a file says of itself [NXroot]."""
    return Group(attributes={"file_update_time": iso(now)})


def entries_of(
    scan: ScanDescription, options: EsrfOptions, warnings: list[str] | None = None
) -> tuple[tuple[str, Entry], ...]:
    """The entries of a scan, each with the name of its top master.

    Args:
        scan: as prepared.
        options: how it is laid out.
        warnings: gets what a person should know.
    """
    warnings = [] if warnings is None else warnings
    subscans = sorted(scan.subscans, key=lambda one: one.name)
    if not subscans:
        subscans = [Subscan(scan.name, tuple(scan.devices))]
    found = []
    for number, (subscan, channels) in enumerate(_shared_out(scan, subscans, warnings), 1):
        slots, said = slots_of(
            scan,
            subscan,
            channels,
            configurable=options.configurable,
            multivalue=options.multivalue_positioners,
        )
        warnings += said
        structure = Structure(f"{scan.number}.{number}", scan, slots, options)
        found.append((subscan.name, Entry(structure)))
    return tuple(found)


def _shared_out(
    scan: ScanDescription, subscans: list[Subscan], warnings: list[str]
) -> list[tuple[Subscan, list[ChannelName]]]:
    """The channels of each subscan; those that no device names go to the first one."""
    seen: set[ChannelName] = set()
    found: list[tuple[Subscan, list[ChannelName]]] = []
    for subscan in subscans:
        devices = [scan.devices[key] for key in subscan.devices if key in scan.devices]
        names = [name for device in devices for name in device.channels]
        found.append((subscan, [name for name in dict.fromkeys(names) if name not in seen]))
        seen.update(names)
    lost = sorted(scan.channels.keys() - seen)
    if lost:
        found[0][1].extend(lost)
    if lost and scan.subscans:
        warnings.append(
            f"scan {scan.name}: no device of the acquisition chain has the channels "
            f"{', '.join(lost)}: they are written in entry {scan.number}.1"
        )
    return found
