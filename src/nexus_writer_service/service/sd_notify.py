"""What systemd is told of a service: that it is ready, how it is, and that it is alive.

The protocol is one datagram of ``NAME=value`` lines to the socket in NOTIFY_SOCKET [sd_notify(3)].
Whoever does not run under systemd has no such socket, and nothing is told.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait

_log = logging.getLogger(__name__)

_PINGS = 3
"""Pings within the time after which systemd holds a service for dead; two may come late."""


class ServiceManager:
    """Tells systemd about this process. For any thread; it neither fails nor waits.

    Args:
        address: of its socket; None: nobody listens.
        watchdog: seconds without a ping after which systemd restarts the service; None: it does
            not look.
    """

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        self._address = address
        self.watchdog = watchdog
        """Seconds without a ping after which the service is restarted, if it is watched."""
        self._told: str | None = None
        self._ready = False
        self._failing = False
        self._telling = threading.Lock()

    @staticmethod
    def of(environ: Mapping[str, str]) -> "ServiceManager":
        """The one that started this process, out of its environment variables."""
        address = environ.get("NOTIFY_SOCKET")
        watched_pid = environ.get("WATCHDOG_PID", str(os.getpid()))
        microseconds = environ.get("WATCHDOG_USEC", "")
        # A child inherits the variables of its parent, whose pings are not the child's to send.
        watched = address and watched_pid == str(os.getpid()) and microseconds.isdecimal()
        return ServiceManager(address, int(microseconds) / 1e6 if watched else None)

    def ready(self) -> None:
        """The service has started; told once."""
        if not self._ready:
            self._ready = True
            self._tell("READY=1")

    def status(self, text: str) -> None:
        """How the service is, in a line that ``systemctl status`` shows; told when it changes."""
        line = " ".join(text.split())
        if line != self._told:
            self._told = line
            self._tell(f"STATUS={line}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """The ping that the watchdog waits for."""
        self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        # A socket in the abstract namespace is written with @ in place of its first byte, zero.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with self._telling, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
                one.setblocking(False)
                one.sendto(message.encode(), address)
        except OSError as error:
            if not self._failing:
                _log.warning("systemd cannot be told %s at %s: %s", message, self._address, error)
            self._failing = True
        else:
            self._failing = False


class Heartbeat:
    """Pings the watchdog of systemd for as long as a worker gets things done.

    A thread of its own asks the worker for a sign of life and pings when it comes. A worker that
    hangs gives none, so that systemd restarts the service.

    Args:
        manager: pinged, if it watches at all.
        sign_of_life: asks for one: done as soon as the worker has got to it, failed when it is
            dead.
    """

    def __init__(self, manager: ServiceManager, sign_of_life: Callable[[], "Future[None]"]) -> None:
        self._manager = manager
        self._sign_of_life = sign_of_life
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if anybody watches."""
        if self._manager.watchdog is not None:
            period = self._manager.watchdog / _PINGS
            # A daemon, since it may wait for a worker that hangs.
            self._thread = threading.Thread(
                target=self._run, args=[period], name="heartbeat", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ping no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self, period: float) -> None:
        while not self._stopped.is_set():
            sign = self._sign_of_life()
            while not wait([sign], period).done:
                if self._stopped.is_set():
                    return
                _log.warning("no sign of life for %g s: does the disk hang?", period)
            if error := sign.exception():
                _log.critical("no sign of life any more: %r", error)
                return
            self._manager.alive()
            self._stopped.wait(period)
