"""Redis goes away and comes back: the session waits, and no point is lost or written twice."""

import pytest
from tests.support_session import check_values, running_writer
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions, SessionProcess
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.redis_server import URL_VARIABLE, RedisServer, initialise
from nexus_writer_service.testing.simulation import SimulatedSession, designs

pytestmark = pytest.mark.integration


@pytest.fixture
def own_server(monkeypatch):
    """A server that keeps its data over a restart, for this test alone."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with RedisServer(persistent=True) as server:
        initialise(server.url)
        yield server


def test_a_scan_goes_on_where_it_stopped_when_redis_is_back(own_server, tmp_path):
    options = ProcessOptions("test_session")
    with (
        SimulatedSession(own_server.url, data_root=tmp_path, publisher="pipeline") as session,
        running_writer(own_server.url, options) as writer,
    ):
        scan = session.open(lambda setting: designs.loopscan(setting, 20))
        scan.prepare()
        scan.start()
        scan.publish(7)
        wait_for(lambda: (status := writer.status(scan.record)) and status.fewest_points == 7)
        own_server.stop()
        wait_for(lambda: writer.process.session.state is SessionState.INIT, what="INIT")
        assert own_server.url.partition("?")[0] in writer.process.session.reason
        own_server.start()
        scan.publish()
        scan.stop()
        scan.close()
        assert writer.verdict(scan.record).outcome is Outcome.COMPLETE
        check_values(scan.record)
        following = session.loopscan(3)
        assert writer.verdict(following).outcome is Outcome.COMPLETE


def test_a_writer_that_starts_before_redis_waits_for_it(own_server, tmp_path):
    own_server.stop()
    process = SessionProcess(
        ProcessOptions("test_session", grace=0.1),
        lambda backlog: BlissSource(own_server.url, "test_session", backlog=backlog),
        DiskWatch(required=0, recommended=0),
    )
    process.start()
    try:
        wait_for(lambda: "cannot" in process.session.reason or "not" in process.session.reason)
        assert process.session.state is SessionState.INIT
        own_server.start()
        wait_for(lambda: process.session.state is SessionState.ON, what="ON")
        with SimulatedSession(own_server.url, data_root=tmp_path) as session:
            record = session.loopscan(3)
            wait_for(lambda: [one for one in process.board if one.verdict])
            check_values(record)
    finally:
        process.stop()
