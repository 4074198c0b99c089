"""``NexusSessionWriter SESSION``: one session, one process, no Tango.

The options and their defaults are those of the reference lineage; the last two groups are ours.
"""

import logging
import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.cli.session_process import ProcessOptions, SessionProcess
from nexus_writer_service.errors import SettingsError
from nexus_writer_service.hdf5.options import READER_PATIENCE, FileOptions
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.storage import COMPRESSIONS, DEFAULT_COMPRESSION
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.service.disk_space import MEGABYTE, DiskWatch, free_bytes
from nexus_writer_service.service.history_place import default_history
from nexus_writer_service.service.profiling import SETTINGS
from nexus_writer_service.service.sd_notify import ServiceManager
from nexus_writer_service.service.session_service import EVERY_WRITER
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.sources.bliss.store import redis_url

_log = logging.getLogger(__name__)

Compression = StrEnum("Compression", {name: name for name in COMPRESSIONS})  # type: ignore[misc]  # from the one list of schemes
Profiling = StrEnum("Profiling", {name: name for name in SETTINGS})  # type: ignore[misc]  # from the one list of settings


class Patch(StrEnum):
    """Faults that can be built in, for tests."""

    SLOWDISK = "slowdisk"


class Durable(StrEnum):
    """What commits outlast."""

    PROCESS = "process"
    POWER = "power"


def _option(name: str, text: str, panel: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel=panel)


_FILE, _DISK, _LOG, _OURS = "What is saved", "Disk", "Log", "This writer's own"
_SAFETY = "How files are kept safe"


