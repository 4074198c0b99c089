"""Redis tells which scans it still holds."""

import pytest
import redis

from nexus_writer_service.errors import SettingsError, SourceError, SourceUnavailableError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.sources.bliss.presence import existing
from nexus_writer_service.testing.redis_server import RedisServer

ONE, OTHER, ODD = ScanKey("esrf:scan:01"), ScanKey("esrf:scan:02"), ScanKey("odd\ud800")


@pytest.mark.integration
def test_scans_that_are_there_are_told(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        client.json().set(ONE, "$", {"name": "scan"})
    assert existing(redis_url, [ONE, OTHER, ODD, ONE]) == {ONE}
    assert existing(redis_url, []) == set()


@pytest.mark.integration
def test_a_redis_that_may_not_be_asked_is_an_error_not_an_absence(redis_url, redis_server):
    with redis.Redis.from_url(redis_url) as client:
        client.acl_setuser(
            "blind", enabled=True, nopass=True, keys=["*"], commands=["+get", "+client"]
        )
        try:
            with pytest.raises(SourceError, match="does not tell"):
                existing(redis_url.replace("://", "://blind:x@"), [ONE])
        finally:
            client.acl_deluser("blind")


@pytest.mark.integration
def test_a_redis_that_lost_everything_is_not_a_redis_without_the_scan():
    with (
        RedisServer() as server,
        pytest.raises(SourceUnavailableError, match="holds no scans"),
    ):
        existing(server.url, [ONE])


def test_a_redis_that_is_away_is_an_error():
    with pytest.raises(SourceUnavailableError, match="cannot be reached"):
        existing("redis://127.0.0.1:1", [ONE])


def test_an_odd_address_is_an_error():
    with pytest.raises(SettingsError):
        existing("nonsense", [ONE])
