"""One writer, one scan: what it costs, and when its points can be read."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench.reader import Seen, Watch, differences, is_complete, saved_path, watch
from bench.samples import Outcome
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

DEADLINE = 300.0
"""Seconds after which a scan counts as never completed."""
_LIVE_DEADLINE = 45.0
"""The same for one that was written while it ran: little is left to do."""
_LOOK_PERIOD = 0.05
"""Seconds between two looks for completion: rare enough not to be in the writer's way."""
_LOOKED_AT = 50
"""Channels that a live reader looks at."""
_LET_GO_DEADLINE = 5.0
_PREPARATION = 0.5
"""Seconds between the announcement of a live scan and its data: real scans prepare devices."""


@dataclass(slots=True)
class Stage:
    """A listening writer and a session that is about to scan."""

    writer: Writer
    process: WriterProcess
    session: SimulatedSession
    outcome: Outcome
    threads: int = 0
    """The most that were seen."""
    records: list[ScanRecord] = field(default_factory=list)
    """Scans whose values are compared at the end."""

    def wait_until_complete(
        self, records: Sequence[ScanRecord], deadline: float = DEADLINE
    ) -> float:
        """Until all is in the files and the writer has let go of them.

        Returns:
            The monotonic time when it was all there.
        """
        end = time.monotonic() + deadline
        # The last scan is mostly the last one to be complete.
        left = list(records)
        while left:
            self.threads = max(self.threads, self.process.threads)
            while left and is_complete(self.writer, left[-1]):
                left.pop()
            if left and time.monotonic() > end:
                lost = sum(not is_complete(self.writer, record) for record in left)
                text = f"{lost} of {len(records)} scans not complete after {deadline:g} s"
                self.outcome.problems.append(text)
                return time.monotonic()
            if left:
                time.sleep(_LOOK_PERIOD)
        done = time.monotonic()
        paths = {saved_path(record) for record in records}
        while any(map(self.process.holds, paths)) and time.monotonic() < done + _LET_GO_DEADLINE:
            time.sleep(_LOOK_PERIOD / 5)
        return done

    @contextmanager
    def costs(self) -> Iterator[None]:
        """Count the writer's CPU time and the time that passes, inside the block."""
        before, begin = self.process.cpu_seconds, time.monotonic()
        yield
        self.outcome.values["cpu"] = self.process.cpu_seconds - before
        self.outcome.values["wall"] = time.monotonic() - begin

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """The writer stands still inside the block."""
        self.process.suspend()
        try:
            yield
        finally:
            self.process.resume()


def perform(
    writer: Writer,
    url: str,
    act: Callable[[Stage], None],
    chunk_options: Mapping[str, Any] | None = None,
) -> Outcome:
    """Let a writer listen while something is done, and compare what it wrote afterwards.

    Args:
        writer: which one.
        url: of a database that is emptied.
        act: scans; adds to the outcome, and to the records, of which every value is compared.
        chunk_options: of the session.

    Raises:
        SettingsError: the database at ``url`` holds data that are not ours.
    """
    reset(url)
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        # The writer's open files are told by their real path.
        folder = Path(temporary).resolve()
        session = SimulatedSession(
            url, SESSION, data_root=folder, style="2.4", h5maps=True, publisher="pipeline"
        )
        session.chunk_options = dict(chunk_options or {})
        try:
            with session, WriterProcess(writer, url, folder) as process:
                stage = Stage(writer, process, session, outcome)
                act(stage)
            outcome.values |= {"peak": process.peak_megabytes, "threads": stage.threads}
            _compare(stage)
        except WriterError as error:
            outcome.problems.append(str(error))
    return outcome


def _compare(stage: Stage) -> None:
    wrong = [differences(stage.writer, record) for record in stage.records]
    for problems in wrong:
        stage.outcome.problems += problems
    stage.outcome.values["complete"] = wrong.count([])
    paths = {saved_path(record) for record in stage.records}
    sizes = [path.stat().st_size / 1e6 for path in paths if path.exists()]
    stage.outcome.values["file"] = sum(sizes)


def drain(writer: Writer, workload: Workload, url: str, *, files: Sequence[str] = ("",)) -> Outcome:
    """The writer is stopped while scans are published, and has them all at once then.

    Args:
        writer: which one.
        workload: one scan.
        url: of a database that is emptied.
        files: names of the files of as many scans, which are published side by side.
    """

    def act(stage: Stage) -> None:
        with stage.suspended():
            stage.records = _publish_all(stage.session, workload, files)
            before, begin = stage.process.cpu_seconds, time.monotonic()
        done = stage.wait_until_complete(stage.records)
        stage.outcome.values |= {
            "cpu": stage.process.cpu_seconds - before,
            "wall": done - begin,
            "points": workload.total * len(files),
            "bytes": workload.nbytes * len(files),
        }

    return perform(writer, url, act, workload.chunk_options)


def _publish_all(
    session: SimulatedSession, workload: Workload, files: Sequence[str]
) -> list[ScanRecord]:
    scans = []
    for name in files:
        session.filename = name or session.filename
        scans.append(session.open(workload.design, block=workload.block, counters=()))
    for scan in scans:
        scan.prepare()
        scan.start()
    for scan in scans:
        scan.publish()
    for scan in scans:
        scan.stop()
        scan.close()
    return [scan.record for scan in scans]


def live(writer: Writer, workload: Workload, url: str) -> Outcome:
    """Points come at their rate, while somebody looks into the file all the time."""

    def act(stage: Stage) -> None:
        period = 1 / workload.rate
        options = {"counters": (), "count_time": period, "block": workload.block}
        scan = stage.session.open(workload.design, **options)  # type: ignore[arg-type]
        stage.records = [scan.record]
        with stage.costs():
            with scan, reading(_watch(stage, workload, scan.record)) as reader:
                published = _publish(scan, workload)
                end = time.monotonic()
                scan.stop()
                scan.close()
                seen = reader()
            stage.wait_until_complete([scan.record], _LIVE_DEADLINE)
        if seen.wrong:
            stage.outcome.problems.append(f"{seen.wrong} points were visible with other values")
        if not seen.moments or seen.moments[-1][1] < workload.points:
            stage.outcome.problems.append("the reader never saw all points")
        else:
            stage.outcome.values |= latencies(published, seen, end)
        stage.outcome.values["points"] = workload.total

    return perform(writer, url, act, workload.chunk_options)


def _watch(stage: Stage, workload: Workload, record: ScanRecord) -> Watch:
    channels = workload.counted()
    # A look into thousands of datasets would take as long as a commit.
    some = [*channels[:: -(-len(channels) // _LOOKED_AT)], channels[-1]]
    return Watch(
        path=saved_path(record),
        datasets=[record.channels[channel.name].dataset for channel in some],
        points=workload.points,
        values=channels[0].values,
        locking=not stage.writer.locks_readers_out,
        deadline=time.monotonic() + workload.points / workload.rate + _LIVE_DEADLINE,
    )


@contextmanager
def reading(task: Watch) -> Iterator[Callable[[], Seen]]:
    """A live reader in a process of its own; gives what waits for all that it sees."""
    context = multiprocessing.get_context("spawn")
    answers, theirs = context.Pipe(duplex=False)
    process = context.Process(target=watch, args=(task, theirs), daemon=True)
    process.start()
    answers.recv()
    try:
        yield answers.recv
    except BaseException:
        process.kill()
        raise
    finally:
        process.join()


def _publish(scan: SimulatedScan, workload: Workload) -> NDArray[np.float64]:
    """Publish at the workload's rate; the monotonic time just before each point."""
    time.sleep(_PREPARATION)
    scan.prepare()
    scan.start()
    moments = np.empty(workload.points)
    pace = Pace(Clock(), 1 / workload.rate)
    for point in range(0, workload.points, workload.block):
        pace.wait_for(point)
        moments[point : point + workload.block] = time.monotonic()
        scan.publish(workload.block)
    return moments


def latencies(published: NDArray[np.float64], seen: Seen, end: float) -> dict[str, float]:
    """How long it took until points could be read.

    Args:
        published: monotonic time of each point.
        seen: of a reader that saw all of them.
        end: when the scan stopped.

    Returns:
        Seconds ``p50``, ``p95``, ``p99``, ``most`` over the points; ``lag`` of the last one;
        ``after_end``, the share of them that were visible only after the scan had stopped;
        ``updates``, how often the reader found more points; and ``inside``, for how long it
        typically held the file open.
    """
    times = np.array([moment for moment, _ in seen.moments])
    counts = np.array([count for _, count in seen.moments])
    # Point i is visible since the first look that found more than i points.
    visible = times[np.searchsorted(counts, np.arange(len(published)), side="right")]
    delays = visible - published
    p50, p95, p99 = np.percentile(delays, (50, 95, 99))
    return {
        "p50": float(p50),
        "p95": float(p95),
        "p99": float(p99),
        "most": float(delays.max()),
        "lag": float(delays[-1]),
        "after_end": float(np.mean(visible > end)),
        "updates": len(times),
        "inside": float(np.median(seen.inside)),
    }
