import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support_leases import LIFE, SESSION, lease, owner
from tests.support_waiting import wait_for

from nexus_writer_service.errors import (
    SessionTakenError,
    SourceError,
    SourceUnavailableError,
)
from nexus_writer_service.sources.bliss import lease as lease_module
from nexus_writer_service.sources.bliss.holder import Holder
from nexus_writer_service.sources.bliss.lease import SessionLease, lease_key

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parent / "lease_holder.py"


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
