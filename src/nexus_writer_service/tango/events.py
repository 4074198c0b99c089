"""Change events, pushed by a thread of its own: neither listener nor scribe waits for Tango."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import tango

from nexus_writer_service.model.states import SessionState
from nexus_writer_service.service.clock import Clock
from nexus_writer_service.service.figures import Figures, Tally
from nexus_writer_service.service.session_control import SessionControl
from nexus_writer_service.service.status import PURGE_AFTER

_log = logging.getLogger(__name__)

_LONGEST = 1.0
"""Seconds between two looks when nothing changes: rates fall, scans are purged."""
_SHORTEST = 0.1
"""Seconds between two looks while very much changes."""


class Watcher:
    """Looks at the board with each change, keeps the figures, and pushes what has changed.

    Args:
        control: of the session.
        values: the newest values of the attributes that have events, given the figures.
        push: pushes one of them.
        clock: for errors, and for the age of scans.
    """

    def __init__(
        self,
        control: SessionControl,
        values: Callable[[Figures], Mapping[str, Any]],
        push: Callable[[str, Any], None],
        clock: Clock,
    ) -> None:
        self._control = control
        self._values = values
        self._push = push
        self._tally = Tally()
        self._clock = clock
        self._blamed = ""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch, unless that is being done."""
        if self._thread is None:
            # A new one: the thread before may not have noticed yet that it is to end.
            self._stopped = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=[self._stopped], name="events", daemon=True
            )
            self._thread.start()

    def stop(self, patience: float = 0.0) -> None:
        """Watch no longer.

        Args:
            patience: seconds to wait until nothing more is pushed. None inside a command of the
                device: to push an event may have to wait for its end.
        """
        self._stopped.set()
        thread, self._thread = self._thread, None
        self._control.board.touch()
        if thread is not None:
            thread.join(patience)

    def _run(self, stopped: threading.Event) -> None:
        # Tango knows only threads that say that they are going to use it.
        with tango.EnsureOmniThread():
            board = self._control.board
            known: dict[str, Any] = {}
            seen = -1
            while not stopped.wait(_SHORTEST):
                board.wait_for(
                    lambda seen=seen: board.changes != seen or stopped.is_set(),  # type: ignore[misc]
                    _LONGEST,
                )
                seen = board.changes
                self._look(known, stopped)

    def _look(self, known: dict[str, Any], stopped: threading.Event) -> None:
        self._control.purge(PURGE_AFTER)
        now = self._clock.now()
        state, reason = self._control.state
        if state is SessionState.FAULT and reason != self._blamed:
            self._tally.blame(reason, now)
        self._blamed = reason if state is SessionState.FAULT else ""
        figures = self._tally.update(self._control.board, now, self._clock.monotonic())
        for name, value in self._values(figures).items():
            if stopped.is_set():
                return  # the device may be gone
            if name not in known or known[name] != value:
                known[name] = value
                try:
                    self._push(name, value)
                except tango.DevFailed as error:
                    _log.warning("no event for %s: %s", name, error.args[0].desc)
