"""NXWriter from documents to files: live, complete, and never over a good file."""

import os
import threading

import h5py
import numpy as np
import pytest
import yaml
from tests.support_bluesky import EPOCH, Run, feed, only, scan, values
from tests.support_waiting import wait_for

from nexus_writer_service.bluesky import NXWriter
from nexus_writer_service.model.verdict import Outcome
from nexus_writer_service.service.scribe import Scribe


def test_a_run_is_in_its_file_with_a_verdict(writer):
    feed(writer, scan(Run()))
    result = only(writer.wait_writer())
    assert result.ok
    assert result.verdict.summary == "complete: 10 points in 2 channels"
    assert writer.output_nexus_file == result.file
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [0, 1, 4, 9, 16]
        assert values(file, "motor", item="EPOCH")[0] == EPOCH + 0.1
        assert values(file, "motor", item="time").tolist()[0] == 0
        assert file["entry/writer/status"].asstr()[()] == "SUCCEEDED"
        assert file["entry/instrument/bluesky/run_stop/exit_status"].asstr()[()] == "success"
        assert file["entry/instrument/bluesky/metadata/scan_id"][()] == 1
        assert file["entry/data"].attrs["signal"] == "det"
        assert list(file["entry/data"].attrs["axes"]) == ["motor"]


def test_the_file_is_there_at_the_start_and_points_show_while_the_run_goes_on(writer):
    run = Run()
    descriptor = run.descriptor(["det"])
    feed(writer, [run.start()])
    path = writer.make_file_name()
    wait_for(path.exists)
    feed(writer, [descriptor, run.event(descriptor, det=1.0)])

    def points():
        with h5py.File(path, "r", locking=False) as file:
            group = file.get("entry/data/det")
            return 0 if group is None else len(group)

    wait_for(lambda: points() == 1)
    feed(writer, [run.event(descriptor, det=2.0)])
    wait_for(lambda: points() == 2)
    with h5py.File(path, "r", locking=False) as file:
        assert file["entry/writer/status"].asstr()[()] == "RUNNING"
        assert "end_time" not in file["entry"]
    feed(writer, [run.stop()])
    assert only(writer.wait_writer()).ok


def test_a_data_key_that_comes_later_shows_with_its_value(writer):
    run = Run()
    descriptor = run.descriptor(["det", "late"])
    feed(writer, [run.start(), descriptor])
    path = writer.make_file_name()

    def keys():
        with h5py.File(path, "r", locking=False) as file:
            stream = file.get("entry/instrument/bluesky/streams/primary", {})
            return {key: "value" in stream[key] for key in stream}

    wait_for(path.exists)
    feed(writer, [run.event(descriptor, det=1.0)])
    wait_for(lambda: keys() == {"det": True})
    feed(writer, [run.event(descriptor, det=2.0, late=3.0)])
    wait_for(lambda: keys() == {"det": True, "late": True})
    feed(writer, [run.stop()])
    assert only(writer.wait_writer()).verdict.outcome is Outcome.INCOMPLETE  # the first of late
    assert keys() == {"det": True, "late": True}


def test_points_that_were_gathered_wait_for_no_tick(writer, monkeypatch):
    monkeypatch.setattr("nexus_writer_service.bluesky.engine._TICK", 3600.0)
    run = Run()
    descriptor = run.descriptor(["det"])
    feed(writer, [run.start()])
    path = writer.make_file_name()
    for number in range(1, 4):
        feed(writer, [*([descriptor] if number == 1 else []), run.event(descriptor, det=1.0)])

        def shown(number=number):
            with h5py.File(path, "r", locking=False) as file:
                return len(file.get("entry/data/det", ())) == number

        wait_for(path.exists)
        wait_for(shown)
    feed(writer, [run.stop()])
    assert only(writer.wait_writer()).ok


