"""The thread that writes: what it does at its end, and while the disk is full."""

import threading
from contextlib import closing
from dataclasses import replace

import h5py
import numpy as np
import pytest
from tests.support_scan_writer import DIODE, ROBX, Bench, FullDisk
from tests.support_waiting import wait_for

from nexus_writer_service.hdf5.file import NexusFile
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.model.description import ScanKey
from nexus_writer_service.model.events import Ended, Points, Prepared, Sealed
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.clock import SystemClock
from nexus_writer_service.service.scribe import Scribe
from nexus_writer_service.service.surroundings import Surroundings

BUDGET = 1 << 20
BATCH = 10_000
POINTS = 60 * BATCH
"""What is published while the disk is full: more than the budget four times."""


class Desk:
    """A scribe with a small budget, and a scan."""

    def __init__(self, tmp_path, disk=None, *, tick=0.01, patience=2.0) -> None:
        options = FileOptions(reader_patience=patience)
        bench = Bench(tmp_path, disk=disk, shape=(POINTS,), file_options=options)
        self.scan, self.disk, self.path = bench.scan, disk, bench.path
        around = bench.around
        self.around = Surroundings(
            files=around.files,
            board=around.board,
            clock=SystemClock(),
            disk=around.disk,
            layout=around.layout,
            profiler=around.profiler,
            version=around.version,
            record=around.record,
        )
        self.scribe = Scribe(self.around, tick=tick, budget=BUDGET)
        self.scribe.start()
        self.scribe.announce(self.scan, wanted=True)
        self.sent = 0

    @property
    def status(self):
        return self.around.board.get(self.scan.key)

    def prepare(self):
        self.scribe.submit([Prepared(self.scan.key, self.scan)])
        wait_for(lambda: self.status.state is ScanState.ON, what="prepared")
        for _ in range(2):  # the first call wants a commit, the second comes after it
            self.scribe.call(lambda: None).result(10)

    def points(self, count=BATCH):
        """The next points of the diode."""
        start, self.sent = self.sent, self.sent + count
        batch = np.arange(start, self.sent, dtype="f8")
        return Points(self.scan.key, DIODE, start, (batch,))

    def end(self):
        lengths = {DIODE: self.sent, ROBX: 0}
        sealed = [Sealed(self.scan.key, name, length) for name, length in lengths.items()]
        self.scribe.submit([*sealed, Ended(self.scan.key, self.scan)])
        wait_for(lambda: self.status.over, what="end of the scan")

    def close(self):
        self.scribe.stop()
        self.around.disk.stop()


@pytest.fixture
def full_desk(tmp_path):
    """A desk whose disk has become full, and whose memory is used up; it is empty in the end."""
    desk = Desk(tmp_path, FullDisk())
    desk.prepare()
    desk.disk.full = True
    yield desk
    desk.disk.full = False
    desk.close()


