"""Redis is found, spoken to plainly, and found again when it was away."""

import gc
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from tests.support_beacon import FAILED, beacon

from nexus_writer_service.errors import SettingsError, SourceError, SourceUnavailableError
from nexus_writer_service.sources.bliss import store
from nexus_writer_service.sources.bliss.store import RedisLink, collector_paused, redis_url
from nexus_writer_service.testing.redis_server import RedisServer


def test_the_environment_tells_the_url():
    environ = {"REDIS_DATA_URL": "redis://here:1", "BEACON_HOST": "nowhere:1"}
    assert redis_url(environ) == "redis://here:1"


def test_without_environment_it_is_told_what_to_set():
    with pytest.raises(SettingsError, match=r"REDIS_DATA_URL .* BEACON_HOST"):
        redis_url({})


@pytest.mark.parametrize(
    ("answer", "url"),
    [(b"here|25002", "redis://here:25002"), (b"here|/run/redis.sock", "unix:///run/redis.sock")],
)
def test_beacon_tells_the_url(answer, url):
    with beacon(answer) as address:
        assert redis_url({"BEACON_HOST": address}) == url


def test_beacon_may_not_know():
    with (
        beacon(b"no data base", kind=FAILED) as address,
        pytest.raises(SourceError, match="no data"),
    ):
        redis_url({"BEACON_HOST": address})


@pytest.mark.parametrize("address", [":25000", "here:", "here:port"])
def test_an_unusable_address_of_beacon_is_refused(address):
    with pytest.raises(SettingsError, match="BEACON_HOST"):
        redis_url({"BEACON_HOST": address})


# blissdata leaves the socket open that could not connect.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_beacon_that_is_not_there_is_unavailable(unused_port):
    with pytest.raises(SourceUnavailableError, match=r"Beacon at 127\.0\.0\.1"):
        redis_url({"BEACON_HOST": f"127.0.0.1:{unused_port}"})


@pytest.fixture
def unused_port() -> int:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        return int(server.server_address[1])


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://here:1", "redis://here:1"),
        ("redis://:secret@here:1/2", "redis://:***@here:1/2"),
        ("rediss://me:secret@here", "rediss://me:***@here"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
        ("unix://me:secret@/run/redis.sock", "unix://me:***@/run/redis.sock"),
    ],
)
def test_messages_hide_the_password(url, name):
    assert RedisLink(url).name == name


@pytest.mark.parametrize("url", ["here:25002", "http://here", "redis://here:port", "redis://?x=1"])
def test_an_unusable_url_is_refused(url):
    with pytest.raises(SettingsError, match="redis://host:port"):
        RedisLink(url)


def test_a_server_that_is_not_there_is_unavailable(unused_port):
    link = RedisLink(f"redis://me:secret@127.0.0.1:{unused_port}")
    with pytest.raises(SourceUnavailableError, match="check that the server runs") as error:
        link.connect()
    assert "secret" not in str(error.value)
    assert not link.connected


