"""Extents against a plain array of bytes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.hdf5.extents import Extents

SIZE = 64
put = st.tuples(st.integers(0, SIZE - 1), st.binary(min_size=0, max_size=20))
cut = st.tuples(st.integers(0, SIZE + 20), st.none())


@given(st.lists(st.one_of(put, put, cut), max_size=30))
def test_extents_hold_what_was_put_last(steps):
    extents = Extents()
    model: list[int | None] = [None] * (SIZE + 20)
    for address, data in steps:
        if data is None:
            extents.cut(address)
            model[address:] = [None] * len(model[address:])
        else:
            extents.put(address, data)
            model[address : address + len(data)] = data
    buffer = bytearray(b"\xff" * len(model))
    extents.patch(memoryview(buffer), 0)
    assert buffer == bytes(255 if byte is None else byte for byte in model)
    assert extents.nbytes == sum(byte is not None for byte in model)
    held = list(extents)
    assert all(a + len(x) <= b for (a, x), (b, _) in pairwise(held))
    assert all(data for _, data in held)
    whole = [(address, b"".join(pieces)) for address, pieces in extents.runs()]
    assert all(a + len(x) < b for (a, x), (b, _) in pairwise(whole))
    assert b"".join(x for _, x in whole) == b"".join(x for _, x in held)


@given(st.lists(put, max_size=10), st.lists(put, max_size=10), st.integers(0, SIZE))
def test_to_update_is_to_put_all_of_another(first, second, address):
    one, other, both = Extents(), Extents(), Extents()
    for steps, extents in ((first, one), (second, other), (first + second, both)):
        for start, data in steps:
            extents.put(start, data)
    one.update(other)
    views = [memoryview(bytearray(30)) for _ in range(2)]
    for extents, view in zip((one, both), views, strict=True):
        extents.patch(view, address)
    assert views[0] == views[1]
    both.clear()
    assert (len(both), both.nbytes) == (0, 0)


def test_a_run_is_never_longer_than_the_system_takes():
    extents = Extents()
    for address in range(2500):
        extents.put(address, b"x")
    assert [(address, len(pieces)) for address, pieces in extents.runs()] == [
        (0, 1000),
        (1000, 1000),
        (2000, 500),
    ]
