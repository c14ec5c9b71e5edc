"""A preconditioner for I + s A^T A, where A^T A is nearly a convolution, as in tomography.

Its kernel, the response to a point, is taken from two corners of the image: one has all lags down
and to the right of it, the other those to the left, and the rest are their mirror images. On twice
the grid, padded with zeros, a convolution does not wrap around, and is inverted in Fourier.
[Clinthorne93, Fessler99]
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from solvers.protocols import Image

PRECONDITIONED_UP_TO = 2.5e3
"""Largest s max H at which it is used. Beyond it the steps are spent on what A hardly sees; where
views are few, A^T A is no convolution there, and plain conjugate gradients are as quick."""


class Circulant:
    """The convolution that is nearly A^T A: H >= 0 with A^T A about F^-1 H F on twice the grid."""

    def __init__(self, normal: Callable[[Image], Image], like: Image):
        """`normal` is A^T A on images [1, 1, H, W], `like` one of them."""
        height, width = self.size = like.shape[-2:]
        points = like.new_zeros(2, 1, height, width)
        points[0, 0, 0, 0] = points[1, 0, 0, -1] = 1
        right, left = torch.cat([normal(point[None]) for point in points])[:, 0]
        down = F.pad(right, (0, width))
        down[:, width + 1 :] = left[:, :-1]
        kernel = F.pad(down, (0, 0, 0, height))
        kernel[height + 1 :] = down[1:].flip(0, 1).roll(1, 1)
        self.spectrum = torch.fft.rfft2(kernel).real.clamp(min=0)

    def helps(self, s: Tensor) -> Tensor:
        """True where it is worth its cost, the shape of s."""
        return s * self.spectrum.max() <= PRECONDITIONED_UP_TO

    def solve(self, s: Tensor, r: Image) -> Image:
        """About (I + s A^T A)^-1 r, s against r [B, C, H, W]."""
        padded = torch.fft.rfft2(r, s=[2 * n for n in self.size])
        x = torch.fft.irfft2(padded / (1 + s * self.spectrum), s=[2 * n for n in self.size])
        return x[..., : self.size[0], : self.size[1]]
