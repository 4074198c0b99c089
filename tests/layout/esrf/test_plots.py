"""Default plots: what they show, when, and that they are valid NXdata [NXDL]."""

from typing import Any

import numpy as np
import pytest
from tests.support_description import at, channel, images, line_scan, mesh

from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.layout.esrf.names import matches
from nexus_writer_service.model.description import (
    Channel,
    ChannelName,
    Content,
    DeviceRecord,
    ScanDescription,
    Subscan,
)
from nexus_writer_service.model.tree import (
    Dataset,
    Group,
    Node,
    SoftLink,
    VirtualDataset,
    VirtualSource,
)

FILE = "/data/sample/sample_1.h5"
DIODE, OTHER, SPECTRUM = "ctl:diode", "ctl:other", "ctl:mca"


def tree(
    scan: ScanDescription, lengths: dict[str, int], *, final: bool = True, **options: Any
) -> Group | None:
    found = plan(scan, EsrfOptions(**options)).plots(
        {ChannelName(name): n for name, n in lengths.items()}, final=final
    )
    return found.get(FILE)


def data(scan: ScanDescription, lengths: dict[str, int], **options: Any) -> Group:
    found = tree(scan, lengths, **options)
    assert found is not None
    node = at(found, "7.1/plotselect")
    assert isinstance(node, Group)
    return node


def diode(name: str) -> SoftLink:
    return SoftLink(f"/7.1/instrument/{name}/data")


def line(*detectors: Channel, **more: Any) -> ScanDescription:
    found: ScanDescription = line_scan(*detectors, plotted=(DIODE, OTHER, SPECTRUM), **more)
    return found


def grid(*detectors: Channel, **more: Any) -> ScanDescription:
    found: ScanDescription = mesh(*detectors, plotted=(DIODE, OTHER, SPECTRUM), **more)
    return found


# ------------------------------------------------------------------------------------- curves


def test_a_line_scan_is_a_curve_over_its_positioner() -> None:
    found = tree(line(channel(DIODE)), {DIODE: 4, "axis:robx": 4})
    assert found == Group(
        {
            "7.1": Group(
                {
                    "plotselect": Group(
                        {"diode": diode("diode"), "robx": SoftLink("/7.1/instrument/robx/value")},
                        {"NX_class": "NXdata", "signal": "diode", "axes": ["robx"]},
                    )
                },
                {"NX_class": "NXentry", "default": "plotselect"},
            )
        },
        {"default": "7.1"},
    )


def test_nothing_is_plotted_unless_selected() -> None:
    assert tree(line_scan(channel(DIODE)), {DIODE: 4, "axis:robx": 4}) is None


def test_a_curve_is_shown_as_soon_as_all_of_it_is_there() -> None:
    scan = line(channel(DIODE), channel(OTHER))
    all_but_one = {DIODE: 1, "axis:robx": 1}
    assert tree(scan, all_but_one, final=False) is None
    # The dataset of a channel is made just before its first point is written.
    for length in (0, 1):
        assert tree(scan, {**all_but_one, OTHER: length}, final=False) is not None


def test_at_the_end_what_has_points_is_shown() -> None:
    found = data(line(channel(DIODE), channel(OTHER)), {OTHER: 4, DIODE: 0})
    assert found == Group(
        {"other": diode("other")}, {"NX_class": "NXdata", "signal": "other", "axes": ["."]}
    )
    assert tree(line(channel(DIODE)), {"axis:robx": 4}) is None


def test_several_signals_are_in_the_order_of_their_names() -> None:
    lengths = {DIODE: 4, OTHER: 4, "axis:robx": 4}
    found = data(line(channel(OTHER), channel(DIODE)), lengths)
    assert found.attributes["signal"] == "diode"
    assert found.attributes["auxiliary_signals"] == ["other"]


def test_further_positioners_are_further_coordinates() -> None:
    scan = line(channel(DIODE), motors=("axis:robx", "axis:roby"))
    found = data(scan, {DIODE: 4, "axis:robx": 4, "axis:roby": 4})
    assert found.attributes["axes"] == ["robx"]
    assert found.attributes["roby_indices"] == 0
    assert found.children["roby"] == SoftLink("/7.1/instrument/roby/value")


