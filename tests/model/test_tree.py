import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_writer_service.model.tree import Dataset, Group, Node, SoftLink, at, merged

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
