"""Templates out of documents, and what is said of documents that are none."""

import pytest

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.layout.template import parse
from nexus_writer_service.layout.template.items import (
    ChannelData,
    Constant,
    Items,
    Link,
    Metadata,
    When,
)


def items(**entry):
    return parse({"template": "T", "entry": entry}, "t.yml").entry


def test_a_group_has_a_class_attributes_values_and_groups():
    found = items(xas={"NX_class": "NXsubentry", "@signal": "it", "mode": "timer", "mode@note": 1})
    assert found == Items(
        children={
            "xas": Items(
                "NXsubentry",
                {"signal": "it"},
                {"mode": Constant("timer")},
                {"mode": {"note": 1}},
            )
        }
    )


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (5, Constant(5)),
        ({"value": [1, 2], "at": "end"}, Constant([1, 2], When.END)),
        ({"metadata": "sample/name"}, Metadata("sample/name")),
        (
            {"metadata": "/title/", "at": "start", "default": "none", "optional": True},
            Metadata("title", When.START, "none", optional=True),
        ),
        ({"channel": "*:i0"}, ChannelData("*:i0")),
        ({"device": "i0", "optional": True}, ChannelData("i0", device=True, optional=True)),
        ({"link": "/instrument/diode"}, Link("instrument/diode")),
    ],
)
def test_an_item_is_a_value_or_says_where_its_value_comes_from(item, found):
    assert items(one=item).children == {"one": found}


def test_a_template_says_for_which_scans_it_is():
    conditions = {"title": "ascan *", "name": ["*_ascan", "*_dscan"], "session": "mono"}
    found = parse({"template": "T", "for": conditions, "entry": {"a": 1}}, "t.yml")
    assert (found.titles, found.names) == (("ascan *",), ("*_ascan", "*_dscan"))
    assert found.sessions == ("mono",)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "the document is a mapping"),
        ([], "the document is a mapping"),
        ({"entry": {"a": 1}}, "template gives the template a name"),
        ({"template": 5, "entry": {"a": 1}}, "template gives the template a name"),
        ({"template": "T"}, "entry is a mapping"),
        ({"template": "T", "entry": {}}, "entry is empty"),
        ({"template": "T", "entry": {"a": 1}, "when": {}}, "has 'when', which is none of"),
        ({"template": "T", "entry": {"a": 1}, "for": {"scan": "x"}}, "for has 'scan'"),
        ({"template": "T", "entry": {"a": 1}, "for": {"title": 5}}, "for/title is a shell pattern"),
        ({"template": "T", "entry": {"NX_class": "NXentry", "a": 1}}, "cannot be chosen"),
    ],
)
def test_a_document_that_is_no_template_is_refused_with_its_name_and_the_place(document, words):
    with pytest.raises(SettingsError, match=rf"^template t\.yml: .*{words}"):
        parse(document, "t.yml")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({}, "entry/one is a group without NX_class"),
        ({"NX_class": "detector"}, "entry/one has an NX_class that is none: 'detector'"),
        ({"NX_class": "NXdata", "two": {"of_channel": "x"}}, "entry/one/two is a group without"),
        ({"channel": "x", "value": 1}, "without exactly one of"),
        ({"channel": "x", "at": "end"}, "entry/one has 'at', which is none of channel, optional"),
        ({"channel": 5}, "entry/one/channel is a text"),
        ({"link": "/"}, "entry/one/link is a text"),
        ({"metadata": "title", "at": "noon"}, "entry/one/at is 'noon', not one of start, end"),
        ({"channel": "x", "optional": "yes"}, "entry/one/optional is true or false"),
        ({5: "x"}, "has the name 5, which is no text"),
        ({"NX_class": "NXdata", "@": 1}, "names no attribute behind the @"),
        ({"NX_class": "NXdata", "a/b": 1}, "has a name that HDF5 cannot give"),
        ({"NX_class": "NXdata", "a": {"channel": "x"}, "a@units": "m"}, "which is no value here"),
        ({"NX_class": "NXdata", "a@units": "m"}, "'a', which is no value here"),
        ({"value": {"a": 1}}, r"is a dict \("),
        (b"bytes", r"is a bytes \("),
    ],
)
def test_an_item_that_means_nothing_is_refused_with_its_place(item, words):
    with pytest.raises(SettingsError, match=words):
        items(one=item)
