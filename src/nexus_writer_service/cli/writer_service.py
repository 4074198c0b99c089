"""``NexusWriterService INSTANCE``: the Tango device server that BLISS sessions supervise.

The options and their defaults are those of the reference lineage; the last group is ours.
"""

import logging
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from typing import Annotated

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
    option,
)
from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.cli.supervise import FileRecovery
from nexus_writer_service.errors import SettingsError
from nexus_writer_service.service.copies import Copy
from nexus_writer_service.service.disk_space import free_bytes
from nexus_writer_service.service.supervisor import Supervisor, signals_to
from nexus_writer_service.tango.server import Server


class Patch(StrEnum):
    """Faults that can be built in, for tests."""

    SLOWDISK = "slowdisk"


_NEEDED = (
    "nexus_writer_service.service.session_service",
    "nexus_writer_service.sources.bliss.lease",
    "nexus_writer_service.sources.generation",
)
"""Modules that are imported when a session starts."""

_TANGO, _OURS = "Tango", "This writer's own"


def run(  # noqa: PLR0917 - one parameter for each option, given by name
    instance: Annotated[str, typer.Argument(help="Instance of the server, e.g. nexuswriters.")],
    server: Annotated[str, option("--server", "Name of the server.", _TANGO)] = "nexuswriter",
    log_tango: Annotated[
        str, option("--log_tango", "Level of Tango: FATAL ... DEBUG.", _TANGO)
    ] = "WARNING",
    log: LogLevel = "WARNING",
    logfile: LogFile = "",
    logfileout: LogFileOut = "",
    logfileerr: LogFileErr = "",
    filesize: LogFileSize = 5,
    filebackups: LogFileBackups = 9,
    nologstdout: NoLogStdout = False,
    redirectstdout: RedirectStdout = False,
    redirectstderr: RedirectStderr = False,
    patch: Annotated[
        list[Patch] | None, option("--patch", "Build a fault in (tests only).", _OURS)
    ] = None,
    respawn: Annotated[
        bool,
        option(
            "--respawn",
            "Start again whenever it dies, within milliseconds, so that BLISS may not notice: a "
            "parent that has everything imported stands by. Its records go to stdout and stderr.",
            _OURS,
        ),
    ] = False,
    grace: Annotated[
        float, option("--grace", "Seconds that scans have to end after SIGTERM.", _OURS)
    ] = 5.0,
) -> None:
    """Save the scans of BLISS sessions as NeXus files: one Tango device for each session.

    Use SCAN_SAVING.writer = "nexus" in the sessions. RegisterNexusWriter registers the devices,
    whose properties say how scans are saved. Ends in order on SIGTERM and Ctrl-C.
    """
    options = LogOptions(
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
    slow = Patch.SLOWDISK in (patch or ())
    ask_free = _slow_free_bytes if slow else free_bytes

    def serve() -> None:
        set_up(options)
        Server(server, instance, log_tango, grace=grace, ask_free=ask_free).run()

    if respawn:
        raise typer.Exit(_respawn(f"{server}/{instance}", serve, log))
    serve()


def _respawn(name: str, serve: Callable[[], None], level: str) -> int:
    """Serve in a copy of this process, and again whenever it dies; the last exit status."""
    for module in _NEEDED:
        import_module(module)
    set_up(LogOptions(level=level))

    def copy() -> int:
        logging.getLogger().handlers.clear()
        try:
            serve()
        except SettingsError as error:
            typer.echo(f"NexusWriterService: {error}", err=True)
            return 1
        return 0

    supervisor = Supervisor(Copy(name, copy), FileRecovery(None, None))
    with signals_to(supervisor.stop) as pause:
        return supervisor.run(pause)


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
        sys.exit(f"NexusWriterService: {error}")
