"""Draws what a viewer would show first of a file: its default plot, as a picture."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nexus_writer_service.errors import FileError
from nexus_writer_service.testing.conformance.plots import default_plot, is_scatter
from nexus_writer_service.testing.conformance.walk import text, texts


@dataclass(frozen=True, slots=True)
class Field:
    """A dataset of an NXdata with its label."""

    name: str
    values: np.ndarray[Any, Any]
    label: str


@dataclass(frozen=True, slots=True)
class Data:
    """What is to be drawn of an NXdata.

    Signals of one dimension, or a single one of two; one axis per dimension, None where there is
    none. For a scatter a signal of one dimension and several axes of the same length.
    """

    path: str
    signals: tuple[Field, ...]
    axes: tuple[Field | None, ...]

    def __str__(self) -> str:
        signals = ", ".join(signal.name for signal in self.signals)
        axes = " and ".join(axis.name for axis in self.axes if axis)
        return f"{self.path}: {signals} against {axes or 'index'}"


def plot_default(path: str | Path, png: Path) -> str:
    """Draws the default plot of a file: curves, an image (of a stack the last), or a scatter.

    The file may be in the middle of being written.

    Args:
        path: the file.
        png: the picture to make; its folder exists.

    Returns:
        What was drawn, e.g. ``/4.1/plotselect: diode1 against robx``.

    Raises:
        FileError: the file cannot be read, has no default plot, or one that cannot be drawn.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            where, group = default_plot(file)
            data = _read(where, group)
    except OSError as error:
        raise FileError(f"{path}: cannot be read as HDF5: {error}") from error
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # of matplotlib: missing glyphs, nothing but NaN
        warnings.simplefilter("ignore")
        _draw(figure.add_subplot(), data)
        figure.savefig(png)
    return str(data)


def _read(path: str, group: h5py.Group) -> Data:
    signals = texts(group.attrs.get("signal", []))
    signals += texts(group.attrs.get("auxiliary_signals", []))
    datasets = {name: group[name] for name in signals if isinstance(group.get(name), h5py.Dataset)}
    if not signals or signals[0] not in datasets:
        raise FileError(f"{path}: no plot, as @signal names no dataset; fix it")
    first = datasets[signals[0]]
    if first.dtype.kind not in "biuf" or not first.size:
        raise FileError(
            f"{path}: no plot, as {signals[0]} has no numbers; wait for the first point"
        )
    axes = [name for name in texts(group.attrs.get("axes", [])) if name]
    if is_scatter(group, first.shape, axes):
        return Data(path, (_field(group, signals[0]),), tuple(_field(group, a) for a in axes[:2]))
    curves = [name for name in datasets if datasets[name].ndim <= 1]
    shown = range(first.ndim)[-2:] or range(1)
    return Data(
        path,
        tuple(_field(group, name) for name in (curves if first.ndim <= 1 else signals[:1])),
        tuple(_axis(group, axes, position) for position in shown),
    )


def _axis(group: h5py.Group, axes: Sequence[str], position: int) -> Field | None:
    name = axes[position] if position < len(axes) else "."
    return _field(group, name) if isinstance(group.get(name), h5py.Dataset) else None


def _field(group: h5py.Group, name: str) -> Field:
    dataset = group[name]
    long_name = text(dataset.attrs.get("long_name")) or name
    units = text(dataset.attrs.get("units"))
    values = np.atleast_1d(dataset[(-1,) * (dataset.ndim - 2)])  # of a stack only the last image
    return Field(name, values, f"{long_name} ({units})" if units else long_name)


def _draw(axes: Axes, data: Data) -> None:
    signal = data.signals[0]
    axes.set_title(data.path)
    if len(data.axes) > signal.values.ndim:
        _draw_scatter(axes, data)
    elif signal.values.ndim == 1:
        _draw_curves(axes, data)
    else:
        _draw_image(axes, data)


def _draw_curves(axes: Axes, data: Data) -> None:
    axis = data.axes[0]
    for signal in data.signals:
        x = axis.values if axis else np.arange(len(signal.values))
        points = min(len(x), len(signal.values))  # while the scan runs they are not yet equal
        axes.plot(x[:points], signal.values[:points], marker=".", label=signal.label)
    axes.set_xlabel(axis.label if axis else "index")
    if len(data.signals) > 1:
        axes.legend()
    else:
        axes.set_ylabel(data.signals[0].label)


def _draw_scatter(axes: Axes, data: Data) -> None:
    x, y = (axis for axis in data.axes[:2] if axis)
    drawn = axes.scatter(x.values, y.values, c=data.signals[0].values)
    axes.figure.colorbar(drawn, ax=axes, label=data.signals[0].label)
    axes.set_xlabel(x.label)
    axes.set_ylabel(y.label)


def _draw_image(axes: Axes, data: Data) -> None:
    signal = data.signals[0]
    slow, fast = data.axes
    rows, columns = signal.values.shape
    drawn = axes.pcolormesh(_edges(fast, columns), _edges(slow, rows), signal.values)
    axes.figure.colorbar(drawn, ax=axes, label=signal.label)
    axes.set_xlabel(fast.label if fast else "index")
    axes.set_ylabel(slow.label if slow else "index")


def _edges(axis: Field | None, points: int) -> np.ndarray[Any, Any]:
    """Where the cells of an image begin and end: points + 1 values, by index if need be."""
    values = axis.values if axis else np.arange(points)
    if values.ndim != 1 or len(values) not in (points, points + 1) or not np.isfinite(values).all():
        values = np.arange(points)
    if len(values) == points + 1:
        return values
    middles = (values[1:] + values[:-1]) / 2
    step = np.diff(values).mean() / 2 if points > 1 else 0.5
    return np.concatenate(([values[0] - step], middles, [values[-1] + step]))
