"""Plots that a scan describes itself, or its technique: where they stand and what they show."""

from typing import Any

import numpy as np
import pytest
from tests.support_description import at, channel, line_scan, mesh

from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.description import ChannelName, PlotRequest, Technique
from nexus_writer_service.model.tree import Group, SoftLink, VirtualDataset

FILE = "/data/sample/sample_1.h5"
DIODE, OTHER, SPECTRUM = "ctl:diode", "ctl:other", "ctl:mca"
LINE = {DIODE: 4, OTHER: 4, SPECTRUM: 4, "axis:robx": 4, "axis:roby": 4}
GRID = dict.fromkeys(LINE, 6)


def entry(scan: Any, lengths: dict[str, int], *, final: bool = True, **options: Any) -> Group:
    counts = {ChannelName(name): n for name, n in lengths.items()}
    found = plan(scan, EsrfOptions(**options)).plots(counts, final=final).get(FILE, Group())
    node = found.children.get("7.1", Group())
    assert isinstance(node, Group)
    return node


def group(found: Group, name: str) -> Group:
    node = at(found, name)
    assert isinstance(node, Group)
    return node


def curve(name: str, *signals: str, x: str = "axis:robx") -> PlotRequest:
    return PlotRequest(name, signals, (x,))


def scatter(value: str, x: str = "axis:robx", y: str = "axis:roby") -> PlotRequest:
    return PlotRequest("map", (value,), (x, y))


# ------------------------------------------------------------------------------ names, default


def test_a_described_plot_stands_under_its_name_and_is_the_default() -> None:
    scan = line_scan(channel(DIODE), channel(OTHER), plots=(curve("my curve", DIODE, OTHER),))
    found = entry(scan, LINE)
    assert found.attributes["default"] == "plotselect"
    assert at(found, "plotselect") == SoftLink("/7.1/my_curve")
    assert group(found, "my_curve").attributes == {
        "NX_class": "NXdata",
        "signal": "diode",
        "auxiliary_signals": ["other"],
        "axes": ["robx"],
    }


def test_the_user_s_selection_is_the_default_before_any_described_plot() -> None:
    scan = line_scan(
        channel(DIODE), channel(OTHER), plotted=(OTHER,), plots=(curve("curve-plot", DIODE),)
    )
    found = entry(scan, LINE)
    assert found.attributes["default"] == "plotselect"
    assert group(found, "plotselect").attributes["signal"] == "other"
    assert group(found, "curve_plot").attributes["signal"] == "diode"


def test_a_selection_that_is_not_there_yet_is_never_hidden_by_a_link() -> None:
    scan = line_scan(
        channel(DIODE), channel(OTHER), plotted=(OTHER,), plots=(curve("curve", DIODE),)
    )
    found = entry(scan, {DIODE: 1, "axis:robx": 1}, final=False)
    assert found.children.keys() == {"curve"}
    assert found.attributes["default"] == "curve"
    assert entry(scan, LINE, final=False).attributes["default"] == "plotselect"


def test_plots_of_one_name_are_counted() -> None:
    scan = line_scan(
        channel(DIODE), channel(OTHER), plots=(curve("plot", DIODE), curve("plot", OTHER))
    )
    found = entry(scan, LINE)
    assert group(found, "plot").attributes["signal"] == "diode"
    assert group(found, "plot_2").attributes["signal"] == "other"
    late = entry(scan, {OTHER: 1, "axis:robx": 1}, final=False)
    assert late.children.keys() == {"plot_2", "plotselect"}


def test_a_plot_never_takes_the_name_of_something_else() -> None:
    scan = line_scan(channel(DIODE), plots=(curve("measurement", DIODE),))
    assert entry(scan, LINE).children.keys() == {"measurement_2", "plotselect"}


# ------------------------------------------------------------------------------------- curves


def test_a_curve_is_drawn_over_the_axis_that_it_names() -> None:
    motors = ("axis:robx", "axis:roby")
    scan = line_scan(channel(DIODE), motors=motors, plots=(curve("c", DIODE, x="axis:roby"),))
    found = group(entry(scan, LINE), "c")
    assert found.attributes["axes"] == ["roby"]
    assert found.attributes["robx_indices"] == 0


def test_a_counter_can_be_an_axis() -> None:
    scan = line_scan(channel(DIODE), channel(OTHER), plots=(curve("c", DIODE, x=OTHER),))
    found = group(entry(scan, LINE), "c")
    assert (found.attributes["signal"], found.attributes["axes"]) == ("diode", ["other"])
    assert found.children.keys() == {"diode", "other"}


def test_an_axis_that_is_not_there_leaves_those_of_the_scan() -> None:
    scan = line_scan(channel(DIODE), plots=(curve("c", DIODE, x="nobody:knows"),))
    assert group(entry(scan, LINE), "c").attributes["axes"] == ["robx"]


