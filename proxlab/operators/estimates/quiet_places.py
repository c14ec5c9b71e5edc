"""Quiet places of a measurement, where a difference of pixels holds little but noise.

A difference of high order that spans few pixels leaves of an image little but noise, above all
where the image is quiet. Quiet is told by frequencies that the difference does not see, so that
looking for such places does not favour those where the noise happens to be small.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from deepinv.physics import MRI, Inpainting, LinearPhysics
from torch import Tensor

from proxlab.operators.arguments import check_finite, check_image
from proxlab.operators.counts.camera import counting
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import PhotonCounts
from proxlab.operators.tomography.operator import Tomography

ENOUGH = 1000
"""Places with which a difference is content, or half of the pixels of a small image."""
REPEATED = 1e-3
"""Share of an image's pixels that hold its largest or smallest value if that was clipped."""
MEDIAN = 0.6744897501960817
"""Median of the absolute value of a standard normal number."""
SMOOTH = torch.tensor([1.0, 4, 6, 4, 1], dtype=torch.float64) / 16
LONG = torch.tensor([1.0, 8, 28, 56, 70, 56, 28, 8, 1], dtype=torch.float64) / 256
"""Smoothing along one direction alone: by `SMOOTH` the quietest places would have 3 % too little
noise there, so they have 1 %, and across both directions none."""
ONE = torch.ones(1, dtype=torch.float64)
FOURTH = torch.tensor([1.0, -4, 6, -4, 1], dtype=torch.float64) / math.sqrt(70)
FIRST = torch.tensor([1.0, -1], dtype=torch.float64) / math.sqrt(2)
COUNTS = "the operator counts photons and so knows its noise; leave noise out"
REMEDY = "pass noise=..., on the command line --noise, the standard deviation of y"
"""End of a sentence that says why none can be told."""
Stencil = tuple[Tensor, Tensor]
"""Filters of rows and of columns, each of norm 1."""
IMAGES: list[list[Stencil]] = [[(FOURTH, FOURTH)], [(FIRST, FIRST)], [(FIRST, ONE), (ONE, FIRST)]]
"""From the best to the one that asks for the fewest neighbours."""
SINOGRAMS: list[list[Stencil]] = [[(ONE, FOURTH)], [(ONE, FIRST)]]
"""Views may be few, so neighbours are detectors."""


class Places(NamedTuple):
    """Places where all pixels of a difference were seen, [n] each."""

    detail: Tensor
    """The difference: of white noise, one number of its deviation."""
    loud: Tensor
    """Squared slope of the smoothed image around."""
    mean: Tensor
    """The smoothed image there."""
    of_noise: float
    """Mean of `loud` where there is white noise alone, over its variance."""


def neighbourly(what: str, y: Tensor, op: LinearPhysics) -> tuple[Tensor, Tensor]:
    """The measurement y [B, C, H, W], zeros where nothing was measured, and where it was, bool.

    Raises TypeError unless y is a tensor and op an operator, ValueError where a photon counter
    knows `what` is asked for, NaN or infinity, and measurements whose entries are not neighbours.
    """
    if not isinstance(y, Tensor) or not isinstance(op, LinearPhysics):
        raise TypeError(
            f"{what} is estimated of a tensor and its operator, got "
            f"{type(y).__name__} and {type(op).__name__}; torch.from_numpy?"
        )
    if isinstance(op.noise_model, PhotonCounts):
        raise ValueError(COUNTS)
    if y.ndim != 4 or isinstance(op, MRI):
        raise ValueError(
            f"{what} is estimated from neighbours, which y {list(y.shape)} of {type(op).__name__} "
            f"does not have; {REMEDY}, in its own units"
        )
    y = check_finite(as_operator(op).usable(check_image(y)).detach())
    if counting(op.noise_model, y) is not None:
        raise ValueError(COUNTS)
    seen = torch.ones_like(y, dtype=torch.bool)
    if isinstance(op, Inpainting):
        mask = op.mask
        assert isinstance(mask, Tensor)  # deepinv makes a tensor of a float
        seen = (mask != 0).to(y.device).expand_as(y)
    return y, seen


