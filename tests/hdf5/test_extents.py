"""Extents against a plain array of bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.hdf5.extents import Extents

SIZE = 64
put = st.tuples(st.just("put"), st.integers(0, SIZE - 1), st.binary(min_size=0, max_size=20))
cut = st.tuples(st.just("cut"), st.integers(0, SIZE + 20), st.just(b""))
look = st.tuples(st.just("look"), st.integers(0, SIZE), st.just(b""))


class Both:
    """Extents, and bytes of which each is known or not."""

    def __init__(self) -> None:
        self.extents = Extents()
        self.model: list[int | None] = [None] * (SIZE + 20)

    def do(self, step, address, data):
        if step == "put":
            self.extents.put(address, data)
            self.model[address : address + len(data)] = data
        elif step == "cut":
            self.extents.cut(address)
            self.model[address:] = [None] * len(self.model[address:])
        else:
            self.look(address, 10)

    def look(self, address, size):
        buffer = bytearray(b"\xff" * size)
        self.extents.patch(memoryview(buffer), address)
        known = self.model[address : address + size]
        assert buffer[: len(known)] == bytes(255 if byte is None else byte for byte in known)

    def check(self):
        self.look(0, len(self.model))
        held = list(self.extents)
        assert len(self.extents) == len(held)
        assert self.extents.nbytes == sum(byte is not None for byte in self.model)
        assert all(a + len(x) <= b for (a, x), (b, _) in pairwise(held))
        assert all(data for _, data in held)
        runs = [(address, bytes(data)) for address, data in self.extents.runs()]
        assert all(a + len(x) < b for (a, x), (b, _) in pairwise(runs))
        assert b"".join(x for _, x in runs) == b"".join(bytes(x) for _, x in held)
        assert bool(self.extents) == bool(held)
        whole = list(self.extents.pieces(len(held) + 1))
        assert [(address, b"".join(pieces)) for address, pieces in whole] == runs
        for most in (1, 2):
            parts = list(self.extents.pieces(most))
            assert all(0 < len(pieces) <= most for _, pieces in parts)
            assert [
                (first + len(b"".join(pieces[:number])), data)
                for first, pieces in parts
                for number, data in enumerate(pieces)
            ] == held


@given(st.lists(st.one_of(put, put, put, cut, look), max_size=30))
def test_extents_hold_what_was_put_last(steps):
    both = Both()
    for step in steps:
        both.do(*step)
    both.check()


@pytest.mark.parametrize("looked", [False, True])
def test_a_short_block_at_an_address_covers_only_itself(looked):
    both = Both()
    for step in (("put", 0, b"aaaaaaaa"), ("put", 4, b"bb"), ("put", 0, b"cc")):
        both.do(*step)
        if looked:
            both.look(0, 10)
    both.check()


def test_blocks_that_come_a_few_at_a_time_are_put_in_order_too():
    both = Both()
    for address in range(0, 60, 2):
        both.do("put", address, b"x")
    both.check()
    both.do("put", 31, b"yyyy")
    both.check()


def test_what_is_cleared_is_gone():
    extents = Extents()
    extents.put(3, b"abc")
    extents.clear()
    assert (len(extents), extents.nbytes, extents.runs()) == (0, 0, [])
