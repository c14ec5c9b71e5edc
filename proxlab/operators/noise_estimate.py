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
import torch.nn.functional as F
from deepinv.physics import MRI, Inpainting, LinearPhysics
from torch import Tensor

from proxlab.operators.arguments import check_finite, check_image
from proxlab.operators.counts.camera import counting
from proxlab.operators.draws import Draws
from proxlab.operators.foreign import as_operator
from proxlab.operators.inpainting import fill_missing
from proxlab.operators.noise import PhotonCounts
from proxlab.operators.tomography.operator import Tomography
from solvers.protocols import PerImage, doubles

QUIET = 0.25
"""Share of the places that is looked at, the quietest. On photographs of bsds400 at noise .01 all
places give 30 % too much, these 6 %, and Donoho's wavelet details 60 %."""
ENOUGH = 1000
"""Places with which a difference is content, or half of the pixels of a small image."""
CHOSEN, LEAST = 200, 32
"""Places that are looked at where there are so many, and without which nothing is told."""
REPEATED = 1e-3
"""Share of an image's pixels that hold its largest or smallest value if that was clipped."""
NOTHING = 1e-5
"""Noise, over the range of y, that is taken for none."""
MEDIAN = 0.6744897501960817
"""Median of the absolute value of a standard normal number."""
SMOOTH = torch.tensor([1.0, 4, 6, 4, 1], dtype=torch.float64) / 16
ONE = torch.ones(1, dtype=torch.float64)
FOURTH = torch.tensor([1.0, -4, 6, -4, 1], dtype=torch.float64) / math.sqrt(70)
FIRST = torch.tensor([1.0, -1], dtype=torch.float64) / math.sqrt(2)
Stencil = tuple[Tensor, Tensor]
"""Filters of rows and of columns, each of norm 1."""
IMAGES: list[list[Stencil]] = [[(FOURTH, FOURTH)], [(FIRST, FIRST)], [(FIRST, ONE), (ONE, FIRST)]]
"""From the best to the one that asks for the fewest neighbours."""
SINOGRAMS: list[list[Stencil]] = [[(ONE, FOURTH)], [(ONE, FIRST)]]
"""Views may be few, so neighbours are detectors."""


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
    if not isinstance(y, Tensor) or not isinstance(op, LinearPhysics):
        raise TypeError(
            "noise is estimated of a tensor and its operator, got "
            f"{type(y).__name__} and {type(op).__name__}; torch.from_numpy?"
        )
    if isinstance(op.noise_model, PhotonCounts) or counting(op.noise_model, y) is not None:
        raise ValueError("the operator counts photons and so knows its noise; leave noise out")
    if y.ndim != 4 or isinstance(op, MRI):
        raise ValueError(
            f"noise is estimated from neighbours, which y {list(y.shape)} of {type(op).__name__} "
            "does not have; pass noise=..., the standard deviation of y in its own units"
        )
    y = check_finite(as_operator(op).usable(check_image(y)).detach())
    seen = torch.ones_like(y, dtype=torch.bool)
    if isinstance(op, Inpainting):
        mask = op.mask
        assert isinstance(mask, Tensor)  # deepinv makes a tensor of a float
        seen = (mask != 0).to(y.device).expand_as(y)
    stencils = SINOGRAMS if isinstance(op, Tomography) else IMAGES
    pairs = zip(y.split(1), seen.split(1), strict=True)
    return torch.stack([_one(image, where, stencils) for image, where in pairs])


