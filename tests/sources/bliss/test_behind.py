"""Whether a source of BLISS scans has more to read than it could bring."""

import os
from datetime import datetime

import pytest
from tests.support_bliss1 import Bliss1Redis, recording
from tests.support_bliss_events import Heard, listen
from tests.support_bliss_source import DIODE, EVERYTHING, half_told

from nexus_writer_service.model.events import Points
from nexus_writer_service.sources.bliss.leased import LeasedConnection
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.sources.bliss1.session import Bliss1Source

pytestmark = pytest.mark.integration

BACKLOG = 5000
"""Points of one entry each: a reading of a backlog takes 1000 at last."""


@pytest.fixture(params=["plain", "leased"])
def source(request, redis_url, simulated_session):
    """A source of all scans that nothing was read from."""
    if request.param == "plain":
        with BlissSource(redis_url, simulated_session.name, backlog=EVERYTHING) as source:
            yield source
        return
    environment = dict(os.environ) | {"REDIS_DATA_URL": redis_url}
    now = datetime.now().astimezone()
    connection = LeasedConnection(simulated_session.name, environment, "test", now)
    leased = connection(EVERYTHING)
    yield leased
    leased.close()
    connection.release()


def read_on(source, heard, done):
    """Read until it is done; for each reading how many points of the diode it told, and behind."""
    told = []
    while not done():
        events = source.read(0.1)
        heard.add(events)
        count = sum(one.count for one in events if isinstance(one, Points) and one.channel == DIODE)
        told.append((count, source.behind))
    return told


def test_a_source_is_behind_while_it_reads_a_backlog_and_no_longer(simulated_session, source):
    record = simulated_session.loopscan(BACKLOG)
    heard = Heard()
    told = read_on(source, heard, heard.ended)
    assert heard.length(record.key, DIODE) == BACKLOG
    # Just the readings that brought all that may be asked for are followed by more.
    assert {behind for count, behind in told if count >= 1000} == {True}
    assert {behind for count, behind in told if count < 1000} == {False}
    assert not source.behind


def test_a_source_that_was_behind_is_not_while_new_points_come_one_by_one(
    simulated_session, source
):
    simulated_session.publisher = "pipeline"
    simulated_session.loopscan(BACKLOG)
    heard = listen(source, Heard.ended)
    with half_told(simulated_session, source, heard) as (scan, _):
        for length in range(5, 11):
            scan.publish(1)
            key = scan.record.key
            told = read_on(source, heard, lambda: heard.length(key, DIODE) == length)  # noqa: B023
            assert not any(behind for _, behind in told)


def test_a_source_without_anything_to_read_is_not_behind(simulated_session, source):
    simulated_session.loopscan(3)
    listen(source, Heard.ended)
    assert source.read(0.01) == []
    assert not source.behind


def test_points_so_large_that_each_is_read_alone_do_not_mean_that_more_are_there(
    simulated_session, redis_url
):
    simulated_session.publisher = "pipeline"
    with (
        BlissSource(redis_url, "test_session", backlog=EVERYTHING, most_bytes=1) as source,
        half_told(simulated_session, source) as (scan, heard),
    ):
        key = scan.record.key
        for length in range(5, 11):
            scan.publish(1)
            told = read_on(source, heard, lambda: heard.length(key, DIODE) == length)  # noqa: B023
            assert (1, True) not in told


@pytest.mark.parametrize(("most_bytes", "behind"), [(16 << 20, False), (15_000, True)])
def test_a_source_of_bliss_1_is_behind_while_more_is_there_than_an_answer_may_hold(
    redis_url, most_bytes, behind
):
    database = Bliss1Redis(redis_url)
    database.clear()
    database.write(recording("amesh"))
    told: list[bool] = []
    with Bliss1Source(
        redis_url, "test_session", backlog=EVERYTHING, most_bytes=most_bytes
    ) as source:
        while not told or source.active:
            source.read(0.01)
            told.append(source.behind)
        source.read(0.01)
        assert not source.behind
    assert any(told) == behind
    database.clear()
