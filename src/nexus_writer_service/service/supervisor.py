"""A parent that starts a writer again whenever it dies.

A writer that had worked is started again at once: it recovers its files itself, and BLISS, which
asks every 3 s, may not notice that it was away. The files of one that died early are recovered
before. This parent opens no data file itself, so that nothing a damaged file does can end it.
"""

import contextlib
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol

_log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
GOOD_WHILE: Final = 5.0
"""Seconds after which a writer has worked: it has opened the files that another one left."""
_NOT_STARTED: Final = 127
"""As a shell has it."""
STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that ask a process to end."""


class Child(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Of the process."""

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""

    def wait(self) -> int:
        """Wait for the end; the exit status, negative for the signal that killed it."""


class Program:
    """Starts a program in a group of its own: what is typed at a terminal does not come to it.

    Args:
        command: program and arguments; no shell sees them.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)

    def __str__(self) -> str:
        return self._command[0]

    def __call__(self) -> Child:
        """Start it.

        Raises:
            OSError: it cannot be started.
        """
        return subprocess.Popen(  # noqa: S603 - to run it is what we are for
            self._command, stdin=subprocess.DEVNULL, process_group=0
        )


class Supervisor:
    """Runs a writer until it ends by itself or is told to.

    Args:
        start: starts the writer, and is its name as text; raises OSError when it cannot.
        recover: called after a death before ``GOOD_WHILE``, before the next start.
        clock: seconds since some moment.
    """

    def __init__(
        self,
        start: Callable[[], Child],
        recover: Callable[[], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._recover = recover
        self._clock = clock
        self._child: Child | None = None
        self._stopped = False
        self._unsent: list[int] = []

    def run(self, pause: Callable[[float], object]) -> int:
        """Start the writer, and again whenever it dies; returns its last exit status.

        After a death before ``GOOD_WHILE`` files are recovered and pauses grow.

        Args:
            pause: waits so many seconds, less when ``stop`` is called.
        """
        seconds = FIRST_PAUSE
        while not self._stopped:
            started = self._clock()
            status = self._run_once()
            worked = self._clock() - started >= GOOD_WHILE
            if status and (not worked or self._stopped):
                _log.warning("the writer has ended %s; recovering its files", _manner(status))
                self._recover_safely()
            if not status or self._stopped:
                _log.info("the writer has ended %s and is not started again", _manner(status))
                return status if status >= 0 else 128 - status
            if worked:
                _log.warning("the writer has ended %s; starting it again", _manner(status))
                seconds = FIRST_PAUSE
                continue
            _log.warning("starting it again in %g s", seconds)
            pause(seconds)
            seconds = min(2 * seconds, LONGEST_PAUSE)
        return 0

    def stop(self, number: int) -> None:
        """Pass a signal on, and do not start the writer again; a signal handler may call it."""
        self._stopped = True
        self._unsent.append(signal.SIGTERM if number == signal.SIGHUP else number)
        self._send()

    def _send(self) -> None:
        while self._child is not None and self._unsent:
            self._child.send_signal(self._unsent.pop(0))

    def _run_once(self) -> int:
        """Run the writer; its exit status, negative for the signal that killed it."""
        try:
            child = self._start()
        except OSError as error:
            _log.error("cannot start %s: %s", self._start, error)
            return _NOT_STARTED
        _log.info("started %s as process %d", self._start, child.pid)
        self._child = child
        self._send()  # what came meanwhile
        status = child.wait()
        self._child = None
        return status

    def _recover_safely(self) -> None:
        try:
            self._recover()
        except Exception:  # noqa: BLE001 - whatever it is, the writer must be started again
            _log.exception("recovery failed: run nexus-writer recover by hand")


def _manner(status: int) -> str:
    if status < 0:
        try:
            return f"by {signal.Signals(-status).name}"
        except ValueError:
            return f"by signal {-status}"
    return f"with exit status {status}"


@contextmanager
def signals_to(stop: Callable[[int], None]) -> Iterator[Callable[[float], None]]:
    """While this is entered, signals that ask this process to end go to ``stop``.

    Yields:
        A pause of so many seconds that ends when such a signal comes.
    """
    # A pipe, since a handler may run in the middle of anything, also of setting an event.
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def handle(number: int, _frame: FrameType | None) -> None:
        stop(number)
        with contextlib.suppress(BlockingIOError):
            os.write(writer, b".")

    def pause(seconds: float) -> None:
        select.select([reader], [], [], seconds)

    before = {number: signal.getsignal(number) for number in STOPS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup
            signal.signal(number, handle)
    try:
        yield pause
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
