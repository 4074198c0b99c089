"""One session in the hands of an operator: started and stopped at will, asked about its scans.

Nothing here waits for a disk, for HDF5 or for Redis: what takes time is done by a thread, and
answers are read from the board.
"""

import logging
import os
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from nexus_writer_service.errors import (
    DiskSpaceError,
    FilePathError,
    SettingsError,
    StateError,
    UnknownScanError,
)
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState, SessionState
from nexus_writer_service.service.clock import Clock, SystemClock
from nexus_writer_service.service.directories import DirectoryMaker
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.operator import Operator
from nexus_writer_service.service.session_options import Connect, SessionOptions
from nexus_writer_service.service.status import PURGE_AFTER, ScanStatus, StatusBoard

if TYPE_CHECKING:
    from nexus_writer_service.service.session_service import SessionService

_log = logging.getLogger(__name__)

T = TypeVar("T")

ANNOUNCEMENT_PATIENCE = 0.05
"""Seconds for which a question about a scan waits for one that is just being announced. BLISS asks
some milliseconds after it has created the scan, and once more after 100 ms if the answer is no. The
announcement takes 1 to 2 ms, longer only where processes wait for a processor. So patience costs
less than a no, and an answer is never made up."""
_START_PATIENCE = 2.0
"""The same just after the start, when scans that are running are still being found: BLISS stops a
scan that its writer does not know."""
_START = 10.0
"""Seconds for which it is just after the start."""
_DIRECTORY_ANNOUNCEMENT_PATIENCE = 2.0
_REQUEST_PATIENCE = 0.3
"""Seconds for which a scan that is to be saved on request is looked for; BLISS asks again."""
_DISK_PATIENCE = 0.003
"""Seconds that a question waits for the first look at a disk."""
DIRECTORY_PATIENCE = 3.5
"""Seconds to wait for a directory: more than the 3 s after which a Tango client gives up, since
BLISS asks again after that, while it ends the scan after an error."""
END_PATIENCE = 2.0
"""Seconds for which ``stop_scan`` and ``kill_scan`` wait for the scan to be over."""
OPERATION_PATIENCE = 2.0
"""Seconds for which ``start`` and ``stop`` wait until that is done."""
_LONGEST_PATH = 4095
"""Of Linux."""
_LONGEST_SHOWN = 200
_LISTED = PURGE_AFTER // timedelta(minutes=1)
_PURGE_NOW = timedelta(seconds=5)

_STOPPED = "stopped by the command stop_scan"
_KILLED = "abandoned by the command kill_scan; its entry in the file is not ended"


