"""Options that commands share: those of the log, as the reference lineage has them."""

from typing import Annotated, Any

import typer

LOG = "Log"
"""The panel of the help text."""


def option(name: str, text: str, panel: str) -> Any:
    """An option of a command.

    Args:
        name: with its dashes.
        text: what the help says.
        panel: where in the help.
    """
    return typer.Option(name, help=text, rich_help_panel=panel)


LogLevel = Annotated[str, option("--log", "CRITICAL ... DEBUG, NOTSET.", LOG)]
LogFile = Annotated[str, option("--logfile", "All records.", LOG)]
LogFileOut = Annotated[str, option("--logfileout", "Records below WARNING.", LOG)]
LogFileErr = Annotated[str, option("--logfileerr", "Records from WARNING on.", LOG)]
LogFileSize = Annotated[float, option("--filesize", "MB per log file; 0: no limit.", LOG)]
LogFileBackups = Annotated[int, option("--filebackups", "Rotated files kept.", LOG)]
NoLogStdout = Annotated[bool, option("--nologstdout", "No records below WARNING on stdout.", LOG)]
RedirectStdout = Annotated[
    bool, option("--redirectstdout", "What is printed goes to the log.", LOG)
]
RedirectStderr = Annotated[bool, option("--redirectstderr", "stderr goes to the log.", LOG)]