def test_positioners_are_no_signals() -> None:
    scan = line_scan(channel(DIODE), plotted=("axis:robx", DIODE))
    assert data(scan, {DIODE: 4, "axis:robx": 4}).attributes["signal"] == "diode"


def test_an_array_has_the_numbers_of_its_elements_as_axes() -> None:
    scan = line(channel(SPECTRUM, "u4", (3, 5)))
    found = data(scan, {SPECTRUM: 4, "axis:robx": 4})
    assert found.attributes["axes"] == ["robx", "datadim0", "datadim1"]
    for name, length in (("datadim0", 3), ("datadim1", 5)):
        axis = found.children[name]
        assert isinstance(axis, Dataset)
        assert np.array_equal(axis.value, np.arange(length))


def test_a_dimension_of_unknown_length_has_no_axis() -> None:
    found = data(line(channel(SPECTRUM, shape=(-1,))), {SPECTRUM: 4, "axis:robx": 4})
    assert found.attributes["axes"] == ["robx", "."]


def test_signals_of_different_shapes_are_plots_of_their_own() -> None:
    scan = line(
        channel(SPECTRUM, "u4", (8,)),
        channel(DIODE),
        channel(OTHER),
        device_records={ChannelName(DIODE): DeviceRecord("samplingcounter", "signal")},
    )
    found = tree(scan, {DIODE: 4, OTHER: 4, SPECTRUM: 4, "axis:robx": 4})
    assert found is not None
    entry = at(found, "7.1")
    assert isinstance(entry, Group)
    assert entry.attributes["default"] == "plotselect"
    assert set(entry.children) == {
        "plotselect",
        "plotselect_samplingcounter",
        "plotselect_unknown1D",
    }
    # The first by name: "diode" before "mca".
    assert entry.children["plotselect"] == SoftLink("/7.1/plotselect_samplingcounter")
    spectra = entry.children["plotselect_unknown1D"]
    assert isinstance(spectra, Group)
    assert spectra.attributes["signal"] == "mca"


def test_plots_of_one_kind_are_counted() -> None:
    scan = line(channel(SPECTRUM, shape=(8,)), channel(DIODE, shape=(9,)))
    found = tree(scan, {DIODE: 4, SPECTRUM: 4, "axis:robx": 4})
    assert found is not None
    entry = at(found, "7.1")
    assert isinstance(entry, Group)
    assert {"plotselect_unknown1D", "plotselect_unknown1D_2"} < set(entry.children)


def test_a_name_of_the_user_s_metadata_is_not_taken() -> None:
    scan = line(channel(DIODE), categories={"plotselect": {"a": 1}})
    found = tree(scan, {DIODE: 4, "axis:robx": 4})
    assert found is not None
    entry = at(found, "7.1")
    assert isinstance(entry, Group)
    assert entry.attributes["default"] == "plotselect_2"
    assert set(entry.children) == {"plotselect_2"}


def test_channels_of_an_aborted_scan_are_shown_to_the_length_of_the_shortest() -> None:
    found = data(line(channel(DIODE, "i4"), channel(OTHER)), {DIODE: 6, OTHER: 5, "axis:robx": 6})
    assert found.children["other"] == diode("other")
    assert found.children["diode"] == VirtualDataset(
        np.dtype("i4"),
        (5,),
        (VirtualSource(".", "/7.1/instrument/diode/data", (5,), ((0, 5),), (6,)),),
        fill=0,
    )
    axis = found.children["robx"]
    assert isinstance(axis, VirtualDataset)
    assert (axis.shape, axis.attributes) == ((5,), {"units": "mm"})


def test_lengths_that_differ_while_the_scan_runs_are_no_reason_to_cut() -> None:
    found = data(line(channel(DIODE)), {DIODE: 1, "axis:robx": 2}, final=False)
    assert found.children["diode"] == diode("diode")
    assert found.children["robx"] == SoftLink("/7.1/instrument/robx/value")


