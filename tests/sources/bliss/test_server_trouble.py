"""Nothing is lost whatever happens to the server, as long as its data come back."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import redis
from tests.support_bliss_events import Heard, listen
from tests.support_bliss_source import (
    DIODE,
    EVERYTHING,
    ShiftedClock,
    check,
    forgetful_session,
    half_told,
    loopscan,
    persistent_session,
    wait_until_blocked,
)

from nexus_writer_service.errors import SourceError, SourceUnavailableError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import ScanEvent, Vanished
from nexus_writer_service.sources.bliss import store
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.redis_server import initialise
from nexus_writer_service.testing.simulation import (
    Faults,
    SimulatedSession,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("own_servers")]


def read_until_away(source: BlissSource) -> list[ScanEvent]:
    """What is told until it is told that the server is away."""
    told: list[ScanEvent] = []
    with suppress(SourceUnavailableError):
        while True:
            told += source.read(0)
    return told


def half_a_scan(session: SimulatedSession, source: BlissSource, heard: Heard) -> str:
    """Starts a scan that nobody ends; its key."""
    with half_told(session, source, heard, faults=Faults(unclosed=True)) as (scan, _):
        return scan.record.key


def test_scans_vanish_when_the_server_comes_back_without_any(tmp_path):
    clock = ShiftedClock()
    expected = Backlog(since="0-0", expected=frozenset({ScanKey("esrf:scan:expected")}))
    with (
        forgetful_session(tmp_path) as (server, session),
        BlissSource(server.url, "test_session", clock=clock) as source,
        BlissSource(server.url, "test_session", backlog=expected, clock=clock) as later,
    ):
        source.connect()
        heard = Heard()
        key = half_a_scan(session, source, heard)
        server.restart()
        for one in (source, later):
            read_until_away(one)
            with pytest.raises(SourceUnavailableError, match="not been set up"):
                one.read(0)
        assert source.active == {key}
        clock.ahead = 31
        heard.add(source.read(0))
        end = heard.scans[key].end
        assert isinstance(end, Vanished)
        assert "without its data" in end.reason
        assert not source.connected
        assert [type(event) for event in later.read(0)] == [Vanished]
        for one in (source, later):
            with pytest.raises(SourceUnavailableError, match="not been set up"):
                one.read(0)
        # Years earlier by its own clock, and with another scan under the first id.
        initialise(server.url)
        after = session.loopscan(3)
        client = redis.Redis.from_url(server.url)
        client.delete("_SCAN_HISTORY_")
        client.xadd("_SCAN_HISTORY_", {"key": after.key}, id="5-0")
        listen(source, lambda heard: heard.ended(2), heard)
        check(heard.scans[after.key], after)


def test_scans_created_while_the_connection_was_lost_are_told_once(tmp_path):
    with (
        persistent_session(tmp_path) as (server, session),
        BlissSource(server.url, "test_session") as source,
    ):
        before = session.loopscan(2)
        source.connect()
        heard = Heard()
        first = session.loopscan(2)
        listen(source, Heard.ended, heard)
        server.restart()
        second = session.loopscan(2)
        while not heard.ended(2):
            with suppress(SourceUnavailableError):
                heard.add(source.read(0.1))
        third = session.loopscan(2)
        listen(source, lambda heard: heard.ended(3), heard)
        assert list(heard.scans) == [first.key, second.key, third.key]
        assert before.key not in heard.scans


def test_a_silent_server_counts_as_gone_and_is_left_at_once_when_told(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_ANSWER_TIMEOUT", 0.1)
    with (
        forgetful_session(tmp_path) as (server, session),
        BlissSource(server.url, "test_session") as source,
        ThreadPoolExecutor(1) as pool,
    ):
        source.connect()
        server.freeze()
        try:
            with pytest.raises(SourceUnavailableError, match="no answer"):
                source.read(0.1)
        finally:
            server.thaw()
        assert source.read(0) == []
        monkeypatch.setattr(store, "_ANSWER_TIMEOUT", 600)
        waiting = pool.submit(source.read, 600)
        wait_until_blocked(server.url)
        server.freeze()
        try:
            source.interrupt()
            with pytest.raises(SourceUnavailableError, match="silent"):
                waiting.result(timeout=20)
        finally:
            server.thaw()
        record = session.loopscan(2)
        check(listen(source, Heard.ended).scans[record.key], record)


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
