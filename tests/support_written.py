"""What the layout writes for recorded scans, moment by moment, without any file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.support_bliss import RecordedScan

from nexus_writer_service.layout.esrf import EsrfOptions, EsrfPlan, plan
from nexus_writer_service.model.description import ChannelName, Content
from nexus_writer_service.model.tree import Group, merged
from nexus_writer_service.model.verdict import ChannelTally, judge

NOW = datetime(2026, 11, 20, 19, tzinfo=UTC)
VERSIONS = {"HDF5_Version": "1.14.6", "h5py_version": "3.13.0", "creator_version": "0.1.0"}


@dataclass
class WrittenFile:
    """One file, when its scans are prepared and at their end."""

    prepared: Group = field(default_factory=Group)
    ended: Group = field(default_factory=Group)
    lengths: dict[str, int] = field(default_factory=dict)
    """Points of each channel's dataset at the end, by path."""

    def add(self, tree: Group, *, prepared: bool) -> None:
        if prepared:
            self.prepared = merged(self.prepared, tree)
        self.ended = merged(self.ended, tree)


def written(
    scans: Iterable[RecordedScan], options: EsrfOptions | None = None
) -> dict[str, WrittenFile]:
    """All files that scans of one session leave, by path; the scan that ended last comes last."""
    files: dict[str, WrittenFile] = {}
    by_end = sorted(scans, key=lambda one: str(one.document["info"]["end_time"]))
    for recorded in by_end:
        made = plan(recorded.described, options or EsrfOptions())
        for prepared, path, tree in moments(made, recorded):
            if path not in files:
                files[path] = WrittenFile()
                files[path].add(Group(attributes=made.root(NOW, VERSIONS, path)), prepared=True)
            files[path].add(tree, prepared=prepared)
        for name, place in made.places.items():
            files[place.file].lengths[place.path] = recorded.lengths[name]
    return files


def moments(made: EsrfPlan, recorded: RecordedScan) -> Iterator[tuple[bool, str, Group]]:
    """What is merged into which file, in order, and whether it is when the scan is prepared."""
    for path, tree in (*made.start(NOW).items(), *made.links(NOW).items()):
        yield True, path, tree
    for trees in _later(made, recorded):
        for path, tree in trees.items():
            yield False, path, tree


def _later(made: EsrfPlan, recorded: RecordedScan) -> Iterator[Mapping[str, Group]]:
    scan = recorded.described
    points = {name: n for name, n in recorded.lengths.items() if n and name in made.places}
    for name in points:
        yield made.first_points([name])
        yield made.plots(points, final=False)
    for name, channel in scan.channels.items():
        if channel.content is Content.SCANS:
            yield made.references(name, recorded.refers_to)
    yield made.finish(scan, NOW)
    yield made.plots(points, final=True)
    yield made.verdict(judge(_tallies(made, recorded.lengths)))


def _tallies(made: EsrfPlan, lengths: Mapping[ChannelName, int]) -> tuple[ChannelTally, ...]:
    return tuple(ChannelTally(name, lengths[name], lengths[name]) for name in made.places)
