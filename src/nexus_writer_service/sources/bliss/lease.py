"""One writer per session: a lease on it, in the database that holds its scans.

The lease is a key that says who has it and that vanishes by itself unless it is renewed. Whoever
finds another holder does not serve the session. Two points decide whether that can be trusted:

- It is taken, renewed and given back by comparing and changing in one step of the server, so of two
  that ask at once one gets it.
- A holder that was stalled for longer than the lease lives (a stopped process, a machine asleep)
  may find that another one has it. So one that has not renewed it for that long does not hold it,
  by a clock that nobody sets and that goes on while the machine sleeps: it has to ask again. And it
  is told when another one has it (``on_lost``). The files have locks of their own besides.

A database that is not set up for scans yet is left alone: blissdata sets up none that holds a key.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from nexus_writer_service.errors import (
    SessionTakenError,
    SettingsError,
    SourceError,
    SourceUnavailableError,
)
from nexus_writer_service.sources.bliss.holder import Holder
from nexus_writer_service.sources.bliss.store import without_password

_log = logging.getLogger(__name__)

LIFE = 10.0
"""Seconds after which a lease that nobody renews is free: how long a session stays without a writer
whose machine has died."""

_RENEWALS = 3
"""Renewals in the life of a lease."""
_ATTEMPTS = 10
"""Attempts in the life of a lease, and its part that each may take, while the server does not
answer. So a lease survives a server that is silent for half of its life, and giving one back never
takes long."""
_PATIENCE = 0.1
"""Seconds between two looks whether a holder is still alive."""

_SET_UP = b"_PROTOCOL_VERSION_"
"""The key that a database of scans has [blissdata]."""
_NOT_SET_UP = "NOTSETUP"

_TAKE = f"""
if KEYS[2] ~= '' and redis.call('EXISTS', KEYS[2]) == 0 then
  return redis.error_reply('{_NOT_SET_UP}')
end
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[3] then
  return {{held, redis.call('PTTL', KEYS[1])}}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {{}}
