"""A scan whose file is in the hands of another writer loses nothing when that one lets go."""

import h5py
import pytest
from tests.support_scan_writer import DIODE, ROBX, Bench

from nexus_writer_service.model.events import Vanished
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service import lockout
from nexus_writer_service.service.files import LOCKED_FILE_PERIOD
from nexus_writer_service.service.lockout import LOCK_PATIENCE


@pytest.fixture
def holder(tmp_path):
    """The writer that has the file: it has written 2 of 4 points of the scan."""
    bench = Bench(tmp_path)
    bench.prepare()
    for name in (ROBX, DIODE):
        bench.send(name, 1, 2)
    bench.settle()
    yield bench
    bench.disk.stop()


@pytest.fixture
def bench(holder, tmp_path):
    """The writer that comes after it, told of the same scan."""
    bench = Bench(tmp_path)
    bench.prepare()
    yield bench
    bench.disk.stop()


def let_go(holder, bench):
    """The holder suspends the scan, and the other one looks again."""
    holder.writer.suspend("another writer took over")
    holder.settle_until_over()
    look_again(bench)


def look_again(bench, seconds=LOCKED_FILE_PERIOD):
    bench.clock.advance(seconds)
    bench.settle()


def publish_all(bench):
    for name in (ROBX, DIODE):
        bench.send(name, 1, 2)
        bench.send(name, 3, 4, start=2)
        bench.seal(name, 4)


def measured(bench):
    with h5py.File(bench.path, "r") as file:
        return [list(file[f"7.1/measurement/{name}"]) for name in ("robx", "diode")]


def test_while_the_file_is_held_the_scan_says_by_whom_and_is_not_over(holder, bench):
    assert bench.state() is ScanState.INIT
    assert "open for writing" in bench.status.fault
    assert bench.status.halted == bench.status.fault
    assert "waits for its file" in bench.status.reason
    look_again(bench)
    assert bench.state() is ScanState.INIT


def test_what_was_published_meanwhile_is_written_when_the_file_is_free(holder, bench):
    publish_all(bench)
    let_go(holder, bench)
    assert bench.state() is ScanState.ON
    assert bench.status.fault is None
    bench.end()
    bench.settle_until_over()
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert measured(bench) == [[1, 2, 3, 4]] * 2


def test_also_when_the_scan_has_ended_meanwhile(holder, bench):
    publish_all(bench)
    bench.end()
    look_again(bench, LOCK_PATIENCE / 2)
    assert not bench.writer.over
    let_go(holder, bench)
    bench.settle_until_over()
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert measured(bench) == [[1, 2, 3, 4]] * 2


def test_a_scan_that_the_holder_finished_is_saved_already(holder, bench):
    publish_all(bench)
    for name in (ROBX, DIODE):
        holder.send(name, 3, 4, start=2)
        holder.seal(name, 4)
    holder.end()
    holder.settle_until_over()
    look_again(bench)
    assert bench.status.reason.startswith("saved already")
    assert measured(bench) == [[1, 2, 3, 4]] * 2


@pytest.mark.parametrize("last", ["ended", "vanished"])
def test_some_time_after_the_scan_it_is_given_up(holder, bench, last):
    publish_all(bench)
    if last == "ended":
        bench.end()
    else:
        bench.writer.feed(Vanished(bench.scan.key, "deleted"))
    look_again(bench, LOCK_PATIENCE)
    assert bench.writer.over
    assert bench.state() is ScanState.FAULT
    assert bench.status.verdict.outcome is Outcome.FAILED
    assert "10 min" in bench.status.reason
    assert measured(holder) == [[1, 2]] * 2


def test_a_scan_that_brings_too_much_meanwhile_is_given_up(holder, bench, monkeypatch):
    monkeypatch.setattr(lockout, "MOST_HELD", 2000)
    publish_all(bench)
    assert bench.around.held.nbytes > 0
    look_again(bench)
    assert bench.state() is ScanState.INIT
    for start in range(4, 20):
        bench.send(DIODE, 1, start=start)
    look_again(bench)
    assert bench.state() is ScanState.FAULT
    assert not bench.writer.over  # its end is awaited
    assert bench.around.held.nbytes == 0
    bench.end()
    assert bench.status.verdict.outcome is Outcome.FAILED


def test_a_scan_that_waits_can_be_stopped_and_killed(holder, bench):
    publish_all(bench)
    bench.writer.stop("stopped by command")
    assert bench.writer.over
    assert bench.status.verdict.outcome is Outcome.FAILED
    assert "open for writing" in bench.status.reason
    assert bench.around.held.nbytes == 0
    other = Bench(bench.path.parent)
    other.prepare()
    other.writer.kill("killed by command")
    assert other.writer.over
    other.disk.stop()


def test_a_scan_that_waits_can_be_suspended(holder, bench):
    publish_all(bench)
    bench.writer.suspend("the writer is stopped")
    assert bench.writer.over
    assert bench.status.verdict.outcome is Outcome.INTERRUPTED


@pytest.mark.nonconforming("it is no HDF5 file")
def test_a_file_that_cannot_be_used_once_it_is_free_is_a_failure(holder, bench):
    bench.end()
    holder.writer.kill("killed")
    bench.path.write_bytes(b"no HDF5")
    look_again(bench)
    assert bench.writer.over
    assert bench.status.verdict.outcome is Outcome.FAILED
