import pytest
from tests.support_clock import FakeClock

from nexus_writer_service.hdf5.file import NexusFile


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