def run(  # noqa: PLR0917 - one parameter for each option, given by name
    session: Annotated[str, typer.Argument(help="BLISS session; it need not run yet.")],
    keepshape: Annotated[
        bool, _option("--keepshape", "Save grid scans with their n-D shape.", _FILE)
    ] = False,
    multivalue_positioners: Annotated[
        bool,
        _option(
            "--multivalue_positioners",
            "All channels of a positioner group in one NXpositioner.",
            _FILE,
        ),
    ] = False,
    enable_external_nonhdf5: Annotated[
        bool,
        _option("--enable_external_nonhdf5", "Link EDF frames as HDF5 external storage.", _FILE),
    ] = False,
    disable_external_hdf5: Annotated[
        bool,
        _option("--disable_external_hdf5", "No virtual datasets over HDF5 images.", _FILE),
    ] = False,
    copy_non_external: Annotated[
        bool,
        _option("--copy_non_external", "Copy the pixels of images that are not linked.", _FILE),
    ] = False,
    stackmca: Annotated[
        bool, _option("--stackmca", "Stack MCAs in the XRF application.", _FILE)
    ] = False,
    compression: Annotated[
        Compression,
        _option("--compression", "Of scans for which BLISS chose none.", _FILE),
    ] = Compression[DEFAULT_COMPRESSION],
    noconfig: Annotated[
        bool, _option("--noconfig", "Ignore the session's device types and master files.", _FILE)
    ] = False,
    resource_profiling: Annotated[
        Profiling, _option("--resource_profiling", "Profile the scan writer.", _LOG)
    ] = Profiling.OFF,  # type: ignore[attr-defined]
    required_disk_space: Annotated[
        float, _option("--required_disk_space", "MB; below: scans are refused.", _DISK)
    ] = 200,
    recommended_disk_space: Annotated[
        float, _option("--recommended_disk_space", "MB; below: a warning.", _DISK)
    ] = 1024,
    start_semaphore_file: Annotated[
        Path | None,
        _option("--start_semaphore_file", "Exists while the process listens.", _OURS),
    ] = None,
    patch: Annotated[
        list[Patch] | None, _option("--patch", "Build a fault in (tests only).", _DISK)
    ] = None,
    log: Annotated[str, _option("--log", "CRITICAL ... DEBUG, NOTSET.", _LOG)] = "WARNING",
    logfile: Annotated[str, _option("--logfile", "All records.", _LOG)] = "",
    logfileout: Annotated[str, _option("--logfileout", "Records below WARNING.", _LOG)] = "",
    logfileerr: Annotated[str, _option("--logfileerr", "Records from WARNING on.", _LOG)] = "",
    filesize: Annotated[float, _option("--filesize", "MB per log file; 0: no limit.", _LOG)] = 5,
    filebackups: Annotated[int, _option("--filebackups", "Rotated files kept.", _LOG)] = 9,
    nologstdout: Annotated[
        bool, _option("--nologstdout", "No records below WARNING on stdout.", _LOG)
    ] = False,
    redirectstdout: Annotated[
        bool, _option("--redirectstdout", "What is printed goes to the log.", _LOG)
    ] = False,
    redirectstderr: Annotated[
        bool, _option("--redirectstderr", "stderr goes to the log.", _LOG)
    ] = False,
    data_writer: Annotated[
        list[str] | None,
        _option(
            "--data_writer",
            f"Save scans for which BLISS selected this writer (repeatable); '{EVERY_WRITER}' for "
            "all scans. Default: external.",
            _OURS,
        ),
    ] = None,
    redis_data_url: Annotated[
        str | None,
        _option("--redis_url", "Default: REDIS_DATA_URL, else Beacon (BEACON_HOST).", _OURS),
    ] = None,
    root: Annotated[
        list[Path] | None,
        _option("--root", "Save below this directory only (repeatable).", _OURS),
    ] = None,
    grace: Annotated[
        float, _option("--grace", "Seconds that scans have to end after SIGTERM.", _OURS)
    ] = 5.0,
    history: Annotated[
        Path | None,
        _option(
            "--history",
            "Keeps every verdict. Default: nexus_writer_service/history.sqlite in XDG_STATE_HOME "
            "(~/.local/state).",
            _OURS,
        ),
    ] = None,
    nohistory: Annotated[bool, _option("--nohistory", "Keep no verdicts.", _OURS)] = False,
    nocatchup: Annotated[
        bool,
        _option("--nocatchup", "Save only scans that are created after the start.", _OURS),
    ] = False,
    durability: Annotated[
        Durable,
        _option("--durability", "What commits outlast: kill -9, or a loss of power too.", _SAFETY),
    ] = Durable.PROCESS,
    reader_patience: Annotated[
        float,
        _option(
            "--reader_patience", "Seconds that readers in the file can delay a commit.", _SAFETY
        ),
    ] = READER_PATIENCE,
    noprotect: Annotated[
        bool,
        _option("--noprotect", "Leave files their write permission while writing.", _SAFETY),
    ] = False,
    nolocks: Annotated[
        bool, _option("--nolocks", "For file systems where locks fail or hang.", _SAFETY)
    ] = False,
    noleases: Annotated[
        bool, _option("--noleases", "For file systems where leases misbehave.", _SAFETY)
    ] = False,
) -> None:
    """Save the scans of one BLISS session as NeXus files, in a plain process.

    BLISS does not know of it: use SCAN_SAVING.writer = "external" in the session. Ends in order on
    SIGTERM and Ctrl-C.
    """
    set_up(
        LogOptions(
            level=log,
            file=logfile,
            file_out=logfileout,
            file_err=logfileerr,
            file_megabytes=filesize,
            file_backups=filebackups,
            no_stdout=nologstdout,
            redirect_stdout=redirectstdout,
            redirect_stderr=redirectstderr,
        )
    )
    options = ProcessOptions(
        session=session,
        layout=EsrfOptions(
            keepshape=keepshape,
            multivalue_positioners=multivalue_positioners,
            configurable=not noconfig,
            external_hdf5=not disable_external_hdf5,
            external_nonhdf5=enable_external_nonhdf5,
            copy_non_external=copy_non_external,
            stack_mcas=stackmca,
            compression=compression.value,
        ),
        data_writers=tuple(data_writer or ("external",)),
        roots=tuple(str(path.resolve()) for path in root or ()),
        profiling=resource_profiling.value,
        grace=grace,
        semaphore=start_semaphore_file,
        history=None if nohistory else history or _default_history(),
        catch_up=not nocatchup,
        files=FileOptions(
            durability=durability.value,
            reader_patience=reader_patience,
            protect=not noprotect,
            locks=not nolocks,
            leases=not noleases,
        ),
    )
    disk = DiskWatch(
        int(required_disk_space * MEGABYTE),
        int(recommended_disk_space * MEGABYTE),
        _slow_free_bytes if Patch.SLOWDISK in (patch or ()) else free_bytes,
    )

    def connect(backlog: Backlog) -> BlissSource:
        return BlissSource(redis_data_url or redis_url(os.environ), session, backlog=backlog)

    process = SessionProcess(options, connect, disk, ServiceManager.of(os.environ))
    raise typer.Exit(process.run())


def _default_history() -> Path | None:
    try:
        return default_history(os.environ)
    except SettingsError as error:
        _log.warning("verdicts are in the files and the log only: %s", error)
        return None


def _slow_free_bytes(directory: str) -> int:
    time.sleep(10)
    return free_bytes(directory)


def main() -> None:
    """Entry point of the command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(run)
    try:
        app()
    except SettingsError as error:
        sys.exit(f"NexusSessionWriter: {error}")
