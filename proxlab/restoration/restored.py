"""The result of a restoration: its images, what was measured on the way, and what is proved."""

from dataclasses import dataclass, replace
from typing import Generic

import torch
from torch import Tensor

from proxlab.images.layouts import Kind, as_images
from proxlab.images.metrics import psnr
from proxlab.images.pictures import SHOWN, Picture, draw, heat, page, picture
from proxlab.restoration.evidence import Evidence
from proxlab.restoration.premises import Premises
from solvers import Trace

LETTERS = 160
"""Letters of a verdict in a `repr`, at most."""


@dataclass(frozen=True, repr=False)
class Restoration(Generic[Kind]):
    """A restored batch, what was measured on the way, and what can be vouched for.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((32, 32), 0.5), noise=0.05)
    >>> x = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    >>> result = proxlab.restore(op(x), op, "tv")
    >>> result.image.shape, result.solver, result.stopped
    (torch.Size([1, 1, 32, 32]), 'pdhg', ['tolerance'])
    >>> result.certified, result.doubts
    ([True], [''])
    >>> result.trace.objective.shape[0] == int(result.steps)   # a row for each step
    True
    >>> result.scored(x)   # a notebook shows the image too
    Restoration [1, 1, 32, 32] by pdhg with tv, noise 0.05
      ... steps, stopped by tolerance, ... dB; certified: duality gap ...
    """

    image: Kind
    """The restored images [B, C, H, W]; of a measurement that was an array, an array of its layout
    and type: uint8 is rounded and clipped to 0..255."""
    trace: Trace
    """Objective, residual and data_misfit per step and image, [K, B]; the descent comes first. The
    objective is None where the prior has no value: `evidence` has bounds on its fall."""
    stopped: list[str]
    """Per image: "tolerance", "max_steps", "diverged", whose pixels are NaN, or "callback" where
    the function given as `progress` ended the run."""
    certified: list[bool]
    """Per image: whether `evidence` proves it, so that there are no doubts."""
    doubts: list[str]
    """Per image: sentences on why it is not certified; empty if it is."""
    evidence: list[Evidence]
    """Per image: the numbers that this rests on, and what each was compared with."""
    steps: Tensor
    """Per image: steps taken, the descent included."""
    solver: str
    """Name of the algorithm that ran."""
    prior: str
    """Name of the prior."""
    sigma: Tensor
    """Per image: the noise level s of the prior, float64 [B]."""
    descent: int
    """Steps of the descent, in which the objective still changes its meaning."""
    premises: Premises
    """Step, noise and operator as they were known before the run."""
    pixels: Tensor
    """The restored images as the run ended, floats [B, C, H, W], whatever `image` is."""
    refused: tuple[str, ...] = ()
    """Names of the priors that an image's run refused before, in whose place a safer one ran."""
    psnr: Tensor | None = None
    """Per image: PSNR in dB where the truth was told by `scored`, [B]."""

    def scored(self, truth: Kind) -> "Restoration[Kind]":
        """The same result with its PSNR against the truth, [B, C, H, W] or an array as `y` may be.

        Raises ValueError for a truth of another shape, and as `proxlab.metrics.psnr`.
        """
        return replace(self, psnr=psnr(self.pixels, as_images(truth).to(self.pixels)))

    def plot(self, y: Kind | None = None, truth: Kind | None = None):
        """Pictures and the way to rest, drawn by pyplot: the axes, an array of matplotlib.

        A row for each of the first images: the measurement `y` where it is an image, what was
        restored, and with a `truth` that and the error; below, what `tol` is compared with, step by
        step: the relative residual or duality gap. A notebook shows them by itself; a script
        calls `matplotlib.pyplot.show()`.

        >>> op = proxlab.operators.inpaint(torch.ones(16, 16), noise=0.05)
        >>> result = proxlab.restore(torch.full((1, 1, 16, 16), 0.5), op, "tv")
        >>> result.plot().shape   # the picture, and a curve beneath
        (2, 1)
        """
        told = self if truth is None else self.scored(truth)
        rows = [told._pictures(b, y, truth) for b in range(min(len(self.pixels), SHOWN))]
        axes = draw(rows, beneath=1)
        figure, grid = axes[-1, 0].figure, axes[-1, 0].get_gridspec()
        for ax in axes[-1]:
            ax.remove()
        below = figure.add_subplot(grid[-1, :])
        gap, objective = self.trace.gap, self.trace.objective
        left, called = self.trace.residual, "residual"
        if gap is not None and objective is not None:
            left, called = gap / objective.abs(), "duality gap"
        steps = range(1, len(left) + 1)
        for b in range(len(rows)):
            below.plot(steps, left[:, b].numpy(), label=f"image {b + 1}")
        if bool((left > 0).any()):
            below.set_yscale("log")
        if self.descent:
            words = {"color": "gray", "linestyle": ":", "linewidth": 1}
            below.axvline(self.descent, label="end of the descent", **words)
        below.set_xlabel("step", fontsize=9)
        below.set_ylabel(called, fontsize=9)
        if len(rows) > 1 or self.descent:
            below.legend(fontsize=8)
        axes[-1, :] = below
        return axes

    def __repr__(self) -> str:
        shown = range(min(len(self.stopped), SHOWN))
        lines = [self._heading(), *(f"  {self._verdict(b, LETTERS)}" for b in shown)]
        left = len(self.stopped) - len(shown)
        return "\n".join([*lines, f"  and {left} more"] if left else lines)

    def _repr_html_(self) -> str:
        """The first images and the verdict on each, as a notebook shows them."""
        shown = range(min(len(self.stopped), SHOWN))
        pictures = [self._pictures(b, None, None)[0] for b in shown]
        lines = [(f"image {b + 1}", self._verdict(b, 10 * LETTERS)) for b in shown]
        return page(self._heading(), pictures, lines)

    def _heading(self) -> str:
        kind = "" if isinstance(self.image, Tensor) else f", an array of {self.image.dtype}"
        noise = ", ".join(f"{float(s):.3g}" for s in self.premises.noise[:SHOWN].unique())
        before = f" after {', then '.join(self.refused)} was refused" if self.refused else ""
        return (
            f"Restoration {list(self.image.shape)}{kind} by {self.solver} with {self.prior}"
            f"{before}, noise {noise}"
        )

    def _verdict(self, b: int, letters: int) -> str:
        """A sentence on one image: how its run ended, and what it proves."""
        proved = self.certified[b]
        why = self.evidence[b].brief if proved else self.doubts[b]
        why = why if len(why) <= letters else f"{why[: letters - 3]}..."
        score = "" if self.psnr is None else f", {float(self.psnr[b]):.2f} dB"
        return (
            f"{int(self.steps[b])} steps, stopped by {self.stopped[b]}{score}; "
            f"{'certified' if proved else 'not certified'}: {why}"
        )

    def _pictures(self, b: int, y: Kind | None, truth: Kind | None) -> list[Picture]:
        number = f" {b + 1}" if len(self.pixels) > 1 else ""
        score = "" if self.psnr is None else f", {float(self.psnr[b]):.2f} dB"
        found = [picture(f"restored{number}{score}", self.pixels[b])]
        # of a sinogram, or of k-space, a picture is not told by its numbers
        measured = None if y is None else as_images(y)
        if measured is not None and measured.ndim == 4 and len(measured) == len(self.pixels):
            found.insert(0, picture("measured", measured[b]))
        if truth is not None:
            clean = as_images(truth).to(self.pixels)[b]
            error = torch.linalg.vector_norm(clean - self.pixels[b], dim=0, keepdim=True)
            found += [picture("truth", clean), heat("error", error / len(clean) ** 0.5)]
        return found