"""
"""Make the lease ours when it is free, ours already, or in the hands named last; else tell who has
it and for how many milliseconds."""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


def lease_key(session: str) -> str:
    """The key that holds the lease of a session."""
    return f"nexus_writer_service:lease:{session}"


class SessionLease:
    """The right to serve a session, renewed by a thread of its own. For any threads.

    Args:
        url: of the Redis database of scans.
        session: name of the BLISS session.
        owner: who asks for it, for people (``holder.owner_text``).
        on_lost: told who has it when it went to somebody else; called in the lease's thread, at
            most once per ``acquire``.
        life: seconds.
        any_database: ask for it also where blissdata 2 has not set the database up.

    Raises:
        SettingsError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        session: str,
        owner: str,
        *,
        on_lost: Callable[[str], None],
        life: float = LIFE,
        any_database: bool = False,
    ) -> None:
        self.session = session
        self._name = without_password(url)
        self._client = _client(url, self._name, life / _ATTEMPTS)
        self._key = lease_key(session)
        # A key that is not asked for has no name.
        self._set_up = b"" if any_database else _SET_UP
        self._owner = owner
        self._on_lost = on_lost
        self._life = life
        self._ours: bytes | None = None
        self._value: bytes | None = None
        self._certain_until = 0.0
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._interrupted = threading.Event()
        self._changing = threading.Lock()

    @property
    def held(self) -> bool:
        """Whether it is certainly ours at this moment."""
        return self._value is not None and _now() < self._certain_until

    def acquire(self) -> None:
        """Take the lease and keep it; does nothing when it is held.

        One that was ours and was not renewed in time is asked for: Redis may not have been there,
        or this process has stood still.

        When somebody has it, waits until that one is seen to renew it (a third of its life), or
        until it has run out, since its holder died. A holder that died on this machine is replaced
        at once. ``interrupt`` from another thread ends the waiting.

        Raises:
            SessionTakenError: another writer serves the session.
            SourceUnavailableError: Redis cannot be reached or is not set up for scans yet; or the
                waiting was ended.
            SourceError: Redis refuses.
        """
        if self.held:
            return
        try:
            self._acquire()
        finally:
            self._interrupted.clear()

    def _acquire(self) -> None:
        with self._changing:
            if self._value is not None:
                held, _ = self._take(self._value)
                if not held:
                    return
                self._value = None  # the thread ends, and tells nobody
                raise SessionTakenError(self.session, Holder.decoded(held).owner)
            self._ending.clear()
            # The same each time: a server that was silent may have taken an attempt that failed.
            value = self._ours = self._ours or Holder.this_process(self._owner).encoded()
            self._take_or_wait(value)
            self._value = value
            # A daemon, since it holds nothing that does not run out by itself.
            self._thread = threading.Thread(
                target=self._keep, args=[value], name=f"lease-{self.session}", daemon=True
            )
            self._thread.start()

    def interrupt(self) -> None:
        """Make an ``acquire`` that waits in another thread give up, or the next one that would.

        A lease that is held stays.
        """
        self._interrupted.set()

    def release(self) -> None:
        """Give the lease back, so that the next one need not wait; does nothing without it."""
        self._interrupted.set()
        self._ending.set()
        with self._changing:
            thread, self._thread = self._thread, None
            value, self._value = self._value, None
        if thread is not None and thread is not threading.current_thread():
            # Not for ever: it may be in on_lost, waiting for whoever waits here.
            thread.join(self._life)
        if value is not None:
            try:
                self._client.eval(_RELEASE, 1, self._key, value)  # type: ignore[no-untyped-call]
            except (redis.RedisError, OSError) as error:
                _log.info("the lease of session %s will run out: %s", self.session, error)
        self._client.close()

    # ---------------------------------------------------------------------------- taking it

    def _take_or_wait(self, value: bytes) -> None:
        first: tuple[bytes, float] | None = None
        while True:
            held, seconds = self._take(value)
            if not held or self._replace(held, value):
                return
            holder = Holder.decoded(held).owner
            end = time.monotonic() + seconds
            if first is None:
                _log.warning("session %s is held by %s", self.session, holder)
                first = held, end
            elif held != first[0] or end > first[1] + self._life / _RENEWALS / 2:
                raise SessionTakenError(self.session, holder)
            if self._interrupted.wait(_PATIENCE):
                raise SourceUnavailableError(
                    f"session {self.session} is held by {holder}, and is not waited for any more"
                )

    def _replace(self, held: bytes, value: bytes) -> bool:
        """Take the lease out of the hands of a process that has died on this machine."""
        holder = Holder.decoded(held)
        if not holder.dead():
            return False
        _log.warning("session %s: %s has died, its lease passes on", self.session, holder.owner)
        return not self._take(value, instead_of=held)[0]

    def _take(self, value: bytes, instead_of: bytes = b"") -> tuple[bytes, float]:
        """Who has it, if not we have, and for how many seconds."""
        milliseconds = int(self._life * 1000)
        asked = _now()
        arguments = (self._key, self._set_up, value, milliseconds, instead_of or value)
        with self._reaching():
            answer: Any = self._client.eval(_TAKE, 2, *arguments)  # type: ignore[no-untyped-call]
        if answer:
            return answer[0], answer[1] / 1000
        self._certain_until = asked + self._life
        return b"", 0.0

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except redis.ResponseError as error:
            if _NOT_SET_UP in str(error):
                raise SourceUnavailableError(
                    f"Redis at {self._name} holds no scans: it has not been set up for blissdata "
                    "yet, or it is not the database of scans"
                ) from error
            raise SourceError(
                f"Redis at {self._name} refuses the lease of session {self.session}: {error}"
            ) from error
        except (redis.RedisError, OSError) as error:
            raise SourceUnavailableError(
                f"Redis at {self._name} cannot be reached ({error}): check that the server runs, "
                "and the address and password"
            ) from error

    # ---------------------------------------------------------------------------- keeping it

    def _keep(self, value: bytes) -> None:
        trouble = ""
        while not self._ending.wait(self._life / (_ATTEMPTS if trouble else _RENEWALS)):
            try:
                # Also when it has run out, or Redis has forgotten it: the first to come has it.
                held, _ = self._take(value)
            except SourceError as error:
                if str(error) != trouble:
                    trouble = str(error)
                    _log.warning("session %s: lease not renewed: %s", self.session, error)
                continue
            trouble = ""
            if held:
                self._lose(value, Holder.decoded(held).owner)
                return

    def _lose(self, value: bytes, holder: str) -> None:
        with self._changing:
            if self._value != value:
                return  # given back meanwhile
            self._value = None
        _log.error("session %s was taken over by %s", self.session, holder)
        self._on_lost(holder)


def _now() -> float:
    """Seconds that nobody sets, and that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _client(url: str, name: str, timeout: float) -> "redis.Redis[bytes]":
    try:
        client = redis.Redis.from_url(url)
    except (ValueError, TypeError) as error:
        raise SettingsError(
            f"{name} is not the URL of a Redis server ({error}): give it as redis://host:port, "
            "rediss://host:port or unix:///path/to/socket"
        ) from error
    client.connection_pool.connection_kwargs |= {
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # Only for a connection that the server closed meanwhile.
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    }
    return client
