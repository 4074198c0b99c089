"""The embedded Redis."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis
from blissdata import DataStore
from tests.support_waiting import wait_for

from nexus_writer_service.errors import SettingsError, SourceUnavailableError
from nexus_writer_service.testing.redis_programs import find_programs, loadable
from nexus_writer_service.testing.redis_server import (
    URL_VARIABLE,
    RedisServer,
    initialise,
    missing_modules,
    pinned_url,
    reset,
)

COMMAND = [sys.executable, "-m", "nexus_writer_service.testing.redis_server"]

needs_server = pytest.mark.integration


@pytest.fixture
def own_program() -> None:
    """For tests that start servers: skipped where a running one is given instead."""
    if os.environ.get(URL_VARIABLE):
        pytest.skip("a server that is given is not started or ended")


def fake_server(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    return program


def fake_modules(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    modules = [folder / "librejson.so", folder / "redisearch.so"]
    for module in modules:
        module.touch()
    return modules


@pytest.mark.parametrize(
    ("url", "pinned"),
    [
        ("redis://h:1", "redis://h:1?protocol=2"),
        ("redis://h:1/2?timeout=3", "redis://h:1/2?timeout=3&protocol=2"),
        ("unix:///s?protocol=3", "unix:///s?protocol=3"),
    ],
)
def test_urls_ask_for_the_protocol_that_blissdata_understands(url: str, pinned: str) -> None:
    assert pinned_url(url) == pinned


def test_a_server_with_modules_beside_it_loads_them(tmp_path, monkeypatch):
    program = fake_server(tmp_path / "bin", "valkey-server", "Valkey server v=8.0.1 sha=0")
    modules = fake_modules(tmp_path / "lib")
    monkeypatch.setenv("PATH", str(program.parent))
    first = next(iter(find_programs([])))
    assert (first.path, list(first.modules)) == (program, modules)
    assert first.version == "Valkey server v=8.0.1"


def test_redis_8_is_tried_with_what_is_built_in(tmp_path, monkeypatch):
    program = fake_server(tmp_path / "bin", "redis-server", "Redis server v=8.2.1 sha=0")
    monkeypatch.setenv("PATH", str(program.parent))
    assert next(iter(find_programs([]))).modules == ()


def test_redis_stack_comes_first(tmp_path, monkeypatch):
    stack = fake_server(tmp_path / "stack" / "bin", "redis-stack-server", "")
    server = fake_server(tmp_path / "stack" / "bin", "redis-server", "Redis server v=7.4.1 x")
    fake_modules(tmp_path / "stack" / "lib")
    other = fake_server(tmp_path / "bin", "redis-server", "Redis server v=8.0.0 x")
    monkeypatch.setenv("PATH", f"{other.parent}:{stack.parent}")
    assert next(iter(find_programs([]))).path == server


def test_a_server_that_is_too_old_is_named_with_the_reason(tmp_path, monkeypatch):
    program = fake_server(tmp_path, "redis-server", "Redis server v=7.0.15 sha=0")
    monkeypatch.setenv("PATH", str(tmp_path))
    notes: list[str] = []
    assert list(find_programs(notes)) == []
    assert str(program) in notes[0]
    assert "7.0.15 is older than 7.1" in notes[0]


def test_without_any_server_the_error_says_what_to_type(monkeypatch, tmp_path):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="make redis"):
        RedisServer().start()


def test_a_server_that_does_not_start_is_named_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    program = fake_server(tmp_path / "bin", "redis-server", "Redis server v=8.0.0 x")
    monkeypatch.setenv("PATH", str(program.parent))
    with pytest.raises(SettingsError, match=r"does not start: Redis server v=8\.0\.0"):
        RedisServer().start()


def test_modules_without_permission_to_execute_are_made_loadable(tmp_path):
    module = tmp_path / "rejson.so"
    module.touch(0o644)
    assert loadable(module, tmp_path).stat().st_mode & stat.S_IXUSR


def test_a_url_that_nobody_answers_at_is_unavailable():
    with pytest.raises(SourceUnavailableError, match="No Redis answers"):
        RedisServer("redis://127.0.0.1:1").start()


@needs_server
def test_the_server_has_the_modules_and_takes_scans(redis_url):
    assert missing_modules(redis_url) == frozenset()
    scan = DataStore(redis_url).create_scan({"name": "a", "number": 1, "data_policy": "None"})
    scan.close()
    assert DataStore(redis_url).get_last_scan()[1] == scan.key


@needs_server
@pytest.mark.usefixtures("own_program")
def test_two_servers_do_not_know_of_each_other():
    with RedisServer() as one, RedisServer(port=0) as two:
        initialise(one.url)
        with redis.Redis.from_url(two.url) as client:
            assert client.dbsize() == 0
        assert two.url.startswith("redis://127.0.0.1:")


@needs_server
@pytest.mark.usefixtures("own_program")
def test_a_server_forgets_by_default_and_remembers_on_request():
    for persistent in (False, True):
        with RedisServer(persistent=persistent) as server, redis.Redis.from_url(server.url) as db:
            initialise(server.url)
            db.set("key", "value")
            for interruption in (server.stop, server.kill):
                interruption()
                with pytest.raises(redis.ConnectionError):
                    db.ping()
                server.start()
                assert db.get("key") == (b"value" if persistent else None)


@needs_server
@pytest.mark.usefixtures("own_program")
def test_a_frozen_server_is_silent_until_it_thaws():
    with RedisServer() as server:
        client = redis.Redis.from_url(server.url, socket_timeout=0.1, retry=None)
        server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.thaw()
        assert redis.Redis.from_url(server.url).ping()
        server.freeze()


@needs_server
def test_a_given_server_is_never_frozen(redis_server):
    with (
        RedisServer(url=redis_server.url) as given,
        pytest.raises(SettingsError, match="left alone"),
    ):
        given.freeze()


@needs_server
@pytest.mark.usefixtures("own_program")
def test_a_restart_in_a_thread_outlives_the_thread():
    with RedisServer(port=0) as server:
        url = server.url
        thread = threading.Thread(target=server.restart)
        thread.start()
        thread.join()
        assert server.url == url
        with redis.Redis.from_url(url) as client:
            assert client.ping()


@needs_server
@pytest.mark.usefixtures("own_program")
def test_scans_are_found_by_search_after_a_restart():
    with RedisServer(persistent=True) as server:
        initialise(server.url)
        identity = {"name": "a", "number": 1, "data_policy": "None", "session": "s"}
        scan = DataStore(server.url).create_scan(identity)
        server.restart()
        store = DataStore(server.url)
        found = lambda: store.search_existing_scans(session="s")[1] == [scan.key]  # noqa: E731
        wait_for(found, what="scan in the index")
        assert store.load_scan(scan.key).name == "a"


@needs_server
@pytest.mark.usefixtures("own_program")
def test_nothing_remains_of_a_server_whose_maker_is_killed():
    program = (
        "from nexus_writer_service.testing.redis_server import RedisServer\n"
        "import signal\n"
        "server = RedisServer()\n"
        "server.start()\n"
        "print(server.url, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        url = maker.stdout.readline().decode().strip()
        folder = Path(url.removeprefix("unix://").partition("?")[0]).parent
        with redis.Redis.from_url(url) as client:
            pid = client.info("server")["process_id"]
        maker.kill()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), what="end of the server")
    wait_for(lambda: not folder.exists(), what="removal of its folder")


@needs_server
def test_a_given_server_is_used_and_never_ended(redis_server):
    with RedisServer(redis_server.url) as given:
        assert given.url == redis_server.url
        with pytest.raises(SettingsError, match="not started by this process"):
            given.kill()


@needs_server
def test_the_environment_names_a_server(redis_server, monkeypatch):
    monkeypatch.setenv("NEXUS_WRITER_TEST_REDIS", redis_server.url)
    with RedisServer() as given:
        assert given.url == redis_server.url


@needs_server
@pytest.mark.usefixtures("own_program")
def test_data_of_others_are_never_emptied():
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        client.set("treasure", 1)
        with pytest.raises(SettingsError, match="not ours"):
            reset(server.url)
        with pytest.raises(SettingsError, match="holds 1 keys"):
            initialise(server.url)
        assert client.get("treasure") == b"1"


@needs_server
def test_reset_leaves_an_empty_database_for_scans(redis_url):
    key = DataStore(redis_url).create_scan({"name": "a", "number": 1, "data_policy": "None"}).key
    reset(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        assert not client.exists(key)
    assert DataStore(redis_url).get_last_scan_timetag() == "0-0"


@needs_server
def test_check_names_the_server_and_succeeds(redis_server):
    done = subprocess.run([*COMMAND, "--check"], capture_output=True, text=True, check=True)
    assert "server v=" in done.stdout or "the server at" in done.stdout


def test_check_fails_with_advice_where_there_is_no_server(tmp_path):
    environment = os.environ | {"PATH": str(tmp_path), "NEXUS_WRITER_TEST_REDIS": ""}
    done = subprocess.run(
        [*COMMAND, "--check"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert "make redis" in done.stderr


@needs_server
@pytest.mark.usefixtures("own_program")
def test_the_command_serves_until_it_is_told_to_end():
    environment = os.environ | {"NEXUS_WRITER_TEST_REDIS": ""}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, env=environment) as command:
        assert command.stdout is not None
        url = command.stdout.readline().decode().strip()
        assert DataStore(url).get_last_scan_timetag() == "0-0"
        command.send_signal(signal.SIGTERM)
        assert command.wait(20) == 0
    with pytest.raises(SourceUnavailableError):
        missing_modules(url)


@needs_server
def test_it_listens_on_the_loopback_interface_only(own_program: None) -> None:
    with RedisServer(port=0) as server:
        port = int(server.url.partition("?")[0].rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), 5).close()
        # The machine itself as well, but by an address that only listeners on all interfaces have.
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port), 5).close()
