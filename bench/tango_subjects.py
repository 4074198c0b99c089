"""The devices that are measured, and the processes around them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import tango

from nexus_writer_service.testing.redis_server import RedisServer, initialise
from nexus_writer_service.testing.simulation import SimulatedSession
from nexus_writer_service.testing.tango_database import TangoDatabase

SESSION = "test_session"
_DOMAINS = {"ours": "bench/ours", "dummy": "bench/dummy"}


@dataclass(frozen=True, slots=True)
class Subject:
    """A device that answers as a writer."""

    name: str
    device: tango.DeviceProxy

    def has(self, attribute: str) -> bool:
        """Whether it has this attribute; the dummy has none but State and Status."""
        return attribute in self.device.get_attribute_list()


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to measure: devices, and the database of scans that they are asked about."""

    subjects: Sequence[Subject]
    redis: str
    folder: Path


@contextmanager
def own_scene(folder: Path) -> Iterator[Scene]:
    """Our device and the dummy in servers of their own, on a Tango database and a Redis as well."""
    with ExitStack() as stack:
        database = stack.enter_context(TangoDatabase())
        redis = stack.enter_context(RedisServer())
        initialise(redis.url)
        os.environ["TANGO_HOST"] = database.host
        for instance, family in _DOMAINS.items():
            _register(database.host, f"nexuswriter/{instance}", f"{family}/{SESSION}")
        variables = {"REDIS_DATA_URL": redis.url, "XDG_STATE_HOME": str(folder / "state")}
        stack.enter_context(started("nexus_writer_service", "ours", "--grace=0", **variables))
        stack.enter_context(started("bench.dummy_device", "dummy"))
        subjects = [_awaited(name, f"{family}/{SESSION}") for name, family in _DOMAINS.items()]
        yield Scene(subjects, redis.url, folder)


@contextmanager
def scene_of(device: str, redis: str, folder: Path) -> Iterator[Scene]:
    """A device that is there, of any writer, on the database of scans that it listens to."""
    yield Scene([_awaited(device.rpartition("/")[0], device)], redis, folder)


@contextmanager
def scans_going_on(scene: Scene, scans: int, period: float) -> Iterator[None]:
    """That many scans in parallel, published by another process until the end of the block."""
    arguments = (scene.redis, str(scene.folder / "load"), str(scans), str(period))
    with started("bench.tango_subjects", *arguments):
        for subject in scene.subjects:
            if subject.has("scan_states"):
                wait_until(lambda one=subject: _writing(one) >= scans)  # type: ignore[misc]
        yield


@contextmanager
def started(*command: str, **variables: str) -> Iterator[None]:
    """A Python module that runs until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition; a device that cannot be reached does not fulfil it.

    Raises:
        TimeoutError: it was not fulfilled in time.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except tango.DevFailed:
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.05)


def _register(host: str, server: str, device: str) -> None:
    name, _, port = host.partition(":")
    database = tango.Database(name, int(port))
    info = tango.DbDevInfo()
    info.name, info.server, info._class = device, server, "NexusWriter"  # noqa: SLF001 - its name
    database.add_device(info)
    database.put_device_property(device, {"session": [SESSION]})


def _awaited(name: str, device: str) -> Subject:
    proxy = tango.DeviceProxy(device)
    wait_until(lambda: proxy.state() in (tango.DevState.ON, tango.DevState.RUNNING))
    return Subject(name, proxy)


def _writing(subject: Subject) -> int:
    states = subject.device.scan_states or ()
    return sum(state == tango.DevState.ON for state in states)


def _publish(url: str, folder: Path, scans: int, period: float) -> None:
    """Publish scans in parallel until the standard input ends or the process does."""
    with SimulatedSession(url, name=SESSION, data_root=folder, data_writer="nexus") as session:
        for _ in range(scans):
            run = threading.Thread(
                target=lambda: session.loopscan(1_000_000, period=period), daemon=True
            )
            run.start()
        sys.stdin.read()
        os._exit(0)  # the scans are not over, and their threads would go on


if __name__ == "__main__":
    _publish(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
