"""Figure of `proxlab demo`: each problem with zooms, and in words what its runs prove.

What is enlarged is the part in which the two restorations differ most, so that nobody chooses it.
"""

import textwrap
from math import isinf
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from proxlab.commands.demo_scenes import Scene
from proxlab.comparison.enlarged import Part, draw_enlarged, most_different
from proxlab.comparison.measured import flat
from proxlab.images.metrics import psnr
from proxlab.restoration import Restoration
from solvers.witness import REST

ALLOWED = f"{100 * REST:g} %"
"""Largest gradient at rest, of that at the start."""
WIDTH, WORDS = 2.35, 4.4
"""Width of a picture and of the evidence, inches."""
HEAD, TITLE, BELOW = 0.34, 0.42, 0.27
"""Heights of what is written over a problem, over its pictures and under their parts, inches."""
FOOT = 0.55
"""Height of the sentences at the end, inches."""
LETTERS = 58
"""Letters in a line of the evidence."""
LINE = 0.195
"""Height of such a line, inches."""
END = (
    "What the numbers of a certified run prove: its picture is a stationary point of misfit + R, "
    "for tv the minimum up to the gap. That it is the truth is not proved.\n"
    "Enlarged is the part in which the two restorations differ most. The better of the two is in "
    "bold. ± is the root mean square error in soft tissue."
)


class Shown(NamedTuple):
    """A problem in the figure, and its two restorations."""

    scene: Scene
    y: Tensor
    """The measurement."""
    plain: Tensor
    """Image without a prior, [1, 1, H, W]."""
    tv: Restoration
    learned: Restoration


def draw_demo(path: Path, pictures: list[Shown]) -> None:
    """Write the figure, PNG, to `path`."""
    demo_figure(pictures).savefig(path, dpi=110, format="png")


