"""``nexus-writer run REDIS_URL``: one process saves the scans of all sessions of a database."""

import os
from dataclasses import replace
from typing import Annotated

import typer

from nexus_writer_service.cli.command import option
from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.cli.process_options import process_options
from nexus_writer_service.cli.session_options import (
    DiskOptions,
    OwnOptions,
    SafetyOptions,
    SavedOptions,
)
from nexus_writer_service.cli.session_process import SessionProcess
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.service.sd_notify import ServiceManager
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.sources.bliss.store import redis_url

WRITERS_WITHOUT_DEVICE = ("external", "")
"""Scans of all other writers have somebody who saves them: BLISS itself, or a device that BLISS
insists on. Publishers other than BLISS name no writer."""


def run(
    *,
    saved: SavedOptions,
    disk: DiskOptions,
    log: LogOptions,
    own: OwnOptions,
    safety: SafetyOptions,
    database: Annotated[
        str,
        typer.Argument(
            metavar="[REDIS_URL]",
            help="Redis database of scans, e.g. redis://host:25002. Default: REDIS_DATA_URL, else "
            "what Beacon (BEACON_HOST) says.",
        ),
    ] = "",
    session: Annotated[
        str,
        option("--session", "Only scans of this session. Default: all.", "What is saved"),
    ] = "",
) -> None:
    """Save the scans of all sessions of a database, in a plain process.

    Those that nobody else saves, unless --data_writer says something else: that name the writer
    'external' or none. Any number at a time. Scans that were created while nobody listened are
    caught up on. Ends in order on SIGTERM and Ctrl-C.
    """
    set_up(log)
    options = replace(
        process_options(session, saved, own, safety, data_writers=WRITERS_WITHOUT_DEVICE),
        on_request=True,
        program="nexus-writer run",
    )

    def connect(backlog: Backlog) -> BlissSource:
        url = database or own.redis_url or redis_url(os.environ)
        return BlissSource(url, session or None, backlog=backlog)

    process = SessionProcess(options, connect, disk.watch(), ServiceManager.of(os.environ))
    raise typer.Exit(process.run())
