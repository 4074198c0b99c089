from collections.abc import Iterator

import pytest
import redis

from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.redis_server import URL_VARIABLE


@pytest.fixture
def source(redis_url: str) -> Iterator[BlissSource]:
    with BlissSource(redis_url, "test_session") as source:
        source.connect()
        yield source


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(redis_url) as one:
        yield one


@pytest.fixture
def own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is given is not started or ended."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
