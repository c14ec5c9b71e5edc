"""Figure of `proxlab posterior`: what was measured, the mean, how sure it is, and some samples."""

from pathlib import Path

import numpy as np
from torch import Tensor

from proxlab.images.files import writing
from proxlab.images.metrics import psnr
from proxlab.posteriors.samples import Posterior

WIDTH, TITLE = 2.6, 0.3
"""Width of a picture and height of what is written over it, inches."""
ACROSS = 4
"""Pictures in a row, and samples that are shown."""
SHARE = 0.995
"""Share of the pixels whose deviation the colours tell apart."""


def draw_posterior(
    path: Path,
    post: Posterior,
    before: tuple[str, Tensor],
    truth: Tensor | None,
    overwrite: bool = False,
) -> None:
    """Write the figure of one image's samples to `path`, PNG.

    before: the image without a prior, [1, C, H, W], and its title; truth: where it is known.
    """
    with writing(path, overwrite) as place:
        posterior_figure(post, before, truth).savefig(place, dpi=120, format="png")


def posterior_figure(post: Posterior, before: tuple[str, Tensor], truth: Tensor | None):
    """The figure itself, matplotlib's Figure: two rows, deviations and errors in one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mean, n = post.mean, len(post.samples)
    tall = WIDTH * mean.shape[-2] / mean.shape[-1]
    figure = Figure(figsize=(ACROSS * WIDTH + 0.7, 2 * (tall + TITLE)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, ACROSS)
    for ax in axes.flat:
        ax.set_axis_off()
    window = _window(mean)
    known = "" if truth is None else f", {float(psnr(mean, truth)):.2f} dB"
    pictures = [before, (f"mean of {n}{known}", mean)]
    drawn = [(f"sample {i + 1}", x) for i, x in enumerate(post.samples[: ACROSS + 1])]
    if truth is None:  # a sample in the place of the truth, and one in that of the error
        places = [*axes[0, :2], axes[0, 3], *axes[1]]
    else:
        places = [*axes[0, :3], *axes[1, :3]]
        pictures.append(("truth", truth))
    for ax, (title, image) in zip(places, [*pictures, *drawn], strict=False):
        _picture(ax, title, image, window)
    spread = _heat(post.std)
    most = float(np.quantile(spread, SHARE)) or 1.0
    last = axes[0, 2 if truth is None else 3]
    shown = last.imshow(spread, cmap="magma", vmin=0, vmax=most, interpolation="nearest")
    last.set_title("deviation", size=10)
    if truth is not None:
        error = _heat((mean - truth).abs())
        axes[1, 3].imshow(error, cmap="magma", vmin=0, vmax=most, interpolation="nearest")
        axes[1, 3].set_title("error of the mean", size=10)
    figure.colorbar(shown, ax=axes[:, -1], shrink=0.85, label="deviation")
    return figure


def _picture(ax, title: str, image: Tensor, window: tuple[float, float]) -> None:
    low, high = window
    pixels = ((image[0].permute(1, 2, 0).numpy() - low) / (high - low)).clip(0, 1)
    if pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_title(title, size=10)


def _heat(image: Tensor) -> np.ndarray:
    """One number for each pixel, [H, W]: the root mean square over the channels."""
    return image[0].square().mean(0).sqrt().numpy()


def _window(mean: Tensor) -> tuple[float, float]:
    """Values that are black and white: 0 and 1, or less where the image has little contrast."""
    low, high = (float(q) for q in np.quantile(mean.numpy(), (1 - SHARE, SHARE)))
    if high - low > 0.6 or high <= low:
        return 0.0, 1.0
    return max(low, 0.0), min(high, 1.0)
