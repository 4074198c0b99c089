"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tests.support_conformance import check_files_of

from nexus_writer_service.testing.redis_server import RedisServer, reset
from nexus_writer_service.testing.tango_database import TangoDatabase

if TYPE_CHECKING:
    import tango

    from nexus_writer_service.testing.simulation import SimulatedSession

# How long an example takes says more about the machine than about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def nexus_files_conform(request: pytest.FixtureRequest) -> Iterator[None]:
    """The NeXus files that a test leaves in its tmp_path pass the conformance gate."""
    yield from check_files_of(request)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where programs keep their state during the tests: never in the home directory."""
    home = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server with the modules that scans need, for the whole run of the tests."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The server with a database that is set up for scans and holds none."""
    reset(redis_server.url)
    return redis_server.url


@pytest.fixture
def simulated_session(redis_url: str, tmp_path: Path) -> "Iterator[SimulatedSession]":
    """A BLISS session that saves below ``tmp_path``."""
    # Here, because blissdata takes a second to import, and most tests need none of it.
    from nexus_writer_service.testing.simulation import SimulatedSession  # noqa: PLC0415

    with SimulatedSession(redis_url, data_root=tmp_path) as session:
        yield session


@pytest.fixture(scope="session")
def tango_server() -> Iterator[TangoDatabase]:
    """A Tango database server, for the whole run of the tests."""
    with TangoDatabase() as server:
        yield server


@pytest.fixture
def tango_database(
    tango_server: TangoDatabase, monkeypatch: pytest.MonkeyPatch
) -> "tango.Database":
    """A Tango database without devices of ours; TANGO_HOST leads to it."""
    # Here, because most tests need no Tango.
    from tests.support_tango import emptied_database  # noqa: PLC0415

    monkeypatch.setenv("TANGO_HOST", tango_server.host)
    for variable in ("BEAMLINE", "BEAMLINENAME", "BEACON_HOST"):
        monkeypatch.delenv(variable, raising=False)
    return emptied_database(tango_server.host)
