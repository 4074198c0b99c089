"""What BLISS is told of a scan, under each policy."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome, Verdict
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.tango.health import FaultPolicy, shown_state

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
WELL = ScanStatus(ScanKey("a"), "1_ascan", "session", ScanState.ON, "accepting data", NOW)
LOSING = replace(WELL, fault="channel x: lost")
HALTED = replace(WELL, fault="no room", halted="no room")
INCOMPLETE = replace(
    WELL, state=ScanState.FAULT, reason="incomplete: x", verdict=Verdict(Outcome.INCOMPLETE, ("x",))
)
FAILED = replace(
    WELL, state=ScanState.FAULT, reason="failed: x", verdict=Verdict(Outcome.FAILED, ("x",))
)
REFUSED = replace(WELL, state=ScanState.FAULT, reason="no room")
ANY, ONLY = FaultPolicy.ANY_LOST_CHANNEL, FaultPolicy.SCAN_ONLY


@pytest.mark.parametrize(
    ("scan", "policy", "state", "reason"),
    [
        (WELL, ANY, "ON", "accepting data"),
        (WELL, ONLY, "ON", "accepting data"),
        (LOSING, ANY, "FAULT", "channel x: lost"),
        (LOSING, ONLY, "ON", "accepting data; channel x: lost"),
        (HALTED, ANY, "FAULT", "no room"),
        (HALTED, ONLY, "FAULT", "no room"),
        (INCOMPLETE, ANY, "FAULT", "incomplete: x"),
        (INCOMPLETE, ONLY, "OFF", "incomplete: x"),
        (FAILED, ANY, "FAULT", "failed: x"),
        (FAILED, ONLY, "FAULT", "failed: x"),
        (REFUSED, ANY, "FAULT", "no room"),
        (REFUSED, ONLY, "FAULT", "no room"),
    ],
)
def test_a_scan_is_in_fault_when_the_policy_says_so(scan, policy, state, reason):
    assert shown_state(scan, policy) == (ScanState(state), reason)
