"""The default plot of a file is drawn, whatever its shape, or the file says why not."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib import image as images
from tests.support_nexus import bluesky_file, dataset, esrf_file, group

from nexus_writer_service.errors import FileError
from nexus_writer_service.testing.plot import plot_default


@pytest.fixture
def png(tmp_path: Path) -> Path:
    return tmp_path / "plot.png"


def new_file(path: Path, signal: object, axes: dict[str, object], **attributes: object) -> Path:
    """A file whose default plot has this signal and these axes."""
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "1.1"
        entry = group(file, "1.1", "NXentry", default="plot")
        plot = group(entry, "plot", "NXdata", signal="counts", axes=list(axes), **attributes)
        for name, value in {"counts": signal, **axes}.items():
            dataset(plot, name, value)
    return path


def is_drawn(png: Path) -> bool:
    """Whether there is a picture with something in it."""
    return len(np.unique(images.imread(png))) > 2


def test_curves_of_the_esrf_layout_are_drawn(tmp_path: Path, png: Path) -> None:
    drawn = plot_default(esrf_file(tmp_path / "scan.h5"), png)
    assert drawn == "/1.2/plotselect: diode1, diode2 against robx"
    assert is_drawn(png)


def test_curve_of_the_bluesky_layout_is_drawn(tmp_path: Path, png: Path) -> None:
    drawn = plot_default(str(bluesky_file(tmp_path / "run.h5")), png)
    assert drawn == "/entry/data: sensor against motor"
    assert is_drawn(png)


def test_image_is_drawn_over_its_two_axes(tmp_path: Path, png: Path) -> None:
    axes: dict[str, object] = {"slow": [1.0, 3.0, 4.0], "fast": [5.0, 4.0, 3.0, 2.0]}
    path = new_file(tmp_path / "scan.h5", np.arange(12.0).reshape(3, 4), axes)
    assert plot_default(path, png) == "/1.1/plot: counts against slow and fast"
    assert is_drawn(png)


def test_last_image_of_a_stack_is_drawn(tmp_path: Path, png: Path) -> None:
    image = np.arange(12.0).reshape(3, 4)
    alone = tmp_path / "alone.png"
    plot_default(new_file(tmp_path / "image.h5", image, {}), alone)
    drawn = plot_default(new_file(tmp_path / "stack.h5", [image.T.reshape(3, 4), image], {}), png)
    assert drawn == "/1.1/plot: counts against index"
    assert np.array_equal(images.imread(png), images.imread(alone))


def test_grid_of_points_is_drawn_as_a_scatter(tmp_path: Path, png: Path) -> None:
    axes: dict[str, object] = {"fast": [0.0, 1.0, 0.0], "slow": [0.0, 0.0, 1.0]}
    path = new_file(tmp_path / "scan.h5", [1.0, 2.0, 3.0], axes)
    assert plot_default(path, png) == "/1.1/plot: counts against fast and slow"
    assert is_drawn(png)


@pytest.mark.parametrize(
    ("signal", "axis"),
    [
        (5.0, []),
        ([5.0], [1.0]),
        ([5.0, 6.0], [1.0, 2.0, 3.0]),
        ([np.nan, np.nan], [1.0, 2.0]),
        ([True, False], [np.nan, np.nan]),
    ],
)
def test_curve_of_a_scan_that_has_just_begun_is_drawn(
    signal: object, axis: object, tmp_path: Path, png: Path
) -> None:
    plot_default(new_file(tmp_path / "scan.h5", signal, {"robx": axis}), png)
    assert is_drawn(png)


@pytest.mark.parametrize("axis", [[np.nan] * 3, [1.0] * 3, [1.0, 2.0], [3.0, 1.0, 2.0, 5.0]])
def test_image_with_an_odd_axis_is_drawn(axis: list[float], tmp_path: Path, png: Path) -> None:
    image = np.arange(3.0).reshape(3, 1)
    plot_default(new_file(tmp_path / "scan.h5", image, {"slow": axis, "fast": [1.0]}), png)
    assert is_drawn(png)


def without_default(file: h5py.File) -> None:
    del file.attrs["default"]


def default_names_nothing(file: h5py.File) -> None:
    file["1.1"].attrs["default"] = "nothing"


def default_in_a_circle(file: h5py.File) -> None:
    file["1.1"].attrs["default"] = "/1.1"


def signal_names_nothing(file: h5py.File) -> None:
    file["1.1/plot"].attrs["signal"] = "nothing"


def signal_is_text(file: h5py.File) -> None:
    file["1.1/plot"].attrs["signal"] = "words"
    file["1.1/plot/words"] = ["one", "two"]


def no_points_yet(file: h5py.File) -> None:
    file["1.1/plot"].attrs["signal"] = "none"
    file["1.1/plot/none"] = np.zeros(0)


@pytest.mark.nonconforming("there is no plot")
@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (without_default, "no default plot, as there is no @default"),
        (default_names_nothing, "no default plot, as @default 'nothing' is not a group"),
        (default_in_a_circle, "no default plot, as @default leads in a circle"),
        (signal_names_nothing, "no plot, as @signal names no dataset"),
        (signal_is_text, "no plot, as words has no numbers"),
        (no_points_yet, "no plot, as none has no numbers"),
    ],
)
def test_file_without_a_plot_says_why(
    plant: object, reason: str, tmp_path: Path, png: Path
) -> None:
    path = new_file(tmp_path / "scan.h5", [1.0], {"robx": [1.0]})
    with h5py.File(path, "r+") as file:
        plant(file)  # type: ignore[operator]
    with pytest.raises(FileError, match=reason):
        plot_default(path, png)
    assert not png.exists()


@pytest.mark.nonconforming("it is no HDF5")
def test_file_that_is_no_hdf5_says_so(tmp_path: Path, png: Path) -> None:
    (tmp_path / "scan.h5").write_text("not HDF5")
    with pytest.raises(FileError, match="cannot be read as HDF5"):
        plot_default(tmp_path / "scan.h5", png)
