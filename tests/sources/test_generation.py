"""Which generation of BLISS uses a database."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.support_bliss1 import Bliss1Redis, recording

from nexus_writer_service.errors import SessionTakenError, SourceUnavailableError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.sources.bliss.leased import LeasedConnection
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.sources.bliss1.session import Bliss1Source
from nexus_writer_service.sources.bliss1.store import database_url
from nexus_writer_service.sources.generation import Generation, existing, recognised, source_of
from nexus_writer_service.testing.redis_server import RedisServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def empty_server() -> Iterator[RedisServer]:
    """One that nobody has set up, with the modules of blissdata 2."""
    with RedisServer() as server:
        yield server


def test_a_database_that_blissdata_2_has_set_up_is_of_bliss_2(redis_url: str) -> None:
    assert recognised(redis_url, "test_session") is Generation.BLISS2
    source = source_of(Generation.AUTO, redis_url, "test_session", Backlog())
    assert isinstance(source, BlissSource)


def test_a_database_with_the_session_s_tree_is_of_bliss_1(empty_server: RedisServer) -> None:
    database = Bliss1Redis(empty_server.url)
    database.write(recording("ct"))
    try:
        assert recognised(empty_server.url, "test_session") is Generation.BLISS1
        source = source_of(Generation.AUTO, empty_server.url, "test_session", Backlog())
        assert isinstance(source, Bliss1Source)
    finally:
        database.clear()


def test_an_empty_database_that_either_could_use_is_waited_for(empty_server: RedisServer) -> None:
    with pytest.raises(SourceUnavailableError, match="neither of BLISS 1 nor of BLISS 2"):
        recognised(empty_server.url, "test_session")


@pytest.mark.parametrize(
    ("generation", "kind"), [(Generation.BLISS1, Bliss1Source), (Generation.BLISS2, BlissSource)]
)
def test_what_is_asked_for_is_not_looked_up(generation: Generation, kind: type) -> None:
    source = source_of(generation, "redis://nowhere.invalid", "test_session", Backlog())
    assert isinstance(source, kind)


def test_scans_of_both_generations_are_looked_for(redis_url: str) -> None:
    gone = {ScanKey("esrf:scan:01M7X526WE80KHX19SPTAZ2NDR"), ScanKey("test_session:1_ct@1.5")}
    assert existing(redis_url, gone, {}) == set()
    assert existing(None, set(), {"REDIS_DATA_URL": redis_url}) == set()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host:25002", "redis://host:25002/1"),
        ("redis://host:25002/", "redis://host:25002/1"),
        ("redis://host:25002/3", "redis://host:25002/3"),
        ("redis://host:25002?db=2", "redis://host:25002?db=2"),
        ("rediss://user:pw@host", "rediss://user:pw@host/1"),
        ("unix:///run/socket", "unix:///run/socket?db=1"),
        ("unix:///run/socket?protocol=2", "unix:///run/socket?protocol=2&db=1"),
        ("unix:///run/socket?db=4", "unix:///run/socket?db=4"),
    ],
)
def test_bliss_1_keeps_scans_in_database_1(url: str, expected: str) -> None:
    assert database_url(url) == expected


def test_the_device_s_source_serves_bliss_1_under_a_lease(empty_server: RedisServer) -> None:
    environment = {"REDIS_DATA_URL": empty_server.url}
    now = datetime(2026, 11, 21, tzinfo=UTC)
    first, second = (
        LeasedConnection("test_session", environment, name, now, "bliss1") for name in ("a", "b")
    )
    database = Bliss1Redis(empty_server.url)
    try:
        source = first(Backlog())
        assert source.read(0.0) == []
        with pytest.raises(SessionTakenError, match="served by another writer: a "):
            second(Backlog()).read(0.0)
        database.write(recording("ascan"))
        (event, *_) = source.read(10.0)
        assert event.key.startswith("test_session:")
    finally:
        first.release()
        second.release()
        database.clear()
