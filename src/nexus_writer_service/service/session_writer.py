"""One session: follows its source in a thread of its own and hands its scans to the scribe."""

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from nexus_writer_service.errors import SessionTakenError, SettingsError, SourceError, WriterError
from nexus_writer_service.model.description import ScanDescription, ScanKey
from nexus_writer_service.model.events import Announced, Ended, ScanEvent, Vanished
from nexus_writer_service.model.states import SESSION_TRANSITIONS, SessionState
from nexus_writer_service.service.backoff import Backoff
from nexus_writer_service.service.scribe import Scribe
from nexus_writer_service.service.status import PURGE_AFTER
from nexus_writer_service.service.surroundings import Surroundings

_log = logging.getLogger(__name__)

_READ_TIMEOUT = 5.0
"""Seconds that one read waits for something to happen; ``stop`` interrupts it. Sessions that wait
cost by how often they wake up."""
_FIRST_TIMEOUT = 0.001


class Source(Protocol):
    """Where scans come from."""

    @property
    def connected(self) -> bool:
        """Whether it was there at the last ``read``."""

    def read(self, timeout: float) -> Sequence[ScanEvent]:
        """What happened; waits up to ``timeout`` seconds for something.

        Raises:
            SourceError: the source cannot be reached or understood; to be tried again.
        """

    def drop(self, key: ScanKey) -> None:
        """Tell no more of a scan."""

    def tell(self, key: ScanKey) -> None:
        """Tell a scan from its beginning, unless it is being told; nothing if there is none."""

    def interrupt(self) -> None:
        """Make a ``read`` in another thread return soon."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What a session writer asks and tells whoever runs it."""

    accepts: Callable[[ScanDescription], bool]
    """Whether this writer is to save a scan."""
    on_state: Callable[[SessionState, str], None] = lambda _state, _reason: None
    """Told of each new state, from any thread."""
    on_missing: Callable[[ScanKey, str], None] = lambda _key, _reason: None
    """Told of each scan that the source was to know and does not hold any more, with the reason, in
    the session's thread."""
    shows_others: bool = True
    """Whether scans that this writer is not to save are followed and shown all the same."""


class SessionWriter:
    """Saves the scans of one session, for as long as it runs, whatever happens to the source.

    Args:
        name: of the session.
        connect: makes the source; called in the session's thread, again until it succeeds. The
            source is kept when the session is stopped: started again, it misses nothing.
        scribe: writes; must have been started.
        around: what the scan writers share: the board tells which scans are not over.
        owner: who runs it.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Source],
        scribe: Scribe,
        around: Surroundings,
        owner: Owner,
    ) -> None:
        self.name = name
        self._connect = connect
        self._scribe = scribe
        self._board = around.board
        self._clock = around.clock
        self._owner = owner
        self._backoff = Backoff()
        self._known: set[ScanKey] = set()
        """Scans that have been announced and are still on the board."""
        self._followed: set[ScanKey] = set()
        """Those of them that the source still tells of."""
        self._passed_over: set[ScanKey] = set()
        """Scans that were read of just now and are not to be followed."""
        self._wanted: SimpleQueue[ScanKey] = SimpleQueue()
        """Scans that somebody asks for."""
        self._stop = threading.Event()
        self._source: Source | None = None
        self._state = SessionState.INIT
        self._reason = "not started"
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> SessionState:
        """The state; RUNNING is ON with scans that are not over."""
        if self._state is SessionState.ON and any(self.running()):
            return SessionState.RUNNING
        return self._state

    @property
    def reason(self) -> str:
        """Why it is in this state, for people."""
        return self._reason

    def running(self) -> list[ScanKey]:
        """The scans of this session that are not over."""
        return [status.key for status in self._board.running() if status.key in self._known]

    def start(self) -> None:
        """Begin to follow the session; returns at once."""
        self._transit(SessionState.INIT, "starting")
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=f"ingest-{self.name}")
        self._thread.start()

    def stop(self) -> None:
        """Follow the session no longer. What was received is written; scans are not ended."""
        self._stop.set()
        if source := self._source:
            source.interrupt()
        if self._thread is not None:
            self._thread.join()
        if self._state is not SessionState.FAULT:
            self._transit(SessionState.OFF, "stopped")

    def want(self, key: ScanKey) -> None:
        """From any thread: follow a scan, also one that was passed over; returns at once."""
        self._wanted.put(key)
        if source := self._source:
            source.interrupt()

    # ---------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._follow()
                except SourceError as error:
                    if str(error) != self._reason:
                        _log.warning("session %s: %s", self.name, error)
                    self._transit(SessionState.INIT, str(error))
                    self._stop.wait(self._backoff.next())
        except (SettingsError, SessionTakenError) as error:
            self._transit(SessionState.FAULT, str(error))
        except Exception as error:  # noqa: BLE001 - where a session's errors end
            _log.exception("session %s: the listener has died, restart the writer", self.name)
            self._transit(SessionState.FAULT, f"unforeseen error, please report it: {error!r}")
        finally:
            if self._source is not None:
                self._source.close()

    def _follow(self) -> None:
        if self._source is None:
            self._source = self._connect()
        while not self._stop.is_set():
            # The first read only finds out from where on to listen, so that ON is said at once.
            listening = self._state is SessionState.ON
            self._ask_for_wanted(self._source)
            events = self._source.read(_READ_TIMEOUT if listening else _FIRST_TIMEOUT)
            if self._source.connected:
                self._backoff.reset()
                if self._state is not SessionState.ON:
                    _log.info("session %s: listening for scans", self.name)
                    self._transit(SessionState.ON, "listening for scans")
            for event in events:
                self._notice(event)
            self._scribe.submit(self._without_passed_over(events, self._source))
            self._drop_finished(self._source)
            self._known -= self._board.purge(self._clock.now() - PURGE_AFTER)

    def _notice(self, event: ScanEvent) -> None:
        match event:
            case Announced():
                self._announce(event)
            case Vanished(key=key, reason=reason) if key not in self._followed:
                self._owner.on_missing(key, reason)
            case Ended() | Vanished():
                self._followed.discard(event.key)

    def _drop_finished(self, source: Source) -> None:
        """Read no more of scans whose writers need nothing more."""
        for key in list(self._followed):
            status = self._board.get(key)
            if status is None or status.over:
                self._followed.discard(key)
                source.drop(key)

    def _ask_for_wanted(self, source: Source) -> None:
        with contextlib.suppress(Empty):
            while True:
                source.tell(self._wanted.get_nowait())

    def _without_passed_over(
        self, events: Sequence[ScanEvent], source: Source
    ) -> Sequence[ScanEvent]:
        passed_over, self._passed_over = self._passed_over, set()
        for key in passed_over:
            source.drop(key)
        return [event for event in events if event.key not in passed_over]

    def _announce(self, event: Announced) -> None:
        scan = event.scan
        wanted = self._owner.accepts(scan)
        if not wanted and not self._owner.shows_others:
            self._passed_over.add(scan.key)
            return
        _log.info("scan %s: %s", scan.name, "announced" if wanted else "not to be saved here")
        self._known.add(scan.key)
        self._followed.add(scan.key)
        self._scribe.announce(scan, wanted=wanted)

    def _transit(self, state: SessionState, reason: str) -> None:
        if state is not self._state and state not in SESSION_TRANSITIONS[self._state]:
            raise WriterError(f"session {self.name}: {self._state} cannot become {state}")
        self._state, self._reason = state, reason
        self._owner.on_state(state, reason)
