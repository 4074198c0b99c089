"""A scan writer that is fed by hand."""

import errno
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from tests.support_clock import FakeClock
from tests.support_description import channel, line_scan

from nexus_writer_service.hdf5.disk import Bytes, Disk, Step
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.events import Announced, Ended, Points, Prepared, Sealed
from nexus_writer_service.service.disk_space import MEGABYTE, DiskWatch
from nexus_writer_service.service.files import FilePool
from nexus_writer_service.service.profiling import Profiler
from nexus_writer_service.service.scan_writer import ScanWriter
from nexus_writer_service.service.status import ScanStatus, StatusBoard
from nexus_writer_service.service.surroundings import Surroundings


class FullDisk(Disk):
    """Refuses to write as long as it is told to.

    Args:
        name: of the file for which it does; by default for all.
    """

    def __init__(self, name: str = "") -> None:
        self.full = False
        self.refused = 0
        self._name = name

    def write(self, step: Step, descriptor: int, pieces: Sequence[Bytes], address: int) -> None:
        if self.full and self._name in os.readlink(f"/proc/self/fd/{descriptor}"):
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(step, descriptor, pieces, address)


ROBX, DIODE = ChannelName("axis:robx"), ChannelName("card:diode")


class Bench:
    """A scan writer, what it shares with others, and a clock that is moved by hand."""

    def __init__(
        self,
        tmp_path,
        *detectors,
        free=10_000 * MEGABYTE,
        profiling="OFF",
        disk=None,
        options=None,
        file_options=None,
        layout=None,
        **more,
    ) -> None:
        self.clock = FakeClock()
        self.recorded: list[ScanStatus] = []
        self.files = FilePool(options=file_options, disk=disk, clock=self.clock)
        self.disk = DiskWatch(ask=free if callable(free) else lambda _directory: free)
        self.around = Surroundings(
            files=self.files,
            board=StatusBoard(),
            clock=self.clock,
            disk=self.disk,
            layout=layout or (lambda scan: plan(scan, options or EsrfOptions())),
            profiler=Profiler(profiling),
            version="1.2.3",
            record=self.recorded.append,
        )
        about = {"path": str(tmp_path / "data.h5"), "session": "test_session", **more}
        self.scan = line_scan(*(detectors or (channel("card:diode"),)), **about)
        self.writer = ScanWriter(self.scan, self.around, wanted=True)
        self.path = tmp_path / "data.h5"

    @property
    def status(self):
        return self.around.board.get(self.scan.key)

    def state(self):
        return self.status.state

    def prepare(self):
        self.writer.feed(Announced(self.scan.key, self.scan))
        self.writer.feed(Prepared(self.scan.key, self.scan))

    def send(self, name, *values, start=0):
        batch = np.array(values, dtype="f8")
        self.writer.feed(Points(self.scan.key, name, start, (batch,)))

    def seal(self, name, length):
        self.writer.feed(Sealed(self.scan.key, name, length))

    def end(self, reason="SUCCESS"):
        scan = replace(self.scan, end_reason=reason)
        self.writer.feed(Ended(self.scan.key, scan))

    def settle(self):
        """What the scribe does after each turn."""
        self.writer.before_commit()
        errors = self.files.commit()
        self.writer.committed(errors.get(self.writer.files[0]) if self.writer.files else None)
        if not self.writer.over:
            self.writer.tick()

    def settle_until_over(self):
        """Turns of the scribe until the scan is over."""
        for _ in range(100):
            if self.writer.over:
                return
            self.settle()
        raise AssertionError(f"the scan does not end: {self.status}")

    def whole_scan(self):
        self.prepare()
        for name in (ROBX, DIODE):
            self.send(name, 1, 2, 3, 4)
            self.seal(name, 4)
        self.end()
        self.settle()
