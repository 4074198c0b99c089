"""``NexusSessionWriter SESSION``: one session, one process, no Tango.

The options and their defaults are those of the reference lineage; the last two groups are ours.
"""

import os
from typing import Annotated

import typer

from nexus_writer_service.cli.command import run_command
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
from nexus_writer_service.service.session_writer import Source
from nexus_writer_service.sources.bliss.store import redis_url
from nexus_writer_service.sources.generation import source_of


def run(
    session: Annotated[str, typer.Argument(help="BLISS session; it need not run yet.")],
    saved: SavedOptions,
    disk: DiskOptions,
    log: LogOptions,
    own: OwnOptions,
    safety: SafetyOptions,
) -> None:
    """Save the scans of one BLISS session as NeXus files, in a plain process.

    BLISS does not know of it: use SCAN_SAVING.writer = "external" in the session. Ends in order on
    SIGTERM and Ctrl-C.
    """
    set_up(log)
    options = process_options(session, saved, own, safety, data_writers=("external",))

    def connect(backlog: Backlog) -> Source:
        return source_of(own.source, own.redis_url or redis_url(os.environ), session, backlog)

    process = SessionProcess(options, connect, disk.watch(), ServiceManager.of(os.environ))
    raise typer.Exit(process.run())


def main() -> None:
    """Entry point of the command."""
    run_command("NexusSessionWriter", run)
