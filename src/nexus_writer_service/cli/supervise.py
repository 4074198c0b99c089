"""``nexus-writer supervise -- COMMAND``: a parent for the writer on hosts without systemd."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from nexus_writer_service.cli.logs import LogOptions, set_up
from nexus_writer_service.service.supervisor import Program, Supervisor, signals_to

_log = logging.getLogger(__name__)

_RECOVERY_PATIENCE = 300.0
"""Seconds; the writer that starts next recovers each file that it opens anyway."""


class FileRecovery:
    """Recovers all files that a history knows as unfinished, in a process of its own.

    Args:
        history: None: that of this user.
        redis_url: None: as the environment says.
    """

    def __init__(self, history: Path | None, redis_url: str | None) -> None:
        self._command = [sys.executable, "-P", "-m", "nexus_writer_service.cli.main", "recover"]
        self._command += ["--unfinished", "--quick"]
        self._command += [f"--history={history}"] if history else []
        # A URL may hold a password, which a command line shows to everybody.
        self._environment = {**os.environ, **({"REDIS_DATA_URL": redis_url} if redis_url else {})}

    def __call__(self) -> None:
        """Recover, and log what was done."""
        try:
            done = subprocess.run(  # noqa: S603 - this very package, without a shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_RECOVERY_PATIENCE,
                check=False,
                process_group=0,
                env=self._environment,
            )
        except subprocess.TimeoutExpired:
            _log.warning("recovery did not end within %g s and was killed", _RECOVERY_PATIENCE)
            return
        level = logging.WARNING if done.returncode else logging.INFO
        for line in done.stdout.decode("utf-8", "backslashreplace").splitlines():
            _log.log(level, "recovery: %s", line)


def supervise(
    command: Annotated[list[str], typer.Argument(help="After --: the writer and its options.")],
    history: Annotated[
        Path | None,
        typer.Option("--history", help="The one of the writer. Default: that of this user."),
    ] = None,
    redis_data_url: Annotated[
        str | None,
        typer.Option("--redis_url", help="Default: REDIS_DATA_URL, else Beacon (BEACON_HOST)."),
    ] = None,
    log: Annotated[str, typer.Option(help="CRITICAL ... DEBUG.")] = "INFO",
    logfile: Annotated[str, typer.Option(help="All records of this parent.")] = "",
) -> None:
    """Run a writer, and again whenever it dies.

    Example: nexus-writer supervise -- NexusSessionWriter test_session --log=info

    Passes SIGTERM and Ctrl-C on, and ends with the writer when that ends by itself or was told to.
    A writer that had run for 5 s is started again at once, and recovers its files itself. Those of
    one that died sooner are recovered before; then it waits 1 s, then 2 s and so on to 60 s. Exit
    status: that of the writer.
    """
    set_up(LogOptions(log=log, logfile=logfile))
    if shutil.which(command[0]) is None:
        raise typer.BadParameter(f"there is no program {command[0]}")
    supervisor = Supervisor(Program(command), FileRecovery(history, redis_data_url))
    with signals_to(supervisor.stop) as pause:
        raise typer.Exit(supervisor.run(pause))
