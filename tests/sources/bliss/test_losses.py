"""What is lost in Redis, or cannot be read, costs itself."""

import numpy as np
import pytest
import redis
from tests.support_bliss_events import Heard, listen
from tests.support_bliss_source import DIODE, EVERYTHING, TIMER, ShiftedClock, check, half_told

from nexus_writer_service.model.events import Ended, Vanished
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.redis_server import reset
from nexus_writer_service.testing.simulation import Faults, SimulatedScan

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("block", [1, 7])
def test_trimmed_points_are_lost_and_the_others_keep_their_index(block, simulated_session, source):
    record = simulated_session.loopscan(20, block=block, faults=Faults(trimmed={DIODE: 12}))
    scan = listen(source, Heard.ended).scans[record.key]
    first = record.channels[DIODE].first
    channel = scan.channels[DIODE]
    assert [(lost.start, lost.stop) for lost in channel.lost] == [(0, first)]
    assert "trimmed" in channel.lost[0].reason
    np.testing.assert_array_equal(channel.values, record.channels[DIODE].values(first))
    assert channel.sealed == 20
    assert scan.channels[TIMER].lost == []


def test_an_unreadable_entry_costs_its_channel_only(simulated_session, source):
    record = simulated_session.loopscan(20, faults=Faults(garbage={DIODE: 7}))
    scan = listen(source, Heard.ended).scans[record.key]
    channel = scan.channels[DIODE]
    np.testing.assert_array_equal(channel.values, record.channels[DIODE].values(0, 7))
    (lost,) = channel.lost
    assert (lost.start, lost.stop) == (7, None)
    assert DIODE in lost.reason
    assert "7-1" in lost.reason
    assert channel.sealed is None
    assert scan.channels[TIMER].sealed == 20


def test_an_unknown_encoding_or_plugin_costs_its_channel_only(simulated_session, source):
    faults = Faults(
        encodings={DIODE: {"type": "morse"}},
        stream_info={"timer:epoch": {"plugin": "unknown"}},
    )
    record = simulated_session.loopscan(3, faults=faults)
    scan = listen(source, Heard.ended).scans[record.key]
    assert scan.prepared is not None
    assert scan.prepared.scan.unusable.keys() == {DIODE, "timer:epoch"}
    assert scan.channels.keys() == record.channels.keys() - {DIODE, "timer:epoch"}
    assert scan.channels[TIMER].sealed == 3


def test_a_stream_that_is_never_sealed_is_told_at_the_end(simulated_session, source):
    record = simulated_session.loopscan(5, faults=Faults(unsealed=frozenset({DIODE})))
    scan = listen(source, Heard.ended).scans[record.key]
    np.testing.assert_array_equal(scan.channels[DIODE].values, record.channels[DIODE].values())
    assert scan.channels[DIODE].sealed is None
    assert isinstance(scan.end, Ended)
    assert [DIODE in warning for warning in scan.end.warnings] == [True]


def test_a_document_that_means_nothing_is_skipped(simulated_session, redis_url, caplog):
    client = redis.Redis.from_url(redis_url)
    client.json().set("esrf:scan:nothing", "$", {"id": {"session": "test_session"}})
    client.json().set("esrf:scan:list", "$", [1, 2])
    client.set("esrf:scan:text", "no document")
    for key in ("esrf:scan:nothing", "esrf:scan:list", "esrf:scan:text", "esrf:scan:gone"):
        client.xadd("_SCAN_HISTORY_", {"key": key})
    client.xadd("_SCAN_HISTORY_", {"name": "no key"})
    record = simulated_session.loopscan(2)
    with BlissSource(redis_url, backlog=EVERYTHING) as source:
        assert listen(source, Heard.ended).scans.keys() == {record.key}
    for key in ("esrf:scan:nothing", "esrf:scan:list", "esrf:scan:text", "is not followed"):
        assert key in caplog.text


def test_a_deleted_scan_is_not_told(simulated_session, redis_url):
    deleted, record = simulated_session.loopscan(2), simulated_session.loopscan(2)
    redis.Redis.from_url(redis_url).expire(deleted.key, 10)
    with BlissSource(redis_url, "test_session", backlog=EVERYTHING) as source:
        assert listen(source, Heard.ended).scans.keys() == {record.key}


