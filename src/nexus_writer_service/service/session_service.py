"""All that saves the scans of one session, put together: what every face starts and stops.

The session writer listens, the scribe writes, the history keeps the verdicts, the board shows.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from importlib.metadata import version
from typing import Any

from nexus_writer_service.errors import FileError
from nexus_writer_service.layout.choice import plan
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.description import ScanDescription, ScanKey
from nexus_writer_service.model.states import EVERY_SESSION, SessionState
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.history import History
from nexus_writer_service.service.past_scan import PastScan
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scribe import Scribe
from nexus_writer_service.service.session_options import SessionOptions
from nexus_writer_service.service.session_writer import Owner, SessionWriter, Source
from nexus_writer_service.service.status import StatusBoard
from nexus_writer_service.service.surroundings import Surroundings, unrecorded
from nexus_writer_service.service.unfinished import Unfinished

_log = logging.getLogger(__name__)

EVERY_WRITER = "any"
"""As a ``data_writer`` name: scans are saved whichever writer BLISS has selected."""

_NO_WRITER = "null"
_EARLIER_SCANS = 200
_MOST_REQUESTED = 10_000


def acceptor(names: tuple[str, ...]) -> Callable[[ScanDescription], bool]:
    """Which scans to save: those whose ``data_writer`` has one of the names.

    Scans of the ``null`` writer are never saved: BLISS 2 names no file for them.
    """

    def accepts(scan: ScanDescription) -> bool:
        if not scan.save or scan.data_writer == _NO_WRITER:
            return False
        return EVERY_WRITER in names or scan.data_writer in names

    return accepts


class SessionService:
    """Saves the scans of one session from ``start`` to ``stop``; then make a new one.

    Args:
        options: what to save and how.
        connect: makes the source of scans, which tells this much of the past.
        disk: looks at the free space; stopped by who made it.
        board: where the states of scans are shown.
        on_state: told of each new state, from any thread.
        on_end: called at the end of ``stop``, when all files are closed.
    """

    def __init__(
        self,
        options: SessionOptions,
        connect: Callable[[Backlog], Source],
        disk: DiskWatch,
        board: StatusBoard,
        on_state: Callable[[SessionState, str], None] = lambda _state, _reason: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._on_state = on_state
        self._on_end = on_end
        self._history = History(options.history) if options.history else None
        self.profiler = Profiler(options.profiling)
        """Profiles scan writers."""
        around = Surroundings(
            files=FilePool(options.roots, options.files, clock=options.clock),
            board=board,
            clock=options.clock,
            disk=disk,
            layout=lambda scan: plan(scan, options.layout, options.follows, options.templates),
            profiler=self.profiler,
            version=version("nexus_writer_service"),
            record=self._history.record if self._history else unrecorded,
        )
        self.scribe = Scribe(around)
        """Writes."""
        self._unfinished = Unfinished(self._left_over(), around, self.scribe.call)
        self._requested: dict[ScanKey, None] = {}
        """Scans that somebody asked for; the newest last."""
        self._is_ours = acceptor(options.data_writers)
        self.session = SessionWriter(
            options.session or EVERY_SESSION,
            lambda: connect(self._backlog()),
            self.scribe,
            around,
            Owner(
                self._accepts,
                self._changed,
                self._unfinished.conclude,
                shows_others=not options.on_request,
            ),
        )
        """Listens."""

    def start(self) -> None:
        """Recover what earlier writers left, which takes a moment; then listen and write."""
        self._unfinished.recover()
        self.scribe.start()
        self.session.start()

    def stop(self) -> list[ScanKey]:
        """Stop listening, suspend the scans that are being written, close all files.

        Returns:
            The scans that were suspended.
        """
        self.session.stop()
        suspended = self.session.running()
        self.scribe.stop()
        if self._history is not None:
            self._history.close()
        self._on_end()
        return suspended

    def save_scan(self, key: ScanKey) -> None:
        """Save a scan, whichever writer it names; see the board for whether it was found."""
        self._requested.pop(key, None)
        self._requested[key] = None
        if len(self._requested) > _MOST_REQUESTED:
            del self._requested[next(iter(self._requested))]
        self.session.want(key)

    def stop_scan(self, key: ScanKey, reason: str) -> Future[Any]:
        """End a scan with what has been received; see the board for when it is over."""
        return self.scribe.stop_scan(key, reason)

    def kill_scan(self, key: ScanKey, reason: str) -> Future[Any]:
        """Abandon a scan: its file stays as it is."""
        return self.scribe.kill_scan(key, reason)

    def sign_of_life(self) -> Future[Any]:
        """Done as soon as the scribe gets to it."""
        return self.scribe.call(_give_a_sign)

    def earlier_files(self) -> list[str]:
        """Files of the newest scans of the session, also long ago; oldest first."""
        if self._history is None:
            return []
        try:
            past = self._history.scans(self._options.session or None, limit=_EARLIER_SCANS)
        except FileError:
            return []  # no scan has been saved yet; what else it is, others have told
        return [scan.file for scan in reversed(past) if scan.file]

    def _accepts(self, scan: ScanDescription) -> bool:
        if self._is_ours(scan):
            return True
        # One that names no writer was asked for when an earlier writer began it.
        begun = not scan.data_writer and scan.key in self._unfinished.keys
        asked = begun or scan.key in self._requested
        return self._options.on_request and scan.save and asked

    def _changed(self, state: SessionState, reason: str) -> None:
        if state is SessionState.FAULT:
            # Nobody will tell of the end of the scans: they let go of their files now.
            self.scribe.suspend(f"the session is in FAULT: {reason}")
        self._on_state(state, reason)

    def _left_over(self) -> list[PastScan]:
        """The scans that earlier writers of the session did not finish."""
        if self._history is None:
            return []
        try:
            return self._history.unfinished(self._options.session or None)
        except FileError as error:
            _log.warning("what earlier writers left is not known: %s", error)
            return []

    def _backlog(self) -> Backlog:
        if not self._options.catch_up:
            return Backlog()
        settled: frozenset[ScanKey] = frozenset()
        try:
            if self._history is not None:
                settled = self._history.settled(self._options.session or None)
        except FileError as error:
            _log.warning("which scans are finished is looked up in their files: %s", error)
        return Backlog(
            since="0-0",
            skip=settled.__contains__,
            concerns=self._accepts,
            expected=self._unfinished.keys,
        )


def _give_a_sign() -> None:
    """Nothing to do: that the scribe gets to it is the sign."""
