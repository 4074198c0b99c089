"""Short scans back to back, live: which of them are complete, and how soon each has an entry."""

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from bench.measure import Stage, perform
from bench.reader import NOT_YET, open_file
from bench.samples import Outcome
from bench.workloads import Workload
from bench.writers import Writer

_LOOK_PERIOD = 0.005
"""Seconds between two looks for the next entry."""
_ENTRY_PATIENCE = 5.0
"""Seconds for which an entry is looked for after the last scan."""


def short_scans(
    writer: Writer, workload: Workload, count: int, patience: float, url: str
) -> Outcome:
    """Publish scans one after the other while somebody looks for their entries.

    Args:
        writer: which one.
        workload: each scan.
        count: how many scans.
        patience: seconds until scans that are not complete count as lost.
        url: of a database that is emptied.
    """

    def act(stage: Stage) -> None:
        path = stage.session.data_root / stage.session.name / f"{stage.session.filename}.h5"
        entries = [f"{number}.1" for number in range(1, count + 1)]
        context = multiprocessing.get_context("spawn")
        answers, theirs = context.Pipe()
        locking = not writer.locks_readers_out
        watcher = context.Process(target=_watch, args=(path, entries, locking, theirs), daemon=True)
        watcher.start()
        answers.recv()
        with stage.costs():
            moments = []
            for _ in entries:
                with stage.session.open(workload.design, counters=()) as scan:
                    scan.prepare()
                    moments.append(time.monotonic())
                    scan.start()
                    scan.publish()
                    scan.stop()
                    scan.close()
                stage.records.append(scan.record)
            answers.send("the end")
            stage.wait_until_complete(stage.records, patience)
        seen: dict[str, float] = answers.recv()
        watcher.join()
        # A scan whose entry never came has waited until the end at least.
        delays = [
            seen.get(entry, time.monotonic()) - moment
            for entry, moment in zip(entries, moments, strict=True)
        ]
        p50, p99 = np.percentile(delays, (50, 99))
        stage.outcome.values |= {
            "entry_p50": float(p50),
            "entry_p99": float(p99),
            "points": workload.total * count,
        }

    return perform(writer, url, act)


def _watch(path: Path, entries: Sequence[str], locking: bool, answers: Connection) -> None:
    """Since when each entry is there, by the monotonic clock of this machine."""
    seen: dict[str, float] = {}
    answers.send("ready")
    end = float("inf")
    while len(seen) < len(entries) and time.monotonic() < end:
        if end == float("inf") and answers.poll():
            end = time.monotonic() + _ENTRY_PATIENCE
        try:
            with open_file(path, locking=locking) as file:
                there = set(file)
        except NOT_YET:
            there = set()
        now = time.monotonic()
        seen |= {entry: now for entry in entries if entry in there and entry not in seen}
        time.sleep(_LOOK_PERIOD)
    answers.send(seen)
    answers.close()
