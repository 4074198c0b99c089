import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.model.tree import Dataset, Group, Node, SoftLink, at, merged, news

names = st.sampled_from("abc")
leaves = st.integers().map(Dataset) | st.just(SoftLink("/a"))
nodes: st.SearchStrategy[Node] = st.recursive(
    leaves, lambda inner: st.dictionaries(names, inner, max_size=3).map(Group), max_leaves=8
)
groups = st.dictionaries(names, nodes, max_size=3).map(Group)


def test_at_builds_the_groups_above_a_node():
    tree = at("/1.1/instrument/robx", Dataset(1), {"/1.1": "NXentry"})
    entry = tree.children["1.1"]
    assert isinstance(entry, Group)
    assert entry.attributes == {"NX_class": "NXentry"}
    instrument = entry.children["instrument"]
    assert isinstance(instrument, Group)
    assert instrument.children["robx"] == Dataset(1)


def test_the_root_is_a_group():
    assert at("/", Group(attributes={"default": "1.1"})).attributes == {"default": "1.1"}
    with pytest.raises(TypeError):
        at("/", Dataset(1))


def test_the_last_of_two_datasets_of_one_name_wins():
    assert merged(Group({"a": Dataset(1)}), Group({"a": Dataset(2)})) == Group({"a": Dataset(2)})


@given(groups)
def test_merging_with_nothing_or_itself_changes_nothing(group):
    assert merged(group, Group()) == merged(group) == merged(group, group)


@given(groups, groups, groups)
def test_merging_in_steps_is_merging_at_once(one, two, three):
    assert merged(merged(one, two), three) == merged(one, two, three)


def test_news_are_what_a_tree_has_beyond_another():
    known = Group({"a": Dataset(1), "g": Group({"x": Dataset("x")}, {"k": "v"})}, {"r": 1})
    tree = Group(
        {"a": Dataset(1), "g": Group({"x": Dataset("x"), "y": Dataset("y")}, {"k": "w"})}, {"r": 1}
    )
    assert news(tree, known) == Group({"g": Group({"y": Dataset("y")}, {"k": "w"})})
    assert news(tree, tree) == Group()
    assert news(tree, Group()) == tree


def test_a_value_of_another_type_or_an_array_is_news():
    known = Group({"a": Dataset(1), "b": Dataset(np.arange(2))})
    tree = Group({"a": Dataset(1.0), "b": Dataset(np.arange(2))})
    assert set(news(tree, known).children) == {"a", "b"}
