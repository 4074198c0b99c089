import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.layout.esrf.names import (
    item_name,
    normalized,
    short_names,
    unique_name,
)

PLAIN = re.compile(r"[a-zA-Z0-9_]*")
CHANNELS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(":".join)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["a:b:c", "a:b:d", "c"], ["b:c", "d", "c"]),
        (["b:a", "c:a"], ["b:a", "c:a"]),
        (["a:b:c", "b:c:d", "b:c"], ["a:b:c", "d", "b:c"]),
        (["axis:robx", "timer:epoch"], ["robx", "epoch"]),
        ([], []),
    ],
)
def test_names_are_as_short_as_tells_them_apart(names: list[str], short: list[str]) -> None:
    assert list(short_names(names).values()) == short


@given(st.lists(CHANNELS, unique=True))
def test_short_names_are_different_endings_of_the_names(names: list[str]) -> None:
    found = short_names(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(f":{name}".endswith(f":{short}") for name, short in found.items())


@given(st.text())
def test_normalized_names_are_plain(name: str) -> None:
    assert PLAIN.fullmatch(normalized(name))


def test_each_run_of_odd_characters_becomes_one_underscore() -> None:
    assert normalized("ctl:a b/ü.c") == "ctl_a_b_c"


@given(st.text(), st.sets(st.text()))
def test_a_unique_name_is_not_taken(name: str, taken: set[str]) -> None:
    assert unique_name(name, taken) not in taken


def test_a_free_name_stays_and_a_taken_one_is_counted() -> None:
    assert unique_name("a", {"b"}) == "a"
    assert unique_name("a", {"a", "a_2"}) == "a_3"


@given(st.text())
def test_item_names_are_such_that_hdf5_can_hold(key: str) -> None:
    name = item_name(key)
    assert name not in ("", ".", "..")
    assert not {"/", "\0"} & set(name)
    name.encode()


@pytest.mark.parametrize(("key", "name"), [("a/b", "a_b"), ("", "_"), (".", "_"), ("ü.x", "ü.x")])
def test_item_names_keep_what_they_can(key: str, name: str) -> None:
    assert item_name(key) == name
