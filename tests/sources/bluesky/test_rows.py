"""Which row an event is: rewinds, gaps, other descriptors, numbers that cannot be right."""

import pytest

from nexus_writer_service.sources.bluesky.rows import LARGEST_GAP, Rows, Segment


def placed(rows, numbers, descriptor="a"):
    return rows.place(descriptor, numbers)


def test_events_in_order_are_one_segment():
    rows = Rows()
    assert placed(rows, [1, 2, 3]) == ([Segment(0, 3, 0)], [])
    assert placed(rows, [4]) == ([Segment(0, 1, 3)], [])
    assert rows.count == 4


def test_events_that_are_told_again_are_rows_that_are_there():
    rows = Rows()
    placed(rows, [1, 2, 3])
    assert placed(rows, [2, 3, 4]) == ([Segment(0, 2, 1, again=True), Segment(2, 3, 3)], [])


def test_a_rewind_within_one_batch_is_seen():
    rows = Rows()
    segments, _ = placed(rows, [1, 2, 3, 3, 4])
    assert segments == [Segment(0, 3, 0), Segment(3, 4, 2, again=True), Segment(4, 5, 3)]


def test_a_number_left_out_leaves_a_row():
    assert placed(Rows(), [1, 4])[0] == [Segment(0, 1, 0), Segment(1, 2, 3)]


def test_another_descriptor_goes_on_counting():
    rows = Rows()
    placed(rows, [1, 2])
    assert placed(rows, [3], "b")[0] == [Segment(0, 1, 2)]
    assert placed(rows, [3], "a")[0] == [Segment(0, 1, 2, again=True)]


def test_another_descriptor_that_begins_again_goes_behind():
    rows = Rows()
    placed(rows, [1, 2])
    assert placed(rows, [1, 2], "b")[0] == [Segment(0, 2, 2)]


@pytest.mark.parametrize("wrong", [0, -3, None, "7", 3 + LARGEST_GAP * 2])
def test_a_number_that_cannot_be_right_goes_behind_all_others(wrong):
    rows = Rows()
    placed(rows, [1, 2])
    assert placed(rows, [wrong]) == ([Segment(0, 1, 2)], [wrong])
    assert rows.count == 3
