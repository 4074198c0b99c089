"""What was measured, as a chart."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.report import Results, points_per_cpu_second
from bench.workloads import Workload
from bench.writers import Writer
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

_COLORS = ("#1f77b4", "#ff7f0e")
_BAR = 0.8


def draw(results: Results, path: Path) -> None:
    """A panel for each drained scan, since their scales differ, and one for latencies.

    Args:
        results: of at least one workload.
        path: of the PNG file.
    """
    drains = [workload for workload in results.workloads if not workload.rate]
    lives = [workload for workload in results.workloads if workload.rate]
    widths = [2] * len(drains) + ([1 + 2 * len(lives)] if lives else [])
    figure = Figure(figsize=(1.3 * sum(widths) + 1, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    for axes, workload in zip(panels, drains, strict=False):
        _draw_speed(axes, results, workload)
    if drains:
        panels[0].set_ylabel("points per CPU second")
    if lives:
        _draw_latencies(panels[-1], results, lives)
    figure.legend(
        handles=[
            Patch(color=color, label=f"{writer.name} {writer.version}")
            for color, writer in zip(_COLORS, results.writers, strict=False)
        ],
        loc="outside upper center",
        ncols=len(results.writers),
        frameon=False,
    )
    figure.savefig(path, dpi=120)


def _draw_speed(axes: Axes, results: Results, workload: Workload) -> None:
    for place, color, writer in _places(results):
        speed = results.typical(workload, writer, points_per_cpu_second)
        bars = axes.bar(place, speed, _BAR / len(results.writers), color=color)
        axes.bar_label(bars, [f"{speed:,.0f}"], fontsize=8)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    _tidy(axes, [workload])


def _draw_latencies(axes: Axes, results: Results, workloads: Sequence[Workload]) -> None:
    axes.set_ylabel("seconds until a point can be read")
    axes.set_title("bar: median, line: to p95", fontsize=8)
    for place, color, writer in _places(results):
        for index, workload in enumerate(workloads):
            latency = results.latency(workload, writer)
            if latency is None:
                continue
            axes.bar(
                index + place,
                latency.median,
                _BAR / len(results.writers),
                color=color,
                yerr=[[0], [latency.p95 - latency.median]],
                capsize=4,
            )
            axes.annotate(
                f"{latency.median:.2f} to {latency.p95:.2f}",
                (index + place, latency.p95),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    _tidy(axes, workloads)


def _places(results: Results) -> Iterator[tuple[float, str, Writer]]:
    """Where the bar of each writer stands, around 0."""
    count = len(results.writers)
    for index, (color, writer) in enumerate(zip(_COLORS, results.writers, strict=False)):
        yield (index - (count - 1) / 2) * _BAR / count, color, writer


def _tidy(axes: Axes, workloads: Sequence[Workload]) -> None:
    titles = [workload.title.replace(", ", "\n") for workload in workloads]
    axes.set_xticks(range(len(workloads)), titles, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
