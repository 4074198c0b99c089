"""Statuses of scans as the columns of text that the device's attributes show to people."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from nexus_writer_service.model.states import ScanState
from nexus_writer_service.service.status import ScanStatus

_UNFINISHED = "not finished"
_UNKNOWN = "NaN"


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
    """``name: 6pts-7pts``: the channels with the fewest and with the most points.

    Of a scan with several subscans one line for each: ``name:subscan: 6pts-7pts``.
    """
    return columns([line for scan in scans for line in _progress(scan)])


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
    """State, progress, bytes, duration, start and end of each scan in a line.

    Behind the start how late the writer was, in two parts: from the start of the scan until it was
    announced here, and from there until it was accepting data (or known not to be saved). Behind
    the end: from the end of the scan until all was saved.
    """
    return columns(
        [
            (
                f"{scan.name}:",
                state.value,
                _points(scan),
                size(scan.nbytes),
                f"duration: {_duration(scan, now)}",
                f"start: {_time(scan.started)} ({_start_delay(scan)})",
                f"end: {_time(scan.ended)} ({_end_delay(scan)})",
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


def _progress(scan: ScanStatus) -> list[tuple[str, str]]:
    if len(scan.progress) < 2:
        return [(f"{scan.name}:", _points(scan))]
    return [
        (f"{scan.name}:{one.subscan}:", f"{one.fewest}pts-{one.most}pts") for one in scan.progress
    ]


def _points(scan: ScanStatus) -> str:
    return f"{scan.fewest_points}pts-{scan.most_points}pts"


def _start_delay(scan: ScanStatus) -> str:
    ready = next((one.time for one in scan.states if one.state is not ScanState.INIT), None)
    announced = _between(_moment(scan.acquired[0]), scan.started)
    return f"delay: {announced} + {_between(scan.started, ready)}"


def _end_delay(scan: ScanStatus) -> str:
    return f"delay: {_between(_moment(scan.acquired[1]), scan.ended)}"


def _between(earlier: datetime | None, later: datetime | None) -> str:
    if earlier is None or later is None:
        return _UNKNOWN
    span = later - earlier
    # The clocks of two machines may differ by more than the delay.
    return f"-{-span}" if span < timedelta(0) else str(span)


def _moment(text: str | None) -> datetime | None:
    """A time as the acquisition gives it; None when it gives none that can be understood."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time.astimezone() if time.tzinfo is None else time


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else _UNFINISHED


def _duration(scan: ScanStatus, now: datetime) -> timedelta:
    return max(timedelta(0), (scan.ended or now) - scan.started)
