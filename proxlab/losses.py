"""What a training step minimises: functions of an estimate and the clean image.

The minimiser of the squared loss is the posterior mean, that of the absolute loss the median of
each pixel, that of proximal matching, as gamma goes to zero, the most probable image: the prox of
-sigma^2 log p, which is what a prior's prox should be [Fang24].
"""

from dataclasses import dataclass

import torch
from torch import Tensor

REFERENCE = 25 / 255
"""The noise level at which every loss has its plain weight."""
DECAY = 1.2
"""A denoiser's squared error grows as sigma^1.2 over 5/255 .. 50/255 (12 dB a decade, measured)."""


def balanced_squared_error(estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Mean over a batch [B, C, H, W] of the squared error, relative to what its noise level allows.

    Without the weight sigma^-1.2 the highest noise levels would decide alone. A scalar, of order
    one. The minimiser of a squared loss is the posterior mean, at every weighting of levels.
    """
    error = (estimate - clean).square().mean((1, 2, 3))
    return 1000 * (error * (sigma * 255 / 25) ** -DECAY).mean()


def balanced_absolute_error(estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Mean over a batch [B, C, H, W] of |error|, relative to what its noise level allows; l1."""
    error = (estimate - clean).abs().mean((1, 2, 3))
    return 30 * (error * (sigma / REFERENCE) ** (-DECAY / 2)).mean()


@dataclass(frozen=True)
class ProximalMatching:
    """Mean over a batch [B, C, H, W] of 1 - exp(-r^2 / gamma^2), r the error of one image.

    r is the root mean square over its pixels (gamma sqrt(n) in the paper's norm). It counts an
    image that is missed by much more than gamma as lost, and so settles on what most likely is. It
    does not differ from the squared loss until gamma is well below r. [Fang24, Sec. 3]
    """

    gamma: float
    """At sigma = 25 / 255, image units. Denoisers of photographs leave r = 0.035 or so there."""
    growth: float = DECAY / 2
    """gamma grows as sigma^growth, by default as the error of a denoiser does; 0: one for all."""

    def __post_init__(self):
        if not 0 < self.gamma < float("inf"):
            raise ValueError(f"gamma is an error to tolerate, positive, got {self.gamma}")

    def __call__(self, estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
        gamma = self.gamma * (sigma / REFERENCE) ** self.growth
        error = (estimate - clean).square().mean((1, 2, 3))
        return -torch.expm1(-error / gamma.square()).mean()