def demo_figure(pictures: list[Shown]):
    """The figure itself, matplotlib's Figure: a problem has two rows, whole pictures and parts.

    Columns are the measurement, total variation, the learned prior, the truth, and the evidence.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parts = [_part(shown) for shown in pictures]
    beneath = [WIDTH * part.height / part.width for part in parts]
    size = (4 * WIDTH + WORDS, sum(beneath) + len(parts) * (HEAD + TITLE + WIDTH + BELOW) + FOOT)
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    sheet = _Sheet(figure, size)
    top = 0.0
    for shown, part, tall in zip(pictures, parts, beneath, strict=True):
        sheet.write(0.05, top + 0.23, shown.scene.about, weight="bold", size=12)
        below = top + HEAD + TITLE
        places = [
            (sheet.axes(i * WIDTH, below, WIDTH), sheet.axes(i * WIDTH, below + WIDTH, tall))
            for i in range(4)
        ]
        _draw(places, shown, part)
        for k, (line, weight) in enumerate(evidence_lines(shown)):
            sheet.write(4 * WIDTH + 0.12, below + 0.1 + k * LINE, line, weight=weight, size=10)
        top = below + WIDTH + tall + BELOW
    sheet.write(0.05, top + 0.15, END, size=9.5, va="top", linespacing=1.35)
    return figure


class _Sheet:
    """A figure in inches from its upper left corner."""

    def __init__(self, figure, size: tuple[float, float]):
        self._figure, (self._width, self._height) = figure, size

    def axes(self, left: float, top: float, height: float):
        """Axes as wide as a picture, with a little air around them."""
        box = (left + 0.05) / self._width, 1 - (top + height - 0.03) / self._height
        return self._figure.add_axes(
            (*box, (WIDTH - 0.1) / self._width, (height - 0.06) / self._height)
        )

    def write(
        self,
        left: float,
        top: float,
        text: str,
        size: float,
        weight: str = "normal",
        va: str = "baseline",
        linespacing: float = 1.2,
    ) -> None:
        """Write text from there on."""
        place = left / self._width, 1 - top / self._height
        # as it is: no sign in it begins a formula
        self._figure.text(
            *place, text, size=size, weight=weight, va=va, linespacing=linespacing, parse_math=False
        )


def _part(shown: Shown) -> Part:
    """Part in which the restorations differ most, within what the window shows."""
    low, high = shown.scene.window
    return most_different([_gray(r.image).clip(low, high) for r in (shown.tv, shown.learned)])


def _draw(axes: list[tuple], shown: Shown, part: Part) -> None:
    """Draw the four pictures of a problem and their parts."""
    scene, truth = shown.scene, shown.scene.truth
    restored = {"total variation": shown.tv.image, f"{scene.prior}, learned": shown.learned.image}
    best = max(restored, key=lambda name: float(psnr(restored[name], truth)))
    measured = "measured: a sinogram" if scene.is_scan else "measured"
    titles = [measured, *restored, "truth"]
    images = [shown.plain, *restored.values(), truth]
    for (whole, beneath), title, image in zip(axes, titles, images, strict=True):
        draw_enlarged(whole, beneath, _gray(image), part, scene.window)
        figures = "" if image is truth else f"{float(psnr(image, truth)):.2f} dB"
        if scene.is_scan and image is not truth:
            figures += f", ±{scene.soft_error(image):.0f} HU"
        if scene.is_scan and image is shown.plain:
            _sinogram(whole, shown.y)
            beneath.set_xlabel(f"back-projected: {figures}", size=8.5, labelpad=3)
            figures = "views down, detectors across"
        weight = "bold" if title == best else "normal"
        whole.set_title(f"{title}\n{figures}", size=10, weight=weight)


def _sinogram(ax, y: Tensor) -> None:
    """Draw a sinogram in place of what the axes show, views downwards, as wide as the pictures."""
    ax.clear()
    ax.imshow(flat(y[0]).numpy(), cmap="gray", aspect="auto", interpolation="nearest")
    ax.set_axis_off()


def evidence_lines(shown: Shown) -> list[tuple[str, str]]:
    """Lines on the evidence of both runs, each with the weight of its letters."""
    lines = []
    for name, result in (("tv", shown.tv), (shown.scene.prior, shown.learned)):
        certified = result.certified[0]
        said = in_words(result) if certified else [result.doubts[0]]
        lines.append((f"{name}: {'certified' if certified else 'not certified'}", "bold"))
        for sentence in said:
            wrapped = textwrap.wrap(sentence, LETTERS, initial_indent="- ", subsequent_indent="  ")
            lines += [(line, "normal") for line in wrapped]
        lines.append(("", "normal"))
    return lines[:-1]


def in_words(result: Restoration) -> list[str]:
    """Sentences on the evidence of the first image, each a number and what it was compared with."""
    seen = result.evidence[0]
    if seen.gap is not None:
        return [f"its objective is within {_percent(seen.gap)} of the least there is (duality gap)"]
    if seen.margin is None or seen.gradient is None:
        return []
    margins = [m for m in (seen.margin, seen.value_margin) if m is not None]
    answers = f"{seen.looked_at} answers of the network"
    if seen.looked_at < seen.evaluations:
        answers = f"{seen.looked_at} of {seen.evaluations} answers of the network"
    values = ", and the values it reports are R's" if seen.value_margin is not None else ""
    said = [f"{answers} are the prox of one R{values}: margin {min(margins):.2g} (needs 0)"]
    if seen.step is not None and seen.step_limit is not None:
        bound = "any will do" if isinf(seen.step_limit) else f"needs < {seen.step_limit:g}"
        name = result.solver.upper()
        said.append(f"{name} converges at this step: tau L = {seen.step:.2f} ({bound})")
    if seen.objective_fall is not None:
        low, high = (f"{fall:,.0f}" for fall in seen.objective_fall)
        fall = f"by {low}" if low == high else f"by between {low} and {high}"
        said.append(f"the objective, misfit + R / tau, fell {fall}")
    left = _percent(seen.gradient)
    said.append(f"at rest: gradient {left} of the first (limit {ALLOWED})")
    return said


def in_short(result: Restoration) -> str:
    """The verdict on the first image in a line of a table."""
    seen = result.evidence[0]
    if not result.certified[0]:
        return f"no: {result.doubts[0]}"
    if seen.gap is not None:
        return f"yes: within {_percent(seen.gap)} of the least objective"
    margins = [m for m in (seen.margin, seen.value_margin) if m is not None]
    return (
        f"yes: one prox in {seen.looked_at} of {seen.evaluations} answers, margin "
        f"{min(margins):.2g}; gradient {_percent(seen.gradient or 0.0)}"
    )


def _gray(image: Tensor) -> np.ndarray:
    """Pixels [H, W] of an image [1, 1, H, W]."""
    return image[0, 0].numpy()


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
