"""What the history knows of one scan, and what two accounts of one scan tell together.

A scan has several accounts: its writer tells each change of state, a writer that was started again
goes on where the first one was killed, and a second writer of a session is refused. Each writer's
accounts come in order, but those of different writers in any: what is known in the end may not
depend on it.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.status import ScanStatus, StateChange

REAL = (Outcome.COMPLETE, Outcome.INCOMPLETE)
"""Verdicts on what is in a file: such a scan needs no writer any more."""
_MOST_STATES = 100
"""A scan that can never be saved is tried again by each new writer."""


@dataclass(frozen=True, slots=True)
class PastScan:
    """A scan as the history knows it: over, being written, or left by its writer."""

    key: ScanKey
    name: str
    session: str
    file: str | None
    entries: tuple[str, ...]
    started: datetime
    """When a writer first learned of the scan."""
    ended: datetime | None
    """When its writer was done with it; None while it is being written."""
    state: ScanState
    verdict: Verdict
    """Without channels while the scan is being written."""
    warnings: tuple[str, ...]
    """Those of the verdict, and what came up after it was written."""
    states: tuple[StateChange, ...] = ()
    """All states of all writers of the scan, by time; the newest 100."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the entries are, ``/data/file.h5::/4.1``."""
        return tuple(f"{self.file}::/{entry}" for entry in self.entries)


def account(status: ScanStatus) -> PastScan | None:
    """What a status tells; None when the scan is not to be saved, of which nothing is kept."""
    verdict = status.verdict
    if verdict is None:
        if status.state is ScanState.OFF:
            return None
        # Refused for good, although its end is still awaited: whoever looks is to know at once.
        refused = status.state is ScanState.FAULT
        verdict = Verdict(Outcome.FAILED, (status.reason,)) if refused else Verdict(Outcome.RUNNING)
    states = status.states or (
        StateChange(status.state, status.ended or status.started, status.reason),
    )
    running = verdict.outcome is Outcome.RUNNING
    return PastScan(
        key=status.key,
        name=status.name,
        session=status.session,
        file=status.file,
        entries=status.entries,
        started=status.started,
        ended=None if running else status.ended or states[-1].time,
        state=status.state,
        verdict=verdict,
        warnings=status.warnings,
        states=states,
    )


def together(known: PastScan, told: PastScan) -> PastScan:
    """What two accounts of one scan tell, whichever came first.

    The newest verdict on what is in a file holds. While there is none, the newest account does:
    being written, left, or not saved, which is also what the second of two writers says. The
    states of all writers are kept.
    """
    holds, other = (told, known) if _weight(told) >= _weight(known) else (known, told)
    states = sorted({*known.states, *told.states}, key=_order)
    return replace(
        holds,
        # A writer that has just learned of the scan does not know yet where the last one wrote.
        file=holds.file or other.file,
        entries=holds.entries or other.entries,
        started=min(known.started, told.started),
        states=tuple(states[-_MOST_STATES:]),
    )


def _weight(scan: PastScan) -> tuple[bool, datetime]:
    """The heavier account holds."""
    real = scan.verdict.outcome in REAL
    if real and scan.ended is not None:
        return True, scan.ended
    times = [scan.started, *(change.time for change in scan.states)]
    return real, max(times if scan.ended is None else [scan.ended, *times])


def _order(change: StateChange) -> tuple[datetime, int, str]:
    return change.time, list(ScanState).index(change.state), change.reason
