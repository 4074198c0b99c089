"""What templates add to the plan of a scan, when, and what they must not touch."""

from datetime import UTC, datetime

import pytest
from tests.support_description import at as node_at
from tests.support_description import channel, line_scan, paths

from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.layout.template import parse, templated
from nexus_writer_service.model.description import ChannelName, Positioners
from nexus_writer_service.model.tree import Dataset, Group, SoftLink

NOW = datetime(2026, 11, 20, 19, 0, 0, 5, tzinfo=UTC)
FILE = "/data/sample/sample_1.h5"
ROBX, DIODE = ChannelName("axis:robx"), ChannelName("card:diode")


def at(group, path):
    return node_at(group, path)


def made(entry, *, scan=None, conditions=None, name="T"):
    scan = scan or line_scan(channel("card:diode"))
    document = {"template": name, "for": conditions, "entry": entry}
    return templated(plan(scan, EsrfOptions()), scan, [parse(document, "t.yml")])


def start(found):
    return at(found.start(NOW)[FILE], "7.1")


def data(found, *begun):
    trees = found.plots(dict.fromkeys(begun, 1), final=False)
    return trees.get(FILE, Group())


def finish(found, scan):
    return at(found.finish(scan, NOW)[FILE], "7.1")


def test_constants_and_metadata_are_there_from_the_start():
    found = made(
        {
            "xas": {
                "NX_class": "NXsubentry",
                "definition": "NXxas",
                "title": {"metadata": "title"},
                "preset": {"value": 0.5},
                "preset@units": "s",
            }
        }
    )
    xas = at(start(found), "xas")
    assert xas.attributes == {"NX_class": "NXsubentry"}
    assert xas.children == {
        "definition": Dataset("NXxas"),
        "title": Dataset("ascan robx 0 1 3 0.1"),
        "preset": Dataset(0.5, {"units": "s"}),
    }
    assert found.warnings == ()


def test_a_channel_is_linked_once_it_has_a_dataset():
    found = made({"i0": {"channel": "diode"}, "axis": {"channel": "axis:*"}})
    assert not {"i0", "axis"} & start(found).children.keys()
    assert "7.1/i0" not in paths(data(found, ROBX))
    entry = at(data(found, ROBX, DIODE), "7.1")
    assert entry.children["i0"] == SoftLink("/7.1/instrument/diode/data")
    assert entry.children["axis"] == SoftLink("/7.1/instrument/robx/value")


def test_the_group_of_a_device_is_linked_by_any_of_its_channels():
    found = made({"counter": {"device": "*diode"}})
    entry = at(data(found, DIODE), "7.1")
    assert entry.children["counter"] == SoftLink("/7.1/instrument/diode")


def test_a_plot_comes_whole_with_the_last_of_its_channels():
    found = made(
        {
            "curve": {
                "NX_class": "NXdata",
                "@signal": "y",
                "@axes": "x",
                "x": {"channel": "robx"},
                "y": {"channel": "diode"},
                "title": {"metadata": "title"},
            }
        }
    )
    assert "curve" not in start(found).children
    assert "7.1/curve" not in paths(data(found, ROBX))
    curve = at(data(found, ROBX, DIODE), "7.1/curve")
    assert curve.attributes == {"NX_class": "NXdata", "signal": "y", "axes": "x"}
    assert set(curve.children) == {"x", "y", "title"}


def test_what_is_known_at_the_end_only_is_written_at_the_end():
    scan = line_scan(channel("card:diode"), end_reason="SUCCESS", end_time="2026-11-20T19:00:00Z")
    running = line_scan(channel("card:diode"))
    found = made(
        {
            "why": {"metadata": "end_reason"},
            "done": {"value": True, "at": "end"},
            "begun": {"metadata": "title", "at": "start"},
        },
        scan=running,
    )
    assert {"begun"} == {"why", "done", "begun"} & start(found).children.keys()
    end = finish(found, scan)
    assert end.children["why"] == Dataset("SUCCESS")
    assert end.children["done"] == Dataset(True)
    assert "begun" not in end.children
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sample/name", "iron"),
        ("sample/holder", {"x": 1}),
        ("sample/holder/x", 1),
        ("positioners/mono", 7.1),
        ("positioners_end/mono", 7.2),
        ("dataset/Sample_name", "rust"),
        ("count_time", 0.1),
        ("nothing/of/the/kind", None),
        ("title/more", None),
    ],
)
def test_metadata_are_named_by_their_path(path, value):
    scan = line_scan(
        channel("card:diode"),
        categories={"sample": {"name": "iron", "holder": {"x": 1}}},
        positioners=Positioners(start={"mono": 7.1}, end={"mono": 7.2}),
        dataset_metadata={"Sample_name": "rust"},
        count_time=0.1,
    )
    found = made({"one": {"metadata": path}, "other": 1}, scan=scan)
    node = start(found).children.get("one")
    if value is None:
        assert node is None
        (warning,) = found.warnings
        assert f"the scan does not say '{path}'" in warning
    elif isinstance(value, dict):
        assert node.children == {"x": Dataset(1)}
    else:
        assert node == Dataset(value)


