"""The scans of a session are told to one writer only."""

import contextlib
import os
from datetime import datetime

import pytest
import redis
from tests.support_bliss_source import EVERYTHING

from nexus_writer_service.errors import SessionTakenError, SourceUnavailableError
from nexus_writer_service.model.events import Announced
from nexus_writer_service.sources.bliss import lease as lease_module
from nexus_writer_service.sources.bliss.holder import Holder
from nexus_writer_service.sources.bliss.lease import lease_key
from nexus_writer_service.sources.bliss.leased import LeasedConnection

pytestmark = pytest.mark.integration


@pytest.fixture
def connection(redis_url, simulated_session):
    """A writer of the session; its lease is never renewed by the clock of the test."""
    environment = dict(os.environ) | {"REDIS_DATA_URL": redis_url}
    one = LeasedConnection(simulated_session.name, environment, "one", datetime.now().astimezone())
    yield one
    one.release()


@pytest.fixture
def source(connection):
    source = connection(EVERYTHING)
    source.read(0.01)
    yield source
    source.close()


@pytest.fixture
def asleep(monkeypatch):
    """Makes the lease uncertain at every look, as after the process has stood still."""
    return lambda: monkeypatch.setattr(
        lease_module.SessionLease, "held", property(lambda _self: False)
    )


def take_over(redis_url, session):
    with redis.Redis.from_url(redis_url) as client:
        client.set(lease_key(session), Holder.this_process("two").encoded())


def test_what_is_read_after_the_session_was_taken_over_is_told_nobody(
    source, simulated_session, redis_url, asleep
):
    simulated_session.loopscan(3)
    asleep()
    take_over(redis_url, simulated_session.name)
    with pytest.raises(SessionTakenError, match="two"):
        source.read(1.0)


def test_what_is_read_while_the_lease_cannot_be_asked_for_is_told_later(
    source, simulated_session, monkeypatch
):
    record = simulated_session.loopscan(3)
    answers = iter([None, SourceUnavailableError("away"), None, None])

    def acquire(_lease):
        if error := next(answers):
            raise error

    monkeypatch.setattr(lease_module.SessionLease, "acquire", acquire)
    with pytest.raises(SourceUnavailableError, match="away"):
        source.read(1.0)
    announced = [event for event in source.read(1.0) if isinstance(event, Announced)]
    assert [event.key for event in announced] == [record.key]


def test_writers_of_different_roles_share_a_session_and_two_of_one_role_do_not(
    source, redis_url, simulated_session
):
    environment = dict(os.environ) | {"REDIS_DATA_URL": redis_url}
    now = datetime.now().astimezone()

    def another(role, session=simulated_session.name):
        return LeasedConnection(session, environment, "another", now, role=role)

    mapping, every, same = another("BlissWriter"), another("BlissWriter", ""), another("")
    try:
        with contextlib.ExitStack() as stack:
            for one in (mapping, every):
                made = one(EVERYTHING)
                stack.callback(made.close)
                made.read(0.01)
            refused = same(EVERYTHING)
            stack.callback(refused.close)
            with pytest.raises(SessionTakenError, match="one"):
                refused.read(0.01)
    finally:
        for one in (mapping, every, same):
            one.release()
    with redis.Redis.from_url(redis_url) as client:
        assert client.exists(lease_key(simulated_session.name))
