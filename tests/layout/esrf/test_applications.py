"""The application APPxrf: what it links, what it stacks, and what it says of what is not there."""

from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np
import pytest
from tests.support_description import at, channel, line_scan, mesh
from tests.support_scan_writer import Bench

from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.model.description import (
    Application,
    ChannelName,
    DeviceRecord,
    Technique,
)
from nexus_writer_service.model.events import Points
from nexus_writer_service.model.tree import Group, SoftLink, VirtualDataset, VirtualSource, merged
from nexus_writer_service.model.verdict import Outcome

FILE = "/data/sample/sample_1.h5"
NOW = datetime(2026, 11, 20, 19, tzinfo=UTC)
I0, IT = "ctl:iodet", "ctl:idet"
TIMES = ("realtime", "livetime", "icr")


def mca(number: int, length: int = 8) -> list[Any]:
    scalars = [channel(f"xmap:{name}_det{number}") for name in TIMES]
    return [channel(f"xmap:spectrum_det{number}", "u4", (length,)), *scalars]


def xrf(*detectors: Any, scan: Any = line_scan, name: str = "fluo", **items: Any) -> Any:
    records = {
        one.name: DeviceRecord("mca") for one in detectors if one.name.startswith(("xmap:", "fx:"))
    }
    technique = Technique("xrf", (Application(name, "APPxrf", items),))
    return scan(*detectors, technique=technique, device_records=records)


def application(scan: Any, points: int = 4, name: str = "fluo", **options: Any) -> Group:
    """All that is written of an application when every channel has so many points."""
    made = plan(scan, EsrfOptions(**options))
    lengths = dict.fromkeys(made.places, points)
    moments = (
        made.start(NOW),
        made.plots(lengths, final=False),
        made.finish(scan, NOW),
        made.plots(lengths, final=True),
    )
    found = at(merged(*(trees.get(FILE, Group()) for trees in moments)), f"7.1/{name}")
    assert isinstance(found, Group)
    return found


def test_monitors_and_the_only_mca_are_linked() -> None:
    found = application(xrf(channel(I0), channel(IT), *mca(0), I0="iodet", It="idet"))
    assert found.attributes == {"NX_class": "NXsubentry"}
    links = {
        name: node.target for name, node in found.children.items() if isinstance(node, SoftLink)
    }
    assert links == {
        "i0": "/7.1/instrument/iodet/data",
        "it": "/7.1/instrument/idet/data",
        "mca": "/7.1/instrument/xmap_det0/spectrum",
        "elapsed_time": "/7.1/instrument/xmap_det0/elapsed_time",
        "live_time": "/7.1/instrument/xmap_det0/live_time",
    }
    assert found.children.keys() - links == {"definition", "start_time", "end_time"}
    assert plan(xrf(*mca(0)), EsrfOptions()).warnings == ()


def test_several_mcas_are_numbered_in_the_order_of_their_names() -> None:
    found = application(xrf(*mca(1), *mca(0)))
    links = {
        name: node.target for name, node in found.children.items() if isinstance(node, SoftLink)
    }
    assert {name: target.split("/")[3] for name, target in links.items()} == {
        f"{prefix}mca{number:02d}": f"xmap_det{number}"
        for prefix in ("", "elapsed_time_", "live_time_")
        for number in (0, 1)
    }


def test_mcas_that_are_named_have_the_numbers_of_their_places() -> None:
    scan = xrf(*mca(0), *mca(1), mca=["xmap:det1", "xmap:det7", "xmap_det0"])
    found = application(scan)
    assert at(found, "mca00") == SoftLink("/7.1/instrument/xmap_det1/spectrum")
    assert at(found, "mca02") == SoftLink("/7.1/instrument/xmap_det0/spectrum")
    assert "mca01" not in found.children
    (warning,) = plan(scan, EsrfOptions()).warnings
    assert "fluo" in warning
    assert "xmap:det7" in warning


@pytest.mark.parametrize("items", [{"I0": 7}, {"I0": ""}, {"mca": [3, {}]}, {"mca": None}])
def test_names_that_are_no_text_are_left_out(items: dict[str, Any]) -> None:
    assert application(xrf(*mca(0), **items)).children.keys() >= {"mca", "live_time"}


def test_stacked_mcas_are_one_dataset_each() -> None:
    found = application(xrf(*mca(0), *mca(1)), stack_mcas=True)
    stack = found.children["mca"]
    assert isinstance(stack, VirtualDataset)
    assert (stack.dtype, stack.shape, stack.fill) == (np.dtype("u4"), (2, 4, 8), 0)
    assert starts(stack) == [(0, 0, 0), (1, 0, 0)]
    assert isinstance(found.children["live_time"], VirtualDataset)
    assert found.children["live_time"].attributes == {"units": "s"}
    assert "mca00" not in found.children


