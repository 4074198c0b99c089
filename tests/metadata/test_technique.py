import json
from types import SimpleNamespace

import pytest
import yaml

from nexus_writer_service.metadata import technique
from nexus_writer_service.metadata.technique import technique_of
from nexus_writer_service.model.description import PlotRequest
from nexus_writer_service.sources.bliss.fields import Fields
from nexus_writer_service.sources.bliss.plots import technique as understood

CONFIG = """
technique:
  default: align
  techniques:
    align: {plots: [counters]}
    xrf: {applications: [xrf], plots: [spectra, counters]}
    empty:
  applications:
    xrf: {class: APPxrf, I0: iodet, mca: [mca1]}
  plots:
    counters: {items: [iodet, idet], grid: true}
    spectra: {personal_name: all spectra, items: [mca1], ndim: 1}
"""
COUNTERS = {"items": ["iodet", "idet"], "grid": True}
SPECTRA = {"personal_name": "all spectra", "items": ["mca1"], "ndim": 1}


@pytest.fixture
def definitions():
    return yaml.safe_load(CONFIG)


def test_the_technique_of_the_dataset_brings_its_plots_and_applications(definitions):
    assert technique_of(definitions, ["XRF"]) == {
        "name": "xrf",
        "applications": {"xrf": {"class": "APPxrf", "I0": "iodet", "mca": ["mca1"]}},
        "plots": {"spectra": SPECTRA, "counters": COUNTERS},
        "plotselect": "spectra",
    }


@pytest.mark.parametrize("chosen", [[], ["XRAYS"]], ids=["none", "unknown"])
def test_the_default_stands_for_none_and_for_one_that_is_not_defined(definitions, chosen):
    found = technique_of(definitions, chosen)
    assert (found["name"], found["plots"]) == ("align", {"counters": COUNTERS})


def test_of_several_techniques_all_count(definitions):
    found = technique_of(definitions, ["ALIGN", "OTHER", "XRF"])
    assert (found["name"], list(found["plots"])) == ("align xrf", ["counters", "spectra"])


def test_a_technique_without_plots_has_none(definitions):
    found = technique_of(definitions, ["empty"])
    assert found == {"name": "empty", "applications": {}, "plots": {}}


@pytest.mark.parametrize("nonsense", [{}, {"technique": None}, {"technique": {"techniques": []}}])
def test_nothing_is_said_where_nothing_is_defined(nonsense):
    assert technique_of(nonsense, ["xrf"]) == {}


def test_a_plot_that_is_not_defined_is_named_and_left_out(definitions, caplog):
    del definitions["technique"]["plots"]["spectra"]
    assert list(technique_of(definitions, ["xrf"])["plots"]) == ["counters"]
    (warning,) = caplog.messages
    assert "technique 'xrf': 'spectra' is not defined" in warning


def test_objects_of_the_configuration_are_written_by_their_names(definitions):
    definitions["technique"]["applications"]["xrf"]["I0"] = SimpleNamespace(name="iodet")
    found = technique_of(definitions, ["xrf"])
    assert json.loads(json.dumps(found)) == found
    assert found["applications"]["xrf"]["I0"] == "iodet"


def test_the_writer_understands_what_is_said(definitions):
    found = understood(Fields(technique_of(definitions, ["xrf"]), "scan", []))
    assert [plot.name for plot in found.plots] == ["all spectra", "counters"]
    assert found.plots[1] == PlotRequest("counters", ("iodet", "idet"), grid=True)
    assert [one.definition for one in found.applications] == ["APPxrf"]


def test_the_example_of_the_documentation_is_one():
    text = str(technique.__doc__).partition("root):")[2]
    assert (
        technique_of(yaml.safe_load(text)["nexus_definitions"], ["xrf"])["plotselect"] == "counters"
    )
