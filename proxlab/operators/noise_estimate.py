"""The level of the noise, read off a measurement where nobody knows it.

    noise = estimate_noise(y, op)      # [B], a standard deviation in the units of y
    proxlab.restore(y, op, prior, noise=noise)

A difference of high order that spans few pixels leaves of an image little but noise, above all
where the image is quiet. Quiet places are found in frequencies that the difference does not see, so
that looking for them does not favour places where the noise happens to be small. The median of its
absolute values ignores the rest [Donoho94].
"""

import math

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.draws import Draws
from proxlab.operators.inpainting import fill_missing
from proxlab.operators.quiet_places import (
    MEDIAN,
    REMEDY,
    Stencil,
    ends,
    neighbourly,
    places,
    stencils_of,
)
from solvers.protocols import PerImage, doubles

QUIET = 0.25
"""Share of the places that is looked at, the quietest. On photographs of bsds400 at noise .01 all
places give 30 % too much, these 6 %, and Donoho's wavelet details 60 %."""
CHOSEN, LEAST = 200, 32
"""Places that are looked at where there are so many, and without which nothing is told."""
NOTHING = 1e-5
"""Noise, over the range of y, that is taken for none."""


def estimate_noise(y: Tensor, op: LinearPhysics) -> PerImage:
    """Standard deviation of the white noise of y = op(x), float64 [B], in the units of y.

    y: [B, C, H, W], an image as it is, blurred, subsampled or with missing pixels, or a sinogram
    [B, C, V, D]. Pixels that are missing or clipped are not looked at; rounding, to 8 bits say,
    counts as noise. Each image by itself, over all its channels. Too high by what the finest
    texture looks like: by some 15 % at noise .005 and 6 % at .01 of a photograph's range, less at
    more noise; at worst, where texture of two or three pixels' period is everywhere, or at .005 and
    4 of 5 pixels missing, by a factor of 2 to 6.
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
    details, loud, _ = places(y + step * uniform, fill, seen, stencils)
    if len(details) < LEAST:
        raise ValueError(
            f"the noise of y cannot be estimated from {len(details)} places where neighbours were "
            f"seen, neither missing nor clipped; {REMEDY}"
        )
    chosen = loud.argsort()[: max(CHOSEN, int(QUIET * len(loud)))]
    variance = (details[chosen].abs().median() / MEDIAN) ** 2 - step**2 / 12
    # rounding alone has 1/12; below twice that the noise is not known from it
    if variance < step**2 / 6 or variance <= (NOTHING * (high - low)) ** 2:
        why = f"less noise than its steps of {step:.1e}" if step else "no noise that could be read"
        raise ValueError(f"y has {why}; {REMEDY}")
    return variance.sqrt()


def _step(values: Tensor) -> float:
    """The distance of the levels to which values were rounded; 0.0 if they were not."""
    levels = values.unique()
    if len(levels) < 2 or len(levels) > len(values) / 4:
        return 0.0
    gaps = levels.diff()
    return gaps[gaps > 1e-6 * (levels[-1] - levels[0])].min().item()
