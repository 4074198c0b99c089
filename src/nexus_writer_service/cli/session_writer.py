"""``NexusSessionWriter SESSION``: one session, one process, no Tango.

The options and their defaults are those of the reference lineage; the last two groups are ours.
"""

import logging
import os
import sys
import time
from pathlib import Path

import typer

from nexus_writer_service.cli.log_options import (
    LogFile,
    LogFileBackups,
    LogFileErr,
    LogFileOut,
    LogFileSize,
    LogLevel,
    NoLogStdout,
    RedirectStderr,
    RedirectStdout,
)
from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.cli.session_options import (
    Compression,
    CompressionScheme,
    CopyNonExternal,
    DataWriter,
    DisableExternalHdf5,
    Durability,
    Durable,
    EnableExternalNonhdf5,
    Grace,
    History,
    Keepshape,
    MultivaluePositioners,
    Nocatchup,
    Noconfig,
    Nohistory,
    Noleases,
    Nolocks,
    Noprotect,
    Patch,
    Patches,
    Profiling,
    ReaderPatience,
    RecommendedDiskSpace,
    RedisDataUrl,
    RequiredDiskSpace,
    ResourceProfiling,
    Root,
    SessionName,
    SourceGeneration,
    Stackmca,
    StartSemaphoreFile,
)
from nexus_writer_service.cli.session_process import ProcessOptions, SessionProcess
from nexus_writer_service.errors import SettingsError
from nexus_writer_service.hdf5.options import READER_PATIENCE, FileOptions
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.storage import DEFAULT_COMPRESSION
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.service.disk_space import MEGABYTE, DiskWatch, free_bytes
from nexus_writer_service.service.history_place import default_history
from nexus_writer_service.service.sd_notify import ServiceManager
from nexus_writer_service.service.session_writer import Source
from nexus_writer_service.sources.bliss.store import redis_url
from nexus_writer_service.sources.generation import Generation, source_of

_log = logging.getLogger(__name__)


def run(  # noqa: PLR0917 - one parameter for each option, given by name
    session: SessionName,
    keepshape: Keepshape = False,
    multivalue_positioners: MultivaluePositioners = False,
    enable_external_nonhdf5: EnableExternalNonhdf5 = False,
    disable_external_hdf5: DisableExternalHdf5 = False,
    copy_non_external: CopyNonExternal = False,
    stackmca: Stackmca = False,
    compression: Compression = CompressionScheme[DEFAULT_COMPRESSION],
    noconfig: Noconfig = False,
    resource_profiling: ResourceProfiling = Profiling.OFF,  # type: ignore[attr-defined]
    required_disk_space: RequiredDiskSpace = 200,
    recommended_disk_space: RecommendedDiskSpace = 1024,
    start_semaphore_file: StartSemaphoreFile = None,
    patch: Patches = None,
    log: LogLevel = "WARNING",
    logfile: LogFile = "",
    logfileout: LogFileOut = "",
    logfileerr: LogFileErr = "",
    filesize: LogFileSize = 5,
    filebackups: LogFileBackups = 9,
    nologstdout: NoLogStdout = False,
    redirectstdout: RedirectStdout = False,
    redirectstderr: RedirectStderr = False,
    data_writer: DataWriter = None,
    redis_data_url: RedisDataUrl = None,
    source: SourceGeneration = Generation.AUTO,
    root: Root = None,
    grace: Grace = 5.0,
    history: History = None,
    nohistory: Nohistory = False,
    nocatchup: Nocatchup = False,
    durability: Durability = Durable.PROCESS,
    reader_patience: ReaderPatience = READER_PATIENCE,
    noprotect: Noprotect = False,
    nolocks: Nolocks = False,
    noleases: Noleases = False,
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

    def connect(backlog: Backlog) -> Source:
        return source_of(source, redis_data_url or redis_url(os.environ), session, backlog)

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
