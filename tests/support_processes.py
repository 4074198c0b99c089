"""Running functions in processes of their own: they may be killed, and what hangs is ended.

The process that forks must have no threads and no HDF5 file open.
"""

import os
import pickle
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NOBODY = 65534
LONGEST = 60.0
"""Seconds; a damaged file can keep HDF5 busy for ever."""


class FailedProcessError(Exception):
    """A process raised, crashed, or did not end in time."""


def start(function: Callable[..., Any], *arguments: Any) -> int:
    """Run a function in a new process, of a plain user if this one is root's; returns its pid."""

    def run() -> None:
        become_plain_user()
        function(*arguments)

    return _start(run)


def forked(function: Callable[..., Any], *arguments: Any) -> int:
    """Run a function in a new process of the same user; how it ended, as ``os.waitpid`` tells."""
    return wait(_start(lambda: function(*arguments)))[0]


def _start(function: Callable[[], Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        function()
    except BaseException:  # noqa: BLE001 - whatever it is, this process must end here
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def wait(pid: int, seconds: float = LONGEST) -> tuple[int, bool]:
    """How a process ended, as ``os.waitpid`` tells it, and whether it was killed after a time."""
    ended = os.pidfd_open(pid)
    try:
        late = not select.select([ended], [], [], seconds)[0]
        if late:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(ended)
    return os.waitpid(pid, 0)[1], late


def answer(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a function returns that runs in a process of its own.

    Raises:
        FailedProcessError: it raised, crashed, or did not end within a minute.
    """
    with tempfile.TemporaryFile() as out:

        def run() -> None:
            out.write(pickle.dumps(function(*arguments, **options)))
            out.flush()

        status, _ = wait(start(run))
        if status:
            raise FailedProcessError(f"{function} ended with status {status}")
        out.seek(0)
        return pickle.load(out)  # noqa: S301 - our own words


def become_plain_user() -> None:
    """Root is refused nothing, so that it would not meet what a service meets."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


@contextmanager
def workspace() -> Iterator[str]:
    """A new folder in which the processes of ``start`` may write."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder
