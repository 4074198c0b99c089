"""What BLISS is told of a scan: it stops a scan of which it is told FAULT."""

from enum import Enum

from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.status import ScanStatus


class FaultPolicy(Enum):
    """When a scan is in FAULT."""

    ANY_LOST_CHANNEL = "any lost channel"
    """As soon as anything of it is not being saved; what can be goes on being written."""
    SCAN_ONLY = "scan only"
    """Only while, or when, the scan as a whole is not saved."""


def shown_state(scan: ScanStatus, policy: FaultPolicy) -> tuple[ScanState, str]:
    """The state of a scan and its reason, under this policy."""
    if policy is FaultPolicy.SCAN_ONLY:
        verdict = scan.verdict
        if scan.state is ScanState.FAULT and verdict and verdict.outcome is Outcome.INCOMPLETE:
            return ScanState.OFF, scan.reason
        fault = scan.halted
    else:
        fault = scan.fault
    if fault and not scan.state.final:
        return ScanState.FAULT, fault
    return scan.state, f"{scan.reason}; {scan.fault}" if _goes_on(scan) else scan.reason


def _goes_on(scan: ScanStatus) -> bool:
    """Whether something is being lost of a scan that is called healthy."""
    return bool(scan.fault) and not scan.state.final