def fill(desk):
    """Submit points, in a thread, until no more are taken; returns the thread."""
    desk.scribe.submit([desk.points()])
    wait_for(lambda: desk.status.fault, what="a commit that fails")
    blocked = threading.Thread(
        target=lambda: [desk.scribe.submit([desk.points()]) for _ in range(POINTS // BATCH - 1)],
        daemon=True,
    )
    blocked.start()

    def stuck():
        sent = desk.sent
        blocked.join(0.2)
        return blocked.is_alive() and desk.sent == sent

    wait_for(stuck, what="no more taken")
    return blocked


@pytest.mark.nonconforming("the entry is not ended")
def test_scans_are_suspended_when_the_scribe_is_stopped(tmp_path):
    desk = Desk(tmp_path)
    desk.prepare()
    desk.scribe.submit([desk.points(5)])
    desk.close()
    assert desk.status.state is ScanState.FAULT
    assert desk.status.reason.startswith("suspended: ")
    assert desk.status.verdict.outcome is Outcome.INTERRUPTED
    with h5py.File(desk.path, "a") as file:
        assert len(file["7.1/measurement/diode"]) == 5
        assert "end_time" not in file["7.1"]


def test_an_error_that_nobody_foresaw_costs_its_scan_only(tmp_path):
    with closing(Desk(tmp_path)) as desk:
        desk.prepare()
        broken = replace(desk.scan, key=ScanKey("esrf:scan:02"), channels=None)
        desk.scribe.announce(broken, wanted=True)
        desk.scribe.submit([desk.points(5), Prepared(broken.key, broken), desk.points(5)])
        wait_for(
            lambda: (one := desk.around.board.get(broken.key)) and one.over,
            what="end of the broken scan",
        )
        desk.end()
    status = desk.around.board.get(broken.key)
    assert status is not None
    assert status.verdict is not None
    assert status.verdict.outcome is Outcome.FAILED
    assert "please report it" in status.reason
    assert desk.status.verdict.outcome is Outcome.COMPLETE
    with h5py.File(desk.path, "r") as file:
        assert file["7.1/measurement/diode"][()].tolist() == list(range(10))


def test_the_beginning_and_the_end_of_a_scan_wait_for_no_tick(tmp_path):
    with closing(Desk(tmp_path, tick=1000)) as desk:
        desk.scribe.submit([Prepared(desk.scan.key, desk.scan)])
        wait_for(lambda: desk.path.exists() and desk.path.stat().st_size, what="an entry on disk")
        desk.scribe.submit([desk.points(5)])
        desk.end()
    assert desk.status.verdict.outcome is Outcome.COMPLETE


def test_while_the_disk_is_full_memory_is_bounded_and_calls_are_served(full_desk):
    blocked = fill(full_desk)
    sent = full_desk.sent
    assert sent * 8 < 2 * BUDGET + 4 * 8 * BATCH  # in the inbox, and taken from it
    assert full_desk.scribe.call(lambda: "served").result(10) == "served"
    assert blocked.is_alive()
    assert "No space left" in full_desk.status.fault
    assert full_desk.sent == sent
    full_desk.disk.full = False
    blocked.join(20)
    assert not blocked.is_alive()
    full_desk.end()
    assert full_desk.status.verdict.outcome is Outcome.COMPLETE
    with h5py.File(full_desk.path, "r") as file:
        np.testing.assert_array_equal(file["7.1/measurement/diode"], np.arange(POINTS))


def test_what_a_full_disk_holds_up_leaves_its_room_to_other_disks(tmp_path):
    desk = Desk(tmp_path, FullDisk("data.h5"))
    desk.prepare()
    other = replace(desk.scan, key=ScanKey("esrf:scan:02"), path=str(tmp_path / "other.h5"))
    desk.scribe.announce(other, wanted=True)
    desk.scribe.submit([Prepared(other.key, other)])
    desk.disk.full = True
    desk.scribe.submit([desk.points()])
    wait_for(lambda: desk.status.fault, what="a commit that fails")
    for start in range(0, POINTS, BATCH):  # more than the budget, but these are committed
        values = np.arange(start, start + BATCH, dtype="f8")
        desk.scribe.submit([Points(other.key, DIODE, start, (values,))])
    sealed = [Sealed(other.key, name, length) for name, length in {DIODE: POINTS, ROBX: 0}.items()]
    desk.scribe.submit([*sealed, Ended(other.key, other)])
    ended = wait_for(
        lambda: [one for one in desk.around.board if one.key == other.key and one.over],
        what="end of the other scan",
    )
    assert ended[0].state is ScanState.OFF
    desk.disk.full = False
    desk.end()
    desk.close()


def test_a_full_disk_keeps_nobody_busy(full_desk, monkeypatch):
    commits: list[float] = []
    commit = NexusFile.commit

    def counted(file):
        commits.append(full_desk.around.clock.monotonic())
        commit(file)

    monkeypatch.setattr(NexusFile, "commit", counted)
    blocked = fill(full_desk)
    commits.clear()
    wait_for(lambda: len(commits) > 10, what="10 attempts")
    # On the tick of 10 ms, and no more often.
    assert min(np.diff(commits)) >= 0.009
    full_desk.disk.full = False
    blocked.join(20)
    full_desk.end()


@pytest.mark.nonconforming("the entry is not ended")
def test_a_scribe_can_be_stopped_while_the_disk_is_full(tmp_path):
    desk = Desk(tmp_path, FullDisk())
    desk.prepare()
    desk.disk.full = True
    blocked = fill(desk)
    desk.close()
    blocked.join(20)
    assert not blocked.is_alive()
    assert desk.status.over
    assert desk.status.verdict.outcome is Outcome.INTERRUPTED
    assert "No space left" in desk.status.reason
    with h5py.File(desk.path, "r") as file:  # as of the last commit
        assert "diode" not in file["7.1"].get("measurement", ())


@pytest.fixture
def patient_desk(tmp_path):
    """A desk with no tick and no patience that would come within the time of a test."""
    desk = Desk(tmp_path, tick=1000.0, patience=1000.0)
    desk.prepare()
    yield desk
    desk.close()


@pytest.mark.nonconforming("the entry is not ended")
@pytest.mark.parametrize("then", ["nothing", "killed"])
def test_a_commit_that_waited_for_a_reader_shows_though_nothing_new_comes(patient_desk, then):
    desk = patient_desk
    with open(desk.path, "rb"):
        desk.scribe.submit([desk.points(5)])
        desk.scribe.call(lambda: None).result(10)
        if then == "killed":  # nobody has the file any more, and no scan is written
            desk.scribe.kill_scan(desk.scan.key, "killed").result(10)
        wait_for(lambda: desk.around.files.pending, what="a commit in the journal")
        assert points_seen(desk) == 0
    wait_for(lambda: points_seen(desk) == 5, what="the commit")
    if then == "killed":
        wait_for(lambda: not desk.around.files.pending, what="the file let go")
    assert points_seen(desk) == 5


def points_seen(desk):
    with h5py.File(desk.path, "r") as file:
        return len(file["7.1"].get("measurement/diode", ()))
