"""The source tells what was published, all of it and once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import redis
from tests.support_bliss_events import Heard, listen
from tests.support_bliss_source import DIODE, EVERYTHING, check, loopscan, wait_until_blocked
from tests.support_waiting import wait_for

from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Announced, Ended, ScanEvent, ScanReference, Vanished
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.simulation import (
    Camera,
    ScanRecord,
    SimulatedSession,
    designs,
    number_channel,
)

pytestmark = pytest.mark.integration


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


def test_of_scans_found_over_together_the_first_to_end_is_told_first(simulated_session, source):
    with loopscan(simulated_session, 2) as outer:
        outer.prepare()
        outer.start()
        outer.publish()
        inner = simulated_session.loopscan(2)
        outer.stop()
        outer.close()
    told: list[ScanEvent] = []

    def ended():
        told.extend(source.read(0.1))
        return [event.key for event in told if isinstance(event, Ended)]

    wait_for(lambda: len(ended()) == 2)
    assert ended() == [inner.key, outer.record.key]


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


def test_a_scan_is_announced_after_one_wake_up_and_one_question(
    simulated_session, redis_url, source
):
    client = redis.Redis.from_url(redis_url)
    source.read(0.0)
    heard: list[ScanEvent] = []
    reader = threading.Thread(target=lambda: heard.extend(source.read(20)))
    reader.start()
    wait_until_blocked(redis_url)
    client.config_resetstat()
    simulated_session.open(lambda setting: designs.loopscan(setting, 10))
    reader.join()
    assert [type(event) for event in heard] == [Announced]
    commands = client.info("commandstats")
    reading = ("xread", "json.get", "ttl", "get", "exists", "xrange")
    counts = {name: commands.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in reading}
    assert counts == dict.fromkeys(reading, 0) | {"xread": 1, "json.get": 1}


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


def test_live_scans_are_told_before_a_long_backlog(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    for _ in range(40):
        simulated_session.loopscan(2)
    with loopscan(simulated_session, 4) as scan:
        scan.prepare()
        heard = Heard()
        with BlissSource(redis_url, "test_session", backlog=EVERYTHING) as source:
            listen(source, lambda heard: scan.record.key in heard.scans, heard)
            assert next(iter(heard.scans)) == scan.record.key
            listen(source, lambda heard: heard.ended(40), heard)
            assert source.active == {scan.record.key}


def test_scans_that_need_no_writer_are_not_told(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    settled, wanted = simulated_session.loopscan(2), simulated_session.loopscan(2)
    simulated_session.data_writer = "nexus"
    foreign = simulated_session.loopscan(2)
    backlog = Backlog(
        since="0-0",
        skip={settled.key}.__contains__,
        concerns=lambda scan: scan.data_writer == "external",
    )
    with BlissSource(redis_url, "test_session", backlog=backlog) as source:
        assert listen(source, Heard.ended).scans.keys() == {wanted.key}
        after = simulated_session.loopscan(2)
        assert listen(source, Heard.ended).scans.keys() == {after.key}
    assert foreign.key not in (settled.key, after.key)


def test_expected_scans_are_told_or_vanish(simulated_session, redis_url):
    simulated_session.publisher = "pipeline"
    present, useless = simulated_session.loopscan(2), simulated_session.loopscan(2)
    client = redis.Redis.from_url(redis_url)
    client.delete("_SCAN_HISTORY_")
    client.json().set(useless.key, "$", {"id": {"session": "test_session"}})
    gone = ScanKey("esrf:scan:gone")
    expected = frozenset(map(ScanKey, (present.key, useless.key, gone)))
    with BlissSource(redis_url, "test_session", backlog=Backlog(expected=expected)) as source:
        told: list[ScanEvent] = []
        while not any(isinstance(event, Ended) for event in told):
            told += source.read(1)
        assert source.read(0) == []
    ends = {event.key: event for event in told if isinstance(event, Ended | Vanished)}
    assert ends.keys() == expected
    assert isinstance(ends[present.key], Ended)
    lost, spoilt = ends[gone], ends[useless.key]
    assert isinstance(lost, Vanished)
    assert "no longer in Redis" in lost.reason
    assert isinstance(spoilt, Vanished)
    assert "cannot be used" in spoilt.reason


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


def test_a_dropped_scan_is_told_from_its_beginning_when_it_is_asked_for(simulated_session, source):
    simulated_session.publisher = "pipeline"
    with loopscan(simulated_session, 4) as scan:
        key = ScanKey(scan.record.key)
        listen(source, lambda heard: key in heard.scans)
        source.drop(key)
        scan.prepare()
        scan.start()
        scan.publish(2)
        assert source.read(0) == []
        source.tell(key)
        source.tell(key)  # once is enough
        scan.publish()
    heard = listen(source, Heard.ended)
    check(heard.scans[key], scan.record)


def test_scans_of_the_past_and_scans_that_are_over_can_be_asked_for(simulated_session, redis_url):
    record = simulated_session.loopscan(3)
    key = ScanKey(record.key)
    with BlissSource(redis_url, simulated_session.name) as source:
        assert source.read(0) == []  # it starts now
        source.tell(key)
        check(listen(source, Heard.ended).scans[key], record)


def test_to_ask_for_what_is_no_scan_of_the_session_tells_nothing(
    simulated_session, redis_url, tmp_path, source
):
    with SimulatedSession(redis_url, "other", data_root=tmp_path) as other:
        record = other.loopscan(2)
    for key in (record.key, "esrf:scan:nothing", "_SCAN_HISTORY_", ""):
        source.tell(ScanKey(key))
        assert source.read(0.05) == []
