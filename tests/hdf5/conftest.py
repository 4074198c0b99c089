import os

import pytest
from tests.support_clock import FakeClock
from tests.support_journaled import Written

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.journal import journal_path
from nexus_writer_service.hdf5.options import READER_PATIENCE


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def file(tmp_path, clock):
    file = NexusFile.open(str(tmp_path / "master.h5"), clock=clock.monotonic)
    yield file
    file.close()


@pytest.fixture
def images(tmp_path):
    return tmp_path / "scan0001"


@pytest.fixture
def written(tmp_path):
    written = Written(tmp_path / "data.bin")
    yield written
    written.clock.advance(READER_PATIENCE)
    written.file.close()
    assert not os.path.exists(journal_path(str(written.path)))
