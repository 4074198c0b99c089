"""``NexusSessionWriter SESSION``: one session, one process, no Tango.

The options and their defaults are those of the reference lineage; the last two groups are ours.
"""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from nexus_writer_service.cli.command import run_command
from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.cli.session_options import (
    DiskOptions,
    OwnOptions,
    SafetyOptions,
    SavedOptions,
)
from nexus_writer_service.cli.session_process import ProcessOptions, SessionProcess
from nexus_writer_service.errors import SettingsError
from nexus_writer_service.model.backlog import Backlog
from nexus_writer_service.service.history_place import default_history
from nexus_writer_service.service.sd_notify import ServiceManager
from nexus_writer_service.service.session_writer import Source
from nexus_writer_service.service.templates import load_templates
from nexus_writer_service.sources.bliss.store import redis_url
from nexus_writer_service.sources.generation import source_of

_log = logging.getLogger(__name__)


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
    options = ProcessOptions(
        session=session,
        layout=saved.esrf(),
        follows=saved.layout.value,
        templates=load_templates(saved.template or ()),
        data_writers=tuple(own.data_writer or ("external",)),
        roots=tuple(str(path.resolve()) for path in own.root or ()),
        profiling=own.resource_profiling.value,
        grace=own.grace,
        semaphore=own.start_semaphore_file,
        history=None if own.nohistory else own.history or history_or_none(),
        catch_up=not own.nocatchup,
        files=safety.files(),
    )

    def connect(backlog: Backlog) -> Source:
        return source_of(own.source, own.redis_url or redis_url(os.environ), session, backlog)

    process = SessionProcess(options, connect, disk.watch(), ServiceManager.of(os.environ))
    raise typer.Exit(process.run())


def history_or_none() -> Path | None:
    """The history of this user; None, with a warning, when there is no place for one."""
    try:
        return default_history(os.environ)
    except SettingsError as error:
        _log.warning("verdicts are in the files and the log only: %s", error)
        return None


def main() -> None:
    """Entry point of the command."""
    run_command("NexusSessionWriter", run)
