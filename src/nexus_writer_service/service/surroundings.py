"""What all scan writers of a process share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.layout.plan import ScanPlan
from nexus_writer_service.model.description import ScanDescription
from nexus_writer_service.service.clock import Clock
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.lockout import Held
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.status import ScanStatus, StatusBoard

FILES_PATIENCE = 10.0
"""Seconds after the end of a scan for which detector files that are not there yet are awaited."""


def unrecorded(_status: ScanStatus) -> None:
    """Record nothing."""


def nothing_more(_scan: ScanDescription, _file: NexusFile) -> list[str]:
    """Add nothing."""
    return []


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all scan writers of a process share."""

    files: FilePool
    board: StatusBoard
    clock: Clock
    disk: DiskWatch
    layout: Callable[[ScanDescription], ScanPlan]
    profiler: Profiler
    version: str
    """Of this package, for the files."""
    files_patience: float = FILES_PATIENCE
    """Seconds after the end of a scan for which detector files that are not there are awaited."""
    finish: Callable[[ScanDescription, NexusFile], list[str]] = nothing_more
    """Adds to the entries of a scan that is over, before its last commit; returns its problems."""
    held: Held = field(default_factory=Held)
    """What scans that wait for their files keep."""
    record: Callable[[ScanStatus], None] = unrecorded
    """Told of each scan that was to be saved when it is over; may neither wait nor fail."""