class SessionControl:
    """Starts and stops the service of a session. For any threads.

    Args:
        clock: for scans and for patience.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.board = StatusBoard()
        """The states of scans, kept over stop and start; touched also when the session changes."""
        self._clock = clock or SystemClock()
        self._operator = Operator()
        self._service: SessionService | None = None
        self._disk = DiskWatch()
        self._directories = DirectoryMaker((), lambda: self.board.folders)
        self._resting = (SessionState.INIT, "not started")
        """The state while there is no service."""
        self._changing = threading.RLock()
        self._ended = False
        self._started = -_START

    # ------------------------------------------------------------------------------ the session

    @property
    def state(self) -> tuple[SessionState, str]:
        """The state and its reason, for people."""
        service = self._service
        if service is None:
            return self._resting
        return service.session.state, service.session.reason

    @property
    def service(self) -> "SessionService | None":
        """What saves the scans, while it is started."""
        return self._service

    def start(
        self,
        options: SessionOptions,
        connect: Connect,
        disk: DiskWatch,
        makeable: tuple[str, ...] = (),
        *,
        wait: bool = True,
    ) -> None:
        """Listen to the session, unless that is being done; out of OFF and FAULT.

        Args:
            options: what to save and how.
            connect: makes the source of scans.
            disk: looks at the disks; stopped when the session is started again.
            makeable: where directories may be made; empty: where the session's scans are.
            wait: a moment, until it is done; else it may be INIT yet.
        """
        with self._changing:
            if self._listens():
                disk.stop()
                return
            self._disk.stop()
            self._disk = disk
            self._directories = DirectoryMaker(makeable, lambda: self.board.folders)
            broken, self._service = self._service, None
            self._rest(SessionState.INIT, "starting")
            self._started = self._clock.monotonic()
            self._operator.begin(lambda: self._start(broken, options, connect, disk))
        if wait:
            self._operator.wait(OPERATION_PATIENCE)

    def stop(self) -> None:
        """Listen no longer.

        Raises:
            StateError: scans are being written; or it takes long, and goes on.
        """
        with self._changing:
            state, reason = self.state
            if state is SessionState.RUNNING:
                names = ", ".join(status.name for status in self.board.running())
                raise StateError(
                    f"scans are being written: {names}. Wait for their end, or stop_scan them first"
                )
            service = self._service
            if self._ended or (service is None and state is not SessionState.INIT):
                return
            self._operator.begin(lambda: self._stop(service, state, reason))
        if not self._operator.wait(OPERATION_PATIENCE):
            raise StateError("it takes longer than usual to stop; look at the state")

    def end(self, grace: float) -> None:
        """Suspend all scans and end everything, for good; waits for it.

        Args:
            grace: seconds that scans have to end by themselves.
        """
        with self._changing:
            if self._ended:
                return
            self._ended = True

        def finished() -> bool:
            return self.state[0] is not SessionState.RUNNING

        self.board.wait_for(finished, grace)
        self._operator.begin(lambda: self._stop(self._service, *self.state))
        self._operator.end()
        self._disk.stop()

    def fail(self, reason: str) -> None:
        """Be in FAULT: nothing can be started. Not while the session is listened to."""
        with self._changing:
            if self._service is None:
                self._rest(SessionState.FAULT, reason)

    # ------------------------------------------------------------------------------ its scans

    def scan(self, name: str) -> ScanStatus:
        """The scan of this name: the newest that is not over, else the newest.

        One that is about to be announced is waited for. While the session is INIT, which is when
        the writer comes back in the middle of a scan, every scan exists in INIT: BLISS stops a scan
        that its writer does not know.

        Raises:
            UnknownScanError: there is none.
        """
        try:
            return self._announced(name)
        except UnknownScanError:
            state, reason = self.state
            if state is not SessionState.INIT:
                raise
            why = f"which scans there are is not known yet: {reason}"
            return ScanStatus(ScanKey(name), name, "", ScanState.INIT, why, self._clock.now())

    def _announced(self, name: str) -> ScanStatus:
        status = self.board.wait_for(lambda: self.board.find(name), self._patience)
        if status is None:
            raise UnknownScanError(
                f"no scan {shortened(name)} is known here: it was not created in this session, or "
                f"it ended more than {_LISTED} minutes ago (nexus-writer history tells what became "
                "of it)"
            )
        return status

    def scan_exists(self, name: str) -> bool:
        """Whether the scan was announced; one that is about to be is waited for.

        Also when another of this name is over: BLISS means the one that it has just created.
        """
        if self.board.wait_for(lambda: self._unfinished(name), self._patience):
            return True
        return self.board.find(name) is not None

    def save_scan(self, key: ScanKey) -> bool:
        """Save a scan, whichever writer it names; tells whether it was found and is followed.

        False, to be asked again, also while the session is not listened to.
        """
        service = self._service
        if service is None or not self._listens():
            return False
        if self.board.get(key) is None:
            service.save_scan(key)
        return self.board.wait_for(lambda: self.board.get(key), _REQUEST_PATIENCE) is not None

    def disk_space_error(self, name: str) -> str:
        """Why there is too little room for the scan; empty when there is enough."""
        return self._disk_space(name)[0]

    def disk_space_warning(self, name: str) -> str:
        """That there is little room for the scan; empty when there is plenty."""
        return "".join(self._disk_space(name))

    def _disk_space(self, name: str) -> tuple[str, str]:
        """An error or a warning, or neither."""
        path = self.scan(name).file
        try:
            return "", self._disk.check(path, _DISK_PATIENCE) if path else ""
        except DiskSpaceError as error:
            return str(error), ""

    def may_write(self, name: str) -> bool:
        """Whether the file of the scan can be written, as far as permissions go."""
        path = self.scan(name).file
        return not path or self._disk.writable(path, _DISK_PATIENCE)

    def stop_scan(self, name: str) -> None:
        """End a scan with what has been received, and wait a moment for its end.

        Raises:
            UnknownScanError: there is no such scan.
        """
        status = self._announced(name)
        if (service := self._service) and not status.over:
            service.stop_scan(status.key, _STOPPED)
            self._over(status)

    def kill_scan(self, name: str) -> None:
        """Abandon a scan at its last commit.

        Raises:
            UnknownScanError: there is no such scan.
            StateError: the writer does not get to it, since a disk stalls.
        """
        status = self._announced(name)
        if (service := self._service) and not status.over:
            service.kill_scan(status.key, _KILLED)
            if not self._over(status):
                raise StateError(
                    f"scan {name} is abandoned as soon as the disk answers, which it has not done "
                    f"for {END_PATIENCE:g} s"
                )

    def purge(self, after: timedelta = _PURGE_NOW) -> None:
        """Take scans off the board that ended longer ago than this."""
        self.board.purge(self._clock.now() - after)

    def make_directories(self, path: str) -> None:
        """Make a directory and its parents as this user, where that is allowed.

        BLISS asks for the folder of a scan that it has just created, and for what is below: so that
        is allowed, unless roots are given, and what leads there.

        Raises:
            FilePathError: the path is relative or not allowed.
            FileError: it cannot be made.
        """
        if not os.path.isabs(path):
            raise FilePathError(f"{shortened(path)} is no absolute path")
        if len(path) > _LONGEST_PATH or "\0" in path:
            raise FilePathError(f"{shortened(path)} ({len(path)} characters) cannot be a path")
        path = os.path.normpath(path)
        directories = self._directories
        patience = _DIRECTORY_ANNOUNCEMENT_PATIENCE if self._listens() else 0.0
        if not self.board.wait_for(lambda: directories.allows(path), patience):
            raise FilePathError(
                f"{path} may not be made here: it is neither below the property data_roots nor, "
                "if that is not set, where a scan of this session is or was saved"
            )
        directories.make(path, DIRECTORY_PATIENCE)

    # ------------------------------------------------------------------------------ inside

    def _listens(self) -> bool:
        service = self._service
        return service is not None and service.session.state not in (
            SessionState.FAULT,
            SessionState.OFF,
        )

    @property
    def _patience(self) -> float:
        if self._clock.monotonic() < self._started + _START:
            return _START_PATIENCE
        return ANNOUNCEMENT_PATIENCE if self._listens() else 0.0

    def _unfinished(self, name: str) -> bool:
        status = self.board.find(name)
        return status is not None and not status.state.final

    def _over(self, scan: ScanStatus) -> bool:
        def over() -> bool:
            status = self.board.get(scan.key)
            return status is None or status.over

        return self.board.wait_for(over, END_PATIENCE)

    def _start(
        self,
        broken: "SessionService | None",
        options: SessionOptions,
        connect: Connect,
        disk: DiskWatch,
    ) -> None:
        # With it comes all that reads and writes, a third of the start: the device is there before.
        from nexus_writer_service.service.session_service import SessionService  # noqa: PLC0415

        try:
            if broken is not None:
                broken.stop()
            service = SessionService(
                replace(options, clock=self._clock),
                connect,
                disk,
                self.board,
                on_state=lambda _state, _reason: self.board.touch(),
                on_end=connect.release,
            )
            service.start()
        except SettingsError as error:
            self._rest(SessionState.FAULT, str(error))
        except Exception as error:  # noqa: BLE001 - where the errors of an operator's wish end
            _log.exception("session %s cannot be started", options.session)
            self._rest(SessionState.FAULT, f"unforeseen error, please report it: {error!r}")
        else:
            self._service = service
            for file in service.earlier_files():
                self.board.remember(file)
            self.board.touch()

    def _stop(self, service: "SessionService | None", state: SessionState, reason: str) -> None:
        if service is None:
            service = self._service  # a start was still going on
        if service is not None:
            try:
                service.stop()
            except Exception as error:  # noqa: BLE001 - where the errors of an operator's wish end
                _log.exception("the session could not be stopped in order")
                state, reason = SessionState.FAULT, f"could not be stopped in order: {error!r}"
        self._service = None
        stays = state is SessionState.FAULT
        self._rest(state if stays else SessionState.OFF, reason if stays else "stopped")

    def _rest(self, state: SessionState, reason: str) -> None:
        self._resting = (state, reason)
        self.board.touch()


def shortened(text: str) -> str:
    """What somebody gave, for a message of reasonable length."""
    return repr(text) if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]!r}..."
