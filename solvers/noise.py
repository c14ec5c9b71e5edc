"""Fresh Gaussian noise for a sampler, from a generator or from a function of the caller."""

from collections.abc import Callable

import torch
from torch import Tensor

Noise = torch.Generator | Callable[[Tensor], Tensor] | None
"""A generator, on any device; or a function x -> standard normal noise like x, which may give each
sample of a batch a sequence of its own; or None for torch's global generator."""


def normal_like(x: Tensor, noise: Noise = None) -> Tensor:
    """Fresh standard normal noise of the shape, dtype and device of x."""
    if noise is None:
        return torch.randn_like(x)
    if isinstance(noise, torch.Generator):
        drawn = torch.randn(x.shape, generator=noise, dtype=x.dtype, device=noise.device)
        return drawn.to(x.device, non_blocking=True)
    return noise(x)
