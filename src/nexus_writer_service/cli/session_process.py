"""A session writer as a plain process: starts, waits for signals, ends in order and says how."""

import atexit
import logging
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from nexus_writer_service.errors import FileError, SettingsError
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.description import ScanDescription, ScanKey
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.service.clock import SystemClock
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.history import History
from nexus_writer_service.service.past_scan import PastScan
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scribe import Scribe
from nexus_writer_service.service.session_writer import Owner, SessionWriter, Source
from nexus_writer_service.service.status import StatusBoard
from nexus_writer_service.service.surroundings import Surroundings, unrecorded
from nexus_writer_service.service.unfinished import Unfinished
from nexus_writer_service.sources.bliss.arrivals import Backlog

_log = logging.getLogger(__name__)

EVERY_WRITER = "any"
"""As a ``data_writer`` name: scans are saved whichever writer BLISS has selected."""

_NO_WRITER = "null"


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """How one session is to be saved by one process."""

    session: str
    layout: EsrfOptions = field(default_factory=EsrfOptions)
    data_writers: tuple[str, ...] = ("external",)
    roots: tuple[str, ...] = ()
    profiling: str = "OFF"
    grace: float = 5.0
    """Seconds that scans have to end after the first signal."""
    semaphore: Path | None = None
    """A file that exists while the process listens."""
    history: Path | None = None
    """The file that keeps the verdicts; None: nothing does."""
    catch_up: bool = True
    """Save also scans that were created before the start, as far as Redis still has them."""
    files: FileOptions = field(default_factory=FileOptions)
    """How files are kept safe."""


def acceptor(names: tuple[str, ...]) -> Callable[[ScanDescription], bool]:
    """Which scans to save: those whose ``data_writer`` has one of the names.

    Scans of the ``null`` writer are never saved: BLISS 2 names no file for them.
    """

    def accepts(scan: ScanDescription) -> bool:
        if not scan.save or scan.data_writer == _NO_WRITER:
            return False
        return EVERY_WRITER in names or scan.data_writer in names

    return accepts


class SessionProcess:
    """The parts of the process, put together.

    Args:
        options: what to save and how.
        connect: makes the source of scans that tells this much of the past.
        disk: looks at the free space.
    """

    def __init__(
        self, options: ProcessOptions, connect: Callable[[Backlog], Source], disk: DiskWatch
    ) -> None:
        self._options = options
        self._disk = disk
        self._clock = SystemClock()
        self._history = History(options.history) if options.history else None
        self.board = StatusBoard()
        """The states of all scans."""
        around = Surroundings(
            files=FilePool(options.roots, options.files),
            board=self.board,
            clock=self._clock,
            disk=disk,
            layout=lambda scan: plan(scan, options.layout),
            profiler=Profiler(options.profiling),
            version=version("nexus_writer_service"),
            record=self._history.record if self._history else unrecorded,
        )
        self.scribe = Scribe(around)
        """Writes."""
        self._unfinished = Unfinished(self._left_over(), around, self.scribe.call)
        accepts = acceptor(options.data_writers)
        self.session = SessionWriter(
            options.session,
            lambda: connect(self._backlog(accepts)),
            self.scribe,
            around,
            Owner(accepts, self._changed, self._unfinished.conclude),
        )
        """Listens."""
        self._signalled = threading.Event()
        self._hurry = threading.Event()

    def run(self) -> int:
        """Listen until SIGINT or SIGTERM; returns the exit status.

        After the signal scans have ``grace`` seconds to end; what is not over by then is suspended
        and named. A second signal does so at once.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
            # All is done then: one that comes while Python ends would make the status a failure.
            atexit.register(signal.signal, number, signal.SIG_IGN)
        self.start()
        while not self._signalled.wait(1.0):
            if self.session.state is SessionState.FAULT:
                break
        fault = self.session.reason if self.session.state is SessionState.FAULT else None
        for line in self.stop():
            _say(line)
        if fault is not None:
            sys.stderr.write(f"NexusSessionWriter: {fault}\n")
        return 0 if fault is None else 1

    def start(self) -> None:
        """Recover what earlier writers left; then listen and write, in threads."""
        self._unfinished.recover()
        self.scribe.start()
        self.session.start()

    def stop(self) -> list[str]:
        """Stop listening, let scans end or suspend them; returns what became of them."""
        running = self.session.running()
        if running:
            _log.warning("scans running: %d, given %g s", len(running), self._options.grace)
        deadline = self._clock.monotonic() + self._options.grace
        while self.session.running() and self._clock.monotonic() < deadline:
            if self._hurry.wait(0.05):
                break
        self.session.stop()
        self._remove_semaphore()
        suspended = self.session.running()
        self.scribe.stop()
        if self._history is not None:
            self._history.close()
        self._disk.stop()
        lines = []
        for key in running:
            if status := self.board.get(key):
                how = "suspended" if key in suspended else "finished"
                lines.append(f"scan {status.name} {how}: {status.reason}")
        return [*lines, f"session {self._options.session}: the writer has ended"]

    def _left_over(self) -> list[PastScan]:
        """The scans that earlier writers of the session did not finish."""
        if self._history is None:
            return []
        try:
            return self._history.unfinished(self._options.session)
        except FileError as error:
            _log.warning("what earlier writers left is not known: %s", error)
            return []

    def _backlog(self, accepts: Callable[[ScanDescription], bool]) -> Backlog:
        if not self._options.catch_up:
            return Backlog()
        settled: frozenset[ScanKey] = frozenset()
        try:
            if self._history is not None:
                settled = self._history.settled(self._options.session)
        except FileError as error:
            _log.warning("which scans are finished is looked up in their files: %s", error)
        return Backlog(
            since="0-0",
            skip=settled.__contains__,
            concerns=accepts,
            expected=self._unfinished.keys,
        )

    def _changed(self, state: SessionState, _reason: str) -> None:
        semaphore = self._options.semaphore
        if state is SessionState.ON and semaphore is not None:
            try:
                semaphore.touch()
            except OSError as error:
                raise SettingsError(f"cannot make the semaphore file: {error}") from error

    def _remove_semaphore(self) -> None:
        if self._options.semaphore is not None:
            self._options.semaphore.unlink(missing_ok=True)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._signalled.is_set():
            self._hurry.set()
        self._signalled.set()


def _say(text: str) -> None:
    """Tell whoever started the process, whatever the log level is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
