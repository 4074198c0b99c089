"""The options of ``NexusSessionWriter``, their texts and their panels in the help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nexus_writer_service.cli.log_options import LOG, option
from nexus_writer_service.layout.esrf.storage import COMPRESSIONS
from nexus_writer_service.service.profiling import SETTINGS
from nexus_writer_service.service.session_service import EVERY_WRITER
from nexus_writer_service.sources.generation import Generation

Profiling = StrEnum("Profiling", {name: name for name in SETTINGS})  # type: ignore[misc]  # from the one list of settings

CompressionScheme = StrEnum(  # type: ignore[misc]  # from the one list of schemes
    "CompressionScheme", {name: name for name in COMPRESSIONS}
)


class Patch(StrEnum):
    """Faults that can be built in, for tests."""

    SLOWDISK = "slowdisk"


class Durable(StrEnum):
    """What commits outlast."""

    PROCESS = "process"
    POWER = "power"


_FILE, _DISK, _OURS = "What is saved", "Disk", "This writer's own"
_SAFETY = "How files are kept safe"

SessionName = Annotated[str, typer.Argument(help="BLISS session; it need not run yet.")]
Keepshape = Annotated[bool, option("--keepshape", "Save grid scans with their n-D shape.", _FILE)]
MultivaluePositioners = Annotated[
    bool,
    option(
        "--multivalue_positioners",
        "All channels of a positioner group in one NXpositioner.",
        _FILE,
    ),
]
EnableExternalNonhdf5 = Annotated[
    bool,
    option("--enable_external_nonhdf5", "Link EDF frames as HDF5 external storage.", _FILE),
]
DisableExternalHdf5 = Annotated[
    bool,
    option("--disable_external_hdf5", "No virtual datasets over HDF5 images.", _FILE),
]
CopyNonExternal = Annotated[
    bool,
    option("--copy_non_external", "Copy the pixels of images that are not linked.", _FILE),
]
Stackmca = Annotated[bool, option("--stackmca", "Stack MCAs in the XRF application.", _FILE)]
Compression = Annotated[
    CompressionScheme,
    option("--compression", "Of scans for which BLISS chose none.", _FILE),
]
Noconfig = Annotated[
    bool, option("--noconfig", "Ignore the session's device types and master files.", _FILE)
]
ResourceProfiling = Annotated[
    Profiling, option("--resource_profiling", "Profile the scan writer.", LOG)
]
RequiredDiskSpace = Annotated[
    float, option("--required_disk_space", "MB; below: scans are refused.", _DISK)
]
RecommendedDiskSpace = Annotated[
    float, option("--recommended_disk_space", "MB; below: a warning.", _DISK)
]
StartSemaphoreFile = Annotated[
    Path | None,
    option("--start_semaphore_file", "Exists while the process listens.", _OURS),
]
Patches = Annotated[list[Patch] | None, option("--patch", "Build a fault in (tests only).", _DISK)]
DataWriter = Annotated[
    list[str] | None,
    option(
        "--data_writer",
        f"Save scans for which BLISS selected this writer (repeatable); '{EVERY_WRITER}' for "
        "all scans. Default: external.",
        _OURS,
    ),
]
RedisDataUrl = Annotated[
    str | None,
    option("--redis_url", "Default: REDIS_DATA_URL, else Beacon (BEACON_HOST).", _OURS),
]
SourceGeneration = Annotated[
    Generation,
    option("--source", "BLISS 1 (1.11), BLISS 2, or whichever uses the database.", _OURS),
]
Root = Annotated[
    list[Path] | None,
    option("--root", "Save below this directory only (repeatable).", _OURS),
]
Grace = Annotated[float, option("--grace", "Seconds that scans have to end after SIGTERM.", _OURS)]
History = Annotated[
    Path | None,
    option(
        "--history",
        "Keeps every verdict. Default: nexus_writer_service/history.sqlite in XDG_STATE_HOME "
        "(~/.local/state).",
        _OURS,
    ),
]
Nohistory = Annotated[bool, option("--nohistory", "Keep no verdicts.", _OURS)]
Nocatchup = Annotated[
    bool,
    option("--nocatchup", "Save only scans that are created after the start.", _OURS),
]
Durability = Annotated[
    Durable,
    option("--durability", "What commits outlast: kill -9, or a loss of power too.", _SAFETY),
]
ReaderPatience = Annotated[
    float,
    option("--reader_patience", "Seconds that readers in the file can delay a commit.", _SAFETY),
]
Noprotect = Annotated[
    bool,
    option("--noprotect", "Leave files their write permission while writing.", _SAFETY),
]
Nolocks = Annotated[
    bool, option("--nolocks", "For file systems where locks fail or hang.", _SAFETY)
]
Noleases = Annotated[
    bool, option("--noleases", "For file systems where leases misbehave.", _SAFETY)
]
