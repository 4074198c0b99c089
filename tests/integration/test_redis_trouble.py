"""Whatever becomes of Redis, scans end with a verdict that says so, and the writer goes on."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import redis
from tests.support_session import RunningWriter, check_values, opened, running_writer
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.sources.bliss import following, store
from nexus_writer_service.testing.redis_server import URL_VARIABLE, RedisServer, initialise
from nexus_writer_service.testing.simulation import (
    Faults,
    SimulatedScan,
    SimulatedSession,
    designs,
    devices,
)

pytestmark = pytest.mark.integration

DIODE = f"{devices.SAMPLING_CONTROLLER}:diode1"
TIMER = "timer:elapsed_time"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Losses are noticed sooner than at a beamline, where nobody waits for the test."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setattr(following, "_EXISTENCE_PERIOD", 0.1)
    monkeypatch.setattr(following, "_EMPTY_PATIENCE", 0.5)


@pytest.fixture(params=[False, True], ids=["forgetful", "persistent"])
def server(request) -> Iterator[RedisServer]:
    with RedisServer(persistent=request.param, port=0) as server:
        initialise(server.url)
        yield server


@pytest.fixture
def forgetful() -> Iterator[RedisServer]:
    with RedisServer(port=0) as server:
        initialise(server.url)
        yield server


@contextmanager
def at_work(server, tmp_path) -> Iterator[tuple[SimulatedSession, RunningWriter]]:
    options = ProcessOptions("test_session", history=tmp_path / "history.sqlite")
    with (
        SimulatedSession(server.url, data_root=tmp_path, publisher="pipeline") as session,
        running_writer(server.url, options) as writer,
    ):
        yield session, writer


def begun(session: SimulatedSession, writer: RunningWriter, points: int = 4) -> SimulatedScan:
    """A scan with some of its ten points in the file; its publisher may disappear."""
    scan = session.open(lambda setting: designs.loopscan(setting, 10), faults=Faults(unclosed=True))
    scan.prepare()
    scan.start()
    scan.publish(points)
    wait_for(
        lambda: (status := writer.status(scan.record)) and status.fewest_points == points,
        what=f"{points} points",
    )
    return scan


def end(scan: SimulatedScan) -> None:
    scan.publish()
    scan.stop()
    scan.close()


def test_a_server_that_is_killed_and_restarted_with_its_data_costs_nothing(tmp_path):
    with RedisServer(persistent=True, port=0) as server:
        initialise(server.url)
        with at_work(server, tmp_path) as (session, writer):
            scan = begun(session, writer)
            for _ in range(3):
                server.kill()
                wait_for(lambda: writer.process.session.state is SessionState.INIT)
                server.start()
                wait_for(lambda: writer.process.session.state is SessionState.RUNNING)
            end(scan)
            assert writer.verdict(scan.record).outcome is Outcome.COMPLETE
            check_values(scan.record)


def test_a_server_that_is_killed_while_a_writer_catches_up_only_delays_it(tmp_path):
    options = ProcessOptions("test_session")
    with RedisServer(persistent=True, port=0) as server:
        initialise(server.url)
        with SimulatedSession(server.url, data_root=tmp_path, publisher="pipeline") as session:
            records = [session.loopscan(20) for _ in range(60)]
            with running_writer(server.url, options) as writer:
                for _ in range(3):
                    server.kill()
                    server.start()
                for record in records:
                    assert writer.verdict(record).outcome is Outcome.COMPLETE
                    check_values(record)


def test_scans_end_when_redis_comes_back_without_them_and_is_never_set_up(forgetful, tmp_path):
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        forgetful.restart()
        verdict = writer.verdict(scan.record)
        assert verdict.outcome is Outcome.INCOMPLETE
        assert any("started without its data" in reason for reason in verdict.reasons)
        wait_for(lambda: writer.process.session.state is SessionState.INIT)
        assert "not been set up" in writer.process.session.reason
        with opened(scan.record) as file:
            diode = file[scan.record.channels[DIODE].dataset][()]
        np.testing.assert_array_equal(diode, scan.record.channels[DIODE].values(0, 4))


def test_scans_end_and_others_begin_when_redis_comes_back_empty(forgetful, tmp_path):
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        forgetful.restart()
        initialise(forgetful.url)
        verdict = writer.verdict(scan.record)
        assert verdict.outcome is Outcome.INCOMPLETE
        assert any("no longer in Redis" in reason for reason in verdict.reasons)
        following = session.loopscan(3)
        assert writer.verdict(following).outcome is Outcome.COMPLETE
        check_values(following)


def test_an_emptied_database_ends_scans(server, tmp_path):
    with at_work(server, tmp_path) as (session, writer):
        scan = begun(session, writer)
        redis.Redis.from_url(server.url).flushall()
        initialise(server.url)
        verdict = writer.verdict(scan.record)
        assert verdict.outcome is Outcome.INCOMPLETE
        assert writer.process.session.state is SessionState.ON
        following = session.loopscan(3)
        assert writer.verdict(following).outcome is Outcome.COMPLETE


def test_a_deleted_stream_costs_its_channel_only(forgetful, tmp_path):
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        client = redis.Redis.from_url(forgetful.url)
        document = client.json().get(scan.record.key, "$.data_streams")
        client.delete(f"esrf:stream:{document[0][DIODE]['pk']}")
        wait_for(lambda: (status := writer.status(scan.record)) and status.fault)
        end(scan)
        verdict = writer.verdict(scan.record)
        assert verdict.outcome is Outcome.INCOMPLETE
        (reason,) = verdict.reasons
        assert DIODE in reason
        assert "deleted" in reason
        check_values(scan.record, but=(DIODE,))
        with opened(scan.record) as file:
            assert len(file[scan.record.channels[DIODE].dataset]) == 4


def test_a_scan_that_expires_ends(forgetful, tmp_path):
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        client = redis.Redis.from_url(forgetful.url)
        for key in client.scan_iter("esrf:*"):
            client.pexpire(key, 1)
        assert writer.verdict(scan.record).outcome is Outcome.INCOMPLETE
        following = session.loopscan(3)
        assert writer.verdict(following).outcome is Outcome.COMPLETE


def test_a_server_that_falls_silent_is_waited_for(forgetful, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_ANSWER_TIMEOUT", 0.2)
    monkeypatch.setattr(store, "_CONNECT_TIMEOUT", 0.2)
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        forgetful.freeze()
        try:
            wait_for(lambda: writer.process.session.state is SessionState.INIT, what="INIT")
        finally:
            forgetful.thaw()
        end(scan)
        assert writer.verdict(scan.record).outcome is Outcome.COMPLETE
        check_values(scan.record)


def test_a_writer_stops_although_the_server_is_silent(forgetful, tmp_path):
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        forgetful.freeze()
        try:
            lines = writer.process.stop()
        finally:
            forgetful.thaw()
        assert any(f"{scan.record.name} suspended" in line for line in lines)


def test_a_slow_server_only_delays(forgetful, tmp_path):
    client = redis.Redis.from_url(forgetful.url)
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        client.client_pause(500)
        end(scan)
        assert writer.verdict(scan.record).outcome is Outcome.COMPLETE
        check_values(scan.record)


def test_a_crowded_server_is_waited_for(forgetful, tmp_path):
    client = redis.Redis.from_url(forgetful.url)
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        client.config_set("maxclients", 1)
        client.client_kill_filter(_type="normal", skipme=True)
        wait_for(lambda: "max number of clients" in writer.process.session.reason)
        assert writer.process.session.state is SessionState.INIT
        client.config_set("maxclients", 100)
        end(scan)
        assert writer.verdict(scan.record).outcome is Outcome.COMPLETE


def test_a_server_that_wants_a_password_all_of_a_sudden_is_waited_for(forgetful, tmp_path):
    client = redis.Redis.from_url(forgetful.url)
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        client.config_set("requirepass", "secret")
        client.client_kill_filter(_type="normal", skipme=True)
        wait_for(lambda: "password" in writer.process.session.reason)
        assert writer.process.session.state is SessionState.INIT
        client.config_set("requirepass", "")
        end(scan)
        assert writer.verdict(scan.record).outcome is Outcome.COMPLETE


def test_a_server_that_becomes_a_replica_can_be_read(forgetful, tmp_path):
    client = redis.Redis.from_url(forgetful.url)
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        scan.publish(3)
        client.replicaof("127.0.0.1", 1)  # where nobody is: it keeps what it has
        wait_for(lambda: (status := writer.status(scan.record)) and status.fewest_points == 7)
        client.client_kill_filter(_type="normal", skipme=True)
        wait_for(lambda: writer.process.session.state is SessionState.RUNNING)
        client.replicaof("NO", "ONE")
        end(scan)
        assert writer.verdict(scan.record).outcome is Outcome.COMPLETE


def test_a_server_without_memory_can_be_read(forgetful, tmp_path):
    client = redis.Redis.from_url(forgetful.url)
    with at_work(forgetful, tmp_path) as (session, writer):
        scan = begun(session, writer)
        client.config_set("maxmemory", 1)
        client.client_kill_filter(_type="normal", skipme=True)
        wait_for(lambda: writer.process.session.state is SessionState.RUNNING)
        client.config_set("maxmemory", 0)
        end(scan)
        assert writer.verdict(scan.record).outcome is Outcome.COMPLETE
