"""One scan, fed with events: what goes wrong stays small, and the verdict tells it."""

import logging
import os
from dataclasses import replace

import h5py
import numpy as np
import pytest
from tests.support_description import channel, images
from tests.support_scan_writer import DIODE, ROBX, Bench
from tests.support_waiting import wait_for

from nexus_writer_service.errors import DiskSpaceError
from nexus_writer_service.hdf5.options import FileOptions
from nexus_writer_service.model.description import ChannelName, Content
from nexus_writer_service.model.events import Ended, Frames, Lost, Points, Prepared, Vanished
from nexus_writer_service.model.states import ScanState
from nexus_writer_service.model.verdict import Gap, Outcome
from nexus_writer_service.service import lookout
from nexus_writer_service.service.disk_space import MEGABYTE
from nexus_writer_service.service.scan_writer import COMMIT_PATIENCE, ScanWriter
from nexus_writer_service.service.surroundings import FILES_PATIENCE

IMAGE = ChannelName("cam:image")


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.disk.stop()


def test_a_scan_goes_through_its_states_and_leaves_nothing_open(bench):
    assert bench.state() is ScanState.INIT
    bench.prepare()
    assert bench.state() is ScanState.ON
    for name in (ROBX, DIODE):
        bench.send(name, 1, 2, 3, 4)
        bench.seal(name, 4)
    bench.end()
    bench.settle()
    assert bench.state() is ScanState.OFF
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert bench.status.urls == (f"{bench.path}::/7.1",)
    assert bench.status.ended is not None
    with h5py.File(bench.path, "a") as file:  # nobody holds it any more
        assert file["7.1/writer/status"][()] == b"SUCCEEDED"
        assert list(file["7.1/measurement/robx"]) == [1, 2, 3, 4]
        assert file.attrs["creator_version"] == "1.2.3"


def test_a_scan_is_over_only_once_readers_can_see_all_of_it(tmp_path):
    bench = Bench(tmp_path, file_options=FileOptions(reader_patience=1000))
    bench.prepare()
    bench.send(ROBX, 1, 2)
    bench.settle()
    reader = os.open(bench.path, os.O_RDONLY)
    for name, length in ((ROBX, 2), (DIODE, 0)):
        bench.seal(name, length)
    bench.end()
    for _ in range(3):
        bench.settle()
        assert (bench.writer.over, bench.status.over) == (False, False)
    (file,) = bench.writer.files
    assert file is not None
    assert file.shown < file.commits
    os.close(reader)
    bench.files.poll()
    assert file.shown == file.commits
    bench.settle()
    assert bench.writer.over
    assert bench.state() is ScanState.OFF
    with h5py.File(bench.path, "r") as seen:
        assert seen["7.1/writer/status"][()] == b"SUCCEEDED"
    bench.disk.stop()


def test_points_that_do_not_fit_cost_their_channel_only(bench):
    bench.prepare()
    bench.send(ROBX, 1, 2, 3, 4)
    bench.seal(ROBX, 4)
    bench.send(DIODE, 1, 2)
    wrong = np.zeros((2, 5))
    bench.writer.feed(Points(bench.scan.key, DIODE, 2, (wrong,)))
    assert "card:diode" in bench.status.fault
    assert bench.state() is ScanState.ON
    bench.send(DIODE, 5, 6, start=4)
    bench.seal(DIODE, 6)
    bench.end()
    bench.settle()
    assert bench.state() is ScanState.FAULT
    assert bench.status.verdict.outcome is Outcome.INCOMPLETE
    with h5py.File(bench.path, "r") as file:
        assert list(file["7.1/measurement/robx"]) == [1, 2, 3, 4]
        assert list(file["7.1/measurement/diode"]) == [1, 2]


def test_a_lost_channel_is_told_at_once_and_in_the_verdict(bench):
    bench.prepare()
    bench.send(ROBX, 1)
    bench.seal(ROBX, 1)
    bench.writer.feed(Lost(bench.scan.key, DIODE, 0, None, "bytes make no sense"))
    assert "bytes make no sense" in bench.status.fault
    bench.end()
    bench.settle()
    assert any("bytes make no sense" in text for text in bench.status.verdict.reasons)


def test_a_lost_range_is_a_gap_and_named_in_the_verdict(bench):
    bench.prepare()
    bench.send(ROBX, 1, 2, 3)
    bench.seal(ROBX, 3)
    bench.writer.feed(Lost(bench.scan.key, DIODE, 0, 2, "trimmed from Redis"))
    bench.send(DIODE, 7, start=2)
    bench.seal(DIODE, 3)
    bench.end()
    bench.settle()
    assert bench.status.verdict.outcome is Outcome.INCOMPLETE
    assert any("points 0 to 1 lost" in text for text in bench.status.verdict.reasons)
    (tally,) = [one for one in bench.status.verdict.channels if one.channel == DIODE]
    assert tally.gaps == (Gap(0, 2, "trimmed from Redis"),)
    assert (tally.written, tally.published) == (1, 3)
    with h5py.File(bench.path, "r") as file:
        np.testing.assert_array_equal(file["7.1/measurement/diode"], [np.nan, np.nan, 7])


