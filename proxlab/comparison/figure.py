"""Figure of a comparison for a paper: restorations side by side, PSNR, a part of each enlarged.

A row of the figure shows one image in one column of the table, and beneath it the part in which
the restorations differ most. The best PSNR of a row is in bold.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from proxlab.comparison.case import Row
from proxlab.comparison.enlarged import draw_enlarged, most_different
from proxlab.comparison.names import PLAIN, TRUTH, label, pictures, visible
from proxlab.comparison.table import column_of

GRAY_LEVELS = (0.0, 255.0)
"""Values of the files that are black and white."""
WIDTH = 2.4
"""Width of a picture, inches."""
TITLE = 0.5
"""Height of a title of two lines, inches."""


def draw_comparison(path: Path, rows: Sequence[Row], out: Path, image: str = "") -> None:
    """Write the figure of rows to `path`, as PNG or PDF by its suffix.

    Their restorations lie in the folder `out`. image: name of the image to show, at the first seed;
    empty: the first one. Raises ValueError for a name that no row has.
    """
    from matplotlib import rc_context

    figure = comparison_figure(rows, out, image)
    # no date in it: equal rows give equal files
    dated = {"CreationDate": None} if path.suffix == ".pdf" else None
    # TrueType: publishers refuse the fonts that matplotlib writes by itself
    with rc_context({"pdf.fonttype": 42}):
        figure.savefig(path, dpi=130, metadata=dated)


def comparison_figure(rows: Sequence[Row], out: Path, image: str = ""):
    """The figure itself, matplotlib's Figure; see `draw_comparison`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    image = image or rows[0]["image"]
    own = [row for row in rows if row["image"] == image and row["seed"] == rows[0]["seed"]]
    if not own:
        names = ", ".join(sorted({row["image"] for row in rows}))
        raise ValueError(f"the comparison has no image {image!r}; it has {names}")
    columns = list(dict.fromkeys(map(column_of, own)))
    count = 2 + len({row["prior"] for row in own})
    lines = [_Line([row for row in own if column_of(row) == column], out) for column in columns]
    heights = [h for line in lines for h in line.heights]
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.035, wspace=0, hspace=0)
    figure = Figure(
        figsize=(WIDTH * count, WIDTH * sum(heights) + TITLE * len(lines)), layout=layout
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * len(lines), count, squeeze=False, height_ratios=heights)
    for ax in axes.flat:
        ax.set_axis_off()
    for line, wholes, parts in zip(lines, axes[::2], axes[1::2], strict=True):
        line.draw(wholes, parts)
    return figure


class _Line:
    """One image in one column of the table: its pictures by the titles that they have."""

    def __init__(self, rows: list[Row], out: Path):
        folder = out / pictures(rows[0])

        def pixels(name: str) -> np.ndarray:
            with Image.open(folder / f"{name}.png") as file:
                return np.asarray(file.convert("L"))

        best = max(row["psnr"] for row in rows)
        restored = [
            (f"{visible(row['prior'])}\n{row['psnr']:.2f} dB", pixels(label(row)), row["psnr"])
            for row in rows
        ]
        self._part = most_different([image for _, image, _ in restored])
        self._shown = [
            (f"{visible(str(column_of(rows[0])))}\ntruth", pixels(TRUTH), False),
            (f"first estimate\n{rows[0]['psnr_plain']:.2f} dB", pixels(PLAIN), False),
            *((title, image, psnr == best) for title, image, psnr in restored),
        ]
        height, width = self._shown[0][1].shape
        self.heights = height / width, self._part.height / self._part.width
        """Heights of the pictures and of what is enlarged, in widths."""

    def draw(self, wholes: np.ndarray, parts: np.ndarray) -> None:
        """Draw all into axes, which may be more."""
        for (title, image, best), whole, beneath in zip(self._shown, wholes, parts, strict=False):
            beneath.set_axis_on()
            draw_enlarged(whole, beneath, image, self._part, GRAY_LEVELS)
            # as it is: a name with two dollars is no formula
            weight = "bold" if best else "normal"
            whole.set_title(title, fontsize=9, weight=weight, parse_math=False)
