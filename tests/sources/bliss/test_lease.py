import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import redis
from tests.support_waiting import wait_for

from nexus_writer_service.errors import (
    SessionTakenError,
    SettingsError,
    SourceError,
    SourceUnavailableError,
)
from nexus_writer_service.sources.bliss import lease as lease_module
from nexus_writer_service.sources.bliss.holder import Holder, ProcessIdentity, owner_text
from nexus_writer_service.sources.bliss.lease import SessionLease, lease_key
from nexus_writer_service.testing.redis_server import URL_VARIABLE, RedisServer, initialise, reset

pytestmark = pytest.mark.integration

SESSION = "test_session"
LIFE = 1.5
"""Seconds; short, so that tests of leases that run out are."""
PROGRAM = Path(__file__).parent / "lease_holder.py"


class Lost(list[str]):
    """Who a lease was lost to."""


@contextmanager
def lease(url: str, owner: str, *, life: float = LIFE) -> Iterator[tuple[SessionLease, Lost]]:
    """A lease that is not taken yet, given back at the end."""
    lost = Lost()
    one = SessionLease(url, SESSION, owner, on_lost=lost.append, life=life)
    try:
        yield one, lost
    finally:
        one.release()


@contextmanager
def holder_process(url: str, owner: str, life: float = LIFE) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lease."""
    command = [sys.executable, str(PROGRAM), url, SESSION, owner, str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def asleep(monkeypatch, seconds: float) -> None:
    """Let time pass in which no thread of this process gets to anything."""
    passed = lease_module._now() + seconds - time.monotonic()
    monkeypatch.setattr(lease_module, "_now", lambda: time.monotonic() + passed)


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(redis_url) as one:
        yield one


@pytest.fixture
def own_server(monkeypatch) -> Iterator[RedisServer]:
    """A server that forgets everything when it restarts, for this test alone."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with RedisServer() as server:
        initialise(server.url)
        yield server


def owner(client: "redis.Redis[bytes]") -> str:
    """Who has the lease, as its key says."""
    return Holder.decoded(client.get(lease_key(SESSION)) or b"").owner


def anonymous(value: bytes) -> bytes:
    """What a holder on another machine would have left: its process cannot be looked at."""
    return replace(Holder.decoded(value), process=None).encoded()


# -------------------------------------------------------------------------------- taking


def test_a_lease_says_who_has_it_and_runs_out_unless_renewed(redis_url, client):
    with lease(redis_url, "first") as (one, _):
        one.acquire()
        assert one.held
        assert owner(client) == "first"
        assert 0 < client.pttl(lease_key(SESSION)) <= LIFE * 1000


def test_the_second_is_told_who_has_it(redis_url):
    with lease(redis_url, "first") as (one, lost), lease(redis_url, "second") as (two, _):
        one.acquire()
        with pytest.raises(SessionTakenError, match=r"test_session is served by .*: first\.") as e:
            two.acquire()
        assert e.value.owner == "first"
        assert not two.held
        assert one.held
        assert not lost


def test_taking_what_one_has_changes_nothing(redis_url, client):
    with lease(redis_url, "first") as (one, _):
        one.acquire()
        before = client.get(lease_key(SESSION))
        one.acquire()
        assert client.get(lease_key(SESSION)) == before


def test_a_lease_that_was_given_back_is_free_at_once_and_can_be_taken_again(redis_url, client):
    with lease(redis_url, "first") as (one, _), lease(redis_url, "second") as (two, _):
        one.acquire()
        one.release()
        assert not one.held
        assert not client.exists(lease_key(SESSION))
        two.acquire()
        two.release()
        one.acquire()
        assert one.held


def test_interrupting_leaves_a_lease_that_is_held(redis_url, client):
    with lease(redis_url, "first", life=0.3) as (one, lost):
        one.acquire()
        one.interrupt()
        wait_for(lambda: client.pttl(lease_key(SESSION)) < 220, what="time passes")
        wait_for(lambda: client.pttl(lease_key(SESSION)) > 270, what="renewal")
        assert one.held
        assert not lost


def test_sessions_have_a_lease_each(redis_url):
    other = SessionLease(redis_url, "other_session", "second", on_lost=print)
    with lease(redis_url, "first") as (one, _):
        one.acquire()
        other.acquire()
        assert other.held
        other.release()


