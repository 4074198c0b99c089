"""Which layout a scan is written in."""

import pytest
from tests.support_description import channel, line_scan

from nexus_writer_service.layout.choice import AUTO, CLASSIC, LAYOUTS, MAPPED, plan
from nexus_writer_service.layout.esrf import EsrfOptions, EsrfPlan
from nexus_writer_service.layout.h5map import MappedPlan

STREAM = {"type": "stream", "stream": "card:diode"}
MAPS = {
    "/data/a.h5": {
        "type": "group",
        "children": {"7.1": {"type": "group", "children": {"d": STREAM}}},
    }
}


def kind(layout, maps, **more):
    scan = line_scan(channel("card:diode"), h5maps=maps, **more)
    return type(plan(scan, EsrfOptions(), layout))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_scan_without_maps_has_the_classic_layout(layout):
    assert kind(layout, {}, data_writer="mapping") is EsrfPlan


@pytest.mark.parametrize("writer", ["mapping", "", "another"])
def test_by_default_maps_are_followed_where_no_writer_of_a_layout_was_chosen(writer):
    assert kind(AUTO, MAPS, data_writer=writer) is MappedPlan


@pytest.mark.parametrize("writer", ["nexus", "external", "internal", "hdf5"])
def test_by_default_they_are_not_where_bliss_chose_a_writer_that_makes_the_layout(writer):
    assert kind(AUTO, MAPS, data_writer=writer) is EsrfPlan


@pytest.mark.parametrize("writer", ["mapping", "nexus"])
def test_a_layout_can_be_forced(writer):
    assert kind(MAPPED, MAPS, data_writer=writer) is MappedPlan
    assert kind(CLASSIC, MAPS, data_writer=writer) is EsrfPlan
