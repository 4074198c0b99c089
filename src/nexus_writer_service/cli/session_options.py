"""The options of ``NexusSessionWriter``, their texts and their panels in the help."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from nexus_writer_service.cli.command import option
from nexus_writer_service.cli.faults import Patch, free_bytes_with
from nexus_writer_service.cli.logs import LOG
from nexus_writer_service.hdf5.options import READER_PATIENCE, FileOptions
from nexus_writer_service.layout.choice import AUTO, LAYOUTS
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.storage import COMPRESSIONS, DEFAULT_COMPRESSION
from nexus_writer_service.service.disk_space import MEGABYTE, DiskWatch
from nexus_writer_service.service.profiling import SETTINGS
from nexus_writer_service.service.session_service import EVERY_WRITER
from nexus_writer_service.sources.generation import Generation

Profiling = StrEnum("Profiling", {name: name for name in SETTINGS})  # type: ignore[misc]  # from the one list of settings

CompressionScheme = StrEnum(  # type: ignore[misc]  # from the one list of schemes
    "CompressionScheme", {name: name for name in COMPRESSIONS}
)


LayoutChoice = StrEnum("LayoutChoice", {name: name for name in LAYOUTS})  # type: ignore[misc]  # from the one list of layouts


class Durable(StrEnum):
    """What commits outlast."""

    PROCESS = "process"
    POWER = "power"


_FILE, _DISK, _OURS = "What is saved", "Disk", "This writer's own"
_SAFETY = "How files are kept safe"


@dataclass(frozen=True, slots=True)
class SavedOptions:
    """What of a scan is saved, and how."""

    keepshape: Annotated[
        bool, option("--keepshape", "Save grid scans with their n-D shape.", _FILE)
    ] = False
    multivalue_positioners: Annotated[
        bool,
        option(
            "--multivalue_positioners",
            "All channels of a positioner group in one NXpositioner.",
            _FILE,
        ),
    ] = False
    enable_external_nonhdf5: Annotated[
        bool,
        option("--enable_external_nonhdf5", "Link EDF frames as HDF5 external storage.", _FILE),
    ] = False
    disable_external_hdf5: Annotated[
        bool, option("--disable_external_hdf5", "No virtual datasets over HDF5 images.", _FILE)
    ] = False
    copy_non_external: Annotated[
        bool,
        option("--copy_non_external", "Copy the pixels of images that are not linked.", _FILE),
    ] = False
    stackmca: Annotated[bool, option("--stackmca", "Stack MCAs in the XRF application.", _FILE)] = (
        False
    )
    compression: Annotated[
        CompressionScheme, option("--compression", "Of scans for which BLISS chose none.", _FILE)
    ] = CompressionScheme[DEFAULT_COMPRESSION]
    layout: Annotated[
        LayoutChoice,
        option("--layout", "Follow maps that scans bring (h5maps); auto: where BLISS asks.", _FILE),
    ] = LayoutChoice[AUTO]
    template: Annotated[
        list[Path] | None,
        option(
            "--template",
            "What the beamline adds to entries: a YAML file, or a folder of them (repeatable).",
            _FILE,
        ),
    ] = None
    noconfig: Annotated[
        bool, option("--noconfig", "Ignore the session's device types and master files.", _FILE)
    ] = False

    def esrf(self) -> EsrfOptions:
        """The same, as the layout takes it."""
        return EsrfOptions(
            keepshape=self.keepshape,
            multivalue_positioners=self.multivalue_positioners,
            configurable=not self.noconfig,
            external_hdf5=not self.disable_external_hdf5,
            external_nonhdf5=self.enable_external_nonhdf5,
            copy_non_external=self.copy_non_external,
            stack_mcas=self.stackmca,
            compression=self.compression.value,
        )


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """How much room there must be."""

    required_disk_space: Annotated[
        float, option("--required_disk_space", "MB; below: scans are refused.", _DISK)
    ] = 200
    recommended_disk_space: Annotated[
        float, option("--recommended_disk_space", "MB; below: a warning.", _DISK)
    ] = 1024
    patch: Annotated[
        list[Patch] | None, option("--patch", "Build a fault in (tests only).", _DISK)
    ] = None

    def watch(self) -> DiskWatch:
        """What looks at the room that is left."""
        return DiskWatch(
            int(self.required_disk_space * MEGABYTE),
            int(self.recommended_disk_space * MEGABYTE),
            free_bytes_with(self.patch),
        )


@dataclass(frozen=True, slots=True)
class OwnOptions:
    """Which scans are saved where, and what is kept of them."""

    resource_profiling: Annotated[
        Profiling, option("--resource_profiling", "Profile the scan writer.", LOG)
    ] = Profiling.OFF  # type: ignore[attr-defined]
    start_semaphore_file: Annotated[
        Path | None,
        option("--start_semaphore_file", "Exists while the process listens.", _OURS),
    ] = None
    data_writer: Annotated[
        list[str] | None,
        option(
            "--data_writer",
            f"Save scans for which BLISS selected this writer (repeatable); '{EVERY_WRITER}' for "
            "all scans. Default: external.",
            _OURS,
        ),
    ] = None
    redis_url: Annotated[
        str | None,
        option("--redis_url", "Default: REDIS_DATA_URL, else Beacon (BEACON_HOST).", _OURS),
    ] = None
    source: Annotated[
        Generation,
        option("--source", "BLISS 1 (1.11), BLISS 2, or whichever uses the database.", _OURS),
    ] = Generation.AUTO
    root: Annotated[
        list[Path] | None,
        option("--root", "Save below this directory only (repeatable).", _OURS),
    ] = None
    grace: Annotated[
        float, option("--grace", "Seconds that scans have to end after SIGTERM.", _OURS)
    ] = 5.0
    history: Annotated[
        Path | None,
        option(
            "--history",
            "Keeps every verdict. Default: nexus_writer_service/history.sqlite in XDG_STATE_HOME "
            "(~/.local/state).",
            _OURS,
        ),
    ] = None
    nohistory: Annotated[bool, option("--nohistory", "Keep no verdicts.", _OURS)] = False
    nocatchup: Annotated[
        bool,
        option("--nocatchup", "Save only scans that are created after the start.", _OURS),
    ] = False


@dataclass(frozen=True, slots=True)
class SafetyOptions:
    """What the files outlast, and how readers are kept apart from the writer."""

    durability: Annotated[
        Durable,
        option("--durability", "What commits outlast: kill -9, or a loss of power too.", _SAFETY),
    ] = Durable.PROCESS
    reader_patience: Annotated[
        float,
        option(
            "--reader_patience", "Seconds that readers in the file can delay a commit.", _SAFETY
        ),
    ] = READER_PATIENCE
    noprotect: Annotated[
        bool,
        option("--noprotect", "Leave files their write permission while writing.", _SAFETY),
    ] = False
    nolocks: Annotated[
        bool, option("--nolocks", "For file systems where locks fail or hang.", _SAFETY)
    ] = False
    noleases: Annotated[
        bool, option("--noleases", "For file systems where leases misbehave.", _SAFETY)
    ] = False

    def files(self) -> FileOptions:
        """The same, as files take it."""
        return FileOptions(
            durability=self.durability.value,
            reader_patience=self.reader_patience,
            protect=not self.noprotect,
            locks=not self.nolocks,
            leases=not self.noleases,
        )
