"""Fixtures of the tests that need a Redis server."""

from collections.abc import Iterator

import pytest
from tests.support_session import RunningWriter, running_writer

from nexus_writer_service.cli.session_process import ProcessOptions
from nexus_writer_service.testing.simulation import SimulatedSession


@pytest.fixture
def session(simulated_session: SimulatedSession) -> SimulatedSession:
    """A simulated BLISS session on an empty database."""
    return simulated_session


@pytest.fixture
def writer(redis_url: str, session: SimulatedSession) -> Iterator[RunningWriter]:
    """Our writer, listening to the session."""
    with running_writer(redis_url, ProcessOptions(session.name)) as running:
        yield running
