"""Plots and applications as scans and sessions announce them."""

from typing import Any

from nexus_writer_service.model.description import Application, PlotRequest, Technique
from nexus_writer_service.sources.bliss.fields import Fields
from nexus_writer_service.sources.bliss.plots import described_plots, technique


def described(*plots: Any) -> tuple[tuple[PlotRequest, ...], list[str]]:
    info = Fields({"plots": list(plots)}, "scan 1_ascan")
    return described_plots(info), info.warnings


def test_curves_over_one_axis_are_one_plot() -> None:
    items = [
        {"kind": "curve", "y_axis": "left", "x": "axis:robx", "y": "ctl:a"},
        {"kind": "curve", "y_axis": "right", "x": "axis:robx", "y": "ctl:b"},
        {"kind": "curve", "x": "axis:roby", "y": "ctl:a"},
        {"kind": "curve", "y": "ctl:a"},
    ]
    found, warnings = described({"kind": "curve-plot", "name": "mine", "items": items})
    assert found == (
        PlotRequest("mine", ("ctl:a", "ctl:b"), ("axis:robx",)),
        PlotRequest("mine", ("ctl:a",), ("axis:roby",)),
        PlotRequest("mine", ("ctl:a",)),
    )
    assert warnings == []


def test_a_scatter_has_two_axes_and_a_value() -> None:
    item = {"kind": "scatter", "x": "axis:robx", "y": "axis:roby", "value": "ctl:a"}
    found, _ = described({"kind": "scatter-plot", "items": [item]})
    assert found == (PlotRequest("scatter-plot", ("ctl:a",), ("axis:robx", "axis:roby")),)


def test_what_is_shown_is_left_to_the_user_when_no_signal_is_named() -> None:
    found, warnings = described(
        {"kind": "curve-plot", "items": [{"kind": "curve", "x": "axis:robx"}]},
        {"kind": "scatter-plot", "items": [{"kind": "scatter", "x": "a", "y": "b"}]},
        {"kind": "table-plot", "items": [{"kind": "table", "y": "ctl:a"}]},
        {"kind": "curve-plot"},
    )
    assert (found, warnings) == ((), [])


def test_strange_plots_cost_themselves_and_are_told() -> None:
    good = {"kind": "curve", "y": "ctl:a"}
    found, warnings = described(7, {"kind": "curve-plot", "items": [good, "x", {"kind": 3}]})
    assert found == (PlotRequest("curve-plot", ("ctl:a",)),)
    assert len(warnings) == 3


def test_a_technique_has_applications_and_plots_with_its_default_first() -> None:
    said = {
        "name": "xrf",
        "applications": {"fluo": {"class": "APPxrf", "I0": "iodet", "mca": ["xmap:det0"]}},
        "plots": {
            "counters": {"personal_name": "My counters", "items": ["iodet"], "ndim": 0},
            "spectra": {"ndim": 1, "grid": True},
            "all": {"ndim": -1},
        },
        "plotselect": "spectra",
    }
    assert technique(Fields(said, "x")) == Technique(
        "xrf",
        (Application("fluo", "APPxrf", said["applications"]["fluo"]),),  # type: ignore[index]
        (
            PlotRequest("spectra", ndim=1, grid=True),
            PlotRequest("My counters", ("iodet",), ndim=0, grid=False),
            PlotRequest("all", grid=False),
        ),
    )


def test_no_technique_is_nothing() -> None:
    assert technique(Fields({}, "x")) == Technique()
