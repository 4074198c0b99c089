"""Unpickled values as JSON has them."""

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from nexus_writer_service.errors import DecodeError
from nexus_writer_service.sources.bliss1.pickles import Named
from nexus_writer_service.sources.bliss1.values import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.arange(3), [0, 1, 2]),
        ((1, ("a",)), [1, ["a"]]),
        ({1: np.bool_(1), "b": None}, {"1": True, "b": None}),
        ({3, 1}, [1, 3]),
        (datetime(2026, 11, 21, 11), "2026-11-21T11:00:00"),  # noqa: DTZ001 - BLISS 1 says no zone
        (b"text", "text"),
        (Named("float"), "float"),
        (np.str_("n"), "n"),
    ],
    ids=repr,
)
def test_values_become_those_of_json(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    assert json.loads(json.dumps(found)) == expected


def test_a_list_in_a_list_in_a_list_that_grows_without_end_is_an_error() -> None:
    value: Any = ["lol"]
    for _ in range(40):
        value = [value] * 10
    with pytest.raises(DecodeError, match="more than"):
        plain(value)


def test_a_list_that_holds_itself_is_an_error() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(DecodeError, match="nested deeper"):
        plain(value)


def test_an_object_of_unknown_kind_is_an_error() -> None:
    with pytest.raises(DecodeError, match="is no value of a scan"):
        plain({"a": object()})
