"""Children that are copies of this process: what it has imported they need not import again.

A copy is there within milliseconds, where a new process takes most of a second to import its
libraries, and several on a busy machine.
"""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from nexus_writer_service.service.supervisor import STOPS, Child

_FAILED = 1


class Copy:
    """Starts copies of this process, which has to have a single thread of Python.

    Args:
        name: for people.
        run: what a copy does; returns its exit status. Errors are printed and make it 1.
    """

    def __init__(self, name: str, run: Callable[[], int]) -> None:
        self._name = name
        self._run = run

    def __str__(self) -> str:
        return self._name

    def __call__(self) -> Child:
        """Start one, in a group of its own.

        Raises:
            OSError: there can be no more processes.
        """
        # Until the copy has let go of our handlers, signals to it wait.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            pid = os.fork()
            if pid == 0:
                self._live(before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return _Copied(pid)

    def _live(self, mask: set[int]) -> NoReturn:
        status = _FAILED
        try:
            os.setpgid(0, 0)
            for number in STOPS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            status = self._run()
        except BaseException:  # noqa: BLE001 - where everything ends that a copy does
            traceback.print_exc()
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


class _Copied:
    """A copy of this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = False

    def send_signal(self, sig: int) -> None:
        if not self._ended:
            os.kill(self.pid, sig)

    def wait(self) -> int:
        # It is known to have ended before its pid is free for another process.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._ended = True
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
