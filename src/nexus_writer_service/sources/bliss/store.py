"""Where Redis is, and how to talk to it.

A busy scan is hundreds of thousands of stream entries. What a general client does for each of them
(callbacks, dictionaries, decoding) costs more than anything else in a writer, so the connection
here is redis-py's, and the answers are taken as hiredis parses them: nested lists of bytes.
"""

import gc
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.connection import ConnectionPool

from nexus_writer_service.errors import SettingsError, SourceError, SourceUnavailableError

_log = logging.getLogger(__name__)

Argument = bytes | str | int
Command = Sequence[Argument]

_PROTOCOL_KEY = b"_PROTOCOL_VERSION_"
_PROTOCOL = b"1"
_BEACON_PORT = 25000
_CONNECT_TIMEOUT = 5.0
"""Seconds to get a connection, and for the rest of an answer that has begun to arrive."""
_ANSWER_TIMEOUT = 20.0
"""Seconds after which a server that should have answered counts as gone. A saving server, or one
that is short of memory, can be silent for some seconds."""
_WAKE_TIMEOUT = 1.0
"""Seconds for which a silent server is asked to wake the reader; then the reader leaves it."""
_SLICE = 1.0
"""Seconds after which a waiting reader looks whether it is to leave a silent server. Sessions that
wait cost by how often they do that."""
_SOCKET_BYTES = 1 << 18


def redis_url(environ: Mapping[str, str]) -> str:
    """The URL of the Redis database that holds the scans.

    It is ``REDIS_DATA_URL`` or, where that is not set, what Beacon at ``BEACON_HOST`` answers.

    Raises:
        SettingsError: neither is set, or one cannot be used.
        SourceUnavailableError: Beacon cannot be reached.
        SourceError: Beacon does not know.
    """
    if url := environ.get("REDIS_DATA_URL"):
        return url
    if address := environ.get("BEACON_HOST"):
        return _ask_beacon(address)
    raise SettingsError(
        "it is not known where the scans are: set REDIS_DATA_URL to the URL of the Redis "
        "database of scans, e.g. redis://localhost:25002, or BEACON_HOST to host:port of Beacon"
    )