@contextmanager
def answering(answer: bytes, *, most: int = 1 << 20) -> Iterator[str]:
    """A server that gives this answer to each command, ``most`` times on one connection."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for _ in range(most):
                line = self.rfile.readline()
                if not line.startswith(b"*"):
                    return
                for _ in range(2 * int(line[1:])):
                    self.rfile.readline()
                self.wfile.write(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield "redis://{}:{}".format(*server.server_address[:2])
        finally:
            server.shutdown()
            thread.join()


UNFIT = {
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "password": b"-NOAUTH Authentication required.\r\n",
    "crowded": b"-ERR max number of clients reached\r\n",
    "orphaned": b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is no\r\n",
    "busy": b"-BUSY Redis is busy running a script\r\n",
    "clustered": b"-MOVED 3999 127.0.0.1:6381\r\n",
    "web": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "nonsense": b"\x00\xff\x00\xff\r\n",
    "cut short": b"$100\r\nabc",
    "silent at once": b"",
}


@pytest.mark.parametrize("answer", UNFIT.values(), ids=UNFIT)
def test_a_server_that_is_not_fit_now_can_be_tried_again(answer):
    with answering(answer, most=1) as url:
        link = RedisLink(url)
        for _ in range(3):
            with pytest.raises(SourceError, match=r"Redis at redis://127\.0\.0\.1"):
                link.connect()
            assert not link.connected
            assert not link.empty


@pytest.mark.parametrize("answer", UNFIT.values(), ids=UNFIT)
def test_a_server_that_gets_unfit_while_it_is_read_is_left(answer, monkeypatch):
    monkeypatch.setattr(store, "_ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(store, "_CONNECT_TIMEOUT", 0.3)
    with answering(answer) as url:
        link = RedisLink(url)
        link._connected = True
        with pytest.raises(SourceError, match=r"Redis at redis://127\.0\.0\.1"):
            _read_streams(link)


def _read_streams(link: RedisLink) -> None:
    link.ask_streams([b"nothing"], [b"0-0"], count=10, block=None)
    link.take_streams()


def test_the_collector_is_paused_only_where_it_runs():
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.fixture
def link(redis_url: str) -> Iterator[RedisLink]:
    link = RedisLink(redis_url)
    link.connect()
    yield link
    link.close()


@pytest.mark.integration
@pytest.mark.parametrize("options", ["protocol=2", "protocol=3", "decode_responses=true"])
def test_answers_are_raw_lists_whatever_the_url_says(options, redis_url):
    client = redis.Redis.from_url(redis_url)
    client.xadd("numbers", {"payload": b"\xff\x00"}, id="7-1")
    link = RedisLink(f"{redis_url.partition('?')[0]}?{options}")
    link.connect()
    link.ask_streams([b"numbers", b"nothing"], [b"0-0", b"0-0"], count=10, block=None)
    assert link.take_streams() == [[b"numbers", [[b"7-1", [b"payload", b"\xff\x00"]]]]]
    link.close()


@pytest.mark.integration
def test_a_wait_ends_with_nothing_when_its_time_is_up(link):
    link.ask_streams([b"nothing"], [b"0-0"], count=10, block=0.001)
    assert link.take_streams() == []


@pytest.mark.integration
def test_a_refused_command_does_not_disturb_the_others(link, redis_url):
    redis.Redis.from_url(redis_url).set("text", "no document")
    refused, found = link.request((b"JSON.GET", b"text"), (b"GET", b"text"))
    assert isinstance(refused, redis.ResponseError)
    assert found == b"no document"
    assert link.request() == []


@pytest.mark.integration
def test_streams_that_are_none_are_refused(link, redis_url):
    redis.Redis.from_url(redis_url).set("text", "no stream")
    link.ask_streams([b"text"], [b"0-0"], count=10, block=None)
    with pytest.raises(SourceError, match="refuses to read streams"):
        link.take_streams()
    assert link.connected


@pytest.mark.integration
def test_a_server_that_does_not_answer_counts_as_gone(link, redis_url, monkeypatch):
    monkeypatch.setattr(store, "_ANSWER_TIMEOUT", 0.01)
    redis.Redis.from_url(redis_url).client_pause(300)
    with pytest.raises(SourceUnavailableError, match="no answer"):
        link.ask_streams([b"nothing"], [b"0-0"], count=10, block=None)
    assert not link.connected
    link.connect()


@pytest.mark.integration
def test_a_database_that_does_not_exist_is_refused(redis_url):
    with pytest.raises(SourceError, match="refuses") as error:
        RedisLink(f"{redis_url}&db=99").connect()
    assert not isinstance(error.value, SourceUnavailableError)


@pytest.mark.integration
def test_nobody_is_woken_who_does_not_wait(link):
    assert link.unblock() is False
    link.close()
    link.connect()
    assert link.unblock() is False


@pytest.mark.integration
def test_user_and_password_are_used(redis_server, redis_url):
    client = redis.Redis.from_url(redis_server.url)
    client.acl_setuser(
        "reader", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@read"]
    )
    base, _, _ = redis_url.removeprefix("unix://").partition("?")
    try:
        link = RedisLink(f"unix://reader:secret@{base}")
        link.connect()
        # CLIENT is not allowed to this user: nobody can be woken, reading works.
        assert link.unblock() is True
        link.close()
        with pytest.raises(SourceUnavailableError) as error:
            RedisLink(f"unix://reader:wrong@{base}").connect()
        assert "wrong" not in str(error.value)
        client.acl_setuser("reader", enabled=True, commands=["-get"])
        with pytest.raises(SourceError, match="refuses to be read"):
            link.connect()
    finally:
        client.acl_deluser("reader")


@pytest.mark.integration
def test_a_link_connects_again(tmp_path):
    with RedisServer() as server:
        link = RedisLink(server.url)
        with pytest.raises(SourceUnavailableError, match="not been set up"):
            link.connect()
        with redis.Redis.from_url(server.url) as client:
            client.set("_PROTOCOL_VERSION_", 1)
        link.connect()
        server.stop()
        with pytest.raises(SourceUnavailableError):
            link.request((b"GET", b"x"))
        assert not link.connected
        assert link.unblock() is True
        server.start()
        with redis.Redis.from_url(server.url) as client:
            client.set("_PROTOCOL_VERSION_", 1)
        link.connect()
        assert link.request((b"GET", b"x")) == [None]
        link.close()
