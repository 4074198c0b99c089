"""Runs of one writer, one after the other and at once."""

import threading

import h5py
from tests.support_bluesky import Run, feed, only, scan, values
from tests.support_same_file import TIMES, differences
from tests.support_waiting import wait_for

from nexus_writer_service.bluesky import NXWriter
from nexus_writer_service.hdf5.templates import Templates
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.scribe import Scribe


def test_runs_that_follow_each_other_are_as_those_of_writers_of_their_own(writer, tmp_path):
    def written(by, number, name):
        run = Run(number, title=f"run {number}", detectors=["det", "a", "b"])
        keys = {key: {"units": "mm" if number % 2 else "s"} for key in ("det", "motor", "a", "b")}
        descriptor = run.descriptor(keys)
        data = dict.fromkeys(keys, number + 0.5)
        by.file_name = tmp_path / name
        feed(by, [run.start(), descriptor, run.event(descriptor, **data), run.stop()])
        result = only(by.wait_writer())
        assert result.ok
        return result.file

    for number in range(1, 6):
        together, alone = written(writer, number, "x.h5"), written(NXWriter(), number, "y.h5")
        ignored = TIMES - {"start_time", "end_time"} | {"file_name"}
        assert differences(together, alone, ignored=ignored) == []
        together.unlink()
        alone.unlink()


def test_runs_that_follow_each_other_share_templates(writer, monkeypatch):
    copied = []
    copy = Templates.copy

    def counted(templates, here, name, like):
        copied.append((name, copy(templates, here, name, like)))
        return copied[-1][1]

    monkeypatch.setattr(Templates, "copy", counted)
    for number in range(1, 4):
        feed(writer, scan(Run(number)))
        assert only(writer.wait_writer()).ok
        wait_for(lambda: writer._engine._thread is None)  # which begins anew with the next run
    assert [done for name, done in copied if name == "entry"] == [False, False, True]


def test_a_run_that_begins_while_the_threads_of_the_last_one_end_is_complete(writer, monkeypatch):
    ending, begun = threading.Event(), threading.Event()
    stop = Scribe.stop

    def slowly(scribe):
        if not ending.is_set():
            ending.set()
            assert begun.wait(20)
        stop(scribe)

    monkeypatch.setattr(Scribe, "stop", slowly)
    feed(writer, scan(Run(1)))
    leaving = writer._engine._thread
    assert only(writer.wait_writer()).ok
    assert ending.wait(20)
    run = Run(2)
    descriptor = run.descriptor(["det"])
    feed(writer, [run.start(), descriptor, run.event(descriptor, det=1.0)])
    wait_for(lambda: writer._engine._open)
    begun.set()
    leaving.join(20)
    feed(writer, [run.event(descriptor, det=2.0), run.stop()])
    assert only(writer.wait_writer(20)).verdict.summary == "complete: 2 points in 1 channels"


def test_runs_that_are_open_at_once_have_files_of_their_own(writer):
    one, two = Run(1), Run(2)
    first, second = one.descriptor(["det"]), two.descriptor(["det"])
    documents = [one.start(), first, one.event(first, det=1.0), two.start(), second]
    for number in range(3):
        documents += [one.event(first, det=10.0 + number), two.event(second, det=20.0 + number)]
    documents += [two.stop(), one.event(first, det=99.0), one.stop()]
    feed(writer, documents)
    results = {result.uid: result for result in writer.wait_writer()}
    assert all(result.ok for result in results.values())
    with h5py.File(results[one.uid].file) as file:
        assert values(file, "det").tolist() == [1, 10, 11, 12, 99]
    with h5py.File(results[two.uid].file) as file:
        assert values(file, "det").tolist() == [20, 21, 22]


def test_the_threads_end_with_the_last_run(writer):
    before = set(threading.enumerate())
    feed(writer, scan(Run()))
    writer.wait_writer()
    wait_for(lambda: not [one for one in set(threading.enumerate()) - before if not one.daemon])
    feed(writer, scan(Run(2)))
    assert only(writer.wait_writer()).ok


def test_a_start_that_is_told_twice_costs_neither_the_run_nor_its_result(writer, caplog):
    run = Run()
    descriptor = run.descriptor(["det"])
    start = run.start()
    feed(writer, [start, descriptor, run.event(descriptor, det=1.0), start])
    more = run.descriptor(["late"], "late")
    feed(writer, [run.event(descriptor, det=2.0), more, run.event(more, late=3.0), run.stop()])
    result = only(writer.wait_writer())
    assert result.verdict.outcome is Outcome.COMPLETE
    assert "has started already: its second start is left" in caplog.text
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [1, 2]
