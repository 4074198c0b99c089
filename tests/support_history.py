"""Statuses of scans that are over, for the history."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import ChannelTally, Outcome, judge
from nexus_writer_service.service.history import History
from nexus_writer_service.service.status import ScanStatus

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def over(
    number=1,
    *,
    key=None,
    session="test_session",
    minute=None,
    written=10,
    failure=None,
    warnings=(),
):
    """A scan of 10 points that ended ``minute`` (else ``number``) minutes past noon."""
    tallies = [ChannelTally(ChannelName("axis:robx"), 10, written)]
    verdict = judge([] if failure else tallies, failure=failure, warnings=warnings)
    complete = verdict.outcome is Outcome.COMPLETE
    return ScanStatus(
        ScanKey(key or f"scan:{session}:{number}"),
        f"{number}_ascan",
        session,
        ScanState.OFF if complete else ScanState.FAULT,
        verdict.summary,
        NOON,
        ended=NOON + timedelta(minutes=number if minute is None else minute),
        file="/data/sample.h5",
        entries=(f"{number}.1",),
        warnings=tuple(warnings),
        verdict=verdict,
    )


def recorded(path: Path, *statuses: ScanStatus) -> History:
    """A history with these scans in its file."""
    history = History(path)
    for status in statuses:
        history.record(status)
    history.close()
    return history
