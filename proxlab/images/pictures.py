"""Pictures of results in notebooks and figures: PNG in HTML, and images on matplotlib's axes."""

import base64
import html
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST, SMALLEST = 384, 160
"""Sides between which a picture is drawn in a notebook, pixels of the screen."""
SHOWN = 4
"""Images of a batch that are shown."""
REACH = (0.03, 4.0)
"""Values of the brightest hundredth between which an image is shown from 0 to 1."""


class Picture(NamedTuple):
    """One picture, and what is written over it."""

    title: str
    pixels: np.ndarray
    """[H, W], or [H, W, 3] in [0, 1]."""
    window: tuple[float, float] = (0.0, 1.0)
    """Values of black and of white."""
    colours: str = "gray"
    """matplotlib's name of the colours of [H, W]."""


def picture(title: str, image: Tensor, window: tuple[float, float] | None = None) -> Picture:
    """The picture of an image [C, H, W]: gray or colour, of other numbers of channels the first.

    It is shown from 0 to 1, and from 0 to its own brightest where it is plainly in other units,
    which the title tells.

    >>> from proxlab.images.pictures import picture
    >>> picture("restored", torch.ones(3, 4, 5)).pixels.shape
    (4, 5, 3)
    >>> picture("restored", 255 * torch.ones(1, 4, 5)).title
    'restored, white is 255'
    """
    x = image.detach().cpu().float().nan_to_num(0.0, 0.0, 0.0)
    if len(x) not in (1, 3):
        title, x = f"{title}, channel 1 of {len(x)}", x[:1]
    if window is None:
        bright = float(x.flatten().topk(max(1, x.numel() // 100)).values[-1])
        usual = bright <= 0 or REACH[0] < bright < REACH[1]
        window = (0.0, 1.0 if usual else bright)
        title = title if usual else f"{title}, white is {bright:.3g}"
    if len(x) == 1:
        return Picture(title, x[0].numpy(), window)
    low, high = window
    return Picture(title, ((x - low) / (high - low)).clamp(0, 1).movedim(0, -1).numpy())


def heat(title: str, image: Tensor, most: float | None = None) -> Picture:
    """The picture of deviations or errors [C, H, W]: over channels the root mean square."""
    size = image.detach().cpu().float().square().mean(0).sqrt().nan_to_num(0.0, 0.0, 0.0)
    top = float(size.flatten().kthvalue(max(1, int(0.995 * size.numel()))).values)
    return Picture(title, size.numpy(), (0.0, most or top or 1.0), "magma")


def draw(rows: Sequence[Sequence[Picture]], beneath: int = 0):
    """The axes of a new figure of pyplot, [rows, columns], with those pictures; an array of them.

    beneath: rows that are left empty under the pictures, for curves. In a notebook the figure is
    shown by itself; a script calls `matplotlib.pyplot.show()`.
    """
    from matplotlib import pyplot

    across = max(len(row) for row in rows)
    height, width = rows[0][0].pixels.shape[:2]
    tall = 2.4 * min(max(height / width, 0.4), 2.5) + 0.35
    size = (2.4 * across + 0.4, tall * len(rows) + 1.9 * beneath)
    ratios = [tall] * len(rows) + [1.9] * beneath
    _, axes = pyplot.subplots(
        len(rows) + beneath,
        across,
        figsize=size,
        squeeze=False,
        layout="constrained",
        gridspec_kw={"height_ratios": ratios},
    )
    for ax in axes[: len(rows)].flat:
        ax.set_axis_off()
    for row, places in zip(rows, axes, strict=False):
        for one, ax in zip(row, places, strict=False):
            low, high = one.window
            shown = ax.imshow(
                one.pixels, cmap=one.colours, vmin=low, vmax=high, interpolation="nearest"
            )
            ax.set_title(one.title, fontsize=9)
            if one.colours != "gray":
                ax.figure.colorbar(shown, ax=ax, shrink=0.8)
    return axes


def png(one: Picture) -> bytes:
    """The picture as PNG, at most `LARGEST` pixels long."""
    from PIL import Image

    pixels = _small(one.pixels)
    if pixels.ndim == 2:
        low, high = one.window
        pixels = ((pixels - low) / (high - low)).clip(0, 1)
        if one.colours != "gray":
            from matplotlib import colormaps

            pixels = colormaps[one.colours](pixels)[..., :3]
    file = io.BytesIO()
    Image.fromarray((255 * pixels).round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def page(heading: str, pictures: Sequence[Picture], lines: Sequence[tuple[str, str]]) -> str:
    """A piece of HTML: a heading, pictures side by side, and lines of a name and a text each.

    No colours but those of the notebook, light or dark, and no styles that reach beyond it.
    """
    figures = "".join(_figure(one) for one in pictures)
    rows = "".join(
        f'<tr><th style="text-align:left;vertical-align:top;white-space:nowrap">{_text(name)}</th>'
        f'<td style="text-align:left">{_text(text)}</td></tr>'
        for name, text in lines
    )
    return (
        f'<div><strong>{_text(heading)}</strong><div style="display:flex;flex-wrap:wrap;gap:8px">'
        f"{figures}</div><table>{rows}</table></div>"
    )


def _figure(one: Picture) -> str:
    height, width = one.pixels.shape[:2]
    scale = min(max(SMALLEST / max(height, width), 1.0), LARGEST / max(height, width))
    data = base64.b64encode(png(one)).decode()
    return (
        f'<figure style="margin:0"><img alt="{_text(one.title)}" width="{round(width * scale)}" '
        f'height="{round(height * scale)}" style="image-rendering:pixelated" '
        f'src="data:image/png;base64,{data}"><figcaption>{_text(one.title)}</figcaption></figure>'
    )


def _text(words: str) -> str:
    return html.escape(words)


def _small(pixels: np.ndarray) -> np.ndarray:
    """Means of squares of pixels, so that no side is longer than a notebook shows."""
    step = -(-max(pixels.shape[:2]) // LARGEST)
    if step == 1:
        return pixels
    x = torch.from_numpy(np.atleast_3d(pixels)).movedim(-1, 0)[None]
    small = F.avg_pool2d(x, step, ceil_mode=True)[0].movedim(0, -1).numpy()
    return small[..., 0] if pixels.ndim == 2 else small
