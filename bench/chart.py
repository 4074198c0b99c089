"""What was measured, as a chart: how far each promise is held."""

import math
from collections.abc import Sequence
from pathlib import Path

from bench.row import Row
from bench.samples import Samples
from bench.writers import FLOOR, OURS, POWER
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

_COLORS = {OURS: "#1f77b4", POWER: "#9ecae1", FLOOR: "#bbbbbb"}
_BAR = 0.27
_LEAST, _MOST = 0.1, 100.0


def draw(samples: Samples, rows: Sequence[Row], path: Path) -> None:
    """A bar for each promise and subject: times as good as promised, 1 is just held.

    Args:
        samples: of at least one row.
        rows: that were measured, whose promises are drawn.
        path: of the PNG file.
    """
    checks = [(row.name, check) for row in rows for check in row.checks]
    figure = Figure(figsize=(9, 0.8 + 0.42 * len(checks)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, (_, check) in enumerate(checks):
        for index, (subject, color) in enumerate(_COLORS.items()):
            value = check.value(samples, subject)
            if math.isnan(value) or not value or not check.target:
                continue
            goodness = value / check.target if check.at_least else check.target / value
            shown = min(max(goodness, _LEAST), _MOST)
            height = place + (index - 1) * _BAR
            axes.barh(height, shown - 1, _BAR, left=1, color=color)
            axes.annotate(
                f"{value:.3g}", (shown, height), fontsize=6, va="center",
                ha="left" if shown >= 1 else "right",
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(_LEAST, _MOST)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(checks)), [f"{name}: {one.text}" for name, one in checks], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("times as good as promised; beside each bar what was measured")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        handles=[Patch(color=color, label=name) for name, color in _COLORS.items()],
        loc="outside upper center",
        ncols=len(_COLORS),
        frameon=False,
    )
    figure.savefig(path, dpi=120)
