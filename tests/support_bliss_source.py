"""A source of BLISS scans on a real Redis, and what it is to tell."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import redis
from tests.support_bliss_events import Heard, HeardScan, listen

from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.events import Ended
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.redis_server import RedisServer, initialise
from nexus_writer_service.testing.simulation import (
    ScanRecord,
    SimulatedScan,
    SimulatedSession,
    designs,
    devices,
)

DIODE = f"{devices.SAMPLING_CONTROLLER}:diode1"
TIMER = "timer:elapsed_time"
EVERYTHING = Backlog(since="0-0")


class ShiftedClock:
    """The monotonic clock, some seconds ahead."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def check(scan: HeardScan, record: ScanRecord) -> None:
    """All that was published has been told, and that the channels are complete."""
    assert isinstance(scan.end, Ended)
    assert scan.end.warnings == ()
    assert scan.end.scan.end_reason == record.end_reason
    assert scan.end.scan.number == record.number
    channels = record.channels if scan.prepared else {}
    assert scan.channels.keys() == channels.keys()
    for name, channel in channels.items():
        heard = scan.channels[name]
        assert heard.sealed == channel.length
        if heard.frames is not None:
            assert (heard.frames.count, heard.frames.saved) == (channel.length, channel.saved)
        elif heard.references:
            assert len(heard.references) == len(record.subscans)
        elif -1 in channel.shape:
            expected = channel.ragged_values()
            for point, truth in zip(heard.ragged_values, expected, strict=True):
                np.testing.assert_array_equal(point, truth)
        elif channel.length:
            np.testing.assert_array_equal(heard.values, channel.values())
            assert {batch.dtype for batch in heard.batches} == {channel.dtype}


def loopscan(session: SimulatedSession, points: int, **options) -> SimulatedScan:
    return session.open(lambda setting: designs.loopscan(setting, points), **options)


@contextmanager
def half_told(
    session: SimulatedSession, source: BlissSource, heard: Heard | None = None, **options
) -> Iterator[tuple[SimulatedScan, Heard]]:
    """A scan of 10 points, 4 of which have been published and told; what has been heard."""
    with loopscan(session, 10, **options) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        key = scan.record.key
        heard = listen(source, lambda heard: key in heard.scans, heard)
        listen(source, lambda heard: heard.length(key, DIODE) == 4, heard)
        yield scan, heard


@contextmanager
def forgetful_session(folder: Path) -> Iterator[tuple[RedisServer, SimulatedSession]]:
    with RedisServer(port=0) as server:
        initialise(server.url)
        with SimulatedSession(server.url, data_root=folder, publisher="pipeline") as session:
            yield server, session


@contextmanager
def persistent_session(folder: Path) -> Iterator[tuple[RedisServer, SimulatedSession]]:
    with RedisServer(persistent=True, port=0) as server:
        initialise(server.url)
        with SimulatedSession(server.url, data_root=folder, publisher="pipeline") as session:
            yield server, session


def wait_until_blocked(url: str) -> None:
    """Return once a client waits in a blocking command."""
    with redis.Redis.from_url(url) as client:
        deadline = time.monotonic() + 20
        while not client.info("clients")["blocked_clients"]:
            assert time.monotonic() < deadline
