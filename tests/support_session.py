"""A writer that runs in threads of the test's own process, on a real Redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from tests.support_waiting import wait_for

from nexus_writer_service.cli.session_process import ProcessOptions, SessionProcess
from nexus_writer_service.model.states import SessionState
from nexus_writer_service.model.verdict import Verdict
from nexus_writer_service.service.disk_space import DiskWatch
from nexus_writer_service.service.status import ScanStatus
from nexus_writer_service.sources.bliss.session import BlissSource
from nexus_writer_service.testing.simulation import ScanRecord


class RunningWriter:
    """Listens to a session until the end of the ``with`` block."""

    def __init__(self, process: SessionProcess) -> None:
        self.process = process

    def status(self, record: ScanRecord) -> ScanStatus | None:
        return next((one for one in self.process.board if one.key == record.key), None)

    def over(self, record: ScanRecord) -> ScanStatus:
        """The status of a scan when it is over."""

        def final() -> ScanStatus | None:
            status = self.status(record)
            return status if status and status.state.final and status.verdict else None

        status = wait_for(final, what=f"end of scan {record.name}")
        assert status is not None
        return status

    def verdict(self, record: ScanRecord) -> Verdict:
        verdict = self.over(record).verdict
        assert verdict is not None
        return verdict


@contextmanager
def running_writer(url: str, options: ProcessOptions) -> Iterator[RunningWriter]:
    process = SessionProcess(
        replace(options, grace=0.1),
        lambda backlog: BlissSource(url, options.session, backlog=backlog),
        DiskWatch(required=0, recommended=0),
    )
    process.start()
    try:
        wait_for(lambda: process.session.state is not SessionState.INIT, what="writer listening")
        yield RunningWriter(process)
    finally:
        process.stop()


def opened(record: ScanRecord, name: str | None = None) -> h5py.File:
    """The scan's file, or the one of that name beside it, for reading.

    The writer of these tests may hold it open in this very process, and HDF5 opens a file twice in
    one process only with the same flag for locking. Readers of the usual kind are in test_live.py.
    """
    path = record.path if name is None else Path(str(record.path)).with_name(name)
    return h5py.File(path, "r", locking=False)


def check_values(record: ScanRecord, *, but: tuple[str, ...] = ()) -> None:
    """Every point that the scan published is in the file, at its place.

    Args:
        record: what was published.
        but: channels that are not looked at.
    """
    with opened(record) as file:
        for channel in record.channels.values():
            if channel.name in but or not channel.length or not channel.path:
                continue
            written = file[channel.dataset][()]
            if -1 in channel.shape:
                _check_ragged(channel.ragged_values(), written)
            else:
                np.testing.assert_array_equal(written, channel.values(), err_msg=channel.name)


def _check_ragged(published: list[np.ndarray], written: np.ndarray) -> None:
    assert len(written) == len(published)
    for row, point in zip(written, published, strict=True):
        part = row[tuple(slice(length) for length in point.shape)]
        np.testing.assert_array_equal(part, point)
