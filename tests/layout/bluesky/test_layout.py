"""The parts of the tree of a run: names, values, plots, templates."""

import numpy as np
import pytest
import yaml

from nexus_writer_service.layout.bluesky.names import object_names
from nexus_writer_service.layout.bluesky.nxdata import _pieces
from nexus_writer_service.layout.bluesky.templates import templates
from nexus_writer_service.layout.bluesky.values import metadata_dataset, yaml_text
from nexus_writer_service.layout.bluesky.view import data_map
from nexus_writer_service.model.tree import Dataset, Group, SoftLink


def test_names_that_collide_are_told_apart_and_stay_when_more_come():
    keys = ["a/b", "a_b", "c", "..", "a/b", "a//b"]
    names = {"a/b": "a_b", "a_b": "a_b_2", "c": "c", "..": "_2", "a//b": "a__b"}
    assert object_names(keys) == names
    for count in range(len(keys)):
        some = object_names(keys[:count])
        assert some == {key: names[key] for key in some}


@pytest.mark.parametrize("value", ["text", 3, 2.5, True, 2**63])
def test_text_and_numbers_are_written_as_they_are(value):
    assert metadata_dataset(value, {}, tagged=False) == Dataset(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        2**70,
        [],
        {"a": (1, [2, None])},
        {1: "one", (2, 3): "pair"},
        [np.float64(1.5), np.array([1, 2]), {"b": b"bytes"}],
        {"deep": {"er": [{"and": "er"}]}},
    ],
)
def test_all_else_is_yaml_that_safe_loaders_read(value):
    node = metadata_dataset(value, {"target": "/x"}, tagged=False)
    assert node.attributes == {"target": "/x", "text_format": "yaml"}
    loaded = yaml.safe_load(node.value)
    assert yaml_text(loaded, tagged=False) == node.value


def test_tuples_are_tagged_for_who_wants_what_apstools_writes():
    assert yaml_text(("a",), tagged=True) == "!!python/tuple\n- a\n"
    assert yaml_text(("a",), tagged=False) == "- a\n"


def test_what_an_object_hints_at_stands_for_it():
    descriptor = {
        "data_keys": {key: {} for key in ("m", "m_setpoint", "d1", "d2", "x")},
        "hints": {"m": {"fields": ["m"]}, "d": {"fields": []}},
        "object_keys": {"m": ["m", "m_setpoint"], "d": ["d1", "d2"]},
    }
    start = {"detectors": ["d"], "motors": ["m", "not_there"]}
    assert data_map(start, descriptor) == {
        "detectors": ["d1", "d2"],
        "motors": ["m"],
        "unassigned": ["m_setpoint", "x"],
    }


@pytest.mark.parametrize(
    ("shape", "snaking"),
    [((3, 4), [False, True]), ((2, 3, 4), [False, True, True]), ((2, 3, 4), [False, False, True])],
)
def test_a_grid_that_snakes_is_put_in_order(shape, snaking):
    places = snake(shape, snaking)
    grid = np.full(shape, -1)
    for start, extent, row in _pieces(shape, snaking):
        block = tuple(slice(a, a + n) for a, n in zip(start, extent, strict=True))
        count = int(np.prod(extent))
        grid[block] = np.arange(row, row + count).reshape(extent)
    assert all(grid[place] == row for row, place in enumerate(places))


def snake(shape, snaking):
    """The points of a grid in the order in which a snaking scan goes through them."""
    order: list[tuple[int, ...]] = [()]
    for length, back in zip(shape, snaking, strict=True):
        order = [
            (*place, length - 1 - index if back and number % 2 else index)
            for number, place in enumerate(order)
            for index in range(length)
        ]
    return order


def made(pairs, there=("/entry/a",)):
    return templates(pairs, lambda path: path in there)


def test_templates_make_fields_attributes_and_links():
    tree, problems = made(
        [
            ["/entry/definition=", "NXmonopd"],
            ["/entry/monitor:NXmonitor/preset=", 3],
            ["/entry/a", "/entry/crystal:NXcrystal/b"],
            ["/entry/crystal/b", "/entry/c"],
            ["/entry/@default", "crystal"],
        ]
    )
    assert problems == []
    entry = tree.children["entry"]
    assert entry.attributes["default"] == "crystal"
    assert entry.children["definition"] == Dataset("NXmonopd", {"target": "/entry/definition"})
    assert entry.children["monitor"].children["preset"].value.tolist() == [3]
    assert entry.children["crystal"] == Group(
        {"b": SoftLink("/entry/a")}, {"NX_class": "NXcrystal", "target": "/entry/crystal"}
    )
    assert entry.children["c"] == SoftLink("/entry/crystal/b")


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        (["/entry/nothing", "/entry/x"], "there is nothing at /entry/nothing"),
        (["/entry/x:Wrong/y=", 1], "Wrong cannot be the class"),
        (["relative=", 1], "not an absolute path"),
        (["only one"], "not enough values"),
    ],
)
def test_a_wrong_template_costs_itself(pair, problem):
    tree, problems = made([pair, ["/entry/b=", "kept"]])
    assert [problem in text for text in problems] == [True]
    assert "b" in tree.children["entry"].children


@pytest.mark.parametrize("text", ["{", '"text"'])
def test_templates_that_are_no_list_are_told(text):
    assert len(made(text)[1]) == 1
