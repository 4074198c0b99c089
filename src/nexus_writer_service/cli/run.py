"""``nexus-writer run REDIS_URL``: one process saves the scans of all sessions of a database."""

import os
from typing import Annotated

import typer

from nexus_writer_service.cli.log_options import (
    LogFile,
    LogFileBackups,
    LogFileSize,
    LogLevel,
    option,
)
from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.cli.session_options import (
    Compression,
    CompressionScheme,
    Durability,
    Durable,
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
    ReaderPatience,
    RecommendedDiskSpace,
    RequiredDiskSpace,
    Root,
    StartSemaphoreFile,
)
from nexus_writer_service.cli.session_process import ProcessOptions, SessionProcess
from nexus_writer_service.cli.session_writer import history_or_none
from nexus_writer_service.hdf5.options import READER_PATIENCE, FileOptions
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.layout.esrf.storage import DEFAULT_COMPRESSION
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.service.disk_space import MEGABYTE, DiskWatch
from nexus_writer_service.service.sd_notify import ServiceManager
from nexus_writer_service.service.session_service import EVERY_WRITER
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.sources.bliss.store import redis_url as redis_url_of

_SCANS = "Scans"
WRITERS_WITHOUT_DEVICE = ("external", "")
"""Scans of all other writers have somebody who saves them: BLISS itself, or a device that BLISS
insists on. Publishers other than BLISS name no writer."""

DataWriter = Annotated[
    list[str] | None,
    option(
        "--data_writer",
        f"Save scans that name this writer (repeatable); '{EVERY_WRITER}': all scans. Default: "
        "those that nobody else saves, which name the writer 'external' or none.",
        _SCANS,
    ),
]


def run(  # noqa: PLR0917 - one parameter for each option, given by name
    redis_url: Annotated[
        str,
        typer.Argument(
            help="Redis database of scans, e.g. redis://host:25002. Default: REDIS_DATA_URL, else "
            "Beacon (BEACON_HOST)."
        ),
    ] = "",
    session: Annotated[
        str, option("--session", "Only scans of this session. Default: all.", _SCANS)
    ] = "",
    data_writer: DataWriter = None,
    keepshape: Keepshape = False,
    multivalue_positioners: MultivaluePositioners = False,
    noconfig: Noconfig = False,
    compression: Compression = CompressionScheme[DEFAULT_COMPRESSION],
    required_disk_space: RequiredDiskSpace = 200,
    recommended_disk_space: RecommendedDiskSpace = 1024,
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
    start_semaphore_file: StartSemaphoreFile = None,
    log: LogLevel = "INFO",
    logfile: LogFile = "",
    filesize: LogFileSize = 5,
    filebackups: LogFileBackups = 9,
) -> None:
    """Save the scans of all sessions of a database, in a plain process.

    Any number of scans at a time. Scans that were created while nobody listened are caught up on.
    Ends in order on SIGTERM and Ctrl-C.
    """
    set_up(LogOptions(level=log, file=logfile, file_megabytes=filesize, file_backups=filebackups))
    options = ProcessOptions(
        session=session,
        layout=EsrfOptions(
            keepshape=keepshape,
            multivalue_positioners=multivalue_positioners,
            configurable=not noconfig,
            compression=compression.value,
        ),
        data_writers=tuple(data_writer or WRITERS_WITHOUT_DEVICE),
        on_request=True,
        roots=tuple(str(path.resolve()) for path in root or ()),
        grace=grace,
        semaphore=start_semaphore_file,
        history=None if nohistory else history or history_or_none(),
        catch_up=not nocatchup,
        files=FileOptions(
            durability=durability.value,
            reader_patience=reader_patience,
            protect=not noprotect,
            locks=not nolocks,
            leases=not noleases,
        ),
        program="nexus-writer run",
    )
    disk = DiskWatch(int(required_disk_space * MEGABYTE), int(recommended_disk_space * MEGABYTE))

    def connect(backlog: Backlog) -> BlissSource:
        url = redis_url or redis_url_of(os.environ)
        return BlissSource(url, session or None, backlog=backlog)

    raise typer.Exit(SessionProcess(options, connect, disk, ServiceManager.of(os.environ)).run())