def test_metadata_that_are_not_there_have_their_default_or_may_be_missing():
    found = made(
        {
            "name": {"metadata": "sample/name", "default": "unknown"},
            "mass": {"metadata": "sample/mass", "optional": True},
        }
    )
    assert start(found).children["name"] == Dataset("unknown")
    assert "mass" not in start(found).children
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("target", "moment"),
    [("title", "start"), ("instrument/diode", "diode"), ("end_time", "end")],
)
def test_a_link_is_made_when_its_target_is_there(target, moment):
    scan = line_scan(channel("card:diode"))
    found = made({"see": {"link": target}}, scan=scan)
    moments = {
        "start": start(found),
        "diode": data(found, DIODE).children.get("7.1", Group()),
        "end": finish(found, scan),
    }
    seen = {name for name, tree in moments.items() if "see" in tree.children}
    assert moment in seen
    assert moments[moment].children["see"] == SoftLink(f"/7.1/{target}")
    assert not (moment != "start" and "see" in moments["start"].children)


def test_a_link_to_nothing_is_left_out_and_told():
    found = made({"see": {"link": "instrument/nothing"}, "other": 1})
    assert "see" not in start(found).children
    assert "nothing will be at 'instrument/nothing'" in found.warnings[0]


def test_what_the_default_layout_writes_is_never_changed():
    found = made(
        {
            "title": "another",
            "instrument": {
                "NX_class": "NXinstrument",
                "diode": {"NX_class": "NXcollection", "data": 5},
                "diode_too": {"channel": "diode"},
            },
            "measurement": {"NX_class": "NXdata", "more": 1},
        }
    )
    plain = made({"more": 1}, name="other")
    mine = start(found)
    assert mine.children["title"] == start(plain).children["title"]
    assert "measurement" not in mine.children
    assert "diode" not in at(mine, "instrument").children
    told = {warning.split(": ")[1].split()[0] for warning in found.warnings}
    assert told == {"/7.1/title", "/7.1/instrument/diode", "/7.1/measurement"}
    entry = at(data(found, DIODE), "7.1/instrument")
    assert entry.children == {"diode_too": SoftLink("/7.1/instrument/diode/data")}


@pytest.mark.parametrize(
    ("conditions", "is_added"),
    [
        (None, True),
        ({"title": "ascan *"}, True),
        ({"title": ["dmesh *", "ascan *"]}, True),
        ({"title": "dmesh *"}, False),
        ({"name": "*_ascan"}, True),
        ({"name": "8_*"}, False),
        ({"session": "mono", "title": "ascan *"}, False),
    ],
)
def test_a_template_is_for_the_scans_that_it_names(conditions, is_added):
    found = made({"mine": 1}, conditions=conditions)
    assert ("mine" in start(found).children) is is_added


def test_without_a_channel_that_it_needs_a_template_is_not_applied_and_that_is_told():
    found = made({"mine": 1, "i0": {"channel": "i0"}, "it": {"channel": "it"}})
    assert "mine" not in start(found).children
    (warning,) = found.warnings
    assert "the template T is not applied: no channel is called 'i0'; no channel is" in warning


def test_a_channel_may_be_optional():
    found = made({"mine": 1, "i0": {"channel": "i0", "optional": True}})
    assert start(found).children["mine"] == Dataset(1)
    assert found.warnings == ()


def test_a_pattern_for_several_channels_is_told_with_their_names():
    scan = line_scan(channel("card:diode1"), channel("card:diode2"))
    found = made({"mine": {"channel": "diode*"}}, scan=scan)
    (warning,) = found.warnings
    assert "'diode*' means several channels (card:diode1, card:diode2...)" in warning
    assert "7.1/mine" not in paths(data(found, ChannelName("card:diode1")))


def test_a_scan_without_templates_has_the_plan_that_it_had():
    scan = line_scan(channel("card:diode"))
    own = plan(scan, EsrfOptions())
    assert templated(own, scan, []) is own


def test_everything_else_is_as_the_default_layout_has_it():
    scan = line_scan(channel("card:diode"))
    own, found = plan(scan, EsrfOptions()), made({"mine": 1}, scan=scan)
    assert (found.file, found.entries, found.places) == (own.file, own.entries, own.places)
    assert paths(found.first_point(DIODE)[FILE]) == paths(own.first_point(DIODE)[FILE])
    assert found.links(NOW) == own.links(NOW)
    assert found.root(NOW, {}) == own.root(NOW, {})
    without = {name: node for name, node in start(found).children.items() if name != "mine"}
    assert without == at(own.start(NOW)[FILE], "7.1").children
