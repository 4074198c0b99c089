"""Whole scans: published by a simulated session, saved by our writer, read by plain readers."""

import threading

import numpy as np
import pytest
from tests.support_session import check_values, opened, running_writer
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions
from nexus_writer_service.layout.esrf import EsrfOptions
from nexus_writer_service.model.states import ScanState, SessionState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.testing.simulation import (
    Camera,
    MeshAxis,
    SimulatedSession,
    run_demo_scans,
)

pytestmark = pytest.mark.integration


def check_complete(writer, record):
    status = writer.over(record)
    assert status.verdict.outcome is Outcome.COMPLETE, status.verdict.summary
    assert status.state is ScanState.OFF
    check_values(record)
    return status


@pytest.mark.parametrize("style", ["2.0", "2.4"])
def test_every_kind_of_scan_is_complete(writer, session, style):
    session.style = style
    records = run_demo_scans(session, period=0.001)
    records += [subscan for record in records for subscan in record.subscans]
    for record in records:
        writer.over(record)
    for record in records:
        check_complete(writer, record)


def test_one_hundred_short_scans_back_to_back_are_all_complete(writer, session):
    session.publisher = "pipeline"
    records = [session.loopscan(10) for _ in range(100)]
    for record in records:
        # HDF5 does not open a file for writing that is open for reading in the same process.
        writer.over(record)
    for record in records:
        check_complete(writer, record)


def test_parallel_scans_share_a_file(writer, session):
    records = []
    threads = [
        threading.Thread(target=lambda: records.append(session.loopscan(20, period=0.005)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.path for record in records}) == 1
    for record in records:
        writer.over(record)
    for record in records:
        check_complete(writer, record)


def test_a_scan_of_five_hundred_channels_is_complete(writer, session):
    session.publisher = "pipeline"
    counters = tuple(f"many:counter{number}" for number in range(500))
    check_complete(writer, session.loopscan(20, counters=counters))


def test_images_are_mapped_and_read_through_the_master_file(writer, session):
    record = session.camera(7, Camera(shape=(16, 24), frames_per_file=3))
    check_complete(writer, record)
    (channel,) = [one for one in record.channels.values() if one.files]
    with opened(record) as file:
        dataset = file[channel.dataset]
        assert dataset.is_virtual
        assert all(not source.file_name.startswith("/") for source in dataset.virtual_sources())


def test_a_mesh_is_stored_flat_and_with_keepshape_as_a_grid(redis_url, session):
    fast, slow = MeshAxis("robx", 0, 1, 5), MeshAxis("roby", 0, 1, 3)
    options = ProcessOptions(session.name, layout=EsrfOptions(keepshape=True))
    with running_writer(redis_url, options) as writer:
        record = session.amesh(fast, slow)
        assert writer.verdict(record).outcome is Outcome.COMPLETE
    with opened(record) as file:
        for channel in record.channels.values():
            written = file[channel.dataset][()]
            assert written.shape == (4, 6)
            np.testing.assert_array_equal(written.ravel(), channel.values())


def test_an_aborted_scan_is_complete_in_what_it_published(writer, session):
    record = session.ascan("robx", 0, 1, 40, abort_after=9)
    check_complete(writer, record)
    with opened(record) as file:
        assert file[record.entries[0]]["end_reason"][()] == b"USER_ABORT"


def test_a_scan_that_fails_before_it_starts_has_an_entry_that_says_so(writer, session):
    record = session.failing_in_prepare()
    check_complete(writer, record)
    with opened(record) as file:
        assert file[record.entries[0]]["end_reason"][()] == b"FAILURE"


def test_scans_that_are_not_to_be_saved_are_seen_and_not_saved(writer, session):
    record = session.ct()
    status = writer.over(record)
    assert status.state is ScanState.OFF
    assert "saving is disabled" in status.reason
    session.data_writer = "nexus"
    record = session.loopscan(3)
    assert "saving is disabled" in writer.over(record).reason
    assert not record.path.exists()


def test_any_serves_scans_of_every_data_writer(redis_url, session):
    session.data_writer = "nexus"
    with running_writer(redis_url, ProcessOptions(session.name, data_writers=("any",))) as writer:
        check_complete(writer, session.loopscan(3))


def test_only_the_scans_of_the_session_are_seen(writer, session, redis_url, tmp_path):
    with SimulatedSession(redis_url, "other_session", data_root=tmp_path) as other:
        foreign = other.loopscan(3)
    check_complete(writer, session.loopscan(3))
    assert writer.status(foreign) is None


def test_a_session_is_running_while_a_scan_is_not_over(writer, session):
    assert writer.process.session.state is SessionState.ON
    scan = threading.Thread(target=session.loopscan, args=(40,), kwargs={"period": 0.02})
    scan.start()
    wait_for(lambda: writer.process.session.state is SessionState.RUNNING)
    scan.join()
    wait_for(lambda: writer.process.session.state is SessionState.ON)
