"""Reading JSON objects whose content nobody guarantees."""

import pytest

from nexus_writer_service.sources.bliss.fields import Fields


def test_what_is_there_is_given_and_what_is_missing_is_nothing() -> None:
    found = Fields({"a": "x", "b": 1.5, "c": 2.0, "d": True, "e": {"f": 1}, "g": ["h"]}, "scan 1")
    assert found.text("a") == "x"
    assert found.number("b") == 1.5
    assert found.integer("c") == 2
    assert found.flag("d") is True
    assert found.object("e").integer("f") == 1
    assert found.items("g", str) == ("h",)
    assert found.text("z") is None
    assert found.number("z") is None
    assert found.integer("z") is None
    assert found.flag("z") is None
    assert found.object("z").content == {}
    assert found.items("z", str) == ()
    assert found.warnings == []


def test_what_is_missing_is_told_when_it_costs_something() -> None:
    found = Fields({}, "scan 1")
    assert found.text("title", "it gets another one") is None
    assert found.warnings == ["scan 1: 'title' is missing: it gets another one"]


@pytest.mark.parametrize("value", [True, {}, [], "x", float("nan"), float("inf")])
def test_what_is_not_a_number_is_told(value: object) -> None:
    found = Fields({"n": value}, "scan 1")
    assert found.integer("n") is None
    assert len(found.warnings) == 1


def test_warnings_of_inner_objects_say_where_they_are() -> None:
    outer = Fields({"a": {"b": {"c": 1}}}, "scan 1")
    assert outer.object("a").object("b").text("c") is None
    assert outer.warnings == ["scan 1 a b: 'c' is a number, not text"]
