"""The source of BLISS 1 on a real Redis: what it tells, whatever becomes of nodes and server."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support_bliss1 import Bliss1Redis, Command, kinds, published, recording, scans_of

from nexus_writer_service.errors import SourceUnavailableError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import (
    Announced,
    Ended,
    Extended,
    Frames,
    Lost,
    Points,
    Prepared,
    ScanEvent,
    Scans,
    Sealed,
    Vanished,
)
from nexus_writer_service.sources.bliss1.presence import existing, is_of_bliss1
from nexus_writer_service.sources.bliss1.session import Bliss1Source
from nexus_writer_service.testing.redis_server import RedisServer

pytestmark = pytest.mark.integration
ALL = Backlog(since="0-0")


@pytest.fixture
def bliss1(redis_url: str) -> Iterator[Bliss1Redis]:
    database = Bliss1Redis(redis_url)
    database.clear()
    yield database
    database.clear()


def session_of(kind: str) -> str:
    return "esrf_session" if kind == "esrf_policy" else "test_session"


def read_all(source: Bliss1Source, most: int = 400) -> list[ScanEvent]:
    """What is told until nothing is going on any more."""
    events: list[ScanEvent] = []
    for _ in range(most):
        events += source.read(0.01)
        if events and not source.active:
            break
    return events + source.read(0.01)


def points(events: list[ScanEvent], key: ScanKey) -> dict[str, list[Any]]:
    """The points of each channel of a scan, in order."""
    found: dict[str, list[Any]] = {}
    for event in events:
        if isinstance(event, Points) and event.key == key:
            told = found.setdefault(event.channel, [])
            assert event.start == len(told)
            told += [one for batch in event.batches for one in batch]
    return found


def check_story(events: list[ScanEvent], key: ScanKey) -> None:
    """The order that the engine relies on."""
    story = [event for event in events if event.key == key]
    assert isinstance(story[0], Announced)
    assert isinstance(story[-1], Ended | Vanished)
    kinds_of = [type(event) for event in story]
    assert kinds_of.count(Announced) == 1
    assert kinds_of.count(Prepared) <= 1
    data = (Points, Frames, Scans, Sealed, Lost, Extended)
    first = min((place for place, one in enumerate(story) if isinstance(one, data)), default=None)
    if first is not None:
        assert Prepared in kinds_of[:first]
    sealed: set[str] = set()
    for event in story:
        if isinstance(event, Points | Frames | Scans):
            assert event.channel not in sealed
        if isinstance(event, Sealed):
            sealed.add(event.channel)


def keys_of(events: list[ScanEvent]) -> dict[str, ScanKey]:
    """Keys of the announced scans by the names of their nodes."""
    return {event.key.rpartition("@")[0]: event.key for event in events if type(event) is Announced}


@pytest.mark.parametrize("kind", kinds())
def test_all_points_of_each_kind_are_told_in_order(
    bliss1: Bliss1Redis, redis_url: str, kind: str
) -> None:
    with Bliss1Source(redis_url, session_of(kind), backlog=ALL) as source:
        source.connect()
        events = []
        for command in recording(kind):
            bliss1.write([command])
            events += source.read(0.0)
        events += read_all(source) if source.active else []
    keys = keys_of(events)
    assert list(keys) == scans_of(kind)
    for node, key in keys.items():
        check_story(events, key)
        told = points(events, key)
        for name, values in published(kind, node).items():
            if name != "scans":
                assert len(told.get(name, [])) == len(values)
                assert all(
                    np.array_equal(a, b) for a, b in zip(told.get(name, []), values, strict=True)
                )


def _shuffled(draw: st.DrawFn, commands: list[Command]) -> list[list[Command]]:
    """Portions of the commands, some written twice: children and blocks of data can be."""
    portions = []
    while commands:
        count = draw(st.integers(1, 60))
        portion, commands = commands[:count], commands[count:]
        for command in portion[:]:
            if b"NEW_NODE" in command and draw(st.integers(0, 3)) == 0:
                portion.append(command)
        portions.append(portion)
    return portions


@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_it_is_cut_and_repeated_each_point_is_told_once(
    bliss1: Bliss1Redis, redis_url: str, data: st.DataObject
) -> None:
    bliss1.clear()
    portions = data.draw(st.composite(_shuffled)(recording("amesh")))
    source = Bliss1Source(redis_url, "test_session", backlog=ALL)
    with source:
        events = []
        for portion in portions:
            bliss1.write(portion)
            match data.draw(st.sampled_from(["read", "wait", "cut off"])):
                case "read":
                    events += source.read(0.0)
                case "cut off":
                    source.close()
        events += read_all(source) if source.active or not events else []
    (node,) = scans_of("amesh")
    key = keys_of(events)[node]
    check_story(events, key)
    told = points(events, key)
    expected = published("amesh", node)
    assert {name: list(values) for name, values in told.items()} == expected


@given(lost=st.sets(st.integers(0, 8), max_size=6))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_points_that_are_not_there_any_more_are_told_as_lost(
    bliss1: Bliss1Redis, redis_url: str, lost: set[int]
) -> None:
    bliss1.clear()
    bliss1.write(recording("amesh"))
    (node,) = scans_of("amesh")
    stream = f"{node}:axis:roby_data"
    names = bliss1.client.keys(f"{node}*roby_data")
    (stream,) = [name.decode() for name in names]
    for entry_id, _ in bliss1.client.xrange(stream):
        if int(entry_id.partition(b"-")[0]) - 1 in lost:
            bliss1.client.xdel(stream, entry_id)
    kept = [int(one[0].partition(b"-")[0]) - 1 for one in bliss1.client.xrange(stream)]
    with Bliss1Source(redis_url, "test_session", backlog=ALL) as source:
        events = [one for one in read_all(source) if getattr(one, "channel", "") == "axis:roby"]
    found = {
        event.start + place
        for event in events
        if isinstance(event, Points)
        for place in range(event.count)
    }
    gone = {
        index
        for event in events
        if isinstance(event, Lost) and event.stop is not None
        for index in range(event.start, event.stop)
    }
    end = max(found, default=-1) + 1
    assert found.isdisjoint(gone)
    assert found | gone == set(range(end))
    assert found >= {index for index in kept if index < end}


def test_scans_of_the_past_are_told_when_they_are_wanted(
    bliss1: Bliss1Redis, redis_url: str
) -> None:
    bliss1.write(recording("sequence"))
    with Bliss1Source(redis_url, "test_session") as source:
        assert source.read(0.0) == []
        bliss1.write(recording("ascan"))
        assert set(keys_of(read_all(source))) == set(scans_of("ascan"))


def test_a_scan_that_was_over_when_it_was_found_says_how_it_ended(
    bliss1: Bliss1Redis, redis_url: str
) -> None:
    bliss1.write(recording("aborted"))
    with Bliss1Source(redis_url, "test_session", backlog=ALL) as source:
        first = read_all(source)[0]
    assert isinstance(first, Announced)
    assert first.scan.end_reason == "USER_ABORT"


def test_scans_that_are_settled_or_do_not_concern_are_passed_over(
    bliss1: Bliss1Redis, redis_url: str
) -> None:
    bliss1.write(recording("sequence"))
    with Bliss1Source(redis_url, "test_session", backlog=ALL) as source:
        keys = sorted(keys_of(read_all(source)).values())
    backlog = Backlog("0-0", skip=lambda key: key == keys[0], concerns=lambda one: one.number != 2)
    with Bliss1Source(redis_url, "test_session", backlog=backlog) as source:
        assert list(keys_of(read_all(source)).values()) == [keys[2]]


def test_a_scan_that_is_expected_and_not_there_has_vanished(
    bliss1: Bliss1Redis, redis_url: str
) -> None:
    bliss1.write(recording("ascan"))
    gone = ScanKey("test_session:x:9_ct@1.5")
    with Bliss1Source(
        redis_url, "test_session", backlog=Backlog("0-0", expected=frozenset([gone]))
    ) as source:
        events = read_all(source)
    assert [event.key for event in events if isinstance(event, Vanished)] == [gone]
    keys = set(keys_of(events).values())
    assert existing(redis_url, {gone, *keys}) == keys
    assert all(map(is_of_bliss1, keys))


def test_a_name_that_is_used_again_is_another_scan(bliss1: Bliss1Redis, redis_url: str) -> None:
    commands = recording("loopscan")
    bliss1.write(commands)
    with Bliss1Source(redis_url, "test_session", backlog=ALL) as source:
        (first,) = keys_of(read_all(source)).values()
        (node,) = scans_of("loopscan")
        bliss1.client.delete(*bliss1.client.keys(f"{node}*"))
        again = recording("loopscan")
        for command in again:
            if b"start_timestamp" in command:
                command[-1] = b"\x80\x04G?\xf0\x00\x00\x00\x00\x00\x00."
        bliss1.write(again)
        events = read_all(source)
    (second,) = keys_of(events).values()
    assert second == f"{node}@1.0"
    assert first != second
    assert len(points(events, second)["timer:epoch"]) == 5


def test_a_scan_that_is_deleted_has_vanished(bliss1: Bliss1Redis, redis_url: str) -> None:
    commands = recording("ascan")
    (node,) = scans_of("ascan")
    ends = [place for place, command in enumerate(commands) if b"END_SCAN" in command]
    now = [0.0]
    with Bliss1Source(redis_url, "test_session", backlog=ALL, clock=lambda: now[0]) as source:
        bliss1.write(commands[: ends[0]])
        events = source.read(0.0)
        while len(points(events, next(iter(source.active))).get("axis:robx", [])) < 5:
            events += source.read(0.0)
        bliss1.client.delete(*bliss1.client.keys(f"{node}*"))
        now[0] += 10
        events = source.read(0.0)
    assert [type(event) for event in events] == [Vanished]


def test_data_that_are_deleted_while_the_scan_runs_are_told_as_lost(
    bliss1: Bliss1Redis, redis_url: str
) -> None:
    commands = recording("ascan")
    (node,) = scans_of("ascan")
    (end,) = [place for place, command in enumerate(commands) if b"END_SCAN" in command]
    later = [0.0]
    with Bliss1Source(
        redis_url, "test_session", backlog=ALL, clock=lambda: time.monotonic() + later[0]
    ) as source:
        bliss1.write(commands[:end])
        events = source.read(0.0)
        while len(points(events, next(iter(source.active))).get("axis:robx", [])) < 5:
            events += source.read(0.0)
        bliss1.client.delete(f"{node}:axis:robx_data")
        later[0] += 10
        (lost,) = source.read(0.0)
        assert isinstance(lost, Lost)
        assert (lost.channel, lost.start, lost.stop) == ("axis:robx", 5, None)
        bliss1.write(commands[end:])
        assert isinstance(read_all(source)[-1], Ended)


def test_a_database_that_was_emptied_is_waited_for_half_a_minute(
    bliss1: Bliss1Redis, redis_url: str
) -> None:
    commands = recording("ascan")
    later = [0.0]
    with Bliss1Source(
        redis_url, "test_session", backlog=ALL, clock=lambda: time.monotonic() + later[0]
    ) as source:
        bliss1.write(commands[: len(commands) // 2])
        source.read(0.0)
        bliss1.clear()
        for _ in range(3):
            later[0] += 6
            assert source.read(0.0) == []
        for _ in range(4):
            later[0] += 6
            events = source.read(0.0)
            if events:
                break
        assert [type(event) for event in events] == [Vanished]


def test_moments_in_which_a_database_is_empty_do_not_add_up(
    bliss1: Bliss1Redis, redis_url: str
) -> None:
    commands = recording("ascan")
    half = commands[: len(commands) // 2]
    later = [0.0]
    with Bliss1Source(
        redis_url, "test_session", backlog=ALL, clock=lambda: time.monotonic() + later[0]
    ) as source:
        bliss1.write(half)
        source.read(0.0)
        followed = source.active
        for _ in range(3):
            bliss1.clear()
            for _ in range(4):
                later[0] += 6
                assert source.read(0.0) == []
            bliss1.write(half)
            later[0] += 6
            assert not any(isinstance(event, Vanished) for event in source.read(0.0))
            assert source.active >= followed
        bliss1.client.delete(*scans_of("ascan"))
        later[0] += 6
        assert any(isinstance(event, Vanished) for event in source.read(0.0))


def test_a_server_that_comes_back_goes_on(tmp_path: Path) -> None:
    commands = recording("ascan", tmp_path)
    middle = len(commands) // 2
    with RedisServer(persistent=True) as server:
        database = Bliss1Redis(server.url)
        with Bliss1Source(server.url, "test_session", backlog=ALL) as source:
            database.write(commands[:middle])
            events = source.read(0.0)
            server.stop()
            with pytest.raises(SourceUnavailableError):
                events += [event for _ in range(10) for event in source.read(0.0)]
            server.start()
            database.write(commands[middle:])
            events += read_all(source)
    (key,) = keys_of(events).values()
    check_story(events, key)
    assert len(points(events, key)["axis:robx"]) == 5


def test_an_entry_that_is_gone_when_it_wakes_the_reader_does_no_harm(
    bliss1: Bliss1Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis 7.0 answers with an empty list; later versions do not answer at all."""
    with Bliss1Source(redis_url, "test_session", backlog=ALL) as source:
        link = source._link
        answers = link.take_streams
        gone: list[Any] = [b"test_session_children_list", []]
        monkeypatch.setattr(link, "take_streams", lambda: [*answers(), gone])
        assert source.read(0.0) == []
        bliss1.write(recording("ascan"))
        events = read_all(source)
    assert list(keys_of(events)) == scans_of("ascan")


def test_reading_that_waits_is_woken_by_what_happens_and_by_interrupt(
    bliss1: Bliss1Redis, redis_url: str
) -> None:
    with Bliss1Source(redis_url, "test_session", backlog=ALL) as source:
        source.connect()
        found: list[list[ScanEvent]] = []
        reader = threading.Thread(target=lambda: found.append(source.read(60.0)))
        reader.start()
        bliss1.write(recording("ascan"))
        reader.join(20)
        assert found
        assert isinstance(found[0][0], Announced)
        read_all(source)
        reader = threading.Thread(target=lambda: found.append(source.read(60.0)))
        reader.start()
        source.interrupt()
        reader.join(20)
        assert found[1:] == [[]]