def _ask_beacon(address: str) -> str:
    host, _, port = (address if ":" in address else f"{address}:{_BEACON_PORT}").rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(
            f"BEACON_HOST is {address!r}: set it to host:port, e.g. localhost:25000"
        )
    # blissdata takes a second to import and is not needed for anything else.
    from blissdata.beacon.data import BeaconData  # noqa: PLC0415

    try:
        beacon = BeaconData(host, int(port))
        try:
            return str(beacon.get_redis_data_db())
        finally:
            beacon.close()  # type: ignore[no-untyped-call]  # of blissdata
    except OSError as error:
        raise SourceUnavailableError(
            f"Beacon at {address} cannot be reached ({error}): check that it runs and that "
            "BEACON_HOST is right, or set REDIS_DATA_URL"
        ) from error
    except RuntimeError as error:
        raise SourceError(
            f"Beacon at {address} does not know where the Redis database of scans is ({error}): "
            "check how it was started, or set REDIS_DATA_URL"
        ) from error


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cyclic garbage collector off while an answer is parsed and decoded.

    An answer is a tree of very many small lists without a cycle, most of them gone again when it is
    decoded. Counting them makes the collector run over and over: two thirds of the time of a read.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class RedisLink:
    """One connection to Redis that answers in raw lists and makes itself anew when it was lost.

    Only ``unblock`` may be called from a thread that is not the owner's.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user and password if need be.
        any_database: connect also where blissdata 2 has not set the database up.

    Raises:
        SettingsError: the URL cannot be used.
    """

    def __init__(self, url: str, *, any_database: bool = False) -> None:
        self._any_database = any_database
        self.name = without_password(url)
        """The URL without its password, for messages."""
        self.empty = False
        """Whether the last ``connect`` found a server that holds no scans: it is not set up."""
        self._connection = _connection(url, self.name, _CONNECT_TIMEOUT)
        self._second = _connection(url, self.name, _WAKE_TIMEOUT)
        self._unblocking = threading.Lock()
        self._leave = threading.Event()
        self._client_id: int | None = None
        self._connected = False

    @property
    def connected(self) -> bool:
        """Whether the last command found the server, so that its session goes on."""
        return self._connected

    def connect(self) -> None:
        """Connect, unless that is done, and check that the database is one of blissdata.

        Raises:
            SourceUnavailableError: the server cannot be reached, or its database is not set up yet.
            SourceError: its data follow a protocol that is not known here.
        """
        if self._connected:
            return
        self.empty = False
        with self._reaching():
            self._connection.connect()
        self._leave.clear()
        self._connected = True
        version, client_id, _ = self.request(
            (b"GET", _PROTOCOL_KEY), (b"CLIENT", b"ID"), (b"CLIENT", b"SETNAME", b"nexus_writer")
        )
        self._client_id = client_id if isinstance(client_id, int) else None
        if version == _PROTOCOL or self._any_database:
            return
        self.close()
        if isinstance(version, redis.ResponseError):
            raise SourceError(f"Redis at {self.name} refuses to be read: {version}")
        if version is None:
            self.empty = True
            raise SourceUnavailableError(
                f"Redis at {self.name} holds no scans: it has not been set up for blissdata yet "
                "(start the blissdata memory tracker with --init-db), or it is not the database "
                "of scans"
            )
        raise SourceError(
            f"Redis at {self.name} follows version {version!r} of the blissdata protocol, this "
            f"program knows {_PROTOCOL.decode()}: update nexus_writer_service"
        )

    def close(self) -> None:
        """Let go of the connection; the next ``connect`` makes a new one."""
        self._connected = False
        self._connection.disconnect()
        with self._unblocking:
            self._second.disconnect()

    def request(self, *commands: Command) -> list[Any]:
        """The answers to commands that are sent together; none of them may block.

        An answer is bytes, int, None, a list, or ``redis.ResponseError`` where that one command
        was refused.

        Raises:
            SourceUnavailableError: the connection was lost.
        """
        if not commands:
            return []
        with self._reaching():
            self._connection.send_packed_command(self._connection.pack_commands(commands))
            self._await_answer(_ANSWER_TIMEOUT)
            return [self._answer() for _ in commands]

    def ask_streams(
        self, keys: Sequence[bytes], after: Sequence[bytes], *, count: int, block: float | None
    ) -> None:
        """Ask for the entries of streams after given ids; return when an answer begins to arrive.

        Args:
            keys: of the streams; one that does not exist yet is awaited like the others.
            after: one id per key.
            count: limit per stream.
            block: seconds to wait for the first entry when there is none; None: do not wait.

        Raises:
            SourceUnavailableError: the connection was lost.
        """
        command: list[Argument] = [b"XREAD", b"COUNT", count]
        if block is not None:
            # Redis takes whole milliseconds, and 0 for "for ever".
            command += [b"BLOCK", max(1, int(block * 1000))]
        with self._reaching():
            self._connection.send_command(*command, b"STREAMS", *keys, *after)
            self._await_answer((block or 0.0) + _ANSWER_TIMEOUT)

    def take_streams(self) -> list[list[Any]]:
        """The answer to ``ask_streams``: ``[key, entries]`` for each stream that has some.

        Raises:
            SourceUnavailableError: the connection was lost.
            SourceError: the server refuses.
        """
        with self._reaching():
            answer = self._answer()
        if isinstance(answer, redis.ResponseError):
            raise SourceError(f"Redis at {self.name} refuses to read streams: {answer}")
        found: list[list[Any]] = answer or []
        return found

    def unblock(self) -> bool:
        """From any thread: make a waiting ``ask_streams`` return with nothing.

        When the server is silent, whatever waits for it leaves it as one that is gone.

        Returns:
            Whether that is done, or cannot be done; False when it was not waiting.
        """
        if self._client_id is None:
            return True
        try:
            with self._unblocking:
                self._second.send_command(b"CLIENT", b"UNBLOCK", self._client_id)
                return bool(self._second.read_response() == 1)
        except (redis.RedisError, OSError) as error:
            self._leave.set()
            _log.debug("Redis at %s cannot be told to wake the reader: %s", self.name, error)
            return True

    def _await_answer(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._connection.can_read(min(_SLICE, max(0.0, deadline - time.monotonic()))):
            if self._leave.is_set():
                self._leave.clear()
                raise redis.TimeoutError("silent when it was to be left")
            if time.monotonic() >= deadline:
                raise redis.TimeoutError("no answer")

    def _answer(self) -> Any:
        try:
            return self._connection.read_response(disable_decoding=True)
        except redis.ResponseError as error:
            return error

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except redis.ResponseError as error:
            self.close()
            raise SourceError(f"Redis at {self.name} refuses: {error}") from error
        except (redis.RedisError, OSError) as error:
            self.close()
            raise SourceUnavailableError(
                f"Redis at {self.name} cannot be reached ({error}): check that the server runs, "
                "and the address and password"
            ) from error


def _connection(url: str, name: str, answer_timeout: float) -> Any:
    try:
        pool = ConnectionPool.from_url(url)
        # After the URL, whose options go first: raw lists are what RESP2 gives.
        pool.connection_kwargs |= {
            "protocol": 2,
            "socket_timeout": answer_timeout,
            "socket_connect_timeout": _CONNECT_TIMEOUT,
            "socket_read_size": _SOCKET_BYTES,
        }
        return pool.make_connection()
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{name} is not the URL of a Redis server ({error}): give it as redis://host:port, "
            "rediss://host:port or unix:///path/to/socket"
        ) from error


def without_password(url: str) -> str:
    """The URL of a server without its password, for messages."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    hidden = f"{user.partition(':')[0]}:***" if ":" in user else user
    # The query can hold a password as well.
    return f"{parts.scheme}://{hidden}{at}{host}{parts.path}"
