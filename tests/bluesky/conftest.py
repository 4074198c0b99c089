"""Fixtures for Bluesky."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support_recordings import unpack_assets

from nexus_writer_service.bluesky import NXWriter


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the detectors' files that recordings refer to."""
    folder = tmp_path_factory.mktemp("assets with blank")
    unpack_assets(folder)
    return folder


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Listings of the reference hold local times of a machine in UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[NXWriter]:
    """A writer that puts its files into a folder of the test."""
    writer = NXWriter()
    writer.file_path = tmp_path
    yield writer
    writer.close()
