"""The plan of a scan that brings maps of its files: it is written as mapped.

The maps say what stands where. How points are stored (chunks, compression, images) is the writer's,
as in the classic layout. Besides, each entry gets the writer's note, and a sequence the record of
its scans, which no item of a map can say.
"""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from nexus_writer_service.errors import LayoutError
from nexus_writer_service.layout.esrf.datasets import (
    EsrfOptions,
    channel_dataset,
    image_storage,
    saved_shape,
)
from nexus_writer_service.layout.esrf.entry import iso
from nexus_writer_service.layout.esrf.masterfiles import ReferenceLinks, dataset_file, scan_file
from nexus_writer_service.layout.esrf.plan import stamps
from nexus_writer_service.layout.esrf.sequences import RECORD, SequenceRecord
from nexus_writer_service.layout.h5map.changes import changes, with_streams_in_place
from nexus_writer_service.layout.h5map.files import FileMap
from nexus_writer_service.layout.h5map.items import NAN, MapGroup, MappedStream, parse_maps
from nexus_writer_service.layout.h5map.notes import (
    entries_of,
    has_content,
    has_streams,
    with_room_for_note,
)
from nexus_writer_service.layout.plan import Place, Trees
from nexus_writer_service.layout.writer_note import NOTE, writer_note
from nexus_writer_service.model.description import ChannelName, Content, ScanDescription
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.tree import (
    Dataset,
    ExternalLink,
    Group,
    Node,
    SlabSource,
    SoftLink,
    VirtualDataset,
    VirtualSource,
    merged,
    news,
)
from nexus_writer_service.model.verdict import Outcome, Verdict

_COPIED = ("copy", "raw")


def plan(scan: ScanDescription, options: EsrfOptions) -> "MappedPlan":
    """The plan of a prepared scan that brings maps.

    Raises:
        LayoutError: none of its maps can be followed.
    """
    return MappedPlan(scan, options)


