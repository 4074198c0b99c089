"""Values of events become arrays, whatever they are."""

import numpy as np
import pytest

from nexus_writer_service.sources.bluesky.columns import MISSING, Column


def joined(taken):
    return np.concatenate(taken.batches)


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
    taken = column.take(values)
    assert taken.widened
    assert column.dtype == np.dtype(dtype)
    assert len(joined(taken)) == len(values)


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
    taken = column.take([1, 2**70])
    assert taken.rounded
    assert joined(taken).tolist() == [1.0, float(2**70)]


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
    taken = column.take([np.zeros(3), np.zeros(5)])
    assert column.sample == (-1,)
    assert [batch.shape for batch in taken.batches] == [(1, 3), (1, 5)]


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
