"""Figure of a comparison for a paper: restorations side by side, PSNR, a part of each enlarged.

A row of the figure shows one image in one column of the table. The part that is enlarged is the
square in which the restorations differ most, so that nobody chooses it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from proxlab.comparison.case import Row
from proxlab.comparison.names import PLAIN, TRUTH, label, pictures, visible
from proxlab.comparison.table import column_of

ENLARGED_SIDE = 40
"""Side of the square that is enlarged, pixels."""


def draw_comparison(path: Path, rows: Sequence[Row], out: Path, image: str = "") -> None:
    """Write the figure of rows, PNG, to `path`. Their restorations lie in the folder `out`.

    image: name of the image to show, at the first seed; empty: the first one. Raises ValueError for
    a name that no row has.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    image = image or rows[0]["image"]
    own = [row for row in rows if row["image"] == image and row["seed"] == rows[0]["seed"]]
    if not own:
        names = ", ".join(sorted({row["image"] for row in rows}))
        raise ValueError(f"the comparison has no image {image!r}; it has {names}")
    columns = list(dict.fromkeys(map(column_of, own)))
    priors = list(dict.fromkeys(row["prior"] for row in own))
    figure = Figure(figsize=(2.4 * (2 + len(priors)), 2.75 * len(columns)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(columns), 2 + len(priors), squeeze=False)
    for line, column in zip(axes, columns, strict=True):
        here = {row["prior"]: row for row in own if column_of(row) == column}
        folder = out / pictures(next(iter(here.values())))
        plain = next(iter(here.values()))["psnr_plain"]
        shown = [("truth", TRUTH, None), ("no prior", PLAIN, plain)]
        shown += [(name, label(row), row["psnr"]) for name, row in here.items()]
        parts = {name: _pixels(folder / f"{file}.png") for name, file, _ in shown}
        corner = most_different([parts[name] for name in here])
        for ax in line:
            ax.set_axis_off()
        for ax, (name, _, value) in zip(line, shown, strict=False):
            _panel(ax, parts[name], corner)
            below = "" if value is None else f"\n{value:.2f} dB"
            _title(ax, visible(name) + below)
        _title(line[0], f"{visible(str(column))}\ntruth")
    figure.savefig(path, dpi=130, format="png")


def most_different(images: Sequence[np.ndarray], side: int = ENLARGED_SIDE) -> tuple[int, int]:
    """Corner (top, left) of the square of that side in which images [H, W] differ most."""
    stack = np.stack([image.astype(float) for image in images])
    varied = stack.var(0).cumsum(0).cumsum(1)
    sums = np.pad(varied, ((1, 0), (1, 0)))
    side = min(side, *stack.shape[1:])
    boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(boxes.argmax(), boxes.shape)
    return int(top), int(left)


def _title(ax, text: str) -> None:
    # as it is: a name with two dollars is no formula
    ax.set_title(text, fontsize=9, parse_math=False)


def _panel(ax, image: np.ndarray, corner: tuple[int, int]) -> None:
    """Draw one image, a frame around the square at `corner`, and the square enlarged."""
    from matplotlib.patches import Rectangle

    grey = {"cmap": "gray", "vmin": 0, "vmax": 255}
    ax.imshow(image, **grey)
    (top, left), side = corner, min(ENLARGED_SIDE, *image.shape)
    ax.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, color="gold", lw=0.8))
    # in the corner that is farthest from the square
    height, width = image.shape
    place = (
        0.56 if left + side / 2 < width / 2 else 0.0,
        0.0 if top + side / 2 < height / 2 else 0.56,
    )
    inset = ax.inset_axes((*place, 0.44, 0.44))
    inset.imshow(image[top : top + side, left : left + side], interpolation="nearest", **grey)
    inset.set(xticks=[], yticks=[])
    for spine in inset.spines.values():
        spine.set_color("gold")


def _pixels(path: Path) -> np.ndarray:
    """Gray levels of an image file, [H, W]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))
