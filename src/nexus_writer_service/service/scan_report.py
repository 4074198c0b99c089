"""What others may know of one scan: its newest snapshot, on the board and in the history."""

from dataclasses import replace
from typing import Any

from nexus_writer_service.model.description import ScanDescription
from nexus_writer_service.model.states import SCAN_TRANSITIONS, ScanState
from nexus_writer_service.service.status import ScanStatus, StateChange
from nexus_writer_service.service.surroundings import Surroundings


class ScanReport:
    """Keeps the snapshot of a scan and hands it on.

    To the board always; to the history when the state changes, and when the scan is over.

    Args:
        scan: the scan as announced.
        around: where the board, the history and the clock are.
        recorded: whether the scan is one for the history.
        reason: why it is in its first state.
    """

    def __init__(
        self, scan: ScanDescription, around: Surroundings, *, recorded: bool, reason: str
    ) -> None:
        self._around = around
        self._recorded = recorded
        now = around.clock.now()
        first = StateChange(ScanState.INIT, now, reason)
        self.status = ScanStatus(
            scan.key,
            scan.name,
            scan.session,
            first.state,
            reason,
            now,
            file=scan.path,
            states=(first,),
        )
        self._record()

    def show(self, **facts: Any) -> None:
        """Put up a new snapshot.

        Args:
            facts: fields of ``ScanStatus``; others stay.
        """
        self.status = replace(self.status, **facts)
        self._around.board.put(self.status)

    def change(self, state: ScanState, reason: str, **facts: Any) -> None:
        """Say that the scan came into a state, unless it is in a final one already."""
        if state in SCAN_TRANSITIONS[self.status.state]:
            now = self._around.clock.now()
            states = (*self.status.states, StateChange(state, now, reason))
            facts |= {"state": state, "reason": reason, "states": states}
            facts |= {"ended": now} if state.final else {}
        elif not facts.get("over"):
            return
        self.status = replace(self.status, **facts)
        self._record()

    def _record(self) -> None:
        self._around.board.put(self.status)
        if self._recorded:
            self._around.record(self.status)
