"""The level of the noise, read off a measurement where nobody knows it.

    noise = estimate_noise(y, op)      # [B], a standard deviation in the units of y
    proxlab.restore(y, op, prior, noise=noise)

A fourth difference leaves of an image little but noise, above all where the image is quiet, and the
median of its absolute values ignores the rest [Donoho94]. What it leaves of fine texture falls with
the loudness of the texture around, so the line of variance over loudness is followed from the
quietest places down to those that are as quiet as noise alone.
"""

import math

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.draws import Draws
from proxlab.operators.estimates.quiet_places import (
    REMEDY,
    Places,
    Stencil,
    ends,
    neighbourly,
    places,
    robust_variance,
    stencils_of,
)
from proxlab.operators.inpainting import fill_missing
from solvers.protocols import PerImage, doubles

QUIET, FEW = 0.15, 0.25
"""Share of the places that is looked at, the quietest; and where there are too few for a line. On
40 photographs of bsds400 at noise 2 / 255 the median over .15 was 4 % too high and near the truth,
to 10 %, for 4 of 5, the line 2 % and 9 of 10."""
PARTS, OF_PART = 10, 100
"""Parts of those, by loudness, through which the line goes, and places that each has at least."""
CHOSEN, LEAST = 200, 32
"""Places that are looked at where there are so many, and without which nothing is told."""
STEEP = 0.7
"""Largest slope, of variance over the loudness of noise alone: the line divides by 1 less that."""
NOTHING = 1e-5
"""Noise, over the range of y, that is taken for none."""


def estimate_noise(y: Tensor, op: LinearPhysics) -> PerImage:
    """Standard deviation of the white noise of y = op(x), float64 [B], in the units of y.

    y: [B, C, H, W], an image as it is, blurred, subsampled or with missing pixels, or a sinogram
    [B, C, V, D]. Pixels that are missing or clipped are not looked at; rounding, to 8 bits say,
    counts as noise. Each image by itself, over all its channels. Within 10 % for most photographs
    from noise .02 of white on (docs/measured/restoring.md), too high where fine texture is
    everywhere: at worst, of two or three pixels' period, or at noise .005 and 4 of 5 pixels
    missing, by a factor of 2 to 6.
    Raises ValueError where nothing can be told: too few neighbours seen, a y without noise, noise
    below the rounding of y, NaN or infinity, measurements that are no images.

    >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(2.0), noise=0.05)
    >>> x = torch.linspace(0, 1, 64).expand(2, 1, 64, 64)
    >>> proxlab.estimate_noise(op(x), op)
    tensor([0.0..., 0.0...], dtype=torch.float64)
    """
    y, seen = neighbourly("noise", y, op)
    stencils = stencils_of(op)
    pairs = zip(y.split(1), seen.split(1), strict=True)
    return torch.stack([_one(image, where, stencils) for image, where in pairs])


def _one(y: Tensor, seen: Tensor, stencils: list[list[Stencil]]) -> Tensor:
    """The noise of one image [1, C, H, W]."""
    fill, y = doubles(fill_missing(y, seen.to(y))), doubles(y)
    seen = seen.to(y.device)
    low, high = torch.where(seen, y, math.inf).min(), torch.where(seen, y, -math.inf).max()
    seen = seen & ~ends(y, seen)
    step = _step(y[seen])
    uniform = 0.5 * torch.erf(Draws(y).normal(y) / math.sqrt(2))  # in [-1/2, 1/2]
    found = places(y + step * uniform, fill, seen, stencils)
    if len(found.detail) < LEAST:
        raise ValueError(
            f"the noise of y cannot be estimated from {len(found.detail)} places where neighbours "
            f"were seen, neither missing nor clipped; {REMEDY}"
        )
    variance = _variance(found) - step**2 / 12
    # rounding alone has 1/12; below twice that the noise is not known from it
    if variance < step**2 / 6 or variance <= (NOTHING * (high - low)) ** 2:
        why = f"less noise than its steps of {step:.1e}" if step else "no noise that could be read"
        raise ValueError(f"y has {why}; {REMEDY}")
    return variance.sqrt()


def _variance(found: Places) -> Tensor:
    """Variance of the noise at those places, as if they were as quiet as noise alone."""
    order = found.loud.argsort()
    detail, loud = found.detail[order], found.loud[order]
    size = int(QUIET * len(order)) // PARTS
    if size < OF_PART:
        return robust_variance(detail[: max(CHOSEN, int(FEW * len(order)))])
    v = torch.stack([robust_variance(part) for part in detail[: PARTS * size].split(size)])
    a = torch.stack([part.mean() for part in loud[: PARTS * size].split(size)])
    model, slope, middle, level = v, v.new_zeros(()), a.mean(), v.mean()
    for _ in range(3):
        w = model**-2
        middle, level = (w * a).sum() / w.sum(), (w * v).sum() / w.sum()
        slope = (w * (a - middle) * (v - level)).sum() / (w * (a - middle) ** 2).sum()
        slope = slope.nan_to_num(0.0).clamp(min=0, max=STEEP / found.of_noise)
        model = (level + slope * (a - middle)).clamp(min=0.1 * level)
    if middle > found.of_noise * level:  # v = level + slope (of_noise v - middle)
        return (level - slope * middle).clamp(min=0) / (1 - slope * found.of_noise)
    return robust_variance(detail[: max(PARTS * size, int((loud <= found.of_noise * level).sum()))])


def _step(values: Tensor) -> float:
    """The distance of the levels to which values were rounded; 0.0 if they were not."""
    levels = values.unique()
    if len(levels) < 2 or len(levels) > len(values) / 4:
        return 0.0
    gaps = levels.diff()
    return gaps[gaps > 1e-6 * (levels[-1] - levels[0])].min().item()
