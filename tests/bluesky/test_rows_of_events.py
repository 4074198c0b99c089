"""Rows of events in the file: measured again, wider, missing, of several descriptors."""

import h5py
import numpy as np
import pytest
from tests.support_bluesky import EPOCH, Run, feed, only, values
from tests.support_waiting import wait_for

from nexus_writer_service.model.verdict import Outcome


def test_what_was_measured_again_takes_the_place_of_the_old_row(writer):
    run = Run()
    descriptor = run.descriptor(["det", "motor"])
    feed(writer, [run.start(), descriptor])
    for number, value in ((1, 1.0), (2, 2.0), (3, 3.0), (3, 30.0), (4, 4.0)):
        feed(writer, [run.event(descriptor, number, det=value, motor=float(number))])
    feed(writer, [run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [1, 2, 30, 4]
        assert len(values(file, "motor", item="EPOCH")) == 4


def test_rows_that_were_committed_can_be_replaced(writer):
    run = Run()
    descriptor = run.descriptor(["det"])
    feed(
        writer, [run.start(), descriptor, *(run.event(descriptor, n, det=1.0 * n) for n in (1, 2))]
    )
    path = writer.make_file_name()

    def rows():
        if not path.exists():
            return 0
        with h5py.File(path, "r", locking=False) as file:
            group = file.get("entry/data/det")
            return 0 if group is None else len(group)

    wait_for(lambda: rows() == 2)
    feed(writer, [run.event(descriptor, 1, det=-1.0), run.stop()])
    with h5py.File(only(writer.wait_writer()).file) as file:
        assert values(file, "det").tolist() == [-1, 2]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([1, 2, 0.5], [1.0, 2.0, 0.5]),
        ([True, 2], [1, 2]),
        ([1, "two"], ["1", "two"]),
        (["µ\0x", "y"], ["µx", "y"]),
        ([np.int8(1), 300], [1, 300]),
        ([b"ab", "c"], ["ab", "c"]),
    ],
)
def test_a_column_is_as_wide_as_its_values(writer, told, expected):
    run = Run()
    descriptor = run.descriptor(["det"])
    feed(writer, [run.start(), descriptor])
    for value in told:  # in batches of their own, so that each is committed as it is
        feed(writer, [run.event(descriptor, det=value)])
        wait_for(lambda: not len(writer._engine._queue))
    feed(writer, [run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    with h5py.File(result.file) as file:
        assert list(values(file, "det")) == expected


def test_arrays_of_different_lengths_are_filled_up(writer):
    run = Run()
    descriptor = run.descriptor({"det": {"dtype": "array", "shape": [3]}})
    feed(writer, [run.start(), descriptor])
    for length in (3, 1, 4):
        feed(writer, [run.event(descriptor, det=np.full(length, float(length)))])
    feed(writer, [run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    with h5py.File(result.file) as file:
        found = values(file, "det")
    assert found.shape == (3, 4)
    assert np.array_equal(found[1], [1, np.nan, np.nan, np.nan], equal_nan=True)


def test_what_an_event_lacks_is_a_row_without_value_and_is_told(writer):
    run = Run()
    descriptor = run.descriptor(["det", "motor"])
    feed(writer, [run.start(), descriptor, run.event(descriptor, det=1.0, motor=0.0)])
    feed(writer, [run.event(descriptor, det=None, motor=1.0), run.event(descriptor, motor=2.0)])
    feed(writer, [run.event(descriptor, det=4.0, motor=3.0), run.stop()])
    result = only(writer.wait_writer())
    assert result.verdict.outcome is Outcome.INCOMPLETE
    assert "points 1 to 1 lost: its value is None" in result.verdict.summary
    assert "points 2 to 2 lost: the event does not have it" in result.verdict.summary
    with h5py.File(result.file) as file:
        assert np.array_equal(values(file, "det"), [1, np.nan, np.nan, 4], equal_nan=True)
        assert values(file, "motor").tolist() == [0, 1, 2, 3]


def test_events_that_never_came_are_told_and_keep_their_rows(writer):
    run = Run()
    descriptor = run.descriptor(["det"])
    feed(writer, [run.start(), descriptor])
    feed(writer, [run.event(descriptor, number, det=1.0 * number) for number in (1, 4)])
    feed(writer, [run.stop(num_events={"primary": 5})])
    result = only(writer.wait_writer())
    assert "points 1 to 2 lost: these events were never received" in result.verdict.summary
    assert "points 4 to 4 lost" in result.verdict.summary
    with h5py.File(result.file) as file:
        assert values(file, "det")[[0, 3]].tolist() == [1, 4]
        assert len(values(file, "det")) == len(values(file, "det", item="time")) == 5


def test_pages_and_bulks_are_events(writer):
    run = Run()
    descriptor = run.descriptor(["det"])
    uid = descriptor[1]["uid"]
    page = {
        "uid": ["a", "b"],
        "descriptor": uid,
        "time": [EPOCH, EPOCH],
        "seq_num": [1, 2],
        "data": {"det": [1.0, 2.0]},
        "timestamps": {"det": [EPOCH, EPOCH]},
        "filled": {},
    }
    bulk = {uid: [run.event(descriptor, number, det=1.0 * number)[1] for number in (3, 4)]}
    feed(writer, [run.start(), descriptor, ("event_page", page), ("bulk_events", bulk), run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [1, 2, 3, 4]


def test_devices_may_be_reconfigured(writer):
    run = Run()
    settings = [
        {"det": {"data": {"gain": gain}, "timestamps": {"gain": EPOCH}, "data_keys": {}}}
        for gain in (1, 7)
    ]
    first = run.descriptor(["det"], configuration=settings[0])
    second = run.descriptor(["det"], configuration=settings[1])
    documents = [run.start(), first, run.event(first, det=1.0), second, run.event(second, det=2.0)]
    feed(writer, [*documents, run.stop()])
    result = only(writer.wait_writer())
    assert result.ok
    with h5py.File(result.file) as file:
        assert values(file, "det").tolist() == [1, 2]
        configuration = file["entry/instrument/bluesky/configuration"]
        assert configuration["primary/det/gain"][()] == 1
        assert configuration["primary_2/det/gain"][()] == 7


def test_a_descriptor_that_counts_anew_goes_behind_the_rows_of_the_other(writer):
    run = Run()
    first, second = run.descriptor(["det"]), run.descriptor(["det"])
    feed(writer, [run.start(), first, *(run.event(first, n, det=1.0 * n) for n in (1, 2)), second])
    feed(writer, [run.event(second, 1, det=10.0), run.event(second, 2, det=20.0)])
    feed(writer, [run.stop(num_events={})])
    with h5py.File(only(writer.wait_writer()).file) as file:
        assert values(file, "det").tolist() == [1, 2, 10, 20]


def test_a_descriptor_that_is_told_twice_is_a_problem_and_changes_nothing(writer):
    run = Run()
    descriptor = run.descriptor(["det"], configuration={"det": {"data": {"gain": 1}}})
    other = ("descriptor", {**descriptor[1], "configuration": {"det": {"data": {"gain": 7}}}})
    feed(writer, [run.start(), descriptor, run.event(descriptor, det=2.0), other])
    feed(writer, [run.event(descriptor, det=3.0), run.stop()])
    result = only(writer.wait_writer())
    assert "there is a descriptor of this uid already" in result.verdict.summary
    with h5py.File(result.file) as file:
        configuration = file["entry/instrument/bluesky/configuration"]
        assert configuration["primary/det/gain"][()] == 1
        assert "primary_2" not in configuration
        assert values(file, "det").tolist() == [2, 3]