def test_a_scan_that_vanishes_is_incomplete_and_says_why(bench):
    bench.prepare()
    bench.send(ROBX, 1)
    bench.writer.feed(Vanished(bench.scan.key, "deleted from Redis"))
    bench.settle()
    assert bench.state() is ScanState.FAULT
    assert "deleted from Redis" in bench.status.verdict.summary


def test_a_stopped_scan_keeps_what_it_has(bench):
    bench.prepare()
    bench.send(ROBX, 1, 2)
    bench.writer.stop("stopped by command")
    bench.settle()
    assert bench.status.verdict.outcome is Outcome.INCOMPLETE
    assert "stopped by command" in bench.status.verdict.summary
    with h5py.File(bench.path, "r") as file:
        assert list(file["7.1/measurement/robx"]) == [1, 2]


def test_too_little_room_refuses_the_scan(tmp_path):
    bench = Bench(tmp_path, free=10 * MEGABYTE)
    bench.prepare()
    assert bench.state() is ScanState.FAULT
    assert "Free disk space below 200 MB" in bench.status.reason
    bench.send(ROBX, 1)
    bench.end()
    assert bench.writer.over
    assert bench.status.verdict.outcome is Outcome.FAILED
    assert not bench.path.exists()
    bench.disk.stop()


def test_a_disk_that_fills_up_halts_the_scan_until_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr(lookout, "PERIOD", 0.01)
    room = [10_000 * MEGABYTE]
    bench = Bench(tmp_path, free=lambda _directory: room[0])
    bench.prepare()
    bench.settle()
    assert not bench.status.halted
    room[0] = 10 * MEGABYTE
    wait_for(lambda: after_a_while(bench).halted, what="a scan that is halted")
    assert "Free disk space below 200 MB" in bench.status.halted
    assert "Free disk space below 200 MB" in bench.status.fault
    room[0] = 10_000 * MEGABYTE
    wait_for(lambda: after_a_while(bench).halted is None, what="a scan that goes on")
    bench.writer.stop("enough")
    bench.settle()
    assert any("Free disk space" in text for text in bench.status.verdict.warnings)
    bench.disk.stop()


def after_a_while(bench):
    bench.clock.advance(10)
    bench.settle()
    return bench.status


def test_an_error_that_nobody_foresaw_fails_the_scan_and_closes_the_file(bench):
    bench.prepare()
    bench.send(ROBX, 1)
    bench.writer.fail(KeyError("a bug"))
    assert bench.writer.over
    assert bench.state() is ScanState.FAULT
    assert "please report it: KeyError('a bug')" in bench.status.verdict.summary
    with h5py.File(bench.path, "a") as file:
        assert "7.1" in file


def test_a_commit_that_fails_is_tried_again_until_it_succeeds(bench):
    bench.prepare()
    bench.send(ROBX, 1)
    bench.seal(ROBX, 1)
    bench.seal(DIODE, 0)
    bench.end()
    bench.writer.committed(DiskSpaceError("no room"))
    assert not bench.writer.over
    bench.clock.advance(COMMIT_PATIENCE - 1)
    bench.settle()
    assert bench.writer.over
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    assert any("no room" in text for text in bench.status.warnings)


def test_a_commit_that_fails_during_the_scan_is_a_fault_until_one_succeeds(bench):
    bench.prepare()
    bench.writer.committed(DiskSpaceError("no room"))
    bench.writer.tick()
    assert bench.status.fault == "no room"
    bench.settle()
    assert bench.status.fault is None
    assert bench.state() is ScanState.ON


def test_a_commit_that_never_succeeds_fails_the_scan(bench):
    bench.prepare()
    bench.end()
    bench.writer.committed(DiskSpaceError("no room"))
    bench.clock.advance(COMMIT_PATIENCE + 1)
    bench.writer.committed(DiskSpaceError("no room"))
    assert bench.writer.over
    assert bench.state() is ScanState.FAULT
    assert bench.status.verdict.outcome is Outcome.FAILED


def camera_scan(tmp_path):
    detector = replace(
        channel("cam:image", "u2", (2, 3)), content=Content.IMAGES, images=images("cam")
    )
    files = replace(images("cam"), path_template=str(tmp_path / "cam_%04d.h5"))
    return Bench(tmp_path, replace(detector, images=files))


def write_frames(path):
    with h5py.File(path, "w") as file:
        file["entry/data"] = np.ones((2, 2, 3), "u2")


