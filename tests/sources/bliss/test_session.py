"""The source tells what was published, whatever happens to Redis meanwhile."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import redis
from tests.support_bliss_events import Heard, HeardScan, listen

from nexus_writer_service.errors import SourceError, SourceUnavailableError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Announced, Ended, ScanReference, Vanished
from nexus_writer_service.sources.bliss.arrivals import Backlog
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.redis_server import RedisServer, initialise, reset
from nexus_writer_service.testing.simulation import (
    Camera,
    Faults,
    ScanRecord,
    SimulatedScan,
    SimulatedSession,
    designs,
    devices,
    number_channel,
)

pytestmark = pytest.mark.integration

DIODE = f"{devices.SAMPLING_CONTROLLER}:diode1"
TIMER = "timer:elapsed_time"
EVERYTHING = Backlog(since="0-0")


class ShiftedClock:
    """The monotonic clock, some seconds ahead."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def source(redis_url: str) -> Iterator[BlissSource]:
    with BlissSource(redis_url, "test_session") as source:
        source.connect()
        yield source


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


ALL_TYPES = [
    number_channel(f"ctl:{kind}", (np.arange(40).reshape(20, 2) % 7).astype(kind))
    for kind in ("?", "i1", "u2", "<i4", ">f4", "f8", "c8", "c16")
]
RAGGED = [
    number_channel(
        "ctl:ragged",
        [np.arange(1 + index % 4, dtype="f4") for index in range(20)],
        dtype="f4",
        shape=(-1,),
    ),
    number_channel(
        "ctl:ragged2",
        [np.full((1 + index % 3, 2), index) for index in range(20)],
        dtype="i8",
        shape=(-1, 2),
    ),
]

KINDS = {
    "ct": lambda session, block: session.ct(block=block),
    "ascan": lambda session, block: session.ascan(block=block),
    "amesh": lambda session, block: session.amesh(block=block),
    "mca": lambda session, block: session.mca(5, block=block),
    "two top masters": lambda session, block: session.two_top_masters(7, 3, block=block),
    "all types": lambda session, block: session.channel_scan(ALL_TYPES, 20, block=block),
    "ragged": lambda session, block: session.channel_scan(RAGGED, 20, block=block),
    "camera": lambda session, block: session.camera(6, block=block),
    "unsaved camera": lambda session, block: session.camera(3, Camera(saving=False), block=block),
    "aborted": lambda session, block: session.ascan(abort_after=6, block=block),
    "unsaved": lambda session, block: session.unsaved(4, block=block),
    "failed early": lambda session, block: session.failing_in_prepare(block=block),
}


@pytest.mark.parametrize("style", ["2.0", "2.4"])
@pytest.mark.parametrize("publisher", ["blissdata", "pipeline"])
@pytest.mark.parametrize("block", [1, 3])
def test_all_that_was_published_is_told(style, publisher, block, simulated_session, source):
    simulated_session.style = style
    simulated_session.publisher = publisher
    records = {name: publish(simulated_session, block) for name, publish in KINDS.items()}
    heard = listen(source, lambda heard: heard.ended(len(KINDS)))
    for record in records.values():
        check(heard.scans[record.key], record)
    assert heard.scans[records["failed early"].key].prepared is None
    assert source.active == frozenset()


def test_a_scan_is_told_step_by_step(simulated_session, source):
    heard = Heard()
    with loopscan(simulated_session, 10) as scan:
        key = scan.record.key
        listen(source, lambda heard: key in heard.scans, heard)
        assert source.active == {key}
        scan.prepare()
        listen(source, lambda heard: heard.scans[key].prepared, heard)
        scan.start()
        for length in (3, 7):
            scan.publish(length - heard.length(key, DIODE))
            listen(source, partial(Heard.has, key=key, channel=DIODE, length=length), heard)
        scan.publish()
        scan.stop()
        listen(source, lambda heard: heard.scans[key].channels[DIODE].sealed == 10, heard)
        assert heard.scans[key].end is None
        scan.close()
    check(listen(source, Heard.ended, heard).scans[key], scan.record)


@pytest.mark.parametrize("publisher", ["blissdata", "pipeline"])
def test_a_hundred_short_scans_in_a_row_are_all_complete(publisher, simulated_session, source):
    simulated_session.publisher = publisher
    records: list[ScanRecord] = []

    def publish():
        records.extend(simulated_session.loopscan(2) for _ in range(100))

    thread = threading.Thread(target=publish)
    thread.start()
    heard = listen(source, lambda heard: heard.ended(100))
    thread.join()
    for record in records:
        check(heard.scans[record.key], record)


def test_scans_that_run_at_the_same_time_are_all_complete(simulated_session, source):
    simulated_session.publisher = "pipeline"
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(simulated_session.loopscan, 20, period=0.005) for _ in range(6)]
        heard = listen(source, lambda heard: heard.ended(6))
    for job in jobs:
        check(heard.scans[job.result().key], job.result())


