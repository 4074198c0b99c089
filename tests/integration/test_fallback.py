"""Once Redis has forgotten points, blissdata's streams take them from our files."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import redis
from blissdata.redis_engine.store import DataStore
from blissdata.streams.hdf5_fallback.stream import Hdf5BackedStream
from tests.support_session import RunningWriter, opened
from tests.support_waiting import wait_for

from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.testing.simulation import (
    ScanRecord,
    SimulatedSession,
    designs,
    number_channel,
)
from nexus_writer_service.testing.simulation.demo import DEMO_SCANS

pytestmark = pytest.mark.integration

DIODE = "simulation_diode_sampling_controller:diode1"
POINTS = 6


def of_all_types(session: SimulatedSession) -> ScanRecord:
    """Numbers of all types and shapes."""
    types = ("?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8", "c16")
    channels = [
        number_channel(f"ctl:{np.dtype(kind).name}", np.arange(POINTS).astype(kind))
        for kind in types
    ]
    channels += [
        number_channel("ctl:spectrum", np.arange(POINTS * 5).reshape(POINTS, 5)),
        number_channel("ctl:image", np.arange(POINTS * 12.0).reshape(POINTS, 3, 4)),
    ]
    return session.channel_scan(channels, POINTS)


KINDS: dict[str, Callable[[SimulatedSession, float], ScanRecord]] = {
    **DEMO_SCANS,
    "loopscan": lambda session, period: session.loopscan(POINTS, period=period),
    "timescan": lambda session, period: session.timescan(POINTS, period=period),
    "back and forth": lambda session, period: session.amesh(back_and_forth=True, period=period),
    "all types": lambda session, _: of_all_types(session),
}


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def backed_streams(url: str, record: ScanRecord) -> dict[str, Hdf5BackedStream]:
    """The streams of a scan that can fall back, as any client of blissdata gets them.

    Not those of a second top master: BLISS publishes the dataset of the first one for them.
    """
    streams = DataStore(url).load_scan(record.key).streams
    return {
        name: stream
        for name, stream in streams.items()
        if isinstance(stream, Hdf5BackedStream) and record.channels[name].entry == record.entries[0]
    }


@pytest.mark.parametrize("kind", KINDS)
def test_all_points_are_read_when_redis_has_none(
    kind: str,
    writer: RunningWriter,
    session: SimulatedSession,
    redis_url: str,
    client: "redis.Redis[bytes]",
) -> None:
    record = KINDS[kind](session, 0.001)
    for scan in (record, *record.subscans):
        assert writer.verdict(scan).outcome is Outcome.COMPLETE
        streams = backed_streams(redis_url, scan)
        assert streams or kind == "sequence"
        for name, stream in streams.items():
            client.xtrim(stream.key, maxlen=1, approximate=False)  # the seal stays
            expected = scan.channels[name].values()
            assert len(stream) == len(expected)
            np.testing.assert_array_equal(stream[:], expected, err_msg=name)
            np.testing.assert_array_equal(stream[1:-1], expected[1:-1], err_msg=name)
            np.testing.assert_array_equal(stream[len(expected) - 1], expected[-1], err_msg=name)


def test_a_reader_that_is_late_while_the_scan_runs_gets_the_first_points_from_the_file(
    writer: RunningWriter,
    session: SimulatedSession,
    redis_url: str,
    client: "redis.Redis[bytes]",
) -> None:
    design = designs.loopscan
    with session.open(lambda setting: design(setting, 10), block=1) as scan:
        scan.prepare()
        scan.start()
        scan.publish(6)
        stream = backed_streams(redis_url, scan.record)[DIODE]
        expected = scan.record.channels[DIODE].values()

        wait_for(lambda: _points_in_file(scan.record) == 6, what="6 points in the file")
        client.xtrim(stream.key, maxlen=2, approximate=False)
        np.testing.assert_array_equal(stream[0], expected[0])
        np.testing.assert_array_equal(stream[0:4], expected[0:4])
        np.testing.assert_array_equal(stream[4:6], expected[4:6])
        scan.publish()
        scan.stop()
        scan.close()
    assert writer.over(scan.record).over


def _points_in_file(record: ScanRecord) -> int:
    try:
        with opened(record) as file:
            return len(file[record.channels[DIODE].dataset])
    except (OSError, KeyError):
        return 0
