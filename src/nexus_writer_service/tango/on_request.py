"""The device class ``BlissWriter``: asked by key to save a scan, as BLISS does since 2.3.

It is a ``NexusWriter`` in all but how BLISS speaks to it: same engine, properties and attributes.
BLISS names scans by their keys in Redis, asks to save each (``SaveScan``), waits until its state is
ON, and fetches warnings by their numbers. The scans that name this writer are found without being
asked for, so nothing that is created while the server is away is missed.
"""

import json
import logging
import os
from typing import ClassVar

import tango
from tango.server import command, device_property

from nexus_writer_service.errors import FileError, UnknownScanError
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.service.session_control import shortened
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.tango.attributes import DEV_STATES
from nexus_writer_service.tango.device import NexusWriter, told
from nexus_writer_service.tango.health import FaultPolicy

_log = logging.getLogger(__name__)

_KEY = {"dtype_in": str, "doc_in": "scan key"}
_MOST_REMEMBERED = 1000
"""Scans whose warnings are kept, at least."""


class BlissWriter(NexusWriter):
    """Saves scans on request as NeXus files, of one BLISS session or of all."""

    on_request: ClassVar[bool] = True

    session = device_property(
        dtype=str,
        default_value="",
        doc="BLISS session name, by which BLISS finds the device; none: all sessions",
    )
    data_writers = device_property(
        dtype=(str,),
        default_value=["mapping"],
        doc="Save scans for which BLISS selected one of these writers, also without being asked; "
        "'any': all scans",
    )

    def __init__(self, *args: object) -> None:
        self._warnings: dict[ScanKey, list[str]] = {}
        super().__init__(*args)

    @command(**_KEY, dtype_out=bool, doc_out="whether it is being saved")
    @told
    def SaveScan(self, key: str) -> bool:  # noqa: N802 - the command's name
        """Save a scan; also true when that is being done. False: ask again, or it is not there."""
        if not self.control.save_scan(ScanKey(key)):
            return False
        status = self._scan(key)
        if status is not None and status.file and not status.state.final:
            try:
                self.control.make_directories(os.path.dirname(status.file))
            except FileError as error:
                _log.warning("scan %s: %s", status.name, error)  # its state will tell
        return True

    @command(**_KEY, dtype_out="DevState")
    @told
    def scan_state(self, key: str) -> tango.DevState:
        """UNKNOWN, INIT, ON (can be or is being saved), OFF (all saved), or FAULT."""
        status = self._scan(key)
        return tango.DevState.UNKNOWN if status is None else DEV_STATES[self._health(status)[0]]

    @command(**_KEY, dtype_out=str)
    @told
    def scan_state_reason(self, key: str) -> str:
        """Why the scan is in its state."""
        status = self._scan(key)
        return _unknown(key) if status is None else self._health(status)[1]

    @command(**_KEY, dtype_out=int, doc_out="warnings so far")
    @told
    def GetWarningCount(self, key: str) -> int:  # noqa: N802 - the command's name
        """How many warnings there are about a scan; none of one that is not known (any more)."""
        status = self._scan(key)
        # BLISS ends a scan for an error: not when the server comes back in the middle of it.
        return 0 if status is None else len(self._warnings_of(status))

    @command(dtype_in=str, doc_in='JSON: {"scan_key": ..., "index": ...}', dtype_out=str)
    @told
    def GetWarning(self, question: str) -> str:  # noqa: N802 - the command's name
        """One warning about a scan; they are numbered from 0."""
        try:
            asked = json.loads(question)
            key, index = str(asked["scan_key"]), int(asked["index"])
        except (ValueError, LookupError, TypeError) as error:
            raise UnknownScanError(
                f'{shortened(question)} is not {{"scan_key": ..., "index": ...}}: {error}'
            ) from error
        status = self._scan(key)
        if status is None:
            raise UnknownScanError(_unknown(key))
        warnings = self._warnings_of(status)
        if not 0 <= index < len(warnings):
            raise UnknownScanError(
                f"scan {status.name} has {len(warnings)} warnings, none of number {index}"
            )
        return warnings[index]

    # --------------------------------------------------------------------------- inside

    def _scan(self, key: str) -> ScanStatus | None:
        """The scan with this key, or of this name."""
        return self.control.board.find(key)

    def _health(self, scan: ScanStatus) -> tuple[ScanState, str]:
        """The state of a scan and its reason: ON as soon as nothing speaks against saving it.

        BLISS prepares a scan only then, while its file is opened when it is prepared.
        """
        state, reason = self.shown(scan)
        if state is not ScanState.INIT:
            return state, reason
        if scan.file is None:
            return ScanState.FAULT, "it has no absolute file path: check SCAN_SAVING"
        if not self.control.may_write(scan.key):
            return ScanState.FAULT, f"no permission to write {scan.file}"
        if lack := self.control.disk_space_error(scan.key):
            return ScanState.FAULT, lack
        return ScanState.ON, reason

    def _warnings_of(self, scan: ScanStatus) -> list[str]:
        """The warnings so far: their numbers stay, also when some do not hold any more."""
        lost = scan.fault if self.fault_policy_now is FaultPolicy.SCAN_ONLY else None
        disk = self.control.disk_space_warning(scan.key) if not scan.state.final else ""
        warnings = self._warnings.setdefault(scan.key, [])
        for text in filter(None, (*scan.warnings, lost, disk)):
            if text not in warnings:
                warnings.append(text)
        if len(self._warnings) > _MOST_REMEMBERED:
            board = self.control.board
            self._warnings = {key: one for key, one in self._warnings.items() if board.get(key)}
        return warnings


def _unknown(key: str) -> str:
    return (
        f"no scan {shortened(key)} is known here: it was not asked for, is not in Redis, or ended "
        "some minutes ago (nexus-writer history tells what became of it)"
    )