def test_only_scans_of_its_session_are_told(simulated_session, redis_url, tmp_path, source):
    with SimulatedSession(redis_url, "other_session", data_root=tmp_path) as other:
        foreign, own = other.loopscan(2), simulated_session.loopscan(2)
        assert listen(source, Heard.ended).scans.keys() == {own.key}
    with BlissSource(redis_url, None, backlog=EVERYTHING) as everybody:
        heard = listen(everybody, lambda heard: heard.ended(2))
    assert heard.scans.keys() == {foreign.key, own.key}


def test_a_source_starts_now_unless_told_otherwise(simulated_session, redis_url):
    before = simulated_session.loopscan(2)
    with (
        BlissSource(redis_url, "test_session") as now,
        BlissSource(redis_url, "test_session", backlog=EVERYTHING) as ever,
    ):
        now.connect()
        after = simulated_session.loopscan(2)
        assert listen(now, Heard.ended).scans.keys() == {after.key}
        heard = listen(ever, lambda heard: heard.ended(2))
        assert heard.scans.keys() == {before.key, after.key}


def test_a_running_scan_is_told_from_its_first_point_on(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    first = simulated_session.loopscan(2)
    history = redis.Redis.from_url(redis_url).xrange("_SCAN_HISTORY_")
    with loopscan(simulated_session, 10) as scan:
        scan.prepare()
        scan.start()
        scan.publish(6)
        backlog = Backlog(since=history[0][0].decode())
        with BlissSource(redis_url, "test_session", backlog=backlog) as source:
            key = scan.record.key
            heard = listen(source, lambda heard: key in heard.scans)
            listen(source, lambda heard: heard.length(key, DIODE) == 6, heard)
            scan.publish()
            scan.stop()
            scan.close()
            listen(source, Heard.ended, heard)
    check(heard.scans[key], scan.record)
    assert first.key not in heard.scans


def test_a_long_backlog_comes_in_a_few_scans_at_a_time(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    records = [simulated_session.loopscan(2) for _ in range(60)]
    heard = Heard()
    with BlissSource(redis_url, "test_session", backlog=EVERYTHING) as source:
        while not heard.ended(60):
            heard.add(source.read(1))
            assert len(source.active) <= 16
    assert list(heard.scans) == [record.key for record in records]


def test_small_answers_tell_the_same(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    record = simulated_session.mca(300, block=2)
    with BlissSource(redis_url, "test_session", backlog=EVERYTHING, most_bytes=1) as source:
        check(listen(source, Heard.ended).scans[record.key], record)


def test_five_hundred_channels_are_complete(simulated_session, source):
    simulated_session.publisher = "pipeline"
    counters = tuple(f"ctl:c{index:04}" for index in range(500))
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(simulated_session.loopscan, 30, counters=counters, period=0.002)
        heard = listen(source, Heard.ended)
    assert len(job.result().channels) == 502
    check(heard.scans[job.result().key], job.result())


def test_the_scans_of_a_sequence_come_with_their_place(simulated_session, source):
    record = simulated_session.sequence(
        [
            lambda sequence: simulated_session.loopscan(2, sequence=sequence),
            lambda sequence: simulated_session.two_top_masters(4, 2, sequence=sequence),
            lambda sequence: simulated_session.unsaved(2, sequence=sequence),
        ],
        custom_channel="repeat",
    )
    heard = listen(source, lambda heard: heard.ended(4))
    check(heard.scans[record.key], record)
    assert heard.scans[record.key].channels["SUBSCANS"].references == [
        ScanReference(
            ScanKey(scan.key), scan.number, str(scan.path) if scan.path else None, scan.entries
        )
        for scan in record.subscans
    ]


def test_a_scan_of_a_sequence_that_is_gone_has_no_place(simulated_session, redis_url, source):
    simulated_session.publisher = "pipeline"
    record = simulated_session.sequence(
        [lambda sequence: simulated_session.loopscan(2, sequence=sequence)]
    )
    (subscan,) = record.subscans
    redis.Redis.from_url(redis_url).delete(subscan.key)
    heard = listen(source, Heard.ended)
    references = heard.scans[record.key].channels["SUBSCANS"].references
    assert references == [ScanReference(ScanKey(subscan.key), subscan.number)]


# ---------------------------------------------------------------------------------- what goes wrong


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
        loopscan(simulated_session, 10, faults=Faults(unclosed=True)) as scan,
    ):
        scan.prepare()
        scan.start()
        scan.publish(4)
        key = scan.record.key
        heard = listen(source, lambda heard: key in heard.scans)
        listen(source, lambda heard: heard.length(key, DIODE) == 4, heard)
        reset(redis_url)
        assert source.read(0.01) == []
        clock.ahead = 60
        listen(source, Heard.ended, heard)
        assert isinstance(heard.scans[key].end, Vanished)
        assert source.active == frozenset()
        after = simulated_session.loopscan(3)
        listen(source, lambda heard: heard.ended(2), heard)
        check(heard.scans[after.key], after)


@contextmanager
def persistent_session(folder: Path) -> Iterator[tuple[RedisServer, SimulatedSession]]:
    with RedisServer(persistent=True, port=0) as server:
        initialise(server.url)
        with SimulatedSession(server.url, data_root=folder, publisher="pipeline") as session:
            yield server, session


def test_a_restart_of_the_server_loses_nothing(tmp_path):
    with (
        persistent_session(tmp_path) as (server, session),
        BlissSource(server.url, "test_session") as source,
    ):
        source.connect()
        heard = Heard()
        with loopscan(session, 12) as scan:
            key = scan.record.key
            scan.prepare()
            scan.start()
            scan.publish(5)
            listen(source, lambda heard: key in heard.scans, heard)
            listen(source, lambda heard: heard.length(key, DIODE) == 5, heard)
            scan.publish(2)
            server.stop()
            for _ in range(2):
                with pytest.raises(SourceUnavailableError, match="cannot be reached"):
                    heard.add(source.read(0.1))
            server.start()
            meanwhile = session.loopscan(2)
            scan.publish()
            scan.stop()
            scan.close()
        listen(source, lambda heard: heard.ended(2), heard)
        check(heard.scans[key], scan.record)
        check(heard.scans[meanwhile.key], meanwhile)


def test_a_waiting_reader_learns_that_the_server_is_gone(tmp_path):
    with (
        persistent_session(tmp_path) as (server, _),
        BlissSource(server.url) as source,
        ThreadPoolExecutor(1) as pool,
    ):
        source.connect()
        waiting = pool.submit(source.read, 60)
        wait_until_blocked(server.url)
        server.kill()
        with pytest.raises(SourceUnavailableError):
            waiting.result(timeout=30)


def wait_until_blocked(url: str) -> None:
    """Return once a client waits in a blocking command."""
    with redis.Redis.from_url(url) as client:
        deadline = time.monotonic() + 20
        while not client.info("clients")["blocked_clients"]:
            assert time.monotonic() < deadline


def test_an_interrupt_ends_a_read_that_waits(redis_url, source):
    with ThreadPoolExecutor(1) as pool:
        for _ in range(20):
            waiting = pool.submit(source.read, 600)
            wait_until_blocked(redis_url)
            source.interrupt()
            assert waiting.result(timeout=20) == []


def test_an_interrupt_ends_the_next_read_when_none_is_going_on(source):
    source.interrupt()
    assert source.read(600) == []


def test_interrupts_at_any_moment_end_a_read(source):
    with ThreadPoolExecutor(1) as pool:
        for _ in range(200):
            waiting = pool.submit(source.read, 600)
            source.interrupt()
            assert waiting.result(timeout=20) == []


def test_a_dropped_scan_is_told_no_more(simulated_session, source):
    simulated_session.publisher = "pipeline"
    with loopscan(simulated_session, 4) as scan:
        listen(source, lambda heard: scan.record.key in heard.scans)
        source.drop(ScanKey(scan.record.key))
        assert source.active == frozenset()
        scan.prepare()
        scan.start()
        other = simulated_session.loopscan(2)
        scan.publish()
    heard = listen(source, Heard.ended)
    assert heard.scans.keys() == {other.key}


def test_reading_without_waiting_returns_what_is_there(simulated_session, source):
    assert source.read(0) == []
    record = simulated_session.loopscan(2)
    (announced,) = source.read(0)
    assert isinstance(announced, Announced)
    assert announced.key == record.key


def test_a_database_that_is_not_set_up_yet_can_be_tried_again(redis_server, simulated_session):
    client = redis.Redis.from_url(redis_server.url)
    client.rename("_PROTOCOL_VERSION_", "kept")
    with BlissSource(redis_server.url) as source:
        with pytest.raises(SourceUnavailableError, match="not been set up"):
            source.read(0)
        client.rename("kept", "_PROTOCOL_VERSION_")
        assert source.read(0) == []


@pytest.mark.parametrize("command", ["json.get", "xrange", "exists", "xread"])
def test_a_user_without_rights_is_told(command, redis_server, simulated_session):
    client = redis.Redis.from_url(redis_server.url)
    client.acl_setuser(
        "reader", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", f"-{command}"]
    )
    url = redis_server.url.replace("unix://", "unix://reader:secret@")
    clock = ShiftedClock()
    clock.ahead = -60
    try:
        with (
            BlissSource(url, backlog=EVERYTHING, clock=clock) as source,
            loopscan(simulated_session, 2),
        ):
            clock.ahead = 0
            with pytest.raises(SourceError) as error:
                listen(source, Heard.ended)
        assert not isinstance(error.value, SourceUnavailableError)
        assert "NOPERM" in str(error.value) or "permissions" in str(error.value)
    finally:
        client.acl_deluser("reader")


def test_an_unknown_protocol_is_refused(redis_server, redis_url):
    redis.Redis.from_url(redis_server.url).set("_PROTOCOL_VERSION_", 2)
    with BlissSource(redis_url) as source, pytest.raises(SourceError, match="knows 1") as error:
        source.read(0)
    assert not isinstance(error.value, SourceUnavailableError)
