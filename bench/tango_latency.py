"""How long a writer's Tango device takes to answer, and to know of a new scan.

    make bench-tango
    python -m bench.tango_latency [--scans 20] [--seconds 3] [--creations 500]
    python -m bench.tango_latency --device NAME --redis URL      a device that is there

Two devices in turn: ours, and a dummy that does nothing, which tells how much of each figure is
Tango's and the machine's. First nothing else runs, then our device writes scans.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from bench.report import machine
from bench.scan_creations import ScanFactory
from bench.tango_subjects import SESSION, Scene, Subject, own_scene, scans_going_on, scene_of

from nexus_writer_service.testing.simulation import SimulatedSession

COMMANDS = (
    *("scan_exists", "scan_has_write_permissions", "scan_disk_space_error"),
    *("scan_disk_space_warning", "scan_state", "scan_state_reason"),
)
"""What BLISS asks about a scan, in its order; ``State`` comes before."""
ATTRIBUTES = ("scan_names", "scan_states", "scan_info", "lag_seconds")
_PAUSE = 0.002
"""Seconds between two questions."""
_BETWEEN_SCANS = 0.05
_GIVE_UP = 10.0
"""Seconds after which BLISS gives a scan up that its writer does not know."""
_SETTLING = 11.0
"""Seconds for which a server that was just started may be busy with what it finds."""
_FIRST = 100_000
"""Numbers of new scans begin well above those of the simulated session."""
_ROUNDS = 4
"""Turns that the devices take."""


@dataclass(frozen=True, slots=True)
class Row:
    """How long something took, in milliseconds."""

    device: str
    scans: int
    """That are being written meanwhile."""
    what: str
    count: int
    p50: float
    p90: float
    p99: float
    most: float
    within_2_ms: float
    """Share."""
    load: float
    """Load average of the machine at the end."""


class Measurements:
    """Collects milliseconds by device and question."""

    def __init__(self, scans: int) -> None:
        self._scans = scans
        self._taken: dict[tuple[str, str], list[float]] = {}

    def add(self, device: str, what: str, milliseconds: Sequence[float]) -> None:
        """Keep some more."""
        self._taken.setdefault((what, device), []).extend(milliseconds)

    def rows(self) -> list[Row]:
        """One for each question and device, those of one question together."""
        load = os.getloadavg()[0]
        questions = list(dict.fromkeys(what for what, _ in self._taken))
        found = []
        for what, device in sorted(self._taken, key=lambda one: questions.index(one[0])):
            taken = np.array(self._taken[what, device])
            p50, p90, p99 = (float(one) for one in np.percentile(taken, [50, 90, 99]))
            most, share = float(taken.max()), float((taken <= 2).mean())
            found.append(
                Row(device, self._scans, what, len(taken), p50, p90, p99, most, share, load)
            )
        return found


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds that calls take, one after the other."""
    taken = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
        time.sleep(_PAUSE)
    return taken


def ask_commands(subject: Subject, scan: str, seconds: float, into: Measurements) -> None:
    """What the commands and attributes take, with a scan that the device knows."""
    into.add(subject.name, "State", timed(subject.device.state, seconds))
    for command in COMMANDS:
        call = lambda command=command: subject.device.command_inout(command, scan)  # noqa: E731
        into.add(subject.name, command, timed(call, seconds))
    for attribute in filter(subject.has, ATTRIBUTES):
        read = lambda name=attribute: subject.device.read_attribute(name)  # noqa: E731
        into.add(subject.name, attribute, timed(read, seconds))


def ask_for_new_scans(
    subject: Subject, factory: ScanFactory, count: int, into: Measurements
) -> None:
    """What it takes until the device answers that a new scan exists, asked at once and again."""
    since_sent, since_done, at_first = [], [], 0
    for _ in range(count):
        scan = factory.create()
        found = subject.device.scan_exists(scan.name)
        at_first += bool(found)
        while not found:
            if time.perf_counter() > scan.done + _GIVE_UP:
                raise TimeoutError(f"{subject.name} does not know of {scan.name}")
            found = subject.device.scan_exists(scan.name)
        now = time.perf_counter()
        since_sent.append((now - scan.sent) * 1e3)
        since_done.append((now - scan.done) * 1e3)
        factory.end(scan)
        time.sleep(_BETWEEN_SCANS)
    into.add(subject.name, "created -> scan_exists", since_done)
    into.add(subject.name, "creation sent -> scan_exists", since_sent)
    if at_first < count:
        print(f"{subject.name}: {count - at_first} of {count} first answers were no", flush=True)


def measure(scene: Scene, options: argparse.Namespace, scans: int) -> list[Row]:
    """All figures with that many scans being written."""
    into = Measurements(scans)
    load: AbstractContextManager[None] = nullcontext()
    if scans:
        load = scans_going_on(scene, scans, options.period)
    session = SimulatedSession(
        scene.redis,
        name=SESSION,
        data_root=scene.folder / f"beside_{scans}",
        data_writer="nexus",
    )
    with load, session:
        factory = ScanFactory(session, first=_FIRST * (1 + scans))
        known = factory.create()
        for subject in scene.subjects:
            subject.device.scan_exists(known.name)
        for _ in range(_ROUNDS):
            for subject in scene.subjects:
                ask_commands(subject, known.name, options.seconds / _ROUNDS, into)
                ask_for_new_scans(subject, factory, options.creations // _ROUNDS, into)
        factory.end(known)
        factory.close()
    return into.rows()


def show(rows: Sequence[Row]) -> None:
    """In Markdown, so that it can be pasted."""
    print("| ms | device | scans | n | p50 | p90 | p99 | max | within 2 ms |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        times = " | ".join(f"{one:.2f}" for one in (row.p50, row.p90, row.p99, row.most))
        print(
            f"| {row.what} | {row.device} | {row.scans} | {row.count} | {times} | "
            f"{row.within_2_ms:.1%} |"
        )
    loads = [row.load for row in rows]
    print(f"load average {min(loads):.1f} to {max(loads):.1f}", flush=True)


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--scans", type=int, default=20, help="that are written (and none)")
    parser.add_argument("--period", type=float, default=0.1, help="seconds between their points")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each question")
    parser.add_argument("--creations", type=int, default=500, help="new scans asked for")
    parser.add_argument("--device", help="measure this device instead, in TANGO_HOST's database")
    parser.add_argument("--redis", help="URL of the database of scans that it listens to")
    parser.add_argument("--out", type=Path, default=Path("bench/out/tango_latency.json"))
    options = parser.parse_args()
    if (options.device is None) != (options.redis is None):
        sys.exit("--device and --redis go together")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = scene_of(options.device, options.redis, folder) if options.device else None
        with place or own_scene(folder) as scene:
            time.sleep(_SETTLING)
            rows = [row for scans in (0, options.scans) for row in measure(scene, options, scans)]
    show(rows)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "rows": [asdict(row) for row in rows]}
    options.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
