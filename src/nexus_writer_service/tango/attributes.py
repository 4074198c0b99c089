"""The attributes of the device: what it says of itself and of its scans, read from the board."""

import logging
from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar

import tango
from tango import AttrWriteType
from tango.server import attribute

from nexus_writer_service.model.states import ScanState, SessionState
from nexus_writer_service.service.clock import Clock
from nexus_writer_service.service.figures import Figures
from nexus_writer_service.service.profiling import SETTINGS
from nexus_writer_service.service.session_control import SessionControl
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.tango import texts
from nexus_writer_service.tango.configuration import ConfiguredDevice
from nexus_writer_service.tango.health import FaultPolicy, shown_state
from nexus_writer_service.tango.levels import (
    Level,
    python_level,
    set_python_level,
    set_tango_level,
    tango_level,
)

Profiling = IntEnum("Profiling", [(name, number) for number, name in enumerate(SETTINGS)])  # type: ignore[misc]  # from the one list of settings

_MOST_SCANS = 10_000
_PACKAGE = logging.getLogger("nexus_writer_service")

DEV_STATES: Mapping[SessionState | ScanState, tango.DevState] = {
    state: getattr(tango.DevState, state.value) for state in (*SessionState, *ScanState)
}
"""The states of sessions and scans as Tango has them."""


class WatchedDevice(ConfiguredDevice):
    """A device with the attributes of the NexusWriter."""

    clock: ClassVar[Clock]
    control: SessionControl
    figures: Figures
    fault_policy_now: FaultPolicy
    profiling_now: str

    @attribute(
        dtype=Profiling,
        access=AttrWriteType.READ_WRITE,
        doc="Profiling of the scans that begin from now on; reports go to the log at level INFO",
    )
    def resource_profiling(self) -> int:
        """How scan writers are profiled."""
        return SETTINGS.index(self.profiling_now)

    @resource_profiling.write  # type: ignore[no-redef]
    def resource_profiling(self, value: int) -> None:
        """Profile the scans that begin from now on."""
        self.profiling_now = SETTINGS[value]
        if service := self.control.service:
            service.profiler.choose(self.profiling_now)

    @attribute(dtype=Level, access=AttrWriteType.READ_WRITE, doc="Log level of the writer")
    def writer_log_level(self) -> Level:
        """Log level of the writer."""
        return python_level(_PACKAGE)

    @writer_log_level.write  # type: ignore[no-redef]
    def writer_log_level(self, value: int) -> None:
        """Set it, for all devices of the server."""
        set_python_level(_PACKAGE, Level(value))

    @attribute(dtype=Level, access=AttrWriteType.READ_WRITE, doc="Log level of Tango")
    def tango_log_level(self) -> Level:
        """Log level of Tango."""
        return tango_level(self.get_logger())

    @tango_log_level.write  # type: ignore[no-redef]
    def tango_log_level(self, value: int) -> None:
        """Set it, for the device and what it is built on."""
        for logger in (self.get_logger(), tango.Logging.get_core_logger()):
            set_tango_level(logger, Level(value))

    # --------------------------------------------------------------------------- the scans

    def scans(self) -> list[ScanStatus]:
        """The scans on the board, in the order of their start."""
        return sorted(self.control.board, key=lambda scan: scan.started)[-_MOST_SCANS:]

    def shown(self, scan: ScanStatus) -> tuple[ScanState, str]:
        """The state of a scan and its reason, as the policy wants them to be told."""
        return shown_state(scan, self.fault_policy_now)

    @attribute(dtype=("DevState",), max_dim_x=_MOST_SCANS, doc="State of each scan")
    def scan_states(self) -> list[tango.DevState]:
        """State of each scan, in the order of scan_names."""
        return [DEV_STATES[self.shown(scan)[0]] for scan in self.scans()]

    @attribute(dtype=(str,), max_dim_x=_MOST_SCANS, doc="Where the entries of each scan are")
    def scan_urls(self) -> list[str]:
        """Where the entries of each scan are."""
        return texts.urls(self.scans())

    @attribute(dtype=(str,), max_dim_x=_MOST_SCANS, doc="The same, under its name in BLISS 1")
    def scan_uris(self) -> list[str]:
        """Where the entries of each scan are."""
        return texts.urls(self.scans())

    @attribute(
        dtype=(str,),
        max_dim_x=_MOST_SCANS,
        doc="Scans that are running, or were over less than 5 minutes ago",
    )
    def scan_names(self) -> list[str]:
        """The scans, in the order of their start."""
        return [scan.name for scan in self.scans()]

    @attribute(dtype=(str,), max_dim_x=_MOST_SCANS, doc="When each scan was announced")
    def scan_start(self) -> list[str]:
        """When each scan was announced."""
        return texts.starts(self.scans())

    @attribute(dtype=(str,), max_dim_x=_MOST_SCANS, doc="When each scan was over")
    def scan_end(self) -> list[str]:
        """When each scan was over."""
        return texts.ends(self.scans())

    @attribute(dtype=(str,), max_dim_x=_MOST_SCANS, doc="State, progress, size, times and delays")
    def scan_info(self) -> list[str]:
        """State, progress, size and times of each scan."""
        scans = self.scans()
        return texts.summaries(scans, [self.shown(scan) for scan in scans], self.clock.now())

    @attribute(dtype=(str,), max_dim_x=_MOST_SCANS, doc="How long each scan was, or is so far")
    def scan_duration(self) -> list[str]:
        """How long each scan was, or is so far."""
        return texts.durations(self.scans(), self.clock.now())

    @attribute(
        dtype=(str,),
        max_dim_x=_MOST_SCANS,
        doc="Points written of each subscan: fewest and most over its channels",
    )
    def scan_progress(self) -> list[str]:
        """Points written of each subscan."""
        return texts.progress(self.scans())

    @attribute(dtype=(str,), max_dim_x=_MOST_SCANS, doc="State of each scan and its reason")
    def scan_states_info(self) -> list[str]:
        """State of each scan and its reason."""
        scans = self.scans()
        return texts.states(scans, [self.shown(scan) for scan in scans])

    # --------------------------------------------------------------------------- the numbers

    @attribute(dtype=int, doc="Scans that are not over")
    def active_scans(self) -> int:
        """Scans that are not over."""
        return self.figures.active_scans

    @attribute(
        dtype=float,
        unit="1/s",
        format="%.1f",
        doc="Points of scans written per second, over the last 5 s; of a scan its longest channel",
    )
    def points_per_second(self) -> float:
        """Points of scans written per second."""
        return self.figures.points_per_second

    @attribute(
        dtype=float,
        unit="s",
        format="%.3f",
        doc="Age of the oldest data that were received and are not committed to their file",
    )
    def lag_seconds(self) -> float:
        """Age of the oldest data that are not committed."""
        return self.lag()

    def lag(self) -> float:
        """Seconds for which the oldest uncommitted data have been here."""
        service = self.control.service
        return service.scribe.lag if service else 0.0

    @attribute(dtype="DevLong64", unit="B", doc="Bytes of points written since the server started")
    def bytes_written(self) -> int:
        """Bytes of points written since the server started."""
        return self.figures.nbytes

    @attribute(dtype=str, doc="Newest reason why something was not saved, with its time")
    def last_error(self) -> str:
        """Newest reason why something was not saved."""
        return self.figures.last_error