def stencils_of(op: LinearPhysics) -> list[list[Stencil]]:
    """Differences that suit what the operator measures, the best first."""
    return SINOGRAMS if isinstance(op, Tomography) else IMAGES


def ends(y: Tensor, seen: Tensor) -> Tensor:
    """True where pixels seen hold the image's largest or smallest value, if that was clipped."""
    clipped = torch.zeros_like(seen)
    for end in (torch.where(seen, y, math.inf).min(), torch.where(seen, y, -math.inf).max()):
        same = seen & (y == end)
        if same.sum() > max(2, REPEATED * seen.sum()):
            clipped |= same
    return clipped


def places(y: Tensor, fill: Tensor, seen: Tensor, stencils: list[list[Stencil]]) -> Places:
    """Differences of one image y [1, C, H, W] by the best stencil that finds enough places.

    fill: y with what was not seen filled in, from which loudness and mean are taken.
    """
    across = len(stencils[0][0][0]) > 1
    smooth = smoothed(fill, across)
    activity = _activity(smooth, across)
    of_noise = _loudness_of_noise(across)
    nothing = y.new_zeros(0)
    found = Places(nothing, nothing, nothing, of_noise)
    for several in stencils:
        parts = []
        for rows, columns in several:
            whole = filtered(seen.double(), rows.abs() > 0, columns.abs() > 0)
            inside = whole > len(rows) * len(columns) - 0.5
            top, left = len(rows) // 2, len(columns) // 2
            window = (
                ...,
                slice(top, top + inside.shape[2]),
                slice(left, left + inside.shape[3]),
            )
            around = (quantity[window][inside] for quantity in (activity, smooth))
            parts.append((filtered(y, rows, columns)[inside], *around))
        detail, loud, mean = (torch.cat(part) for part in zip(*parts, strict=True))
        found = Places(detail, loud, mean, of_noise)
        if len(found.detail) >= min(ENOUGH, y.numel() / 2):
            break
    return found


def robust_variance(detail: Tensor) -> Tensor:
    """Variance of differences [n] as the median of their absolute values has it [Donoho94]."""
    return (detail.abs().median() / MEDIAN) ** 2


def smoothed(y: Tensor, across: bool) -> Tensor:
    """The image without the frequencies of the fourth difference, of its size.

    So their noise is independent. Along rows, and if `across` along columns too.
    """
    down, along = _smoothing(across)
    rows, columns = len(down) // 2, len(along) // 2
    return filtered(F.pad(y, (columns, columns, rows, rows), mode="replicate"), down, along)


def _smoothing(across: bool) -> Stencil:
    return (SMOOTH, SMOOTH) if across else (ONE, LONG)


def _loudness_of_noise(across: bool) -> float:
    """Mean activity of white noise of variance 1."""
    down, along = _smoothing(across)
    slope = 2 * ((along**2).sum() - (along[1:] * along[:-1]).sum()) * (down**2).sum()
    return float((4 if across else 2) * slope)


def _activity(smooth: Tensor, across: bool) -> Tensor:
    """Squared slope of a smoothed image around each pixel, along rows and if `across` beyond."""
    energy = F.pad(smooth.diff(dim=3), (0, 1)) ** 2 + F.pad(smooth.diff(dim=3), (1, 0)) ** 2
    if across:
        energy = energy + F.pad(smooth.diff(dim=2), (0, 0, 0, 1)) ** 2
        energy = energy + F.pad(smooth.diff(dim=2), (0, 0, 1, 0)) ** 2
    window = (5, 5) if across else (1, 5)
    return F.avg_pool2d(energy, window, 1, (window[0] // 2, 2), count_include_pad=False)


def filtered(y: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Only where all pixels of the stencil lie inside; empty for an image that is smaller."""
    kernel = (rows[:, None] * columns).to(y)
    short = [max(0, k - n) for k, n in zip(kernel.shape, y.shape[2:], strict=True)]
    if any(short):
        return y.new_zeros(*y.shape[:2], 0, 0)
    return F.conv2d(y.flatten(0, 1)[:, None], kernel[None, None]).view(
        *y.shape[:2], *(n - k + 1 for n, k in zip(y.shape[2:], kernel.shape, strict=True))
    )
