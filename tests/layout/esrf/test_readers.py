"""Programs of others read our files of every kind, each by its own rules."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from blissdata.h5api import dynamic_hdf5, static_hdf5
from silx.io.nxdata.parse import get_default
from silx.io.utils import open as silx_open
from tests.support_bliss import RecordedScan, recorded_scans
from tests.support_conformance import findings_below
from tests.support_h5web import Shown, shown_by_h5web
from tests.support_kind_files import SavedScan, save
from tests.support_kinds import SAVED, Kind, plotted

from nexus_writer_service.model.verdict import Outcome


@dataclass(frozen=True)
class Saved:
    """The files of one kind."""

    kind: str
    folder: Path
    scans: list[SavedScan]

    @property
    def files(self) -> list[Path]:
        """The files that we wrote, not those of detectors."""
        ours = {scan.file for scan in self.scans}
        masters = {path for scan in self.scans for path in scan.described.master_files.values()}
        datasets = {str(scan.described.path) for scan in self.scans}
        return sorted(Path(path) for path in ours | masters | datasets)


@pytest.fixture(scope="module")
def saved_kinds() -> dict[str, Saved]:
    return {}


@pytest.fixture(params=SAVED)
def saved(
    request: pytest.FixtureRequest,
    saved_kinds: dict[str, Saved],
    tmp_path_factory: pytest.TempPathFactory,
) -> Saved:
    """The files of each kind in turn, written once."""
    kind: str = request.param
    if kind not in saved_kinds:
        folder = tmp_path_factory.mktemp(kind)
        saved_kinds[kind] = Saved(kind, folder, save(SAVED[kind], folder))
    return saved_kinds[kind]


def test_every_point_is_in_the_file_and_the_verdict_says_so(saved: Saved) -> None:
    for scan in saved.scans:
        assert scan.verdict.outcome is Outcome.COMPLETE, scan.verdict.summary
        with h5py.File(scan.file) as file:
            for name in scan.points:
                found = file[scan.places[name].path][()]
                np.testing.assert_array_equal(found, scan.expected(name), err_msg=name)


def test_the_files_pass_the_conformance_gate(saved: Saved) -> None:
    assert findings_below(saved.folder) == []
    assert all(path.exists() for path in saved.files)


# ------------------------------------------------------------------------------ blissdata


def _dynamic(path: str) -> Any:
    return dynamic_hdf5.File(path, retry_timeout=0.01, retry_period=0.001)


OPEN = pytest.mark.parametrize("opened", [static_hdf5.File, _dynamic], ids=["static", "dynamic"])


@OPEN
def test_blissdata_reads_every_point(saved: Saved, opened: Any) -> None:
    for scan in saved.scans:
        with opened(scan.file) as root:
            for name in scan.points:
                dataset = root[scan.places[name].path]
                expected = scan.expected(name)
                assert dataset.shape == expected.shape
                assert dataset.dtype == expected.dtype
                # Once only: the second time blissdata 2.4 stumbles over its own look at the files
                # of a virtual dataset, which it opens with another locking than HDF5 does.
                np.testing.assert_array_equal(dataset[()], expected, err_msg=name)


@OPEN
def test_blissdata_walks_through_the_whole_tree(saved: Saved, opened: Any) -> None:
    expected = {}
    for path in saved.files:
        with h5py.File(path) as file:
            names = [name for name in file if opened is not _dynamic or _has_own_name(file, name)]
            expected[path] = {name: set(_walk(file[name], name)) for name in names}
    for path, trees in expected.items():
        with opened(str(path)) as root:
            assert {name: set(_walk(root[name], name)) for name in trees} == trees
    del root
    gc.collect()  # the dynamic API leaves files behind links open until then


def _has_own_name(file: h5py.File, name: str) -> bool:
    """Whether an entry is linked by the name that it has in its own file.

    The dynamic API of blissdata looks for the target's name in the file with the link, so it cannot
    follow other links, such as all those in the master files of the ESRF data policy.
    """
    link = file.get(name, getlink=True)
    return not isinstance(link, h5py.ExternalLink) or link.path == f"/{name}"


def _walk(node: Any, path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Paths with attributes, links followed."""
    yield path, tuple(sorted(node.attrs))
    if hasattr(node, "shape"):
        return
    for name in node:
        if name != "scans":  # of a sequence: links to other scans, as in the root
            yield from _walk(node[name], f"{path}/{name}")


def test_blissdata_finds_the_points_where_bliss_says_they_are(saved: Saved) -> None:
    """What a stream reads once Redis has forgotten its points."""
    if saved.kind.endswith("noconfig") or "multivalue" in saved.kind:
        pytest.skip("BLISS publishes the paths of the writer's default options")
    for scan in saved.scans:
        for name in scan.points:
            info = scan.recorded.document["data_streams"][name]["info"]
            if "data_path" not in info:
                continue
            entry, _, path = info["data_path"].partition("/")
            where = scan.places[name].path.split("/")[1]
            # BLISS takes every channel for one of the first top master.
            entry = where if where != entry and len(scan.entries) > 1 else entry
            entry = "1.1" if "esrf_policy" in saved.kind else entry
            with _dynamic(scan.file) as root:
                found = root[f"{entry}/{path}"][0 : len(scan.points[name])]
            np.testing.assert_array_equal(found, scan.expected(name), err_msg=name)


