"""The plots that a scan, or the technique of its session, asks for.

A scan of BLISS 2 describes its plots for the display (``plots`` in the scan info): curves with x
and y, scatters with x, y and value. Where they do not say what is shown (an ``x`` alone leaves that
to the user), there is no plot. Sessions of BLISS 1 have plots by technique.
"""

from collections.abc import Iterator, Mapping

from nexus_writer_service.model.description import Application, PlotRequest, Technique
from nexus_writer_service.sources.bliss.fields import Fields

_SHOWN = {"curve": "y", "scatter": "value", "grid": "value", "image": "value"}
"""Which member of an item is what is shown, by its kind."""


def described_plots(info: Fields) -> tuple[PlotRequest, ...]:
    """The plots of a scan info."""
    found: list[PlotRequest] = []
    for number, plot in enumerate(info.items("plots", Mapping)):  # type: ignore[type-abstract]
        one = Fields(plot, f"{info.place}, plot {number}", info.warnings)
        name = one.text("name") or one.text("kind") or "plot"
        # One NXdata for all that is shown over the same axes.
        shown: dict[tuple[str, ...], list[str]] = {}
        for axes, signal in _items(one):
            shown.setdefault(axes, []).append(signal)
        found += [PlotRequest(name, tuple(signals), axes) for axes, signals in shown.items()]
    return tuple(found)


def _items(plot: Fields) -> Iterator[tuple[tuple[str, ...], str]]:
    """Axes and signal of each item of a plot that has a signal."""
    for number, item in enumerate(plot.items("items", Mapping)):  # type: ignore[type-abstract]
        one = Fields(item, f"{plot.place}, item {number}", plot.warnings)
        key = _SHOWN.get(one.text("kind") or "")
        signal = one.text(key) if key else None
        if signal:
            names = (one.text(axis) for axis in ("x", "y") if axis != key)
            yield tuple(name for name in names if name), signal


def technique(said: Fields) -> Technique:
    """What ``nexuswriter.technique`` of a BLISS 1 session says."""
    default = said.text("plotselect")
    plots = said.object("plots").objects()
    applications = said.object("applications").objects()
    return Technique(
        name=said.text("name") or "",
        applications=tuple(
            Application(name, one.text("class") or "", one.content)
            for name, one in applications.items()
        ),
        plots=tuple(
            PlotRequest(
                name=one.text("personal_name") or name,
                signals=one.items("items", str),
                ndim=_dimensions(one),
                grid=bool(one.flag("grid")),
            )
            for name, one in sorted(plots.items(), key=lambda plot: plot[0] != default)
        ),
    )


def _dimensions(plot: Fields) -> int | None:
    """Dimensions of the points of its signals; a negative number allows all."""
    found = plot.integer("ndim")
    return None if found is None or found < 0 else found
