"""The two main loops, in one thread, by hand: from Redis to events, from events to a file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests.speed.counting import Work, counted
from tests.support_clock import FakeClock

from nexus_writer_service.hdf5.disk import Bytes, Disk
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.events import Announced, Ended, ScanEvent
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scribe import Scribe
from nexus_writer_service.service.status import StatusBoard
from nexus_writer_service.service.surroundings import Surroundings
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.simulation import SimulatedSession, designs, number_channel

_PLENTY = 1 << 40


class CountingDisk(Disk):
    """The system's, and how much was written to it."""

    def __init__(self) -> None:
        self.bytes = 0
        self.writes = 0

    def write_some(self, descriptor: int, pieces: Sequence[Bytes], address: int) -> int:
        self.writes += 1
        written = super().write_some(descriptor, pieces, address)
        self.bytes += written
        return written


@dataclass
class Loops:
    """A source and a scribe without a thread.

    Args:
        url: of a database that is set up for scans.
        folder: for the session's files.
    """

    url: str
    folder: Path
    disk: CountingDisk = field(default_factory=CountingDisk)
    ended: int = 0
    reads: int = 0
    ingest: Work = field(default_factory=Work)
    """By the last ``read``."""

    def __post_init__(self) -> None:
        clock = FakeClock()
        self.session = SimulatedSession(
            self.url, data_root=self.folder, style="2.4", publisher="pipeline"
        )
        self.source = BlissSource(self.url, None, backlog=Backlog(since="0-0"))
        self._around = Surroundings(
            files=FilePool(disk=self.disk, clock=clock),
            board=StatusBoard(),
            clock=clock,
            disk=DiskWatch(ask=lambda _directory: _PLENTY),
            layout=lambda scan: plan(scan, EsrfOptions()),
            profiler=Profiler("OFF"),
            version="1.2.3",
        )
        self.scribe = Scribe(self._around)

    def close(self) -> None:
        self.source.close()
        self.session.close()
        self._around.files.close()
        self._around.disk.stop()

    def read(self) -> list[ScanEvent]:
        """One read of the source, counted in ``ingest``."""
        with counted() as self.ingest:
            events = self.source.read(0.0)
        self.note(events)
        return events

    def note(self, events: Sequence[ScanEvent]) -> None:
        """Count what a read brought."""
        self.reads += 1
        self.ended += sum(isinstance(event, Ended) for event in events)

    def feed(self, events: Sequence[ScanEvent]) -> None:
        """What the session and the scribe do with events, without the commit."""
        for event in events:
            if isinstance(event, Announced):
                self.scribe.announce(event.scan, wanted=True)
        self.scribe._handle(events)

    def commit(self) -> None:
        """What the scribe does on its tick."""
        self.scribe._commit()


@contextmanager
def loops(url: str, folder: Path) -> Iterator[Loops]:
    """Loops that are closed at the end of the block."""
    one = Loops(url, folder)
    try:
        yield one
    finally:
        one.close()


@dataclass(frozen=True, slots=True)
class Whole:
    """What a scan took that was over when it was found."""

    ingest: Work
    write: Work
    reads: int
    bytes: int
    """Written to the disk, journal included."""


def whole_scan(one: Loops, channels: int, points: int, *, block: int) -> Whole:
    """Publish a scan, then read it to its end and write it, with one commit."""
    one.session.channel_scan(_channels(channels, points), points, block=block, counters=())
    ended, reads, written = one.ended, one.reads, one.disk.bytes
    ingest, events = Work(), []
    while one.ended == ended:
        events += one.read()
        ingest.instructions += one.ingest.instructions
        ingest.calls += one.ingest.calls
    with counted() as write:
        one.feed(events)
        one.commit()
    return Whole(ingest, write, one.reads - reads, one.disk.bytes - written)


@dataclass(frozen=True, slots=True)
class Steady:
    """What one commit of a scan takes that is going on, with one new point in each channel."""

    write: Work
    bytes: int
    """Written to the disk, journal included."""
    writes: int
    """Calls of the system for that."""


def steady_commit(one: Loops, channels: int, *, gzip: bool = False, commits: int = 4) -> Steady:
    """Publish a scan point by point, with a commit after each; the mean of some of the commits."""
    points = commits + 2
    one.session.chunk_options = {"compression_limit_nbytes": 0} if gzip else {}
    design = lambda setting: designs.custom(  # noqa: E731
        setting, "custom", _channels(channels, points), points
    )
    with one.session.open(design, counters=()) as scan:
        scan.prepare()
        scan.start()
        scan.publish(2)
        _step(one)
        _step(one)
        before = one.disk.bytes, one.disk.writes
        total = Work()
        for _ in range(commits):
            scan.publish(1)
            work = _step(one)
            total.instructions += work.instructions
            total.calls += work.calls
        written, writes = one.disk.bytes - before[0], one.disk.writes - before[1]
        scan.stop()
        scan.close()
        ended = one.ended
        while one.ended == ended:
            _step(one)
    mean = Work(total.instructions // commits, total.calls // commits)
    return Steady(mean, written // commits, writes // commits)


def _step(one: Loops) -> Work:
    events = one.read()
    with counted() as work:
        one.feed(events)
        one.commit()
    return work


def _channels(count: int, points: int):
    values = np.arange(points, dtype=np.float64)
    return [number_channel(f"card:c{index:03}", values + index) for index in range(count)]
