"""Whether a reader has the file open, asked of the kernel [fcntl(2), F_SETLEASE].

A write lease is granted only while no other descriptor of the file is open on this host. While it
is held, another process that opens the file waits, and goes on once it is given back. It depends on
no lock of the readers.
"""

import errno
import fcntl
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SET_SIGNAL: Final = 10
"""F_SETSIG of Linux; Python 3.11 has no name for it."""


class Lease:
    """The lease on an open file.

    Args:
        descriptor: of the file, its only one in this process.
        wanted: whether to take it at all.
    """

    def __init__(self, descriptor: int, *, wanted: bool = True) -> None:
        self._descriptor = descriptor
        self._wanted = wanted
        if not wanted:
            return
        # The kernel falls back to SIGIO, which kills, whenever the signal is not set.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGIO) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGIO, signal.SIG_IGN)

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Keep readers out for a moment, unless one is in.

        Yields:
            Whether none is in. True also where there are no leases: on network file systems, or
            when the file belongs to somebody else; and always if none is wanted.
        """
        if not self._wanted:
            yield True
            return
        try:
            # Set anew each time: giving a lease back resets it. SIGURG does nothing by default.
            fcntl.fcntl(self._descriptor, _SET_SIGNAL, signal.SIGURG)
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            yield error.errno != errno.EAGAIN
            return
        try:
            yield True
        finally:
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
