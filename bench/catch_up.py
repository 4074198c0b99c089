"""How fast a client reads that does nothing else."""

import multiprocessing
import tempfile
from pathlib import Path

from bench.floor_writer import read_all
from bench.samples import Outcome
from bench.workloads import SESSION, Workload

from nexus_writer_service.testing.redis_server import reset
from nexus_writer_service.testing.simulation import SimulatedSession


def bare_read(workload: Workload, url: str) -> Outcome:
    """Publish a scan, and let a bare hiredis client read it in a fresh process."""
    reset(url)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        session = SimulatedSession(
            url, SESSION, data_root=Path(folder), style="2.4", publisher="pipeline"
        )
        with session:
            session.run(workload.design, block=workload.block, counters=())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        cpu, wall, points = pool.apply(read_all, (url,))
    outcome = Outcome({"cpu": cpu, "wall": wall, "points": points})
    # The timer's two channels are read as well.
    expected = workload.total + 2 * workload.points
    if points != expected:
        outcome.problems.append(f"{points} points were read, {expected} published")
    return outcome
