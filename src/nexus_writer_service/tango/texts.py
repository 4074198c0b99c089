"""Statuses of scans as the columns of text that the device's attributes show to people."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from nexus_writer_service.model.states import ScanState
from nexus_writer_service.service.status import ScanStatus

_UNFINISHED = "not finished"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line per row, its first field to the right, all others to the left, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        " ".join(
            [
                row[0].rjust(widths[0]),
                *(text.ljust(width) for text, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]


def urls(scans: Sequence[ScanStatus]) -> list[str]:
    """``name: ['/data/file.h5::/4.1']``."""
    return columns([(f"{scan.name}:", str(list(scan.urls))) for scan in scans])


def starts(scans: Sequence[ScanStatus]) -> list[str]:
    """``name: 2026-11-20 19:00:53``."""
    return columns([(f"{scan.name}:", _time(scan.started)) for scan in scans])


def ends(scans: Sequence[ScanStatus]) -> list[str]:
    """``name: 2026-11-20 19:00:53``, or ``name: not finished``."""
    return columns([(f"{scan.name}:", _time(scan.ended)) for scan in scans])


def durations(scans: Sequence[ScanStatus], now: datetime) -> list[str]:
    """``name: 0:00:00.163004``; of a scan that runs: so far."""
    return columns([(f"{scan.name}:", str(_duration(scan, now))) for scan in scans])


def progress(scans: Sequence[ScanStatus]) -> list[str]:
    """``name: 6pts-7pts``: the channels with the fewest and with the most points."""
    return columns([(f"{scan.name}:", _points(scan)) for scan in scans])


def states(scans: Sequence[ScanStatus], shown: Sequence[tuple[ScanState, str]]) -> list[str]:
    """``name: FAULT why``."""
    return columns(
        [
            (f"{scan.name}:", state.value, reason)
            for scan, (state, reason) in zip(scans, shown, strict=True)
        ]
    )


def summaries(
    scans: Sequence[ScanStatus], shown: Sequence[tuple[ScanState, str]], now: datetime
) -> list[str]:
    """State, progress, bytes, duration, start and end of each scan in a line."""
    return columns(
        [
            (
                f"{scan.name}:",
                state.value,
                _points(scan),
                size(scan.nbytes),
                f"duration: {_duration(scan, now)}",
                f"start: {_time(scan.started)}",
                f"end: {_time(scan.ended)}",
            )
            for scan, (state, _) in zip(scans, shown, strict=True)
        ]
    )


def size(nbytes: int) -> str:
    """Bytes for people: ``616.0B``, ``1.1KB``."""
    amount = float(nbytes)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.1f}{unit}"
        amount /= 1024
    return f"{amount:.1f}TB"


def _points(scan: ScanStatus) -> str:
    return f"{scan.fewest_points}pts-{scan.most_points}pts"


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else _UNFINISHED


def _duration(scan: ScanStatus, now: datetime) -> timedelta:
    return max(timedelta(0), (scan.ended or now) - scan.started)