def test_of_many_that_ask_at_once_one_gets_it(redis_url):
    contenders = [
        SessionLease(redis_url, SESSION, f"number {n}", on_lost=print, life=LIFE) for n in range(8)
    ]
    start = threading.Barrier(len(contenders))
    taken: list[str] = []

    def contend(one: SessionLease) -> None:
        start.wait()
        try:
            one.acquire()
        except SessionTakenError as error:
            taken.append(error.owner)

    threads = [threading.Thread(target=contend, args=[one]) for one in contenders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [n for n, one in enumerate(contenders) if one.held]
    for one in contenders:
        one.release()
    assert len(held) == 1
    assert taken == [f"number {held[0]}"] * (len(contenders) - 1)


def test_a_holder_is_renewed_for_as_long_as_it_lives(redis_url, client):
    with lease(redis_url, "first", life=0.3) as (one, lost):
        one.acquire()
        # Each time that it is renewed it lives longer again.
        for _ in range(5):
            wait_for(lambda: client.pttl(lease_key(SESSION)) < 220, what="time passes")
            wait_for(lambda: client.pttl(lease_key(SESSION)) > 270, what="renewal")
        assert one.held
        assert not lost


def test_who_waits_for_a_lease_can_be_told_to_stop(redis_url, client):
    client.set(lease_key(SESSION), b'{"owner": "elsewhere"}', px=60_000)
    with lease(redis_url, "second", life=60) as (two, _):
        failed: list[SourceError] = []

        def wait() -> None:
            try:
                two.acquire()
            except SourceError as error:
                failed.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_for(two._changing.locked, what="waiting for the lease")
        while waiting.is_alive():  # before the waiting has begun it changes nothing
            two.interrupt()
            waiting.join(0.05)
        assert "elsewhere" in str(failed[0])


# ------------------------------------------------------------------------- death and stalls


def test_a_holder_that_was_killed_on_this_machine_is_replaced_at_once(redis_url, client):
    with holder_process(redis_url, "first", life=600) as first, lease(redis_url, "2") as (two, _):
        first.kill()
        first.wait()
        two.acquire()
        assert two.held
        assert owner(client) == "2"


def test_a_killed_holder_that_nobody_has_buried_yet_counts_as_dead(redis_url):
    with holder_process(redis_url, "first", life=600) as first, lease(redis_url, "2") as (two, _):
        os.kill(first.pid, signal.SIGKILL)  # a zombie until its parent waits for it
        wait_for(lambda: Path(f"/proc/{first.pid}/stat").read_text().split()[2] == "Z")
        two.acquire()
        assert two.held


def test_a_holder_that_died_elsewhere_is_replaced_when_its_lease_runs_out(redis_url, client):
    with holder_process(redis_url, "first") as first, lease(redis_url, "second") as (two, _):
        first.kill()
        first.wait()
        left = anonymous(client.get(lease_key(SESSION)))
        client.set(lease_key(SESSION), left, px=int(LIFE * 1000))
        two.acquire()
        assert two.held


def test_a_holder_that_was_stalled_for_too_long_learns_that_it_lost(redis_url, client):
    with holder_process(redis_url, "first") as first, lease(redis_url, "second") as (two, lost):
        os.kill(first.pid, signal.SIGSTOP)
        two.acquire()  # waits for the lease to run out: the process is there
        os.kill(first.pid, signal.SIGCONT)
        assert first.stdout is not None
        assert first.stdout.readline() == "lost to second\n"
        assert owner(client) == "second"
        assert two.held
        assert not lost


def test_a_stall_after_which_the_session_is_still_free_loses_nothing(redis_url, client):
    with lease(redis_url, "first") as (one, lost):
        one.acquire()
        client.delete(lease_key(SESSION))  # as when it has run out
        wait_for(lambda: client.exists(lease_key(SESSION)), what="taken anew")
        assert one.held
        assert not lost


def test_a_lease_that_was_not_renewed_in_time_is_not_held_until_it_is_asked_for(
    redis_url, client, monkeypatch
):
    with lease(redis_url, "one", life=60) as (one, lost):
        one.acquire()
        held = [one.held]
        asleep(monkeypatch, 61)
        held.append(one.held)
        one.acquire()
        assert [*held, one.held] == [True, False, True]
        assert owner(client) == "one"
        assert not lost


def test_a_lease_that_somebody_else_took_meanwhile_is_not_taken_back(
    redis_url, client, monkeypatch
):
    with lease(redis_url, "one", life=60) as (one, _):
        one.acquire()
        asleep(monkeypatch, 61)
        client.set(lease_key(SESSION), Holder.this_process("two").encoded())
        with pytest.raises(SessionTakenError, match="two"):
            one.acquire()
        assert not one.held
        one.release()
        assert owner(client) == "two"


def test_an_interrupt_before_the_waiting_counts(redis_url):
    with lease(redis_url, "one", life=60) as (one, _), lease(redis_url, "two", life=60) as (two, _):
        one.acquire()
        two.interrupt()
        with pytest.raises(SourceUnavailableError, match="not waited for any more"):
            two.acquire()


def test_a_lost_lease_is_told_once_and_not_given_back(redis_url, client):
    with lease(redis_url, "first", life=0.3) as (one, lost):
        one.acquire()
        client.set(lease_key(SESSION), Holder.this_process("thief").encoded())
        wait_for(lambda: lost, what="loss told")
        assert lost == ["thief"]
        assert not one.held
        one.release()
        assert owner(client) == "thief"


def test_giving_back_from_within_the_notice_of_the_loss_is_fine(redis_url, client):
    done = threading.Event()

    def give_back(_holder: str) -> None:
        one.release()
        done.set()

    one = SessionLease(redis_url, SESSION, "first", on_lost=give_back, life=0.3)
    one.acquire()
    client.set(lease_key(SESSION), Holder.this_process("thief").encoded())
    assert done.wait(10)


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