def test_documents_that_are_taken_sooner_wait_for_the_next_commit(writer, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr("nexus_writer_service.bluesky.engine._COMMIT", 1e9)
    monkeypatch.setattr(Scribe, "commit", lambda _: asked.append("a commit"))
    feed(writer, scan(Run()))
    assert only(writer.wait_writer()).ok
    assert asked == []


def test_a_file_that_exists_is_kept_under_another_name(writer, tmp_path):
    writer.file_name = tmp_path / "scan.h5"
    feed(writer, scan(Run(1), points=3))
    writer.wait_writer()
    feed(writer, scan(Run(2), points=4))
    assert only(writer.wait_writer()).file == tmp_path / "scan.h5"
    with h5py.File(tmp_path / "scan.h5") as new, h5py.File(tmp_path / "scan.1.h5") as old:
        assert (len(values(new, "det")), len(values(old, "det"))) == (4, 3)


def test_a_file_that_is_being_written_is_left_alone(writer, tmp_path):
    writer.file_name = tmp_path / "scan.h5"
    one, two = Run(1), Run(2)
    begun, *rest = scan(one)
    feed(writer, [begun, *scan(two), *rest])
    files = {result.uid: result.file.name for result in writer.wait_writer()}
    assert files == {one.uid: "scan.h5", two.uid: "scan-0000000.h5"}


def test_a_folder_that_cannot_be_made_costs_its_run_only(writer, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("not a folder")
    writer.file_name = blocked / "scan.h5"
    feed(writer, scan(Run(1)))
    bad = only(writer.wait_writer())
    assert bad.verdict.outcome is Outcome.FAILED
    assert "blocked" in bad.verdict.summary
    writer.file_name = tmp_path / "good.h5"
    feed(writer, scan(Run(2)))
    assert only(writer.wait_writer()).ok


def test_nobody_waits_for_a_run_that_goes_on_and_a_time_out_says_which_run(tmp_path):
    held = threading.Event()

    class Slow(NXWriter):
        def write_sample(self, parent):
            held.wait(60)
            return super().write_sample(parent)

    writer = Slow()
    writer.file_path = tmp_path
    run = Run()
    feed(writer, scan(run)[:-1])
    assert writer.wait_writer(0.0) == ()
    feed(writer, [run.stop()])
    with pytest.raises(TimeoutError, match=run.uid):
        writer.wait_writer(0.05)
    held.set()
    assert only(writer.wait_writer()).ok


def test_a_writer_is_called_like_its_receiver(writer):
    for name, document in scan(Run()):
        writer(name, document)
    assert only(writer.wait_writer()).ok


def test_a_plan_can_wait(writer):
    results = []

    def plan():
        results.extend((yield from writer.wait_writer_plan_stub()))

    feed(writer, scan(Run()))
    for _ in plan():
        threading.Event().wait(0.01)
    assert only(results).ok


def test_a_writer_that_is_closed_leaves_what_it_has(writer):
    feed(writer, scan(Run())[:-1])
    writer.close()
    result = only(writer.wait_writer())
    assert result.verdict.outcome is Outcome.INTERRUPTED
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [0, 1, 4, 9, 16]


@pytest.mark.nonconforming("the names are as odd as they can be")
def test_odd_names_become_names_of_hdf5(writer):
    run = Run(detectors=["a/b"], **{"x/y": 1, ".": 2, "µ": 3})
    descriptor = run.descriptor(["a/b", "a_b", "."])
    feed(
        writer,
        [run.start(), descriptor, run.event(descriptor, **{"a/b": 1.0, "a_b": 2.0, ".": 3.0})],
    )
    feed(writer, [run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    with h5py.File(result.file) as file:
        assert set(file["entry/data"]) == {"a_b", "a_b_2", "_1", "EPOCH"}
        assert file["entry/data/a_b"][0] == 1  # first come, first served
        assert file["entry/data"].attrs["signal"] == "a_b"
        metadata = file["entry/instrument/bluesky/metadata"]
        assert [metadata[name][()] for name in ("x_y", "_1", "µ")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "document", "told"),
    [
        ("event", {"descriptor": "nobody"}, None),
        ("event", 5, None),
        ("surprise", {}, None),
        ("descriptor", {"run_start": Run().uid}, "descriptor without a uid cannot be understood"),
        ("resource", {"run_start": Run().uid}, "resource without a uid cannot be understood"),
        ("stop", {"run_start": "nobody"}, None),
    ],
)
def test_a_malformed_document_costs_itself_and_is_told(writer, caplog, name, document, told):
    run = Run()
    begun, *rest = scan(run)
    feed(writer, [begun, (name, document), *rest])
    result = only(writer.wait_writer())
    if told is None:
        assert result.ok
        assert caplog.records
    else:
        assert told in result.verdict.summary
    with h5py.File(result.file) as file:
        assert len(values(file, "det")) == 5


def test_a_malformed_event_costs_itself(writer):
    run = Run()
    begun, descriptor, *events, end = scan(run)
    broken = {key: value for key, value in events[2][1].items() if key != "data"}
    feed(writer, [begun, descriptor, *events[:2], ("event", broken), *events[3:], end])
    result = only(writer.wait_writer())
    assert f"event {broken['uid']} of stream primary cannot be understood" in result.verdict.summary
    with h5py.File(result.file) as file:
        assert values(file, "det")[[0, 1, 3, 4]].tolist() == [0, 1, 9, 16]


def test_each_of_two_problems_that_follow_each_other_is_in_the_verdict(writer):
    run = Run()
    wrong = [("descriptor", {"run_start": run.uid}), ("resource", {"run_start": run.uid})]
    documents = scan(run)
    feed(writer, [documents[0], *wrong, *documents[1:]])
    reasons = " ".join(only(writer.wait_writer()).verdict.reasons)
    assert "descriptor without a uid cannot be understood" in reasons
    assert "resource without a uid cannot be understood" in reasons


def test_a_start_without_uid_harms_nobody(writer):
    writer.receiver("start", {"time": EPOCH})
    feed(writer, scan(Run()))
    outcomes = [result.verdict.outcome for result in writer.wait_writer()]
    assert outcomes == [Outcome.FAILED, Outcome.COMPLETE]


def test_a_relative_name_is_taken_in_the_working_directory(writer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer.file_name = "here.h5"
    feed(writer, scan(Run()))
    assert only(writer.wait_writer()).file == tmp_path / "here.h5"
    assert os.path.exists("here.h5")


def test_what_is_plotted_may_be_chosen_until_the_run_ends(writer):
    run = Run()
    begun, *rest, end = scan(run)
    feed(writer, [begun, *rest])
    writer.nxdata_signal = "motor"
    writer.nxdata_signal_axes = ["det"]
    feed(writer, [end])
    with h5py.File(only(writer.wait_writer()).file) as file:
        assert file["entry/data"].attrs["signal"] == "motor"
        assert list(file["entry/data"].attrs["axes"]) == ["det"]


def test_hinted_classes_and_the_orientation_of_a_diffractometer_are_kept(writer):
    run = Run()
    matrix = [[1.0, 0.0], [0.0, 1.0]]
    settings = {"fourc_UB": matrix, "fourc_orientation_attrs": ["UB"]}
    descriptor = run.descriptor(
        ["det", "motor"],
        hints={"det": {"fields": ["det"], "NX_class": "NXdetector"}},
        configuration={"fourc": {"data": settings, "timestamps": {}, "data_keys": {}}},
    )
    feed(writer, [run.start(), descriptor, run.event(descriptor, det=1.0, motor=2.0), run.stop()])
    with h5py.File(only(writer.wait_writer()).file) as file:
        assert file["entry/instrument/det"].attrs["NX_class"] == "NXdetector"
        assert file["entry/instrument/det/det"][()].tolist() == [1]
        stored = file["entry/instrument/bluesky/configuration/primary/fourc/fourc_UB"]
        assert yaml.safe_load(stored.asstr()[()]) == matrix
    assert writer.diffractometers == {"fourc": {"UB": matrix}}


def test_events_that_come_faster_than_they_are_written_are_all_there(writer, caplog, monkeypatch):
    monkeypatch.setattr("nexus_writer_service.bluesky.queue._TOGETHER", 5_000)
    monkeypatch.setattr("nexus_writer_service.sources.bluesky.batches.BLOCK", 64)
    queue = writer._engine._queue
    queue._budget, queue._enough = 20_000, 5_000
    run = Run()
    descriptor = run.descriptor(["det", "motor"])
    feed(writer, [run.start(), descriptor])
    for number in range(20_000):
        writer.receiver(*run.event(descriptor, det=float(number), motor=float(-number)))
    feed(writer, [run.stop()])
    result = only(writer.wait_writer())
    assert caplog.text.count("they wait in a temporary file") == 1
    assert result.ok
    with h5py.File(result.file) as file:
        assert np.array_equal(values(file, "det"), np.arange(20_000))
        assert np.array_equal(values(file, "motor"), -np.arange(20_000))


def test_a_data_key_that_comes_later_does_not_take_the_name_of_another(writer):
    run = Run()
    first = run.descriptor(["a/b"])
    second = run.descriptor(["a_b", "a/b"])
    feed(writer, [run.start(), first, run.event(first, **{"a/b": 1.0}), second])
    feed(writer, [run.event(second, **{"a/b": 2.0, "a_b": 20.0}), run.stop()])
    with h5py.File(only(writer.wait_writer()).file) as file:
        assert values(file, "a_b").tolist() == [1, 2]
        assert values(file, "a_b_2")[1] == 20


def test_a_writer_that_is_subscribed_twice_has_all_points_once_and_says_so(writer):
    documents = [one for one in scan(Run()) for _ in range(2)]
    feed(writer, documents)
    result = only(writer.wait_writer())
    assert "10 points in 2 channels" in result.verdict.summary
    assert "there is a descriptor of this uid already" in result.verdict.summary
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [0, 1, 4, 9, 16]
        assert values(file, "motor", item="EPOCH")[0] == EPOCH + 0.1
