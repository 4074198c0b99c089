"""The gate finds nothing in good files and everything that is planted in bad ones."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import h5py
import numpy as np
import pytest
from nexusformat.nexus import validate
from tests.support_defects import (
    DEFECTS,
    FILES_AWAY,
    LAYOUTS,
    Layout,
    broken_soft_link,
    circle_of_soft_links,
    missing_source_dataset,
    replace,
)
from tests.support_nexus import POINTS, bluesky_file, dataset, esrf_file, group

from nexus_writer_service.testing.conformance import ALLOWED, Extension, check_file, nxdl
from nexus_writer_service.testing.conformance.__main__ import main

pytestmark = pytest.mark.nonconforming("defects are planted")


@pytest.fixture(params=LAYOUTS.values(), ids=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> Layout:
    found: Layout = request.param
    return found


def test_good_file_has_no_findings(layout: Layout, tmp_path: Path) -> None:
    assert check_file(layout.make(tmp_path / "good.h5")) == []


@pytest.mark.parametrize("plant", DEFECTS, ids=lambda plant: plant.__name__)
def test_planted_defect_is_the_only_kind_of_finding(
    plant: Callable[[h5py.File, Layout], None], layout: Layout, tmp_path: Path
) -> None:
    path = layout.make(tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        plant(file, layout)
    assert {finding.rule for finding in check_file(path)} == {DEFECTS[plant]}


@pytest.mark.parametrize("plant", FILES_AWAY, ids=lambda plant: plant.__name__)
def test_files_that_are_away_can_be_allowed(
    plant: Callable[[h5py.File, Layout], None], layout: Layout, tmp_path: Path
) -> None:
    path = layout.make(tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        plant(file, layout)
    assert check_file(path, allow_missing_files=True) == []


@pytest.mark.parametrize("plant", [broken_soft_link, circle_of_soft_links, missing_source_dataset])
def test_links_inside_the_file_must_lead_somewhere_even_if_other_files_may_be_away(
    plant: Callable[[h5py.File, Layout], None], layout: Layout, tmp_path: Path
) -> None:
    path = layout.make(tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        plant(file, layout)
    assert check_file(path, allow_missing_files=True)


def test_time_without_zone_is_found_in_a_file_that_is_not_from_bluesky(tmp_path: Path) -> None:
    path = esrf_file(tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        replace(file, "1.2/end_time", "2026-11-20T18:56:38")
    (finding,) = check_file(path)
    assert (finding.path, finding.rule) == ("/1.2/end_time", "time")


def test_root_that_is_a_plot_is_found(layout: Layout, tmp_path: Path) -> None:
    path = layout.make(tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        file.attrs.update(NX_class="NXdata", signal="counts")
        dataset(file, "counts", np.zeros(3))
    assert ("/", "class") in {(finding.path, finding.rule) for finding in check_file(path)}


def test_a_master_file_may_do_without_default(layout: Layout, tmp_path: Path) -> None:
    good = layout.make(tmp_path / "good.h5")
    with h5py.File(good) as file:
        attributes = {name: value for name, value in file.attrs.items() if name != "default"}
    with h5py.File(tmp_path / "master.h5", "w") as master:
        master.attrs.update({**attributes, "file_name": str(tmp_path / "master.h5")})
        master["first"] = h5py.ExternalLink("good.h5", f"/{layout.entry}")
    assert check_file(tmp_path / "master.h5") == []


def test_defects_in_a_group_inside_a_group_of_its_class_are_found(tmp_path: Path) -> None:
    path = bluesky_file(tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        file["entry/instrument/bluesky"].attrs["weather"] = "rain"
        file["entry/instrument/bluesky/streams/primary"].attrs["weather"] = "rain"
    assert [finding.path for finding in check_file(path)] == [
        "/entry/instrument/bluesky",
        "/entry/instrument/bluesky/streams/primary",
    ]


@pytest.mark.parametrize("extension", ALLOWED, ids=lambda one: f"{one.nx_class} {one.item}")
def test_each_allowed_extension_is_used(
    extension: Extension, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = tuple(one for one in ALLOWED if one is not extension)
    monkeypatch.setattr(nxdl, "ALLOWED", others)
    files = [layout.make(tmp_path / f"{name}.h5") for name, layout in LAYOUTS.items()]
    assert any(check_file(file) for file in files)
    assert extension.reason.endswith((".", "..."))


def test_scatter_of_a_grid_is_conforming(layout: Layout, tmp_path: Path) -> None:
    path = layout.make(tmp_path / "good.h5")
    with h5py.File(path, "r+") as file:
        data = file[layout.data]
        dataset(data, "fast", np.zeros(POINTS))
        dataset(data, "slow", np.zeros(POINTS))
        data.attrs["axes"] = ["fast", "slow"]
    assert check_file(path) == []


def test_image_with_edges_and_a_two_dimensional_axis_is_conforming(tmp_path: Path) -> None:
    path = esrf_file(tmp_path / "good.h5")
    with h5py.File(path, "r+") as file:
        data = group(file["1.1"], "image", "NXdata", signal="counts", axes=["slow", "."])
        dataset(data, "counts", np.zeros((3, 4)))
        dataset(data, "slow", np.zeros(4))
        dataset(data, "encoder", np.zeros((3, 5)))
        data.attrs["encoder_indices"] = [0, 1]
    assert check_file(path) == []


def test_empty_virtual_dataset_is_conforming(tmp_path: Path) -> None:
    path = esrf_file(tmp_path / "good.h5")
    with h5py.File(path, "r+") as file:
        empty = h5py.VirtualLayout((0, 3, 4), np.uint16, maxshape=(None, 3, 4))
        file["1.1/instrument/camera"].create_virtual_dataset("preview", empty)
    assert check_file(path) == []


def test_virtual_dataset_that_grows_with_its_source_is_conforming(tmp_path: Path) -> None:
    path = esrf_file(tmp_path / "good.h5")
    with h5py.File(path, "r+") as file:
        camera = file["1.1/instrument/camera"]
        camera.create_dataset("rows", (3, 2), np.int32, maxshape=(None, 2))
        growing = h5py.VirtualLayout((3, 2), np.int32, maxshape=(None, 2))
        source = h5py.VirtualSource(camera["rows"])[: h5py.h5s.UNLIMITED]
        growing[: h5py.h5s.UNLIMITED] = source
        camera.create_virtual_dataset("growing", growing)
    assert check_file(path) == []


def test_value_beyond_an_open_enumeration_is_conforming(tmp_path: Path) -> None:
    path = bluesky_file(tmp_path / "good.h5")
    with h5py.File(path, "r+") as file:
        replace(file, "entry/instrument/source/type", "Sunlight")
    assert check_file(path) == []


def test_strange_but_legal_objects_are_conforming(tmp_path: Path) -> None:
    path = esrf_file(tmp_path / "good.h5")
    with h5py.File(path, "r+") as file:
        collection = file["1.1/measurement"]
        collection["nothing"] = h5py.Empty("f8")
        collection["table"] = np.zeros(2, [("x", "f8"), ("y", "i4")])
        collection.create_dataset("ragged", (2,), h5py.vlen_dtype(np.int32))
        collection["flags"] = np.array([True, False])
        collection["words"] = np.array(["é", ""], h5py.string_dtype())
        collection["complex"] = np.zeros(3, complex)
        collection.attrs["bytes"] = np.bytes_("é".encode())
        collection.attrs["empty"] = h5py.Empty("f8")
        collection["loop"] = collection
        file["raw"] = h5py.SoftLink("/1.1")
    assert check_file(path) == []


def test_file_that_is_being_written_can_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "live.h5"
    script = dedent(
        f"""
        import h5py, sys
        file = h5py.File({str(path)!r}, "w", locking=True)
        entry = file.create_group("1.1")
        entry.attrs["NX_class"] = "NXentry"
        entry.attrs["default"] = "plot"
        file.attrs["default"] = "1.1"
        plot = entry.create_group("plot")
        plot.attrs.update(NX_class="NXdata", signal="y", axes=["x"])
        plot["y"] = [1.0, 2.0, 3.0]
        plot["x"] = [1.0]
        file.flush()
        print("ready", flush=True)
        sys.stdin.read()
        entry["end_time"] = "2026-11-20T18:56:38Z"
        file.close()
        """
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        assert check_file(path) == []
        writer.communicate()
    (finding,) = check_file(path)
    assert (finding.path, finding.rule) == ("/1.1/plot", "data")


@pytest.mark.parametrize("content", [b"", b"not HDF5"])
def test_file_that_is_no_hdf5_is_a_finding(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.h5").write_bytes(content)
    assert [one.rule for one in check_file(tmp_path / "bad.h5")] == ["file"]


def test_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    assert [one.rule for one in check_file(str(tmp_path / "missing.h5"))] == ["file"]


def test_check_leaves_the_validator_as_it_was(tmp_path: Path) -> None:
    before = (validate.validators, dict(validate.validators), validate.logger.level)
    check_file(esrf_file(tmp_path / "good.h5"))
    assert validate.validators is before[0]
    assert (validate.validators, validate.logger.level) == before[1:]


def test_command_prints_findings_and_says_so_by_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = esrf_file(tmp_path / "good.h5"), bluesky_file(tmp_path / "bad.h5")
    with h5py.File(bad, "r+") as file:
        replace(file, "entry/title", 5)
    assert main([str(good)]) == 0
    assert capsys.readouterr().out == ""
    assert main([str(good), str(bad)]) == 1
    assert capsys.readouterr().out == f"{bad}::/entry/title: must be text, is int64 [text]\n"


def test_command_runs_as_a_module(tmp_path: Path) -> None:
    module = "nexus_writer_service.testing.conformance"
    file = bluesky_file(tmp_path / "good.h5")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", module, str(file)], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
