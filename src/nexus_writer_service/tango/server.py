"""The device server: ``NexusWriter`` and ``BlissWriter`` until told to end, then in order."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import tango
from tango.server import run

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.service.disk_space import free_bytes
from nexus_writer_service.service.sd_notify import Heartbeat, ServiceManager
from nexus_writer_service.tango.device import NexusWriter
from nexus_writer_service.tango.on_request import BlissWriter
from nexus_writer_service.tango.signs import sign_of_life

_log = logging.getLogger(__name__)

_VERBOSITY = {"INFO": ["-v2"], "DEBUG": ["-v4"]}
"""Options of Tango by level; it logs warnings and errors without any."""
_LEVELS = (*_VERBOSITY, "CRITICAL", "FATAL", "ERROR", "WARNING", "WARN", "NOTSET")
_SWITCH_INTERVAL = 0.001
"""Seconds for which a busy thread keeps the interpreter from one that has a question to answer; by
default 5 ms, longer than an answer may take."""
_CLASSES = (NexusWriter, BlissWriter)
_LOOK = 0.2
"""Seconds between two looks whether a signal came."""


class Server:
    """A device server.

    Args:
        server: its name in the Tango database.
        instance: its instance.
        log_level: of Tango: FATAL, ERROR, WARNING, INFO, DEBUG.
        grace: seconds that scans have to end when the server ends.
        ask_free: tells the free bytes of a directory.
    """

    def __init__(
        self,
        server: str,
        instance: str,
        log_level: str = "WARNING",
        *,
        grace: float = 5.0,
        ask_free: Callable[[str], int] = free_bytes,
    ) -> None:
        if log_level.upper() not in _LEVELS:
            raise SettingsError(f"level {log_level!r} of Tango is none of {', '.join(_LEVELS)}")
        self._arguments = [server, instance, *_VERBOSITY.get(log_level.upper(), [])]
        self._grace = grace
        self._ask_free = ask_free
        self._signalled = threading.Event()
        self._manager = ServiceManager.of(os.environ)
        self._heart = Heartbeat(self._manager, self._sign_of_life)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then suspend the scans, close the files, and return.

        Raises:
            SettingsError: the server cannot start: not registered, or no Tango database.
        """
        sys.setswitchinterval(_SWITCH_INTERVAL)
        NexusWriter.ask_free = staticmethod(self._ask_free)
        try:
            tango.Database()  # run would end the process when there is none, and not say where
        except tango.DevFailed as error:
            raise SettingsError(
                f"no Tango database: {_told_by(error)}. Check that it runs and that TANGO_HOST is "
                "its host:port"
            ) from error
        try:
            run(
                _CLASSES,
                args=self._arguments,
                event_loop=self._serve,
                post_init_callback=self._started,
                raises=True,
            )
        except tango.DevFailed as error:
            raise SettingsError(_told_by(error)) from error

    def _started(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._heart.start()
        self._manager.ready()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled.set()

    def _sign_of_life(self) -> Any:
        return sign_of_life(device.control for device in _devices())

    def _serve(self) -> bool:
        """Called by Tango over and over; tells whether to end."""
        if not self._signalled.wait(_LOOK):
            self._manager.status("; ".join(device.summary() for device in _devices()))
            return False
        self._manager.stopping()
        self._heart.stop()
        ends = [
            threading.Thread(target=device.end, args=[self._grace], name="end")
            for device in _devices()
        ]
        for end in ends:
            end.start()
        for end in ends:
            end.join()
        _log.info("all sessions have ended")
        return True


def _devices() -> Sequence[NexusWriter]:
    """The devices of this server."""
    util = tango.Util.instance()
    return [one for kind in _CLASSES for one in util.get_device_list_by_class(kind.__name__)]


def _told_by(error: tango.DevFailed) -> str:
    return "; ".join(dict.fromkeys(one.desc.strip() for one in error.args))
