"""A session writer as a plain process: starts, waits for signals, ends in order and says how."""

import atexit
import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.service.clock import SystemClock
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.sd_notify import Heartbeat, ServiceManager
from nexus_writer_service.service.session_options import SessionOptions
from nexus_writer_service.service.session_service import SessionService
from nexus_writer_service.service.session_writer import Source
from nexus_writer_service.service.status import StatusBoard

_log = logging.getLogger(__name__)

_COLLECTED_AT = 20_000
"""Objects more, after which the collector looks for garbage: a scan makes thousands of nodes that
hold no cycle."""


@dataclass(frozen=True, slots=True)
class ProcessOptions(SessionOptions):
    """How one session is to be saved by one process."""

    grace: float = 5.0
    """Seconds that scans have to end after the first signal."""
    semaphore: Path | None = None
    """A file that exists while the process listens."""
    program: str = "NexusSessionWriter"
    """What it is called, for people."""


class SessionProcess:
    """The service of one session, and what makes a process of it.

    Args:
        options: what to save and how.
        connect: makes the source of scans, which tells this much of the past.
        disk: looks at the free space.
        manager: told how the process is; None: nobody is.
    """

    def __init__(
        self,
        options: ProcessOptions,
        connect: Callable[[Backlog], Source],
        disk: DiskWatch,
        manager: ServiceManager | None = None,
    ) -> None:
        self._options = options
        self._disk = disk
        self._manager = manager or ServiceManager()
        self._clock = SystemClock()
        self.board = StatusBoard()
        """The states of all scans."""
        self._service = SessionService(options, connect, disk, self.board, self._changed)
        self.session = self._service.session
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
        heart = Heartbeat(self._manager, self._service.sign_of_life)
        self.start()
        heart.start()
        # What there is by now stays: the collector need not go through all modules again and again.
        gc.freeze()
        gc.set_threshold(_COLLECTED_AT)
        while not self._signalled.wait(1.0):
            self._tell(self.session.state, self.session.reason)
            if self.session.state is SessionState.FAULT:
                break
        self._manager.stopping()
        heart.stop()
        fault = self.session.reason if self.session.state is SessionState.FAULT else None
        for line in self.stop():
            _say(line)
        if fault is not None:
            sys.stderr.write(f"{self._options.program}: {fault}\n")
        return 0 if fault is None else 1

    def start(self) -> None:
        """Recover what earlier writers left; then listen and write, in threads."""
        self._service.start()

    def stop(self) -> list[str]:
        """Stop listening, let scans end or suspend them; returns what became of them."""
        running = self.session.running()
        if running:
            _log.warning("scans running: %d, given %g s", len(running), self._options.grace)
        deadline = self._clock.monotonic() + self._options.grace
        while self.session.running() and self._clock.monotonic() < deadline:
            if self._hurry.wait(0.05):
                break
        suspended = self._service.stop()
        self._remove_semaphore()
        self._disk.stop()
        lines = []
        for key in running:
            if status := self.board.get(key):
                how = "suspended" if key in suspended else "finished"
                lines.append(f"scan {status.name} {how}: {status.reason}")
        return [*lines, f"session {self.session.name}: the writer has ended"]

    def _changed(self, state: SessionState, reason: str) -> None:
        self._tell(state, reason)
        if state is not SessionState.ON:
            return
        if self._options.semaphore is not None:
            try:
                self._options.semaphore.touch()
            except OSError as error:
                raise SettingsError(f"cannot make the semaphore file: {error}") from error
        self._manager.ready()

    def _tell(self, state: SessionState, reason: str) -> None:
        self._manager.status(f"session {self.session.name} {state.value}: {reason}")

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
