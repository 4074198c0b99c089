"""Scans of BLISS' writer ``mapping``: published live, saved as mapped, read by plain readers."""

from pathlib import Path

import pytest
from tests.support_session import check_values, opened, running_writer
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.testing.simulation import ScanRecord, designs, run_demo_scans

pytestmark = pytest.mark.integration


@pytest.fixture
def session(simulated_session):
    simulated_session.style = "2.4"
    simulated_session.h5maps = True
    simulated_session.data_writer = "mapping"
    return simulated_session


@pytest.fixture
def options(session):
    return ProcessOptions(session=session.name, data_writers=("mapping",))


def test_every_kind_of_scan_is_complete_and_as_mapped(session, options, redis_url):
    with running_writer(redis_url, options) as writer:
        records = run_demo_scans(session, period=0.001)
        for record in records:
            verdict = writer.verdict(record)
            assert verdict.outcome is Outcome.COMPLETE, verdict.summary
        for record in records:
            check_values(record)
            with opened(record) as file:
                # The simulation's maps have none of the classic layout's snapshots.
                assert "positioners_start" not in file[f"{record.number}.1/instrument"]


def test_points_show_while_the_scan_runs_and_a_writer_started_again_goes_on(
    session, options, redis_url
):
    with session.open(lambda setting: designs.loopscan(setting, 10)) as scan:
        scan.prepare()
        scan.start()
        scan.publish(4)
        with running_writer(redis_url, options):
            wait_for(lambda: points_in(scan.record) == 4, what="4 visible points")
        scan.publish(2)
        with running_writer(redis_url, options) as writer:
            wait_for(lambda: points_in(scan.record) == 6, what="6 visible points")
            scan.publish()
            scan.stop()
            scan.close()
            assert writer.verdict(scan.record).outcome is Outcome.COMPLETE
    check_values(scan.record)


def points_in(record: ScanRecord) -> int:
    """Points that a reader sees of the scan's time."""
    path = Path(str(record.path))
    if not path.exists() or not path.stat().st_size:  # empty until the first commit
        return 0
    with opened(record) as file:
        found = file.get(f"{record.number}.1/measurement/elapsed_time")
        return 0 if found is None else len(found)
