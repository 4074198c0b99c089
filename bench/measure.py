"""One writer, one scan: what it costs, and when its points can be read."""

import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from bench.reader import Seen, Watch, differences, is_complete, saved_path, watch
from bench.workloads import SESSION, Workload
from bench.writers import Writer, WriterProcess
from numpy.typing import NDArray

from nexus_writer_service.errors import WriterError
from nexus_writer_service.testing.redis_server import reset
from nexus_writer_service.testing.simulation import (
    Clock,
    ScanRecord,
    SimulatedScan,
    SimulatedSession,
)
from nexus_writer_service.testing.simulation.clock import Pace

_DEADLINE = 120.0
"""Seconds after which a scan counts as never completed."""
_LOOK_PERIOD = 0.05
"""Seconds between two looks for completion: rare enough not to be in the writer's way."""
_LET_GO_DEADLINE = 5.0
_PREPARATION = 0.5
"""Seconds between the announcement of a live scan and its data: real scans prepare devices."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from just before a point is published until a reader has it in all channels."""

    median: float
    p95: float
    p99: float
    most: float
    after_end: float
    """Share of the points that were visible only after the scan had stopped."""
    updates: int
    """How often the reader found more points than before."""
    reader_inside: float
    """Median of the seconds for which the reader held the file open."""


@dataclass(slots=True, kw_only=True)
class Run:
    """One writer's result for one scan."""

    workload: str
    writer: str
    points: int
    nbytes: int
    load: float
    """Load average of the machine when it began."""
    cpu: float = 0.0
    wall: float = 0.0
    """Seconds from the first look at the data until the scan is complete in the file."""
    peak_megabytes: float = 0.0
    file_megabytes: float = 0.0
    latency: Latency | None = None
    problems: list[str] = field(default_factory=list)
    """What is wrong in the file; empty: every value has been compared and is right."""


def measure(writer: Writer, workload: Workload, url: str) -> Run:
    """Let one writer save one scan; what goes wrong is among the problems of the result.

    Raises:
        SettingsError: the database at ``url`` holds data that are not ours.
    """
    reset(url)
    run = Run(
        workload=workload.name,
        writer=writer.name,
        points=workload.total,
        nbytes=workload.nbytes,
        load=os.getloadavg()[0],
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        # The writer's open files are told by their real path.
        folder = Path(temporary).resolve()
        session = SimulatedSession(
            url, SESSION, data_root=folder, style="2.4", h5maps=True, publisher="pipeline"
        )
        try:
            with session, WriterProcess(writer, url, folder) as process:
                job = _Job(run, writer, process, workload, session)
                record = job.live() if workload.rate else job.drain()
            run.peak_megabytes = process.peak_megabytes
            run.problems += differences(writer, record)
            if saved_path(record).exists():
                run.file_megabytes = saved_path(record).stat().st_size / 1e6
        except WriterError as error:
            run.problems.append(str(error))
    return run


@dataclass(frozen=True, slots=True)
class _Job:
    """A listening writer and a session that is about to scan."""

    run: Run
    writer: Writer
    process: WriterProcess
    workload: Workload
    session: SimulatedSession

    def drain(self) -> ScanRecord:
        """The writer is stopped while the scan is published, and has it all at once then."""
        self.process.suspend()
        before = self.process.cpu_seconds
        record = self.session.run(self.workload.design, block=self.workload.block, counters=())
        begin = time.monotonic()
        self.process.resume()
        self._wait_until_complete(record)
        self.run.wall = time.monotonic() - begin
        self.run.cpu = self.process.cpu_seconds - before
        return record

    def live(self) -> ScanRecord:
        """Points come at their rate, while somebody looks into the file all the time."""
        before = self.process.cpu_seconds
        begin = time.monotonic()
        period = 1 / self.workload.rate
        scan = self.session.open(self.workload.design, counters=(), count_time=period)
        with scan, _Reader(self._watch(scan.record)) as reader:
            published = _publish(scan, self.workload)
            end = time.monotonic()
            scan.stop()
            scan.close()
            seen = reader.seen()
        self._wait_until_complete(scan.record)
        self.run.wall = time.monotonic() - begin
        self.run.cpu = self.process.cpu_seconds - before
        if seen.wrong:
            self.run.problems.append(f"{seen.wrong} points were visible with other values")
        if not seen.moments or seen.moments[-1][1] < self.workload.points:
            self.run.problems.append("the reader never saw all points")
        else:
            self.run.latency = latency(published, seen, end)
        return scan.record

    def _watch(self, record: ScanRecord) -> Watch:
        channels = self.workload.counted()
        return Watch(
            path=saved_path(record),
            datasets=[record.channels[channel.name].dataset for channel in channels],
            points=self.workload.points,
            values=channels[0].values,
            locking=not self.writer.locks_readers_out,
            deadline=time.monotonic() + self.workload.points / self.workload.rate + _DEADLINE,
        )

    def _wait_until_complete(self, record: ScanRecord) -> None:
        """Until all is in the file and the writer has let go of it."""
        deadline = time.monotonic() + _DEADLINE
        while not is_complete(self.writer, record):
            self.process.check()
            if time.monotonic() > deadline:
                self.run.problems.append(f"not complete after {_DEADLINE:g} s")
                return
            time.sleep(_LOOK_PERIOD)
        deadline = time.monotonic() + _LET_GO_DEADLINE
        while self.process.holds(saved_path(record)) and time.monotonic() < deadline:
            time.sleep(_LOOK_PERIOD / 5)


class _Reader:
    """The live reader, in a process of its own, inside a ``with`` block."""

    def __init__(self, task: Watch) -> None:
        context = multiprocessing.get_context("spawn")
        self._answers, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=watch, args=(task, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._answers.recv()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exception is not None:
            self._process.kill()
        self._process.join()

    def seen(self) -> Seen:
        """What it has seen, once it has seen all or given up."""
        seen: Seen = self._answers.recv()
        return seen


def _publish(scan: SimulatedScan, workload: Workload) -> NDArray[np.float64]:
    """Publish at the workload's rate; the monotonic time just before each point."""
    time.sleep(_PREPARATION)
    scan.prepare()
    scan.start()
    moments = np.empty(workload.points)
    pace = Pace(Clock(), 1 / workload.rate)
    for point in range(workload.points):
        pace.wait_for(point)
        moments[point] = time.monotonic()
        scan.publish(1)
    return moments


def latency(published: NDArray[np.float64], seen: Seen, end: float) -> Latency:
    """How long it took until points could be read.

    Args:
        published: monotonic time of each point.
        seen: of a reader that saw all of them.
        end: when the scan stopped.
    """
    times = np.array([moment for moment, _ in seen.moments])
    counts = np.array([count for _, count in seen.moments])
    # Point i is visible since the first look that found more than i points.
    visible = times[np.searchsorted(counts, np.arange(len(published)), side="right")]
    delays = visible - published
    median, p95, p99 = np.percentile(delays, (50, 95, 99))
    return Latency(
        median=float(median),
        p95=float(p95),
        p99=float(p99),
        most=float(delays.max()),
        after_end=float(np.mean(visible > end)),
        updates=len(times),
        reader_inside=float(np.median(seen.inside)),
    )
