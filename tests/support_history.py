"""Statuses of scans at all moments of their lives, for the history."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexus_writer_service.model.description import ChannelName, ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import ChannelTally, Outcome, Verdict, judge
from nexus_writer_service.service.history import History
from nexus_writer_service.service.status import ScanStatus, StateChange

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


def running(number=1, *, started=0.0, now=None, file="/data/sample.h5", **more):
    """A scan of which a writer learned ``started`` minutes past noon, and which has not ended.

    ``now`` is the minute in which it came to accept data; None when it does not yet.
    """
    begun = NOON + timedelta(minutes=started)
    states = [StateChange(ScanState.INIT, begun, "announced")]
    if now is not None:
        time = NOON + timedelta(minutes=now)
        states.append(StateChange(ScanState.ON, time, "accepting data"))
    return replace(
        over(number, **more),
        state=states[-1].state,
        reason=states[-1].reason,
        started=begun,
        ended=None,
        file=file,
        entries=(f"{number}.1",) if file else (),
        verdict=None,
        states=tuple(states),
    )


def left(status: ScanStatus, minute: float) -> ScanStatus:
    """The same scan when its writer was stopped before the scan ended."""
    reason = "the writer was stopped"
    time = NOON + timedelta(minutes=minute)
    return replace(
        status,
        ended=time,
        reason=reason,
        verdict=Verdict(Outcome.INTERRUPTED, (reason,)),
        states=(*status.states, StateChange(ScanState.FAULT, time, reason)),
        state=ScanState.FAULT,
        over=True,
    )


def ended(status: ScanStatus, end: ScanStatus) -> ScanStatus:
    """The same writer's scan when it had ended as ``end`` did."""
    assert end.ended is not None
    return replace(
        end,
        key=status.key,
        started=status.started,
        states=(*status.states, StateChange(end.state, end.ended, end.reason)),
        over=True,
    )


def recorded(path: Path, *statuses: ScanStatus) -> History:
    """A history with these scans in its file, which were recorded in this order."""
    history = History(path)
    for status in statuses:
        history.record(status)
    history.close()
    return history


def names(scans):
    """Their names, in their order."""
    return [scan.name for scan in scans]
