"""``NexusWriterService INSTANCE``: the Tango device server that BLISS sessions supervise.

The options and their defaults are those of the reference lineage; the last group is ours.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

import typer

from nexus_writer_service.cli.command import option, run_command
from nexus_writer_service.cli.faults import Patch, free_bytes_with
from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.cli.supervise import FileRecovery
from nexus_writer_service.errors import SettingsError
from nexus_writer_service.service.copies import Copy
from nexus_writer_service.service.supervisor import Supervisor, signals_to
from nexus_writer_service.tango.server import Server

_NEEDED = (
    "nexus_writer_service.service.session_service",
    "nexus_writer_service.sources.bliss.lease",
    "nexus_writer_service.sources.generation",
)
"""Modules that are imported when a session starts."""

_TANGO, _OURS = "Tango", "This writer's own"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the server runs."""

    server: Annotated[str, option("--server", "Name of the server.", _TANGO)] = "nexuswriter"
    log_tango: Annotated[str, option("--log_tango", "Level of Tango: FATAL ... DEBUG.", _TANGO)] = (
        "WARNING"
    )
    patch: Annotated[
        list[Patch] | None, option("--patch", "Build a fault in (tests only).", _OURS)
    ] = None
    respawn: Annotated[
        bool,
        option(
            "--respawn",
            "Start again whenever it dies, within milliseconds, so that BLISS may not notice: a "
            "parent that has everything imported stands by. Its records go to stdout and stderr.",
            _OURS,
        ),
    ] = False
    grace: Annotated[
        float, option("--grace", "Seconds that scans have to end after SIGTERM.", _OURS)
    ] = 5.0


def run(
    instance: Annotated[str, typer.Argument(help="Instance of the server, e.g. nexuswriters.")],
    options: ServerOptions,
    log: LogOptions,
) -> None:
    """Save the scans of BLISS sessions as NeXus files: one Tango device for each session.

    Use SCAN_SAVING.writer = "nexus" in the sessions. RegisterNexusWriter registers the devices,
    whose properties say how scans are saved. Ends in order on SIGTERM and Ctrl-C.
    """
    ask_free = free_bytes_with(options.patch)

    def serve() -> None:
        set_up(log)
        name, level = options.server, options.log_tango
        Server(name, instance, level, grace=options.grace, ask_free=ask_free).run()

    if options.respawn:
        raise typer.Exit(_respawn(f"{options.server}/{instance}", serve, log.log))
    serve()


def _respawn(name: str, serve: Callable[[], None], level: str) -> int:
    """Serve in a copy of this process, and again whenever it dies; the last exit status."""
    for module in _NEEDED:
        import_module(module)
    set_up(LogOptions(log=level))

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


def main() -> None:
    """Entry point of the command."""
    run_command("NexusWriterService", run)