def test_what_has_no_shape_cannot_be_cut_and_is_left_out() -> None:
    ragged = channel(SPECTRUM, shape=(-1,))
    assert tree(line(ragged), {SPECTRUM: 6, "axis:robx": 5}) is None
    assert tree(grid(ragged), {SPECTRUM: 4, "axis:robx": 3, "axis:roby": 3}) is None


def test_images_are_plotted_unless_they_are_only_referred_to() -> None:
    image = channel(SPECTRUM, "u2", (4, 4), content=Content.IMAGES, images=images("mca"))
    lengths = {SPECTRUM: 4, "axis:robx": 4}
    assert data(line(image), lengths).attributes["signal"] == "mca"
    assert tree(line(image), lengths, external_hdf5=False) is None


def test_each_entry_has_its_own_plot() -> None:
    scan = line(channel(DIODE), subscans=(Subscan("a", ("1:axis",)), Subscan("b", ("2:card",))))
    found = tree(scan, {DIODE: 4, "axis:robx": 4})
    assert found is not None
    assert set(found.children) == {"7.2"}
    assert found.attributes == {"default": "7.2"}


@pytest.mark.parametrize(
    ("name", "wanted", "same"),
    [
        ("ctl:diode", "ctl:diode", True),
        ("ctl:diode", "diode", True),
        ("sim_ctl:diode", "ctl.diode", True),
        ("ctl:diode", "other:diode", False),
        ("diode", "ctl:diode", False),
        ("ctl:diode2", "diode", False),
    ],
)
def test_names_match_from_their_ends(name: str, wanted: str, same: bool) -> None:
    assert matches(name, wanted) is same


def test_an_exact_name_means_only_that_channel() -> None:
    scan = line_scan(channel("diode"), channel(DIODE), plotted=("diode",))
    assert "auxiliary_signals" not in data(scan, {"diode": 4, DIODE: 4, "axis:robx": 4}).attributes


# -------------------------------------------------------------------------------------- grids

FULL = {DIODE: 6, OTHER: 6, SPECTRUM: 6, "axis:robx": 6, "axis:roby": 6}


def test_a_grid_is_a_scatter_while_it_is_scanned() -> None:
    found = data(grid(channel(DIODE)), {**FULL, DIODE: 2}, final=False)
    assert found.attributes["axes"] == ["robx", "roby"]
    assert found.children["diode"] == diode("diode")
    # The image at the end takes the place of each of its fields.
    assert found.children.keys() == data(grid(channel(DIODE)), FULL).children.keys()


@pytest.mark.parametrize(("shape", "kept"), [((8,), False), ((), True)])
def test_what_cannot_be_a_scatter_is_shown_at_the_end_only(shape: Any, kept: bool) -> None:
    scan = grid(channel(SPECTRUM, shape=shape))
    assert tree(scan, FULL, final=False, keepshape=kept) is None


def test_a_complete_grid_is_an_image_over_the_positions_of_its_motors() -> None:
    found = data(grid(channel(DIODE, "i4", unit="A")), FULL)
    assert found.attributes == {"NX_class": "NXdata", "signal": "diode", "axes": ["roby", "robx"]}
    assert found.children["diode"] == VirtualDataset(
        np.dtype("i4"),
        (2, 3),
        (VirtualSource(".", "/7.1/instrument/diode/data", (2, 3), ((0, 6),), (6,)),),
        fill=0,
        attributes={"units": "A", "interpretation": "image"},
    )
    assert sources(found.children["robx"]) == [
        VirtualSource(".", "/7.1/instrument/robx/value", (3,), ((0, 3),), (6,), (0,))
    ]
    assert sources(found.children["roby"]) == [
        VirtualSource(".", "/7.1/instrument/roby/value", (1,), ((0, 1),), (6,), (0,)),
        VirtualSource(".", "/7.1/instrument/roby/value", (1,), ((3, 1),), (6,), (1,)),
    ]


def sources(node: Node) -> list[VirtualSource]:
    assert isinstance(node, VirtualDataset)
    return [one for one in node.sources if isinstance(one, VirtualSource)]