def test_spectra_can_have_positions_of_their_own() -> None:
    scan = line_scan(
        channel(SPECTRUM, "u4", (8,)),
        channel(OTHER, shape=(8,)),
        plots=(curve("c", SPECTRUM, x=OTHER),),
    )
    found = group(entry(scan, LINE), "c")
    assert found.attributes["axes"] == [".", "."]
    assert np.array_equal(found.attributes["other_indices"], [0, 1])
    assert found.children.keys() == {"mca", "other"}


def test_positions_that_do_not_fit_the_spectra_are_left_out() -> None:
    scan = line_scan(
        channel(SPECTRUM, "u4", (8,)),
        channel(OTHER, shape=(9,)),
        plots=(curve("c", SPECTRUM, x=OTHER),),
    )
    assert group(entry(scan, LINE), "c").children.keys() == {"mca", "datadim0"}


# -------------------------------------------------------------------------- scatters and grids


def test_a_scatter_of_counters_is_placed_by_what_it_names() -> None:
    scan = line_scan(channel(DIODE), channel(OTHER), plots=(scatter(OTHER, y=DIODE),))
    found = group(entry(scan, LINE), "map")
    assert (found.attributes["signal"], found.attributes["axes"]) == ("other", ["robx", "diode"])


def test_a_scatter_of_a_complete_grid_is_an_image() -> None:
    found = group(entry(mesh(channel(DIODE), plots=(scatter(DIODE),)), GRID), "map")
    assert found.attributes["axes"] == ["roby", "robx"]
    assert isinstance(found.children["diode"], VirtualDataset)


@pytest.mark.parametrize(("kind", "points"), [("backnforth", 6), ("forth", 5)])
def test_a_scatter_of_any_other_grid_is_its_points(kind: str, points: int) -> None:
    scan = mesh(channel(DIODE), kind=kind, plots=(scatter(DIODE),))
    found = group(entry(scan, dict.fromkeys(GRID, points)), "map")
    assert found.attributes["axes"] == ["robx", "roby"]
    assert isinstance(found.children["diode"], SoftLink)


def test_a_grid_over_other_channels_than_the_scanned_is_a_scatter() -> None:
    scan = mesh(channel(DIODE), channel(OTHER), plots=(scatter(DIODE, y=OTHER),))
    assert group(entry(scan, GRID), "map").attributes["axes"] == ["robx", "other"]


def test_data_of_the_grid_s_shape_keep_it_whatever_places_them() -> None:
    scan = mesh(channel(DIODE), channel(OTHER), plots=(scatter(DIODE, y=OTHER),))
    found = group(entry(scan, GRID, keepshape=True), "map")
    assert found.attributes["axes"] == [".", "."]
    assert np.array_equal(found.attributes["other_indices"], [0, 1])


# ---------------------------------------------------------------------------------- technique


def technique(*plots: PlotRequest) -> Technique:
    return Technique("xrf", plots=plots)


def test_plots_of_a_technique_can_be_of_all_channels_of_some_dimensions() -> None:
    asked = technique(PlotRequest("spectra", ndim=1), PlotRequest("counters", ndim=0))
    scan = line_scan(channel(DIODE), channel(SPECTRUM, shape=(8,)), technique=asked)
    found = entry(scan, LINE)
    assert at(found, "plotselect") == SoftLink("/7.1/spectra")
    assert group(found, "spectra").attributes["signal"] == "mca"
    assert group(found, "counters").attributes["signal"] == "diode"


def test_plots_of_a_technique_are_grids_or_points_as_it_says() -> None:
    asked = technique(PlotRequest("grid", (DIODE,)), PlotRequest("points", (DIODE,), grid=False))
    found = entry(mesh(channel(DIODE), technique=asked), GRID)
    assert group(found, "grid").attributes["axes"] == ["roby", "robx"]
    assert group(found, "points").attributes["axes"] == ["robx", "roby"]
    line = line_scan(channel(DIODE), motors=("axis:robx", "axis:roby"), technique=asked)
    assert group(entry(line, LINE), "points").attributes["axes"] == ["robx"]


def test_a_technique_can_have_a_plot_called_plotselect() -> None:
    asked = technique(PlotRequest("plotselect", (DIODE,)))
    found = entry(line_scan(channel(DIODE), technique=asked), LINE)
    assert group(found, "plotselect").attributes["signal"] == "diode"


def test_without_configuration_a_technique_says_nothing() -> None:
    asked = technique(PlotRequest("counters", ndim=0))
    scan = line_scan(channel(DIODE), technique=asked)
    assert entry(scan, LINE, configurable=False) == Group()
