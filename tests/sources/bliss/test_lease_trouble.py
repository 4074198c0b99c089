"""Leases while Redis is in trouble, and what is known of holders."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest
import redis
from tests.support_leases import SESSION, lease, owner
from tests.support_waiting import wait_for

from nexus_writer_service.errors import (
    SessionTakenError,
    SettingsError,
    SourceError,
    SourceUnavailableError,
)
from nexus_writer_service.sources.bliss.holder import Holder, ProcessIdentity, owner_text
from nexus_writer_service.sources.bliss.lease import SessionLease, lease_key
from nexus_writer_service.testing.redis_server import URL_VARIABLE, RedisServer, initialise, reset

pytestmark = pytest.mark.integration


@pytest.fixture
def own_server(monkeypatch) -> Iterator[RedisServer]:
    """A server that forgets everything when it restarts, for this test alone."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with RedisServer() as server:
        initialise(server.url)
        yield server


# ----------------------------------------------------------------------------- Redis trouble


def test_a_lease_survives_a_server_that_restarts_and_forgets_everything(own_server):
    with (
        lease(own_server.url, "first", life=0.6) as (one, lost),
        redis.Redis.from_url(own_server.url) as client,
    ):
        one.acquire()
        own_server.kill()
        own_server.start()
        # Nothing is written before blissdata has set the database up: it wants it empty.
        with lease(own_server.url, "second") as (two, _), pytest.raises(SourceUnavailableError):
            two.acquire()
        initialise(own_server.url)
        wait_for(lambda: client.exists(lease_key(SESSION)), what="taken anew")
        assert owner(client) == "first"
        assert one.held
        assert not lost


def test_after_a_restart_that_forgot_the_lease_the_first_to_come_has_it(redis_url, client):
    with lease(redis_url, "first", life=3) as (one, lost), lease(redis_url, "2") as (two, _):
        one.acquire()
        reset(redis_url)
        two.acquire()
        wait_for(lambda: lost, what="loss told")
        assert lost == ["2"]
        assert two.held


def test_a_server_that_is_away_is_an_error_that_can_be_tried_again(own_server):
    with lease(own_server.url, "first") as (one, _):
        own_server.kill()
        with pytest.raises(SourceUnavailableError, match="cannot be reached"):
            one.acquire()
        own_server.start()
        initialise(own_server.url)
        one.acquire()
        assert one.held


def test_a_server_that_is_silent_costs_the_lease_nothing_and_holds_nobody_up(own_server, caplog):
    with lease(own_server.url, "first", life=3) as (one, lost):
        one.acquire()
        os.kill(own_server._pid, signal.SIGSTOP)
        try:
            wait_for(lambda: "not renewed" in caplog.text, what="a renewal that fails")
        finally:
            os.kill(own_server._pid, signal.SIGCONT)
        with redis.Redis.from_url(own_server.url) as client:
            before = client.get(lease_key(SESSION))
            wait_for(lambda: client.pttl(lease_key(SESSION)) > 2500, what="renewal")
            assert client.get(lease_key(SESSION)) == before
        assert one.held
        assert not lost
        os.kill(own_server._pid, signal.SIGSTOP)
        try:
            one.release()
        finally:
            os.kill(own_server._pid, signal.SIGCONT)
        assert not one.held


def test_an_attempt_that_a_silent_server_takes_too_late_is_in_nobody_s_way(own_server):
    with (
        lease(own_server.url, "first", life=60) as (one, _),
        redis.Redis.from_url(own_server.url) as client,
    ):
        one._client.connection_pool.connection_kwargs["socket_timeout"] = 0.1
        one._client.ping()  # connected, so that it is the attempt that is not answered
        os.kill(own_server._pid, signal.SIGSTOP)
        try:
            with pytest.raises(SourceUnavailableError):
                one.acquire()
        finally:
            os.kill(own_server._pid, signal.SIGCONT)
        wait_for(lambda: client.exists(lease_key(SESSION)), what="taken too late")
        one.acquire()
        assert one.held


def test_a_server_that_refuses_scripts_is_an_error_with_its_words(redis_url, client):
    client.acl_setuser("limited", enabled=True, nopass=True, keys=["*"], commands=["+get"])
    try:
        separator = "&" if "?" in redis_url else "?"
        with (
            lease(f"{redis_url}{separator}username=limited&password=x", "first") as (one, _),
            pytest.raises(SourceError, match=r"refuses the lease of session test_session: .*eval"),
        ):
            one.acquire()
    finally:
        client.acl_deluser("limited")


def test_a_url_that_is_none_is_refused_without_its_password():
    with pytest.raises(SettingsError) as error:
        SessionLease("http://user:secret@host", SESSION, "first", on_lost=print)
    assert "secret" not in str(error.value)


# -------------------------------------------------------------------------------- holders


def test_what_cannot_be_understood_is_a_holder_all_the_same(redis_url, client):
    client.set(lease_key(SESSION), b"\xff")
    with lease(redis_url, "second") as (two, _), pytest.raises(SessionTakenError, match="no name"):
        two.acquire()


@pytest.mark.parametrize("value", [b"", b"[]", b'{"process": {"pid": -1}}', b'{"owner": 3}'])
def test_a_holder_of_whom_nothing_is_known_is_never_dead(value):
    holder = Holder.decoded(value)
    assert holder.owner == "somebody who left no name"
    assert not holder.dead()


def test_a_pid_that_is_used_again_is_another_process():
    own = ProcessIdentity.own()
    assert own is not None
    assert not own.dead()
    assert replace(own, started="1").dead()


def test_processes_of_other_machines_and_containers_are_not_judged():
    own = ProcessIdentity.own()
    assert own is not None
    gone = replace(own, started="1")
    assert not replace(gone, boot="another").dead()
    assert not replace(gone, pid_namespace="pid:[1]").dead()


def test_an_owner_is_told_by_what_it_serves_with_and_where():
    text = owner_text("id00/bliss_nxwriter/test_session", datetime(2026, 11, 21, 3, 0).astimezone())
    assert text.startswith("id00/bliss_nxwriter/test_session (process ")
    assert str(os.getpid()) in text
    assert text.endswith("since 2026-11-21 03:00:00)")