def test_detector_files_that_come_late_are_waited_for(tmp_path):
    bench = camera_scan(tmp_path)
    bench.prepare()
    bench.writer.feed(Frames(bench.scan.key, IMAGE, 2, 2))
    bench.seal(IMAGE, 2)
    bench.seal(ROBX, 0)
    bench.end()
    bench.settle()
    assert not bench.writer.over
    write_frames(tmp_path / "cam_0000.h5")
    bench.settle()
    bench.settle()
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    bench.disk.stop()


@pytest.mark.nonconforming("its detector files never come")
def test_detector_files_that_never_come_are_in_the_verdict(tmp_path):
    bench = camera_scan(tmp_path)
    bench.prepare()
    bench.writer.feed(Frames(bench.scan.key, IMAGE, 2, 2))
    bench.seal(IMAGE, 2)
    bench.seal(ROBX, 0)
    bench.end()
    bench.clock.advance(FILES_PATIENCE + 1)
    bench.settle()
    bench.settle()
    verdict = bench.status.verdict
    assert verdict.outcome is Outcome.INCOMPLETE
    assert any("missing files" in text and "cam_0000.h5" in text for text in verdict.reasons)
    bench.disk.stop()


def test_two_scans_share_a_file_that_is_closed_after_the_second(tmp_path):
    first = Bench(tmp_path)
    second = Bench(tmp_path, number=8, key="esrf:scan:02", name="8_ascan")
    second.files = first.files
    second.around = replace(second.around, files=first.files)
    second.writer = ScanWriter(second.scan, second.around, wanted=True)
    first.prepare()
    second.whole_scan()
    assert first.writer.files
    first.send(ROBX, 1)
    first.seal(ROBX, 1)
    first.seal(DIODE, 0)
    first.end()
    first.settle()
    assert first.status.verdict.outcome is Outcome.COMPLETE
    with h5py.File(first.path, "a") as file:
        assert sorted(file) == ["7.1", "8.1"]
    first.disk.stop()
    second.disk.stop()


def test_a_scan_for_somebody_else_is_only_watched(bench):
    writer = ScanWriter(bench.scan, bench.around, wanted=False)
    writer.feed(Prepared(bench.scan.key, bench.scan))
    writer.feed(Ended(bench.scan.key, bench.scan))
    assert writer.over
    assert bench.state() is ScanState.OFF
    assert not bench.path.exists()


def test_a_profile_of_the_scan_is_logged(tmp_path, caplog):
    bench = Bench(tmp_path, profiling="CPU30")
    with caplog.at_level("INFO"):
        bench.whole_scan()
    bench.disk.stop()
    assert "profile of scan 7_ascan" in caplog.text


def test_each_state_of_a_scan_is_recorded_with_all_states_before(bench):
    bench.whole_scan()
    assert [one.state for one in bench.recorded] == [ScanState.INIT, ScanState.ON, ScanState.OFF]
    assert bench.recorded[-1] == bench.status
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    states = bench.status.states
    assert [one.state for one in states] == [ScanState.INIT, ScanState.ON, ScanState.OFF]
    assert states[-1].reason == bench.status.reason
    assert states[-1].time == bench.status.ended
    assert [one.over for one in bench.recorded] == [False, False, True]


def test_a_scan_that_was_refused_is_recorded_again_with_its_verdict_when_it_ends(tmp_path):
    bench = Bench(tmp_path, free=1)
    bench.prepare()
    assert [one.state for one in bench.recorded] == [ScanState.INIT, ScanState.FAULT]
    assert bench.recorded[-1].verdict is None
    assert not bench.status.over
    bench.end()
    assert bench.recorded[-1] == bench.status
    assert bench.status.over
    assert bench.status.verdict.outcome is Outcome.FAILED
    assert [one.state for one in bench.status.states] == [ScanState.INIT, ScanState.FAULT]
    bench.disk.stop()


def test_a_scan_that_is_not_for_this_writer_is_not_recorded(bench):
    bench.recorded.clear()
    bench.writer = ScanWriter(bench.scan, bench.around, wanted=False)
    bench.whole_scan()
    assert bench.writer.over
    assert bench.status.over
    assert bench.recorded == []


@pytest.mark.nonconforming("an entry of another program")
@pytest.mark.parametrize("end_reason", [None, "SUCCESS"])
def test_a_scan_of_before_that_another_program_saved_is_no_error(tmp_path, caplog, end_reason):
    bench = Bench(tmp_path, end_reason=end_reason)
    with h5py.File(bench.path, "w") as file:
        file.create_group("7.1")
    with caplog.at_level(logging.INFO):
        bench.prepare()
        bench.end()
        bench.settle_until_over()
    bench.disk.stop()
    assert bench.status.over
    assert "exists already" in bench.status.reason
    errors = [one for one in caplog.records if one.levelno >= logging.WARNING]
    # Settled: it is not looked at again. One that runs is a loss that somebody must hear of.
    if end_reason:
        assert bench.status.verdict.outcome is Outcome.INCOMPLETE
        assert errors == []
    else:
        assert bench.status.verdict.outcome is Outcome.FAILED
        assert errors != []
