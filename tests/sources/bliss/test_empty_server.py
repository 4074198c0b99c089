"""A server without scans is left and looked at again; only half a minute of it costs the scans."""

import pytest
import redis
from tests.support_bliss_events import Heard, listen
from tests.support_bliss_source import (
    DIODE,
    EVERYTHING,
    ShiftedClock,
    check,
    half_told,
    persistent_session,
)

from nexus_writer_service.errors import SourceUnavailableError
from nexus_writer_service.model.events import Vanished
from nexus_writer_service.sources.bliss import store
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.simulation import Faults

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("own_servers")]


def set_up(server, *, kept):
    """Whether the server looks as if it held scans; its data stay."""
    with redis.Redis.from_url(server.url) as client:
        client.rename(*(("kept", "_PROTOCOL_VERSION_") if kept else ("_PROTOCOL_VERSION_", "kept")))


def finds_none(source):
    """The source looks at the server, by a new connection, and leaves it."""
    source.close()
    with pytest.raises(SourceUnavailableError, match="not been set up"):
        source.read(0)
    assert not source.connected


def is_away(source, how):
    source.close()
    with pytest.raises(SourceUnavailableError, match=how):
        source.read(0)


def end(scan):
    scan.publish()
    scan.stop()
    scan.close()


def test_moments_without_scans_do_not_add_up(tmp_path):
    clock = ShiftedClock()
    with (
        persistent_session(tmp_path) as (server, session),
        BlissSource(server.url, "test_session", backlog=EVERYTHING, clock=clock) as source,
        half_told(session, source) as (scan, heard),
    ):
        for clock.ahead in (0, 25, 50, 75):
            set_up(server, kept=False)
            finds_none(source)
            set_up(server, kept=True)
            assert source.read(0) == []
            assert source.active == {scan.record.key}
        end(scan)
        listen(source, Heard.ended, heard)
        check(heard.scans[scan.record.key], scan.record)


def test_a_server_that_is_away_or_silent_says_nothing_of_its_scans(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_CONNECT_TIMEOUT", 2.0)
    clock = ShiftedClock()
    with (
        persistent_session(tmp_path) as (server, session),
        BlissSource(server.url, "test_session", backlog=EVERYTHING, clock=clock) as source,
        half_told(session, source, faults=Faults(unclosed=True)) as (scan, heard),
    ):
        key = scan.record.key
        set_up(server, kept=False)
        finds_none(source)
        server.stop()
        clock.ahead = 100
        is_away(source, "cannot be reached")
        server.start()
        for clock.ahead in (200, 225):
            finds_none(source)
        server.freeze()
        try:
            clock.ahead = 300
            is_away(source, "Timeout")
        finally:
            server.thaw()
        for clock.ahead in (400, 428):
            finds_none(source)
            assert source.active == {key}
        clock.ahead = 431
        (event,) = source.read(0)
        assert isinstance(event, Vanished)
        assert source.active == frozenset()
        finds_none(source)
        set_up(server, kept=True)
        after = session.loopscan(3)
        listen(source, lambda heard: after.key in heard.scans and heard.scans[after.key].end, heard)
        check(heard.scans[after.key], after)


def test_a_scan_that_is_deleted_is_missed_at_any_look_and_at_once_after_a_reconnection(tmp_path):
    clock = ShiftedClock()
    with (
        persistent_session(tmp_path) as (server, session),
        BlissSource(server.url, "test_session", backlog=EVERYTHING, clock=clock) as source,
        redis.Redis.from_url(server.url) as client,
    ):
        heard = Heard()
        with (
            half_told(session, source, heard, faults=Faults(unclosed=True)) as (one, _),
            half_told(session, source, heard, faults=Faults(unclosed=True)) as (other, _),
        ):
            for clock.ahead in (60, 120):
                assert source.read(0) == []
            client.delete(one.record.key)
            clock.ahead = 180
            (event,) = source.read(0)
            assert (type(event), event.key) == (Vanished, one.record.key)
            assert source.read(0) == []
            client.delete(other.record.key)
            source.close()
            (event,) = source.read(0)
            assert (type(event), event.key) == (Vanished, other.record.key)
            assert heard.length(other.record.key, DIODE) == 4
