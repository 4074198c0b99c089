"""Fixtures of the tests of the device: a Tango database, a Redis, and the server as a process."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import tango
from tests.support_device_server import DeviceServer
from tests.support_waiting import wait_for

from nexus_writer_service.testing.simulation import SimulatedScan, SimulatedSession, designs


@pytest.fixture
def session(simulated_session: SimulatedSession) -> SimulatedSession:
    """A session that has selected the device to save its scans."""
    simulated_session.data_writer = "nexus"
    return simulated_session


@pytest.fixture
def new_server(
    tango_database: tango.Database, redis_url: str, tmp_path: Path
) -> Iterator[Callable[..., DeviceServer]]:
    """Makes a server of devices for sessions; it is not started."""
    made: list[DeviceServer] = []

    def make(
        *sessions: str,
        redis: str = redis_url,
        program: Sequence[str] = ("-m", "nexus_writer_service"),
        device_class: str = "NexusWriter",
        **properties: object,
    ) -> DeviceServer:
        instance = "nexuswriters" if not made else f"nexuswriters{len(made)}"
        made.append(
            DeviceServer(
                tango_database,
                redis,
                tmp_path,
                *(sessions or ("test_session",)),
                instance=instance,
                program=program,
                properties=properties,
                device_class=device_class,
            )
        )
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def server(new_server: Callable[..., DeviceServer], session: SimulatedSession) -> DeviceServer:
    """A server with the device of the session, which accepts scans."""
    server = new_server(session.name)
    server.start()
    server.await_state("ON")
    return server


@pytest.fixture
def device(server: DeviceServer) -> tango.DeviceProxy:
    """The device, as BLISS has it."""
    proxy = server.device
    proxy.set_timeout_millis(3000)
    return proxy


@pytest.fixture
def half_a_scan(device: tango.DeviceProxy, session: SimulatedSession) -> Iterator[SimulatedScan]:
    """A scan, 1_loopscan, of whose 10 points 4 are in the file."""
    with begun(device, session) as scan:
        yield scan


def begun(device: tango.DeviceProxy, session: SimulatedSession) -> SimulatedScan:
    """A scan that has published 4 of its 10 points, all of them written."""
    scan = session.open(lambda setting: designs.loopscan(setting, 10))
    scan.prepare()
    scan.start()
    scan.publish(4)
    name = scan.record.name
    wait_for(
        lambda: any(line.split() == [f"{name}:", "4pts-4pts"] for line in device.scan_progress),
        what="4 points of the scan",
    )
    return scan
