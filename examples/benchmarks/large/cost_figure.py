"""Figure of cost laws: a row for what grows, time on the left, memory on the right, slopes told."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from examples.benchmarks.large.bench_cost_laws import Found

AXES = {
    "pixels": "pixels of an image",
    "batch": "images of a batch, 64 x 64 pixels each",
    "views": "views of a CT, 256 x 256 pixels",
    "steps": "steps of a run, 64 x 64 pixels",
}
"""Axis -> its label."""
WIDTH, HEIGHT = 8.6, 2.75
"""Width of the figure and height of a row, inches: letters are legible at the width of a page."""


def draw(path: Path, found: "Sequence[Found]") -> None:
    """Write the figure of the lines as PNG; equal lines give equal files."""
    figure(found).savefig(path, dpi=110)


def figure(found: "Sequence[Found]"):
    """The figure itself, matplotlib's Figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    rows = [axis for axis in AXES if any(one.line.axis == axis for one in found)]
    sheet = Figure(figsize=(WIDTH, HEIGHT * len(rows) + 0.4), layout="constrained")
    FigureCanvasAgg(sheet)
    sheet.suptitle("Time and memory, and the power by which each grows", size=12, weight="bold")
    grid = sheet.subplots(len(rows), 2, squeeze=False)
    for (left, right), axis in zip(grid, rows, strict=True):
        for one in found:
            if one.line.axis != axis:
                continue
            places, name = one.line.places, one.line.what
            told = {left: one.time_slope, right: one.memory_slope}
            milliseconds = [1e3 * s for s in one.seconds]
            for ax, values in ((left, milliseconds), (right, one.mebibytes)):
                ax.plot(places, values, "o-", ms=4, lw=1.4, label=f"{name}: {told[ax]:.2f}")
        for ax, what in ((left, "time, ms"), (right, "memory, MiB")):
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.set_xticks(*_ticks(axis, found))
            ax.minorticks_off()
            ax.set_xlabel(AXES[axis], size=9)
            ax.set_ylabel(what, size=9)
            ax.set_title(f"{what.split(',')[0]} against {axis}", size=10)
            ax.tick_params(labelsize=8)
            ax.grid(True, which="major", lw=0.4, alpha=0.6)
            ax.legend(fontsize=8, title="power", title_fontsize=8, loc="upper left")
            low, high = ax.get_ylim()
            lines = len(ax.get_lines())
            # room for the legend above the lines, and a flat line is not to look steep
            ax.set_ylim(low / 2, max(high * (4 + 2 * lines), 100 * low))
    return sheet


def _ticks(axis: str, found: "Sequence[Found]") -> tuple[list[int], list[str]]:
    """Places of the points of an axis, and what stands at them."""
    longest = max((one.line for one in found if one.line.axis == axis), key=lambda x: len(x.sizes))
    side = "²" if axis == "pixels" else ""
    return longest.places, [f"{size}{side}" for size in longest.sizes]
