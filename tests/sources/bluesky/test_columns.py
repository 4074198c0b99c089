"""Values of events become arrays, whatever they are."""

import numpy as np
import pytest

from nexus_writer_service.sources.bluesky.columns import MISSING, Column


def joined(taken):
    return np.concatenate(taken.batches)


def parts(column, values):
    """What is taken of some values, part by part."""
    found = []
    while values:
        found.append(column.take(values))
        values = values[found[-1].count :]
    return found


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1.5, 2.5], "float64"),
        ([1, 2], "int64"),
        ([True, False], "bool"),
        ([1, 2.5], "float64"),
        ([np.int8(1), np.int8(2)], "int8"),
        ([np.int16(1), 2], "int64"),
        ([2**63, 1], "float64"),
        ([np.float32(1), np.float32(2)], "float32"),
        ([1j, 2], "complex128"),
        (["a", "b"], "object"),
        ([np.str_("a"), "b"], "object"),
    ],
)
def test_the_type_is_that_of_the_values(values, dtype):
    column = Column()
    taken = parts(column, values)
    assert all(part.widened for part in taken)
    assert column.dtype == np.dtype(dtype)
    assert sum(len(joined(part)) for part in taken) == len(values)


def test_numbers_as_before_are_taken_at_once():
    column = Column()
    column.take([1.0])
    taken = column.take([2.0, 3.0])
    assert not taken.widened
    assert joined(taken).tolist() == [2, 3]


def test_integers_in_a_column_of_floats_are_floats():
    column = Column()
    column.take([1.5])
    taken = column.take([2, 3])
    assert not taken.widened
    assert joined(taken).dtype == np.float64


def test_integers_beyond_64_bits_are_rounded_and_told():
    column = Column()
    first, second = parts(column, [1, 2**70])
    assert (first.rounded, second.rounded) == (False, True)
    assert joined(second).tolist() == [float(2**70)]


def test_a_value_that_needs_another_type_is_left_until_those_before_are_told():
    column = Column()
    column.take([1.0])
    first, second = parts(column, [False, None, 2, "text", False])
    assert (first.count, joined(first).dtype, first.widened) == (3, np.dtype(float), False)
    assert (joined(second).tolist(), second.widened) == (["text", "False"], True)


def test_values_before_the_first_one_are_skipped():
    column = Column()
    first, second = parts(column, [None, MISSING, [[1], [2, 3]], 4, None])
    assert (first.count, first.batches) == (3, ())
    assert joined(second).tolist() == [4, 0]


def test_small_integers_among_unsigned_ones_are_floats_whichever_come_together():
    column = Column()
    assert joined(column.take([2**63])).dtype == np.uint64
    assert joined(column.take([1, 2**63])).dtype == np.float64


@pytest.mark.parametrize("nothing", [None, MISSING])
def test_what_is_not_there_is_filled(nothing):
    column = Column()
    taken = column.take([1.0, nothing, 3.0])
    assert set(taken.missing) == {1}
    assert np.array_equal(joined(taken), [1, np.nan, 3], equal_nan=True)


def test_a_column_without_any_value_stays_open():
    column = Column()
    taken = column.take([None, None])
    assert column.dtype is None
    assert not taken.batches
    assert column.take(["text"]).widened


def test_nested_lists_are_arrays():
    column = Column()
    taken = column.take([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    assert column.sample == (2, 2)
    assert joined(taken).shape == (2, 2, 2)


def test_lengths_that_vary_are_told_by_the_sample():
    column = Column()
    first, second = parts(column, [np.zeros(3), np.zeros(5), np.zeros(2)])
    assert column.sample == (-1,)
    assert [batch.shape for batch in first.batches] == [(1, 3)]
    assert [batch.shape for batch in second.batches] == [(1, 5), (1, 2)]


def test_another_rank_is_no_value_of_the_column():
    column = Column()
    column.take([np.zeros(3)])
    taken = column.take([np.zeros((2, 2)), np.ones(3)])
    assert "shape (2, 2)" in taken.missing[0]
    assert joined(taken)[1].tolist() == [1, 1, 1]


def test_a_list_of_one_is_a_number_where_numbers_are():
    column = Column()
    column.take([1.0])
    assert joined(column.take([[2.0]])).tolist() == [2.0]


def test_lists_of_text_are_arrays_of_text():
    column = Column()
    taken = column.take([["a", "bb"], ["c", "d"]])
    assert joined(taken).tolist() == [["a", "bb"], ["c", "d"]]


@pytest.mark.parametrize(
    ("value", "text"), [({"a": 1}, '{"a": 1}'), (b"x\xff", "x\ufffd"), ("\ud800", "?")]
)
def test_anything_else_is_text(value, text):
    assert joined(Column().take([value])).tolist() == [text]


def test_large_arrays_are_not_copied():
    column = Column()
    column.take([np.zeros((300, 300))])
    images = [np.zeros((300, 300)), np.ones((300, 300))]
    taken = column.take(images)
    assert all(
        np.shares_memory(one, image) for one, image in zip(taken.batches, images, strict=True)
    )
