"""A journaled file without HDF5."""

import os
from typing import Any

from tests.support_clock import FakeClock

from nexus_writer_service.hdf5.disk import Disk
from nexus_writer_service.hdf5.journal import Journal
from nexus_writer_service.hdf5.journaled import JournaledFile
from nexus_writer_service.hdf5.options import FileOptions


class Written:
    """A file of 100 bytes, open; HDF5 is not needed to see what shows."""

    def __init__(self, path, disk: Disk | None = None, **options: Any) -> None:
        path.write_bytes(b"o" * 100)
        self.path = path
        self.clock = FakeClock()
        self.disk = disk or Disk()
        self.file = JournaledFile(
            os.open(path, os.O_RDWR),
            Journal.acquire(str(path), self.disk),
            options=FileOptions(**options),
            disk=self.disk,
            clock=self.clock.monotonic,
        )

    def put(self, address, data):
        self.file.seek(address)
        self.file.write(data)

    def held(self):
        self.file.seek(0)
        return self.file.read()
