"""The variance of counts, pixel by pixel, from their neighbourhood: weights for a quadratic term.

A count's variance is its mean, and the count itself is a bad estimate of that: where few photons
came by chance it would be trusted most. A mean over neighbours is a better one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.operators.counts.camera import Counting
from solvers.protocols import per_image

WIDTH = 1.5
"""Standard deviation of the neighbourhood, pixels."""
LEAST = 0.5
"""Photons that an entry is taken to expect at least."""


def local_variance(y: Tensor, numbers: Counting) -> Tensor:
    """Variance of each entry of y [B, C, H, W], image units: gain times the local mean, + read^2.

    The mean is over a Gaussian neighbourhood, over y itself where it is no batch of images.

    >>> from proxlab.operators.counts.camera import counting
    >>> from proxlab.operators.counts.local_variance import local_variance
    >>> y = torch.full((1, 1, 8, 8), 0.5)
    >>> local_variance(y, counting(proxlab.operators.CameraNoise(gain=0.1), y)).mean()   # 0.5 * 0.1
    tensor(0.0500)
    """
    mean = _smoothed(y) if y.ndim == 4 else y
    return numbers.variance(torch.maximum(mean, LEAST * per_image(numbers.gain, y)))


def _smoothed(y: Tensor) -> Tensor:
    reach = round(3 * WIDTH)
    at = torch.arange(-reach, reach + 1, dtype=y.dtype, device=y.device)
    weights = torch.exp(-(at**2) / (2 * WIDTH**2))
    flat, ones = y.flatten(0, 1)[:, None], torch.ones_like(y[:1, :1])
    down, across = weights.view(1, 1, -1, 1), weights.view(1, 1, 1, -1)

    def summed(x: Tensor) -> Tensor:
        x = F.conv2d(x, down, padding=(reach, 0))
        return F.conv2d(x, across, padding=(0, reach))

    return (summed(flat) / summed(ones)).view_as(y)