def test_points_beyond_the_grid_are_not_part_of_the_image() -> None:
    found = data(grid(channel(DIODE)), {**FULL, DIODE: 7})
    (source,) = sources(found.children["diode"])
    assert (source.selection, source.source_shape) == (((0, 6),), (7,))


def test_a_grid_of_spectra_has_three_dimensions() -> None:
    found = data(grid(channel(SPECTRUM, "u4", (8,))), FULL)
    node = found.children["mca"]
    assert isinstance(node, VirtualDataset)
    assert node.shape == (2, 3, 8)
    assert sources(node)[0].source_shape == (6, 8)
    assert node.attributes == {"interpretation": "spectrum"}
    assert found.attributes["axes"] == ["roby", "robx", "datadim0"]


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("kind", ["backnforth", "step", None])
def test_a_grid_visited_in_another_order_is_no_image(kind: str | None, kept: bool) -> None:
    found = data(grid(channel(DIODE), kind=kind), FULL, keepshape=kept)
    assert found.children == {
        "diode": diode("diode"),
        "robx": SoftLink("/7.1/instrument/robx/value"),
        "roby": SoftLink("/7.1/instrument/roby/value"),
    }
    if kept:
        assert found.attributes["axes"] == [".", "."]
        assert np.array_equal(found.attributes["robx_indices"], [0, 1])
        assert np.array_equal(found.attributes["roby_indices"], [0, 1])
    else:
        assert found.attributes["axes"] == ["robx", "roby"]


def test_a_grid_that_is_not_complete_is_a_scatter_of_its_points() -> None:
    found = data(grid(channel(DIODE)), {DIODE: 4, "axis:robx": 5, "axis:roby": 5})
    assert found.attributes["axes"] == ["robx", "roby"]
    assert found.children["diode"] == diode("diode")
    axis = found.children["robx"]
    assert isinstance(axis, VirtualDataset)
    assert axis.shape == (4,)


def test_arrays_cannot_be_a_scatter_but_have_their_coordinates() -> None:
    found = data(grid(channel(SPECTRUM, shape=(8,))), {**FULL, SPECTRUM: 5})
    assert found.attributes["axes"] == [".", "datadim0"]
    assert (found.attributes["robx_indices"], found.attributes["roby_indices"]) == (0, 0)


def test_arrays_of_unknown_length_stay_in_a_row() -> None:
    found = data(grid(channel(SPECTRUM, shape=(-1,))), FULL)
    assert found.attributes["axes"] == [".", "."]
    assert found.children["mca"] == diode("mca")


def test_data_in_the_grid_s_shape_are_only_linked() -> None:
    found = data(grid(channel(DIODE)), FULL, keepshape=True)
    assert found.children["diode"] == diode("diode")
    assert found.attributes["axes"] == ["roby", "robx"]
    assert sources(found.children["roby"]) == [
        VirtualSource(".", "/7.1/instrument/roby/value", (2,), ((0, 2), (0, 1)), (2, 3))
    ]
    assert sources(found.children["robx"]) == [
        VirtualSource(".", "/7.1/instrument/robx/value", (3,), ((0, 1), (0, 3)), (2, 3))
    ]


def test_data_that_outgrew_the_kept_shape_are_not_shown() -> None:
    assert tree(grid(channel(DIODE)), {**FULL, DIODE: 7}, keepshape=True) is None


def test_a_kept_grid_that_is_not_complete_has_a_coordinate_for_every_point() -> None:
    found = data(grid(channel(SPECTRUM, shape=(8,))), {**FULL, SPECTRUM: 5}, keepshape=True)
    assert found.attributes["axes"] == [".", ".", "datadim0"]
    assert np.array_equal(found.attributes["robx_indices"], [0, 1])


def test_a_grid_without_positioners_is_a_row_of_points() -> None:
    scan = grid(channel(DIODE), devices={}, subscans=())
    found = data(scan, {DIODE: 6})
    assert found.attributes["axes"] == ["."]