class MappedPlan:
    """The trees of one scan as its maps say; a ``ScanPlan``.

    It remembers which streams have points, as other items wait for them.
    """

    def __init__(self, scan: ScanDescription, options: EsrfOptions) -> None:
        self._scan = scan
        self._options = options
        self._problems: list[str] = []
        self._warnings: list[str] = []
        maps = parse_maps(scan.h5maps, self._problems)
        self._file = _main_file(scan, maps, self._problems)
        self._entries = {
            path: entries_of(root, scan.number, needed=path == self._file)
            for path, root in maps.items()
        }
        self._maps = {
            path: self._map(with_room_for_note(path, root, self._entries[path], self._problems))
            for path, root in maps.items()
        }
        self._begun: dict[str, set[str]] = {path: set() for path in maps}
        self._places = self._found_places()
        content = (path for path, root in maps.items() if has_content(root))
        self._data_files = tuple(dict.fromkeys((self._file, *content)))
        self._references = ReferenceLinks(self._file, self.entries)
        taken = self._maps[self._file].nodes.get(f"/{self.entries[0]}")
        names = frozenset(taken.children) if isinstance(taken, MapGroup) else frozenset()
        self._record = SequenceRecord(self.entries[0], self._file, names | {NOTE})

    # ------------------------------------------------------------------------------ what it is

    @property
    def file(self) -> str:
        """The file of the scan itself, if it is mapped; else the first with streams."""
        return self._file

    @property
    def entries(self) -> tuple[str, ...]:
        """The groups in the root with streams, or of class NXentry; at least one."""
        return self._entries[self._file]

    @property
    def further(self) -> Mapping[str, tuple[str, ...]]:
        """The other files that hold more than links."""
        return {path: self._entries[path] for path in self._data_files if path != self._file}

    @property
    def places(self) -> Mapping[ChannelName, Place]:
        """Where each stream goes; further places have the name of the channel and the path."""
        return self._places

    @property
    def problems(self) -> tuple[str, ...]:
        """What of the maps cannot be written."""
        return tuple(self._problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the maps."""
        return tuple(self._warnings)

    def root(
        self, now: datetime, versions: Mapping[str, str], file: str | None = None
    ) -> Mapping[str, str]:
        """What the writer says of a new file; what the map says comes with its tree [NXroot]."""
        return stamps(self._scan, now, versions, file or self._file)

    # ---------------------------------------------------------------------------------- moments

    def links(self, now: datetime) -> Trees:
        """What stands in files that have nothing but links."""
        paths = [path for path in self._maps if path not in self._data_files]
        updated = Group(attributes={"file_update_time": iso(now)})
        return {path: merged(self._static(path), updated) for path in paths}

    def start(self, now: datetime) -> Trees:
        """All of the maps that waits for no stream, and the writer's note."""
        date = Group({"date": Dataset(iso(now))})
        notes = self.verdict(Verdict(Outcome.RUNNING))
        updated = Group(attributes={"file_update_time": iso(now)})
        return {
            path: merged(self._static(path), note, self._in_entries(path, date), updated)
            for path, note in notes.items()
        }

    def first_points(self, channels: Iterable[ChannelName]) -> Trees:
        """The datasets of places, and what has waited for them."""
        found: dict[str, list[Group]] = {}
        for place in (self._places[name] for name in channels if name in self._places):
            begun, maps = self._begun[place.file], self._maps[place.file]
            begun.add(place.path)
            tree = self._tree(place.file, maps, maps.waiting(place.path, begun))
            found.setdefault(place.file, []).append(tree)
        return {path: merged(*trees) for path, trees in found.items()}

    def plots(self, lengths: Mapping[ChannelName, int], *, final: bool) -> Trees:
        """Nothing: plots are in the maps, and come with the last stream that they show."""
        return {}

    def references(self, channel: ChannelName, scans: tuple[ScanReference, ...]) -> Trees:
        """The record of a sequence, as in the classic layout."""
        found = self._references.links(scans)
        tree = merged(Group(found), self._record.add(scans, found))
        return {self._file: tree} if tree.children else {}

    def finish(self, scan: ScanDescription, now: datetime) -> Trees:
        """What the last maps have that was not written before, and what they no longer have."""
        problems: list[str] = []
        last = parse_maps(scan.h5maps, problems)
        self._problems += [text for text in problems if text not in self._problems]
        updated = Group(attributes={"file_update_time": iso(now)})
        found = {path: self._last(path, root) for path, root in last.items()}
        record = {self._file: self._record.finish()}
        return {
            path: merged(found.get(path, Group()), record.get(path, Group()), updated)
            for path in dict.fromkeys((*found, self._file))
        }

    def verdict(self, verdict: Verdict) -> Trees:
        """The verdict in the writer's note of every entry."""
        notes = {path: self._note(path, verdict) for path in self._data_files}
        return {path: self._in_entries(path, note) for path, note in notes.items()}

    # ----------------------------------------------------------------------------------- inside

    def _map(self, root: MapGroup) -> FileMap:
        """A map whose virtual datasets over streams know how long these are to be."""
        found = FileMap(root)
        for at, node in found.nodes.items():
            if isinstance(node, VirtualDataset):
                sources = tuple(self._extended(found, at, one) for one in node.sources)
                found.nodes[at] = replace(node, sources=sources)
        return found

    def _extended(
        self, found: FileMap, at: str, source: VirtualSource | SlabSource
    ) -> VirtualSource | SlabSource:
        path = found.resolved(at, source.path) if source.file == "." else None
        stream = found.streams.get(path or "/")
        channel = self._scan.channels.get(stream.channel) if stream else None
        if channel is None or not isinstance(source, SlabSource):
            return source
        shape = (*saved_shape(self._scan.shape, self._options), *channel.shape)
        return replace(source, extent=shape) if all(n > 0 for n in shape) else source

    def _found_places(self) -> dict[ChannelName, Place]:
        found: dict[ChannelName, Place] = {}
        for path in dict.fromkeys((self._file, *self._maps)):
            for at, stream in self._maps[path].streams.items():
                if not self._is_saved(path, at, stream.channel):
                    continue
                name, source = stream.channel, None
                if name in found:
                    where = at if path == self._file else f"{path}::{at}"
                    name, source = ChannelName(f"{name} at {where}"), name
                images = self._scan.channels[stream.channel].images
                copied = images is not None and image_storage(images, self._options) in _COPIED
                found[name] = Place(path, at, copied=copied, source=source)
        passed = [
            name
            for name, channel in self._scan.channels.items()
            if name not in found
            and channel.content is not Content.SCANS
            and (channel.content is not Content.IMAGES or channel.images is not None)
        ]
        if passed:
            self._warnings.append(f"not mapped, so not saved: the channels {', '.join(passed)}")
        return found

    def _is_saved(self, path: str, at: str, name: ChannelName) -> bool:
        """Whether a stream gets a dataset; if not, why is told."""
        channel = self._scan.channels.get(name)
        if channel is None:
            # Of unusable ones the engine tells; one that failed before it had any missed nothing.
            if name not in self._scan.unusable and self._scan.channels:
                self._problems.append(
                    f"stream {name} is mapped at {at} in {path}, but the scan has none of that name"
                )
            return False
        if channel.content is Content.SCANS:
            self._warnings.append(
                f"stream {name} is mapped at {at} in {path}, but has no points: it tells of scans, "
                f"which are linked in /{self.entries[0]}/{RECORD}"
            )
        elif channel.content is Content.IMAGES and channel.images is None:
            self._problems.append(
                f"stream {name} is mapped at {at} in {path}, but its images are not saved: they "
                "are linked only where the detector saves them"
            )
        else:
            return True
        return False

    def _static(self, path: str) -> Group:
        return self._tree(path, self._maps[path], self._maps[path].static())

    def _tree(self, path: str, found: FileMap, keys: list[str]) -> Group:
        tree = found.tree(keys, self._made)
        return tree if path in self._data_files else _making_way(tree)

    def _made(self, stream: MappedStream) -> Node:
        channel = self._scan.channels[stream.channel]
        node = channel_dataset(channel, self._scan, self._options, stream.attributes)
        return replace(node, fill=NAN) if isinstance(node.fill, float) else node

    def _note(self, path: str, verdict: Verdict) -> Group:
        above = posixpath.dirname(path)
        others = [posixpath.relpath(one, above) for one in self._data_files if one != path]
        return writer_note(self._scan.key, verdict, others=others)

    def _in_entries(self, path: str, note: Group) -> Group:
        """The note in the entries; those that the map does not have are made for it."""
        mapped = self._maps[path].root.children
        plain, own = Group({NOTE: note}), Group({NOTE: note}, {"NX_class": "NXentry"})
        return Group({one: plain if one in mapped else own for one in self._entries[path]})

    def _last(self, path: str, root: MapGroup) -> Group:
        """What the last map of a file changes."""
        told: list[str] = []
        entries = self._entries.get(path, ())
        before = self._maps.get(path) or FileMap(MapGroup())
        cleared = with_streams_in_place(
            with_room_for_note(path, root, entries, []),
            before.streams,
            lambda channel: self._link(path, channel),
            told,
        )
        self._warnings += [f"{path}: {text}" for text in told]
        after, begun = self._map(cleared), self._begun.get(path, set())
        known = self._tree(path, before, before.possible(begun))
        wanted = self._tree(path, after, after.possible(begun))
        # Once more, since it was passed over while its entry led to no plot yet.
        default = {
            name: wanted.attributes[name] for name in ("default",) if name in wanted.attributes
        }
        return merged(
            news(wanted, known), changes(before, after, wanted), Group(attributes=default)
        )

    def _link(self, path: str, channel: ChannelName) -> SoftLink | ExternalLink | None:
        """A link to the points of a channel."""
        place = self._places.get(channel)
        if place is None or place.path not in self._begun[place.file]:
            return None
        if place.file == path:
            return SoftLink(place.path)
        return ExternalLink(posixpath.relpath(place.file, posixpath.dirname(path)), place.path)


def _main_file(scan: ScanDescription, maps: Mapping[str, MapGroup], problems: list[str]) -> str:
    """The file that stands for the scan: its own one, if that is mapped."""
    if not maps:
        raise LayoutError(
            "none of the maps that it brings can be followed: " + "; ".join(problems or ["empty"])
        )
    own = [] if scan.path is None else [scan_file(scan), dataset_file(scan)]
    full = [path for path in maps if has_content(maps[path])]
    with_streams = [path for path in maps if has_streams(maps[path])]
    wanted = [*(path for path in own if path in full), *with_streams, *full, *maps]
    return wanted[0]


def _making_way(tree: Group) -> Group:
    """The tree with links that never take the place of others."""
    children: dict[str, Node] = {}
    for name, node in tree.children.items():
        if isinstance(node, Group):
            children[name] = _making_way(node)
        elif isinstance(node, ExternalLink):
            children[name] = replace(node, makes_way=True)
        else:
            children[name] = node
    return replace(tree, children=children)
