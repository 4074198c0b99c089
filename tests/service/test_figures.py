from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.support_status import at

from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.service.figures import Tally
from nexus_writer_service.service.status import ScanStatus

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
SCAN = ScanStatus(ScanKey("a"), "1_ascan", "session", ScanState.ON, "accepting data", NOW)
OTHER = replace(SCAN, key=ScanKey("b"), name="2_ascan")


def test_scans_that_are_not_over_are_active():
    over = replace(SCAN, state=ScanState.OFF, ended=NOW)
    assert Tally().update([over, OTHER], NOW, 0.0).active_scans == 1


def test_bytes_are_of_all_scans_also_of_those_that_were_purged():
    tally = Tally()
    tally.update([replace(SCAN, nbytes=100)], NOW, 0.0)
    tally.update([replace(SCAN, nbytes=300), replace(OTHER, nbytes=50)], NOW, 1.0)
    assert tally.update([replace(OTHER, nbytes=50)], NOW, 2.0).nbytes == 350


def test_bytes_of_a_scan_that_is_gone_on_with_are_not_taken_back():
    tally = Tally()
    tally.update([replace(SCAN, nbytes=100)], NOW, 0.0)
    tally.update([replace(SCAN, nbytes=0)], NOW, 1.0)
    assert tally.update([replace(SCAN, nbytes=30)], NOW, 2.0).nbytes == 130


def test_the_rate_is_that_of_the_last_seconds():
    tally = Tally()
    rates = [
        tally.update([at(SCAN, 10 * second)], NOW, float(second)).points_per_second
        for second in range(20)
    ]
    assert rates[0] == 0.0
    assert rates[1:] == pytest.approx([10.0] * 19)
    stopped = [
        tally.update([at(SCAN, 190)], NOW, float(second)).points_per_second
        for second in range(20, 27)
    ]
    assert stopped[-1] == 0.0


def test_the_newest_error_is_kept_with_its_time():
    tally = Tally()
    assert tally.update([SCAN], NOW, 0.0).last_error == ""
    faulty = replace(SCAN, fault="channel x: lost")
    assert (
        tally.update([faulty], NOW, 1.0).last_error
        == "2026-11-21 03:00:00 scan 1_ascan: channel x: lost"
    )
    assert tally.update([SCAN, OTHER], NOW, 2.0).last_error.endswith("channel x: lost")
    failed = replace(OTHER, state=ScanState.FAULT, reason="no room", ended=NOW)
    assert tally.update([SCAN, failed], NOW, 3.0).last_error.endswith("scan 2_ascan: no room")
