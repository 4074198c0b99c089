"""The device class ``NexusWriter``: what BLISS asks and commands, answered without waiting."""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

import tango
from tango.server import command

from nexus_writer_service.errors import SettingsError, WriterError
from nexus_writer_service.model.states import EVERY_SESSION, SessionState
from nexus_writer_service.service.clock import Clock, SystemClock
from nexus_writer_service.service.disk_space import DiskWatch, free_bytes
from nexus_writer_service.service.figures import Figures
from nexus_writer_service.service.profiling import SETTINGS
from nexus_writer_service.service.session_control import SessionControl
from nexus_writer_service.tango.attributes import DEV_STATES, WatchedDevice
from nexus_writer_service.tango.events import Watcher
from nexus_writer_service.tango.health import FaultPolicy

_log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_PUSHED = (
    *("State", "Status", "scan_names", "scan_states"),
    *("active_scans", "points_per_second", "lag_seconds", "bytes_written", "last_error"),
)
"""Attributes with change events, and with archive events for archivers that take no others."""
_EVENT_PATIENCE = 5.0
"""Seconds to wait at the end until no event is being pushed any more: Tango destroys the device."""
_NAME = {"dtype_in": str, "doc_in": "scan name"}


def told(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    """Let errors reach the client as what happened, without a traceback."""

    @functools.wraps(method)
    def wrapped(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except WriterError as error:
            _log.info("%s %s: %s", self.get_name(), method.__name__, error)
            reason = f"NexusWriter_{type(error).__name__.removesuffix('Error')}"
            tango.Except.throw_exception(reason, str(error), f"{self.get_name()}/{method.__name__}")
            raise

    return wrapped


class NexusWriter(WatchedDevice):
    """Saves the scans of one BLISS session as NeXus files."""

    ask_free: ClassVar[Callable[[str], int]] = staticmethod(free_bytes)
    """Tells the free bytes of a directory; a slow one in tests."""
    clock: ClassVar[Clock] = SystemClock()

    def __init__(self, *args: Any) -> None:
        self.profiling_now = SETTINGS[0]
        self.fault_policy_now = FaultPolicy.ANY_LOST_CHANNEL
        self.figures = Figures()
        # Commands that wait keep Tango's lock on the device. To give it up meanwhile
        # (AutoTangoAllowThreads) can spin for ever: PyTango gives it up again and again while the
        # thread that pushes events has it, which needs the interpreter.
        self.control = SessionControl(self.clock)
        self._watcher = Watcher(self.control, self._newest, self._push, self.clock)
        super().__init__(*args)

    def init_device(self) -> None:
        """Read the properties and start; a property that cannot be used means FAULT."""
        for name in _PUSHED:
            self.set_change_event(name, True, False)
            self.set_archive_event(name, True, False)
        self._watcher.start()
        try:
            # A server that starts gets its devices into the database at once: until then BLISS asks
            # in vain, and stops its scan.
            self._start(wait=not tango.Util.instance().is_svr_starting())
        except SettingsError as error:
            _log.error("%s: %s", self.get_name(), error)

    def delete_device(self) -> None:
        """End the session; refused while scans are being written."""
        try:
            self.control.stop()
        except WriterError as error:
            tango.Except.throw_exception(
                "NexusWriter_State", str(error), f"{self.get_name()}/delete_device"
            )
        self._watcher.stop()
        super().delete_device()

    def end(self, grace: float) -> None:
        """End for good, together with the server.

        Args:
            grace: seconds that scans have to end by themselves; then they are suspended.
        """
        self.control.end(grace)
        self._watcher.stop(_EVENT_PATIENCE)

    def summary(self) -> str:
        """Session, state and reason in a line."""
        return f"session {self.session or EVERY_SESSION} {self._state()}: {self._status()}"

    def dev_state(self) -> tango.DevState:
        """INIT, ON, RUNNING, OFF or FAULT."""
        return self._state()

    def dev_status(self) -> str:
        """Why it is in this state, and what is being written."""
        return self._status()

    # --------------------------------------------------------------------------- the session

    @command
    @told
    def start(self) -> None:
        """Accept scans, with the properties as they are now; out of OFF and FAULT."""
        self._start()

    @command
    @told
    def stop(self) -> None:
        """Accept no more scans. Refused while scans are being written."""
        self.control.stop()

    @command
    @told
    def purge_scans(self) -> None:
        """Forget the scans that were over more than 5 seconds ago; the history keeps them."""
        self.control.purge()

    @command(dtype_in=str, doc_in="absolute path")
    @told
    def makedirs(self, path: str) -> None:
        """Make a directory and its parents, as the user of this server, where that is allowed."""
        self.control.make_directories(path)

    # --------------------------------------------------------------------------- its scans

    @command(**_NAME, dtype_out=bool, doc_out="whether its writer is ready")
    @told
    def scan_exists(self, name: str) -> bool:
        """Whether the scan has been announced to this writer."""
        return self.control.scan_exists(name)

    @command(**_NAME, dtype_out="DevState")
    @told
    def scan_state(self, name: str) -> tango.DevState:
        """INIT, ON, OFF (all saved), or FAULT: something of it is not saved."""
        return DEV_STATES[self.shown(self.control.scan(name))[0]]

    @command(**_NAME, dtype_out=str)
    @told
    def scan_state_reason(self, name: str) -> str:
        """Why the scan is in its state."""
        return self.shown(self.control.scan(name))[1]

    @command(**_NAME, dtype_out=(str,), doc_out="file::/entry")
    @told
    def scan_url(self, name: str) -> list[str]:
        """Where the entries of the scan are."""
        return list(self.control.scan(name).urls)

    @command(**_NAME, dtype_out=(str,), doc_out="file::/entry")
    @told
    def scan_uri(self, name: str) -> list[str]:
        """The same, under its name in BLISS 1."""
        return list(self.control.scan(name).urls)

    @command(**_NAME, dtype_out=bool)
    @told
    def scan_has_write_permissions(self, name: str) -> bool:
        """Whether the file of the scan can be written, as far as permissions go."""
        return self.control.may_write(name)

    @command(**_NAME, dtype_out=bool)
    @told
    def scan_has_required_disk_space(self, name: str) -> bool:
        """Whether scan_disk_space_error is empty."""
        return not self.control.disk_space_error(name)

    @command(**_NAME, dtype_out=str, doc_out="error message")
    @told
    def scan_disk_space_error(self, name: str) -> str:
        """Why there is too little room; empty when there is enough."""
        return self.control.disk_space_error(name)

    @command(**_NAME, dtype_out=str, doc_out="warning")
    @told
    def scan_disk_space_warning(self, name: str) -> str:
        """That there is little room; empty when there is plenty."""
        return self.control.disk_space_warning(name)

    @command(**_NAME)
    @told
    def stop_scan(self, name: str) -> None:
        """End the scan with what has been received, and wait up to 2 s for its end."""
        self.control.stop_scan(name)

    @command(**_NAME)
    @told
    def kill_scan(self, name: str) -> None:
        """Abandon the scan: its file stays sound, its entry is not ended."""
        self.control.kill_scan(name)

    # --------------------------------------------------------------------------- inside

    def _start(self, *, wait: bool = True) -> None:
        try:
            configuration = self.configuration(profiling=self.profiling_now)
        except SettingsError as error:
            self.control.fail(str(error))
            raise
        self.fault_policy_now = configuration.fault_policy
        disk = DiskWatch(
            configuration.required_disk_space,
            configuration.recommended_disk_space,
            type(self).ask_free,
        )
        options = configuration.options
        self.control.start(options, configuration.connect, disk, options.roots, wait=wait)

    # Tango wraps dev_state and dev_status into what only a living device has: these two are for
    # our own threads.

    def _state(self) -> tango.DevState:
        return DEV_STATES[self.control.state[0]]

    def _status(self) -> str:
        state, reason = self.control.state
        if state is not SessionState.RUNNING:
            return reason
        names = ", ".join(scan.name for scan in self.control.board.running())
        return f"{reason}; being written: {names}"

    def _push(self, name: str, value: Any) -> None:
        """Push a change of an attribute to who subscribed to its change or archive events."""
        match name:  # of these two Tango pushes what it knows itself
            case "State":
                self.set_state(value)
                self.push_change_event(name)
                self.push_archive_event(name)
            case "Status":
                self.set_status(value)
                self.push_change_event(name)
                self.push_archive_event(name)
            case _:
                self.push_change_event(name, value)
                self.push_archive_event(name, value)

    def _newest(self, figures: Figures) -> Mapping[str, Any]:
        """The values of all attributes that have events."""
        self.figures = figures
        scans = self.scans()
        return {
            "State": self._state(),
            "Status": self._status(),
            "scan_names": [scan.name for scan in scans],
            "scan_states": [DEV_STATES[self.shown(scan)[0]] for scan in scans],
            "active_scans": figures.active_scans,
            "points_per_second": figures.points_per_second,
            "lag_seconds": self.lag(),
            "bytes_written": figures.nbytes,
            "last_error": figures.last_error,
        }
