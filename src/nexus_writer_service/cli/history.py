"""``nexus-writer history``: what became of the scans, from the file in which writers keep it."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus_writer_service.errors import FileError
from nexus_writer_service.model.verdict import ChannelTally, Outcome
from nexus_writer_service.service.history import History, PastScan
from nexus_writer_service.service.history_place import default_history

_COLUMNS = ("ended", "session", "scan", "verdict", "where")
_STYLES = {
    Outcome.COMPLETE: "green",
    Outcome.INCOMPLETE: "yellow",
    Outcome.FAILED: "red",
    Outcome.RUNNING: "cyan",
    Outcome.INTERRUPTED: "magenta",
}
_VERDICT = _COLUMNS.index("verdict")
_NOT_ENDED = "not ended"
"""In place of a time: two words as well, so that programs find the other columns."""
_MOST_SHOWN = 10
"""Gaps and detector files that are named of each channel."""


def history(
    scan: Annotated[
        str | None, typer.Argument(help="Explain this scan: its name (4_ascan) or key.")
    ] = None,
    *,
    session: Annotated[str | None, typer.Option(help="Only scans of this session.")] = None,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="Only scans that have ended, or were left, incomplete."),
    ] = False,
    running: Annotated[
        bool,
        typer.Option(
            "--running", help="Only scans that are being written or were left by a writer."
        ),
    ] = False,
    since: Annotated[
        datetime | None,
        typer.Option(help="Only scans that ended then or later (local time), or have not ended."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    file: Annotated[
        Path | None,
        typer.Option("--history", help="Default: that of this user, as the writers have it."),
    ] = None,
) -> None:
    """Tell what became of scans, newest first after those that run, or of one scan in detail."""
    kept = History(file or default_history(os.environ))
    since = since.astimezone() if since is not None else None
    found = kept.scans(
        session, scan=scan, failed=failed, unfinished=running, since=since, limit=limit
    )
    if not found:
        raise FileError(f"no such scan in the history {kept}")
    if scan is None:
        _print_table(found)
        return
    _print_lines(_explanation(found[0]))
    if found[1:]:
        _print_lines(["", "older scans of that name, to be explained by their key:"])
        _print_lines(f"  {_end(one)}  {one.key}" for one in found[1:])


def _print_lines(lines: Iterable[str]) -> None:
    sys.stdout.writelines(_printable(line) + "\n" for line in lines)


def _print_table(scans: Sequence[PastScan]) -> None:
    rows = [_cells(one) for one in scans]
    console = Console()
    if not console.is_terminal:
        # For other programs: whole lines, nothing is cut or wrapped.
        widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
        _print_lines("  ".join(map(str.ljust, row, widths)).rstrip() for row in (_COLUMNS, *rows))
        return
    table = Table(*(name.capitalize() for name in _COLUMNS), box=None)
    for one, row in zip(scans, rows, strict=True):
        cells = [Text(cell, overflow="fold") for cell in row]
        cells[_VERDICT].stylize(_STYLES[one.verdict.outcome])
        table.add_row(*cells)
    console.print(table)


def _cells(scan: PastScan) -> tuple[str, ...]:
    cells = (
        *(_end(scan), scan.session, scan.name, _verdict(scan)),
        " ".join(scan.urls) or scan.file or "",
    )
    return tuple(_printable(" ".join(cell.split())) for cell in cells)


def _end(scan: PastScan) -> str:
    return _NOT_ENDED if scan.ended is None else _time(scan.ended)


def _verdict(scan: PastScan) -> str:
    if scan.verdict.outcome is Outcome.RUNNING:
        return f"running since {_time(scan.started)}"
    return scan.verdict.summary


def _explanation(scan: PastScan) -> Iterator[str]:
    verdict = scan.verdict
    yield f"scan {scan.name} of session {scan.session}: {_verdict(scan)}"
    yield f"  key      {scan.key}"
    yield f"  started  {_time(scan.started)}"
    yield f"  ended    {_end(scan)}, {scan.state.value}"
    for where in scan.urls or (scan.file or "in no file",):
        yield f"  where    {where}"
    yield from _advice(verdict.outcome)
    if scan.states:
        yield "states:"
        yield from (
            f"  {_time(one.time)}  {one.state.value:5}  {one.reason}" for one in scan.states
        )
    for title, texts in (("reasons", verdict.reasons), ("warnings", _warnings(scan))):
        if texts:
            yield f"{title}:"
            yield from (f"  - {text}" for text in texts)
    yield from _channels(verdict.channels)


def _advice(outcome: Outcome) -> Iterator[str]:
    """What a person can do about a scan that no writer has finished."""
    if outcome is Outcome.RUNNING:
        yield "  It is being written, or its writer was killed and could not tell."
    if outcome in (Outcome.RUNNING, Outcome.INTERRUPTED):
        yield "  While Redis has its data, a writer of the session goes on with what was left;"
        yield "  after that, nexus-writer recover finishes what is in the file."


def _channels(tallies: Sequence[ChannelTally]) -> Iterator[str]:
    if not tallies:
        return
    width = max(len("channels"), *(len(tally.channel) + 2 for tally in tallies))
    yield f"{'channels':{width}}  {'published':>10}  {'written':>10}"
    for tally in tallies:
        published = "unknown" if tally.published is None else tally.published
        line = f"{'  ' + tally.channel:{width}}  {published:>10}  {tally.written:>10}"
        yield f"{line}  {'; '.join(tally.problems)}".rstrip()
    for title, lists in (
        ("gaps", [[gap.text for gap in tally.gaps] for tally in tallies]),
        ("missing files", [tally.files_missing for tally in tallies]),
        ("external files", [tally.external for tally in tallies]),
    ):
        if any(lists):
            yield f"{title}:"
        for tally, texts in zip(tallies, lists, strict=True):
            label = f"{'  ' + tally.channel:{width}}"
            yield from (f"{label}  {text}" for text in texts[:_MOST_SHOWN])
            if more := texts[_MOST_SHOWN:]:
                yield f"{label}  and {len(more)} more, the last: {more[-1]}"


def _warnings(scan: PastScan) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*scan.verdict.warnings, *scan.warnings)))


def _time(time: datetime) -> str:
    return time.astimezone().isoformat(" ", "seconds")


def _printable(line: str) -> str:
    """One line of text, whatever bytes the name of a file has."""
    return " ".join(line.splitlines()).encode("utf-8", "backslashreplace").decode()
