"""A long scan at full speed: does memory stay what it is."""

import time
from statistics import median
from typing import Any

import redis
from bench.measure import Stage, perform
from bench.samples import Outcome
from bench.workloads import Workload
from bench.writers import Writer

from nexus_writer_service.testing.simulation import Clock
from nexus_writer_service.testing.simulation.clock import Pace

_RATE = 10_000.0
_BLOCK = 100
_KEPT = 30.0
"""Seconds of data that Redis keeps, as blissdata's memory tracker frees what is old."""
_TRIM_PERIOD = 5.0


def soak(writer: Writer, seconds: float, url: str) -> Outcome:
    """50 channels at 10 kHz for some time, as entries of 100 points.

    Args:
        writer: which one.
        seconds: how long.
        url: of a database that is emptied.
    """
    points = int(seconds * _RATE) // _BLOCK * _BLOCK
    workload = Workload(name="soak", channels=50, points=points, block=_BLOCK, rate=_RATE)

    def act(stage: Stage) -> None:
        memory: list[float] = []
        with (
            stage.costs(),
            redis.Redis.from_url(url) as client,
            stage.session.open(workload.design, block=_BLOCK, counters=()) as scan,
        ):
            stage.records = [scan.record]
            scan.prepare()
            scan.start()
            streams = client.json().get(scan.record.key, "$.data_streams.*.pk")
            pace = Pace(Clock(), 1 / _RATE)
            looked = trimmed = time.monotonic()
            for point in range(0, points, _BLOCK):
                pace.wait_for(point)
                scan.publish(_BLOCK)
                now = time.monotonic()
                if now > looked + min(1.0, seconds / 20):
                    memory.append(stage.process.resident_megabytes)
                    looked = now
                if now > trimmed + _TRIM_PERIOD:
                    _trim(client, streams, point - int(_KEPT * _RATE))
                    trimmed = now
            published = time.monotonic()
            scan.stop()
            scan.close()
        done = stage.wait_until_complete([scan.record])
        quarter = len(memory) // 4
        second, last = memory[quarter : 2 * quarter], memory[-quarter:]
        stage.outcome.values |= {
            "lag": done - published,
            "memory": median(last),
            "growth": median(last) / median(second),
            "points": workload.total,
        }

    return perform(writer, url, act)


def _trim(client: Any, streams: list[str], before: int) -> None:
    if before > 0:
        with client.pipeline(transaction=False) as pipeline:
            for stream in streams:
                pipeline.xtrim(f"esrf:stream:{stream}", minid=before, approximate=True)
            pipeline.execute()
