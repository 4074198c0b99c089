"""How long the Tango device takes to answer while scans are being written.

    python -m bench.tango_latency [--scans 20] [--seconds 10]

Starts a Tango database, a Redis, the device server, and a process that publishes scans; prints the
quantiles of each command, and how soon ``scan_exists`` is true after a scan was created, asked once
as BLISS does.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import tango

from nexus_writer_service.testing.redis_server import RedisServer, initialise
from nexus_writer_service.testing.simulation import SimulatedSession, designs
from nexus_writer_service.testing.tango_database import TangoDatabase

SESSION = "test_session"
DEVICE = f"id00/bliss_nxwriter/{SESSION}"
ATTRIBUTES = ("scan_names", "scan_states", "scan_info", "lag_seconds")


def publish(url: str, folder: Path, scans: int, period: float) -> None:
    """Publish scans in parallel until the process is ended."""
    with SimulatedSession(url, data_root=folder, data_writer="nexus") as session:
        print("publishing", flush=True)
        threads = [
            threading.Thread(target=lambda: session.loopscan(1_000_000, period=period), daemon=True)
            for _ in range(scans)
        ]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        os._exit(0)


@contextmanager
def started(*command: str, **variables: str) -> Iterator[None]:
    """A process of ours, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def timed(call: Callable[[], object], seconds: float, pause: float = 0.002) -> list[float]:
    """Milliseconds that calls take, one after the other."""
    taken = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
        time.sleep(pause)
    return taken


def announced(device: tango.DeviceProxy, session: SimulatedSession, count: int) -> list[float]:
    """Milliseconds from the creation of scans to the answer that they exist, which must be yes."""
    taken = []
    for _ in range(count):
        scan = session.open(lambda setting: designs.loopscan(setting, 1))
        began = time.perf_counter()
        if not device.scan_exists(scan.record.key):
            raise RuntimeError("scan_exists said no")
        taken.append((time.perf_counter() - began) * 1e3)
        scan.close("USER_ABORT")
    return taken


def show(name: str, taken: list[float]) -> None:
    """One row of the table."""
    p50, p90, p99 = np.percentile(taken, [50, 90, 99])
    print(
        f"{name:32} {len(taken):6} {p50:8.2f} {p90:8.2f} {p99:8.2f} {max(taken):8.2f}", flush=True
    )


def register(host: str) -> None:
    """Register the device."""
    name, _, port = host.partition(":")
    database = tango.Database(name, int(port))
    info = tango.DbDevInfo()
    info.name, info.server, info._class = DEVICE, "nexuswriter/bench", "NexusWriter"  # noqa: SLF001
    database.add_device(info)
    database.put_device_property(DEVICE, {"session": [SESSION], "nohistory": ["true"]})


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except tango.DevFailed:
            pass
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def measure(device: tango.DeviceProxy, session: SimulatedSession, seconds: float) -> None:
    """Print the table."""
    name = device.scan_names[0]
    print(f"{'ms':32} {'n':>6} {'p50':>8} {'p90':>8} {'p99':>8} {'max':>8}")
    show("State", timed(device.state, seconds))
    for command in (
        *("scan_exists", "scan_state", "scan_state_reason", "scan_url"),
        *("scan_has_write_permissions", "scan_disk_space_error", "scan_disk_space_warning"),
    ):
        show(command, timed(lambda c=command: device.command_inout(c, name), seconds))  # type: ignore[misc]
    for attribute in ATTRIBUTES:
        show(attribute, timed(lambda a=attribute: device.read_attribute(a), seconds))  # type: ignore[misc]
    show("created -> scan_exists is true", announced(device, session, 200))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each command")
    parser.add_argument("--period", type=float, default=0.1, help="seconds between points")
    parser.add_argument("--publish", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        url, folder = options.publish
        publish(url, Path(folder), options.scans, options.period)
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        database = stack.enter_context(TangoDatabase())
        redis = stack.enter_context(RedisServer())
        initialise(redis.url)
        os.environ["TANGO_HOST"] = database.host
        register(database.host)
        writer = ("nexus_writer_service", "bench", "--grace=0")
        stack.enter_context(started(*writer, REDIS_DATA_URL=redis.url))
        device = tango.DeviceProxy(DEVICE)
        wait_until(lambda: device.state() == tango.DevState.ON)
        arguments = ("--scans", str(options.scans), "--period", str(options.period))
        here = ("bench.tango_latency", *arguments, "--publish", redis.url, folder)
        if options.scans:
            stack.enter_context(started(*here))
            wait_until(lambda: device.active_scans == options.scans)
            wait_until(lambda: device.points_per_second > 0)
        session = SimulatedSession(
            redis.url, name=SESSION, data_root=Path(folder) / "more", data_writer="nexus"
        )
        with session:
            if not options.scans:
                session.loopscan(1)
                wait_until(lambda: bool(device.scan_names))
            measure(device, session, options.seconds)
        print(f"points per second: {device.points_per_second:.0f}, lag {device.lag_seconds:.2f} s")


if __name__ == "__main__":
    main()
