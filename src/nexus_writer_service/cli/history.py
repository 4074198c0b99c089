"""``nexus-writer history``: what became of the scans, from the file in which writers keep it."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus_writer_service.errors import FileError, SettingsError
from nexus_writer_service.model.verdict import ChannelTally, Outcome
from nexus_writer_service.service.history import History, PastScan

_COLUMNS = ("ended", "session", "scan", "verdict", "where")
_STYLES = {Outcome.COMPLETE: "green", Outcome.INCOMPLETE: "yellow", Outcome.FAILED: "red"}
_VERDICT = _COLUMNS.index("verdict")


def default_history(environment: Mapping[str, str]) -> Path:
    """Where the history of this user is [XDG Base Directory Specification 0.8].

    Args:
        environment: its ``XDG_STATE_HOME`` counts when it is an absolute path.

    Raises:
        SettingsError: there is none, since this user has no home directory.
    """
    home = Path(environment.get("XDG_STATE_HOME", ""))
    if not home.is_absolute():
        try:
            home = Path.home() / ".local" / "state"
        except RuntimeError as error:
            raise SettingsError(
                f"no place for the history ({error}): name one with --history"
            ) from error
    return home / "nexus_writer_service" / "history.sqlite"


def history(
    scan: Annotated[
        str | None, typer.Argument(help="Explain this scan: its name (4_ascan) or key.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="Only scans of this session.")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only scans that are not complete.")
    ] = False,
    since: Annotated[
        datetime | None, typer.Option(help="Only scans that ended then or later (local time).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    file: Annotated[
        Path | None,
        typer.Option("--history", help="Default: that of this user, as the writers have it."),
    ] = None,
) -> None:
    """Tell what became of scans, newest first, or of one scan in detail."""
    kept = History(file or default_history(os.environ))
    since = since.astimezone() if since is not None else None
    found = kept.scans(session, scan=scan, failed=failed, since=since, limit=limit)
    if not found:
        raise FileError(f"no such scan in the history {kept}")
    if scan is None:
        _print_table(found)
        return
    sys.stdout.writelines(line + "\n" for line in _explanation(found[0]))
    if found[1:]:
        sys.stdout.write("\nolder scans of that name, to be explained by their key:\n")
        sys.stdout.writelines(f"  {_time(one.ended)}  {one.key}\n" for one in found[1:])


def _print_table(scans: Sequence[PastScan]) -> None:
    rows = [_cells(one) for one in scans]
    console = Console()
    if not console.is_terminal:
        # For other programs: whole lines, nothing is cut or wrapped.
        widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
        for row in (_COLUMNS, *rows):
            line = "  ".join(map(str.ljust, row, widths))
            sys.stdout.write(line.rstrip() + "\n")
        return
    table = Table(*(name.capitalize() for name in _COLUMNS), box=None)
    for one, row in zip(scans, rows, strict=True):
        cells = [Text(cell, overflow="fold") for cell in row]
        cells[_VERDICT].stylize(_STYLES[one.verdict.outcome])
        table.add_row(*cells)
    console.print(table)


def _cells(scan: PastScan) -> tuple[str, ...]:
    cells = (
        *(_time(scan.ended), scan.session, scan.name),
        *(scan.verdict.summary, " ".join(scan.urls) or scan.file or ""),
    )
    return tuple(" ".join(cell.split()) for cell in cells)


def _explanation(scan: PastScan) -> Iterator[str]:
    verdict = scan.verdict
    yield f"scan {scan.name} of session {scan.session}: {verdict.summary}"
    yield f"  key      {scan.key}"
    yield f"  started  {_time(scan.started)}"
    yield f"  ended    {_time(scan.ended)}, {scan.state.value}"
    for where in scan.urls or (scan.file or "in no file",):
        yield f"  where    {where}"
    for title, texts in (("reasons", verdict.reasons), ("warnings", _warnings(scan))):
        if texts:
            yield f"{title}:"
            yield from (f"  - {text}" for text in texts)
    if verdict.channels:
        width = max(len("channels"), *(len(tally.channel) + 2 for tally in verdict.channels))
        yield f"{'channels':{width}}  {'published':>10}  {'written':>10}"
        for tally in verdict.channels:
            yield _tally_line(tally, width)


def _tally_line(tally: ChannelTally, width: int) -> str:
    published = "unknown" if tally.published is None else tally.published
    line = f"{'  ' + tally.channel:{width}}  {published:>10}  {tally.written:>10}"
    troubles = [*tally.problems, *(f"missing: {file}" for file in tally.files_missing)]
    return line + (f"  {'; '.join(troubles)}" if troubles else "")


def _warnings(scan: PastScan) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*scan.verdict.warnings, *scan.warnings)))


def _time(time: datetime) -> str:
    return time.astimezone().isoformat(" ", "seconds")
