"""Cubic interpolation: small images enlarged, to the place that their operator gives each pixel."""

import torch

from solvers.protocols import Image


def cubic(x: Image, dim: int, factor: int, offset: float) -> Image:
    """x [..., n, ...] with factor n pixels along one axis: pixel i lands on factor i + offset.

    Edges are repeated. An offset between two pixels is met by neither, as the middle of a block of
    an even factor. Source: [Keys81].
    """
    n = x.shape[dim]
    where = (torch.arange(factor * n, dtype=x.dtype, device=x.device) - offset) / factor
    first = where.floor()
    shape = [-1 if i == dim else 1 for i in range(x.ndim)]
    found = torch.zeros_like(x).repeat_interleave(factor, dim)
    for k in (-1, 0, 1, 2):
        d = (where - first - k).abs()
        near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        neighbour = x.index_select(dim, (first.long() + k).clamp(0, n - 1))
        found = found + torch.where(d <= 1, near, far).view(shape) * neighbour
    return found