def test_a_scan_vanishes_with_the_content_of_the_database(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    clock = ShiftedClock()
    with (
        BlissSource(redis_url, "test_session", backlog=EVERYTHING, clock=clock) as source,
        half_told(simulated_session, source, faults=Faults(unclosed=True)) as (scan, heard),
    ):
        key = scan.record.key
        reset(redis_url)
        assert source.read(0.01) == []
        clock.ahead = 60
        listen(source, Heard.ended, heard)
        assert isinstance(heard.scans[key].end, Vanished)
        assert source.active == frozenset()
        after = simulated_session.loopscan(3)
        listen(source, lambda heard: heard.ended(2), heard)
        check(heard.scans[after.key], after)


def test_a_deleted_stream_costs_its_channel_only(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    clock = ShiftedClock()
    with (
        BlissSource(redis_url, "test_session", backlog=EVERYTHING, clock=clock) as source,
        half_told(simulated_session, source) as (scan, heard),
    ):
        key = scan.record.key
        assert delete_stream(redis_url, key, DIODE) == 1
        clock.ahead = 60
        listen(source, lambda heard: heard.scans[key].channels[DIODE].lost, heard)
        end(scan)
        listen(source, Heard.ended, heard)
    (lost,) = heard.scans[key].channels[DIODE].lost
    assert (lost.start, lost.stop) == (4, None)
    assert "deleted" in lost.reason
    assert DIODE in lost.reason
    assert heard.scans[key].channels[TIMER].sealed == 10


def test_a_stream_that_is_deleted_unnoticed_has_a_gap(simulated_session, redis_url, source):
    simulated_session.publisher = "pipeline"
    with half_told(simulated_session, source) as (scan, heard):
        key = scan.record.key
        scan.publish(2)
        assert delete_stream(redis_url, key, DIODE) == 1
        end(scan)
        listen(source, Heard.ended, heard)
    channel = heard.scans[key].channels[DIODE]
    assert [(lost.start, lost.stop) for lost in channel.lost] == [(4, 6)]
    assert channel.sealed == 10


def test_a_stream_of_which_nothing_is_left_but_its_seal_is_a_gap(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    record = simulated_session.loopscan(10)
    redis.Redis.from_url(redis_url).xtrim(stream_key(redis_url, record.key, DIODE), 1, False)
    with BlissSource(redis_url, "test_session", backlog=EVERYTHING) as source:
        scan = listen(source, Heard.ended).scans[record.key]
    assert [(lost.start, lost.stop) for lost in scan.channels[DIODE].lost] == [(0, 10)]
    assert scan.channels[TIMER].sealed == scan.channels[DIODE].sealed == 10


def test_a_scan_without_any_streams_left_ends_and_says_so(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    record = simulated_session.loopscan(10)
    for channel in record.channels:
        delete_stream(redis_url, record.key, channel)
    with BlissSource(redis_url, "test_session", backlog=EVERYTHING) as source:
        scan = listen(source, Heard.ended).scans[record.key]
    assert isinstance(scan.end, Ended)
    assert len(scan.end.warnings) == len(record.channels)


def end(scan: SimulatedScan) -> None:
    scan.publish()
    scan.stop()
    scan.close()


def stream_key(url: str, scan: str, channel: str) -> str:
    document = redis.Redis.from_url(url).json().get(scan, "$.data_streams")
    return f"esrf:stream:{document[0][channel]['pk']}"


def delete_stream(url: str, scan: str, channel: str) -> int:
    return int(redis.Redis.from_url(url).delete(stream_key(url, scan, channel)))


def test_a_scan_whose_document_is_deleted_vanishes_although_its_streams_live(
    simulated_session, redis_url
):
    clock = ShiftedClock()
    simulated_session.publisher = "pipeline"
    with (
        BlissSource(redis_url, "test_session", backlog=EVERYTHING, clock=clock) as source,
        half_told(simulated_session, source, faults=Faults(unclosed=True)) as (scan, heard),
    ):
        key = scan.record.key
        redis.Redis.from_url(redis_url).pexpire(key, 1)
        clock.ahead = 60
        listen(source, Heard.ended, heard)
    assert isinstance(heard.scans[key].end, Vanished)