def _one(y: Tensor, seen: Tensor, stencils: list[list[Stencil]]) -> Tensor:
    """The noise of one image [1, C, H, W]."""
    fill, y = doubles(fill_missing(y, seen.to(y))), doubles(y)
    seen = seen.to(y.device)
    low, high = torch.where(seen, y, math.inf).min(), torch.where(seen, y, -math.inf).max()
    for end in (low, high):
        same = seen & (y == end)
        if same.sum() > max(2, REPEATED * seen.sum()):
            seen = seen & ~same
    step = _step(y[seen])
    uniform = 0.5 * torch.erf(Draws(y).normal(y) / math.sqrt(2))  # in [-1/2, 1/2]
    details, loud = _details(y + step * uniform, fill, seen, stencils)
    if len(details) < LEAST:
        raise ValueError(
            f"the noise of y cannot be estimated from {len(details)} places where neighbours were "
            "seen, neither missing nor clipped; pass noise=..., the standard deviation of y"
        )
    chosen = loud.argsort()[: max(CHOSEN, int(QUIET * len(loud)))]
    variance = (details[chosen].abs().median() / MEDIAN) ** 2 - step**2 / 12
    # rounding alone has 1/12; below twice that the noise is not known from it
    if variance < step**2 / 6 or variance <= (NOTHING * (high - low)) ** 2:
        why = f"less noise than its steps of {step:.1e}" if step else "no noise that could be read"
        raise ValueError(f"y has {why}; pass noise=..., the standard deviation of y")
    return variance.sqrt()


def _details(
    y: Tensor, fill: Tensor, seen: Tensor, stencils: list[list[Stencil]]
) -> tuple[Tensor, Tensor]:
    """Differences at the places where a stencil sees all its pixels, and how loud it is there."""
    activity = _activity(fill, across=len(stencils[0][0][0]) > 1)
    details = loud = y.new_zeros(0)
    for several in stencils:
        parts = []
        for rows, columns in several:
            whole = _filtered(seen.double(), rows.abs() > 0, columns.abs() > 0)
            inside = whole > len(rows) * len(columns) - 0.5
            top, left = len(rows) // 2, len(columns) // 2
            near = activity[..., top : top + inside.shape[2], left : left + inside.shape[3]]
            parts.append((_filtered(y, rows, columns)[inside], near[inside]))
        details, loud = (torch.cat(part) for part in zip(*parts, strict=True))
        if len(details) >= min(ENOUGH, y.numel() / 2):
            break
    return details, loud


def _activity(y: Tensor, across: bool) -> Tensor:
    """Squared slope of the smoothed image around each pixel, along rows and if `across` beyond.

    The smoothing leaves out the frequencies of the fourth difference, so that their noise is
    independent.
    """
    down = SMOOTH if across else ONE
    smooth = _filtered(_extended(y, len(down) // 2, 2), down, SMOOTH)
    energy = F.pad(smooth.diff(dim=3), (0, 1)) ** 2 + F.pad(smooth.diff(dim=3), (1, 0)) ** 2
    if across:
        energy = energy + F.pad(smooth.diff(dim=2), (0, 0, 0, 1)) ** 2
        energy = energy + F.pad(smooth.diff(dim=2), (0, 0, 1, 0)) ** 2
    window = (5, 5) if across else (1, 5)
    return F.avg_pool2d(energy, window, 1, (window[0] // 2, 2), count_include_pad=False)


def _extended(y: Tensor, rows: int, columns: int) -> Tensor:
    return F.pad(y, (columns, columns, rows, rows), mode="replicate")


def _filtered(y: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Only where all pixels of the stencil lie inside; empty for an image that is smaller."""
    kernel = (rows[:, None] * columns).to(y)
    short = [max(0, k - n) for k, n in zip(kernel.shape, y.shape[2:], strict=True)]
    if any(short):
        return y.new_zeros(*y.shape[:2], 0, 0)
    return F.conv2d(y.flatten(0, 1)[:, None], kernel[None, None]).view(
        *y.shape[:2], *(n - k + 1 for n, k in zip(y.shape[2:], kernel.shape, strict=True))
    )


def _step(values: Tensor) -> float:
    """The distance of the levels to which values were rounded; 0.0 if they were not."""
    levels = values.unique()
    if len(levels) < 2 or len(levels) > len(values) / 4:
        return 0.0
    gaps = levels.diff()
    return gaps[gaps > 1e-6 * (levels[-1] - levels[0])].min().item()
