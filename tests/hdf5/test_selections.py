import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.hdf5.selections import Spaces, boxes

INNER = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@given(INNER, st.integers(0, 40), st.integers(0, 40))
def test_boxes_cover_each_point_once_in_order(inner, start, count):
    row = math.prod(inner)
    grid = np.full((-(-80 // row) + 1, *inner), -1)
    point = start
    for corner, counts in boxes(start, start + count, inner):
        size = math.prod(counts)
        assert size > 0
        block = tuple(slice(a, a + n) for a, n in zip(corner, counts, strict=True))
        assert (grid[block] == -1).all()
        grid[block] = np.arange(point, point + size).reshape(counts)
        point += size
    flat = grid.ravel()
    assert flat[start : start + count].tolist() == list(range(start, start + count))
    assert (np.delete(flat, np.s_[start : start + count]) == -1).all()


@given(INNER, st.integers(0, 40), st.integers(0, 40))
def test_boxes_are_few(inner, start, count):
    assert len(list(boxes(start, start + count, inner))) <= 2 * len(inner) + 1


def test_whole_rows_are_one_box():
    assert list(boxes(6, 18, (2, 3))) == [((1, 0, 0), (2, 2, 3))]


def test_spaces_are_made_once():
    spaces = Spaces()
    assert spaces.in_memory((3,)) is spaces.in_memory((3,))
    assert spaces.in_file((9,), (3,), (2,)) is spaces.in_file((9,), (3,), (2,))
    assert spaces.in_file((9,), (3,), (2,)) is not spaces.in_file((9,), (3,), (3,))