# ---------------------------------------------------------------------------------- plots

PLOTS: dict[str, tuple[str, list[str | None], list[str]]] = {
    "k17_metadata_presets_plots": ("diode1", ["robx"], []),
    "ascan_describes_plot": ("diode1", ["robx"], []),
    "mca_technique": ("diode1", ["robx"], []),
    "mca_technique_stackmca": ("diode1", ["robx"], []),
    "ascan_plotselect": ("diode1", ["robx"], ["diode2"]),
    "mesh_plotselect": ("diode1", ["roby", "robx"], []),
    "mesh_plotselect_back_and_forth": ("diode1", ["robx", "roby"], []),
    "mesh_plotselect_aborted": ("diode1", ["robx", "roby"], []),
    "mesh_keepshape_plotselect": ("diode1", ["roby", "robx"], []),
    "mesh_keepshape_plotselect_back_and_forth": ("diode1", [None, None], []),
    "mca_plotselect": ("mca1_det0", ["robx", "datadim0"], []),
    "camera_plotselect": ("image", [None, "datadim0", "datadim1"], []),
}
"""Signal, axes and auxiliary signals of the kinds that have a plot."""


def test_silx_finds_the_plot_of_every_kind_that_has_one_and_no_other(saved: Saved) -> None:
    for scan in saved.scans:
        with silx_open(scan.file) as file:
            plot = get_default(file, validate=True)
            if saved.kind not in PLOTS:
                assert plot is None
                continue
            signal, axes, auxiliary = PLOTS[saved.kind]
            assert plot is not None
            assert plot.is_valid
            assert plot.signal_name == signal
            assert plot.auxiliary_signals_names == auxiliary
            assert (plot.axes_dataset_names or plot.axes_names) == axes


def test_h5web_shows_the_plot_of_every_kind_that_has_one_and_no_other(saved: Saved) -> None:
    for scan in saved.scans:
        shown = shown_by_h5web(scan.file)
        if saved.kind not in PLOTS:
            assert shown is None
            continue
        signal, axes, auxiliary = PLOTS[saved.kind]
        assert isinstance(shown, Shown)
        assert shown.path == f"/{scan.entries[0]}/plotselect"
        assert shown.signal == signal
        assert shown.axes == tuple(axis or "." for axis in axes)
        assert shown.auxiliary == tuple(auxiliary)


@pytest.mark.parametrize(
    ("plotted_scans", "shown"), [((0, 1), 1), ((0,), 0), ((2,), 2), ((), None)]
)
def test_viewers_show_the_newest_plot_of_a_file(
    tmp_path: Path, plotted_scans: tuple[int, ...], shown: int | None
) -> None:
    recorded = recorded_scans("k28_many_in_one_file")
    with_plot = {recorded[number].key for number in plotted_scans}

    def change(scan: RecordedScan) -> RecordedScan:
        return plotted("diode1")(scan) if scan.key in with_plot else scan

    scans = save(Kind("k28_many_in_one_file", (change,)), tmp_path)
    (file,) = {scan.file for scan in scans}
    found = shown_by_h5web(file)
    with silx_open(file) as opened:
        plot = get_default(opened)
        if shown is None:
            assert plot is None
            assert found is None
            return
        entry = f"/{recorded[shown].document['info']['scan_nb']}.1"
        assert plot is not None
        assert plot.group.name == f"{entry}/plotselect"
        assert found is not None
        assert found.path == f"{entry}/plotselect"


# ---------------------------------------------------------------------------------- PyMca


@pytest.fixture
def nexus_tools() -> Any:
    return pytest.importorskip(
        "PyMca5.PyMcaCore.NexusTools", reason="PyMca5 is not installed (extra pymca)"
    )


def test_pymca_finds_counters_motors_and_plots(saved: Saved, nexus_tools: Any) -> None:
    for scan in saved.scans:
        with h5py.File(scan.file) as file:
            for entry in scan.entries:
                path = f"/{entry}"
                assert nexus_tools.getTitle(file, path) == scan.described.title
                here = [
                    name for name in scan.points if scan.places[name].path.startswith(f"{path}/")
                ]
                if not here:
                    continue
                counters = nexus_tools.getMeasurementGroup(file, path)
                assert counters is not None
                assert counters.name == f"{path}/measurement"
                assert len(counters) == len(here)
                moved = nexus_tools.getPositionersGroup(file, path)
                start = nexus_tools.getStartingPositionerValues(file, path)
                assert ("robx" in moved) == ("robx" in [name for name, _, _ in start])
                plots = nexus_tools.getNXdataList(file, path)
                assert bool(plots) == (saved.kind in PLOTS)


def test_pymca_finds_spectra_and_scanned_motors(saved: Saved, nexus_tools: Any) -> None:
    for scan in saved.scans:
        with h5py.File(scan.file) as file:
            for entry in scan.entries:
                found = nexus_tools.getMcaList(file, f"/{entry}")
                spectra = [
                    scan.places[name].path
                    for name, points in scan.points.items()
                    if points[0].ndim == 1 and scan.places[name].path.startswith(f"/{entry}/")
                ]
                assert set(spectra) <= set(found)
                motors = nexus_tools.getScannedPositioners(file, f"/{entry}")
                for name in scan.points:
                    if name.startswith("axis:") and scan.described.shape:
                        assert f"/{entry}/measurement/{name.rpartition(':')[2]}" in motors