def test_a_stack_of_one_is_a_link() -> None:
    found = application(xrf(*mca(0)), stack_mcas=True)
    assert at(found, "mca") == SoftLink("/7.1/instrument/xmap_det0/spectrum")


def test_mcas_of_different_sizes_are_linked_and_not_stacked() -> None:
    found = application(xrf(*mca(0), *mca(1, length=16)), stack_mcas=True)
    assert found.children.keys() >= {"mca00", "mca01", "live_time"}


def test_a_stack_of_a_grid_that_keeps_its_shape_has_it_too() -> None:
    found = application(xrf(*mca(0), *mca(1), scan=mesh), 5, stack_mcas=True, keepshape=True)
    stack = found.children["mca"]
    assert isinstance(stack, VirtualDataset)
    assert stack.shape == (2, 2, 3, 8)


def test_an_application_of_which_nothing_is_there_is_left_out() -> None:
    made = plan(xrf(channel("ctl:other"), I0="iodet"), EsrfOptions())
    assert "fluo" not in at(made.start(NOW)[FILE], "7.1").children  # type: ignore[union-attr]
    assert made.warnings == ()


def test_other_definitions_and_sessions_without_configuration_have_none() -> None:
    scan = xrf(*mca(0))
    made = plan(scan, EsrfOptions(configurable=False))
    assert "fluo" not in at(made.start(NOW)[FILE], "7.1").children  # type: ignore[union-attr]


def test_an_application_and_a_plot_take_different_names() -> None:
    found = application(xrf(*mca(0), name="measurement"), name="measurement_2")
    assert "mca" in found.children


# -------------------------------------------------------------------------------------- files


def written(tmp_path: Any, scan: Any, **options: Any) -> Bench:
    """A file of a scan with 4 points of each channel but the last, which has 3."""
    bench = Bench(
        tmp_path,
        *(one for one in scan.channels.values() if not one.name.startswith("axis:")),
        options=EsrfOptions(**options),
        technique=scan.technique,
        device_records=scan.device_records,
    )
    bench.prepare()
    for place, (name, one) in enumerate(bench.scan.channels.items(), 1):
        count = 3 if place == len(bench.scan.channels) else 4
        values = np.arange(count * int(np.prod(one.shape)), dtype=one.dtype) + place
        bench.writer.feed(Points(bench.scan.key, name, 0, (values.reshape(count, *one.shape),)))
        bench.seal(name, count)
    bench.settle()
    bench.end()
    bench.settle_until_over()
    assert bench.status.verdict.outcome is Outcome.COMPLETE
    return bench


def test_links_of_an_application_lead_to_the_data(tmp_path: Any) -> None:
    bench = written(tmp_path, xrf(channel(I0), *mca(0), *mca(1), I0="iodet"))
    with h5py.File(bench.path) as file:
        found = file["7.1/fluo"]
        assert found["definition"][()] == b"APPxrf"
        assert found["i0"][:].tolist() == [2, 3, 4, 5]
        assert found["mca01"].shape == (4, 8)
        assert found["elapsed_time_mca00"][0] == 4


def test_a_stack_shows_all_mcas_and_fill_where_one_is_short(tmp_path: Any) -> None:
    detectors = [*mca(0), *mca(1)]
    # The last channel, which has one point less, is a spectrum.
    scan = xrf(*detectors[1:], detectors[0])
    bench = written(tmp_path, scan, stack_mcas=True)
    with h5py.File(bench.path) as file:
        found = file["7.1/fluo"]
        assert found["mca"].shape == (2, 4, 8)
        assert np.array_equal(found["mca"][0, :3], file["7.1/instrument/xmap_det0/spectrum"])
        assert np.array_equal(found["mca"][1], file["7.1/instrument/xmap_det1/spectrum"])
        assert not found["mca"][0, 3].any()
        assert found["live_time"].shape == (2, 4)


def test_a_missing_mca_keeps_its_place_in_the_stack() -> None:
    scan = xrf(*mca(0), *mca(1))
    made = plan(scan, EsrfOptions(stack_mcas=True))
    only_second = {ChannelName("xmap:spectrum_det1"): 4}
    stack = at(made.plots(only_second, final=True)[FILE], "7.1/fluo/mca")
    assert isinstance(stack, VirtualDataset)
    assert stack.shape == (2, 4, 8)
    assert starts(stack) == [(1, 0, 0)]


def starts(stack: VirtualDataset) -> list[tuple[int, ...]]:
    return [one.start for one in stack.sources if isinstance(one, VirtualSource)]
