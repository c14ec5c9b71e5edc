"""Training pairs from noisy images alone: Recorrupted-to-Recorrupted [Pang21].

Of y = x + n, n ~ N(0, s^2), and fresh z ~ N(0, s^2),

    y1 = y + a z,    y2 = y - z / a

have noises n + a z and n - z / a that are independent. So a denoiser f that is to make y2 of y1 has

    E |f(y1) - y2|^2 = E |f(y1) - x|^2 + (1 + 1 / a^2) s^2 a pixel,

and what it learns is to make x of y1, whose noise is s sqrt(1 + a^2). Nobody has to know x.
"""

import math
from dataclasses import dataclass

import torch

from proxlab.training.draws import Drawn
from proxlab.training.patches import CleanPatches

SHARE = 0.5
"""The a above: the less it is, the nearer y1 is to the images at hand, and the noisier y2."""
GROWTH = math.sqrt(1 + SHARE**2)
"""Noise of what the denoiser sees, over that of the images: 1.118."""


@dataclass(frozen=True)
class RecorruptedPatches:
    """Pairs for a denoiser: patches y2 of noisy images as targets, y1 as inputs, the noise of y1.

    >>> from proxlab.training.patches import Patches
    >>> from proxlab.training.recorrupted import RecorruptedPatches
    >>> pairs = RecorruptedPatches(Patches([torch.rand(32, 32)], 8), sigma=0.1)
    >>> target, given, level = pairs.draw(2, torch.Generator().manual_seed(0))
    >>> given.shape, level
    (torch.Size([2, 1, 8, 8]), tensor([0.1118, 0.1118]))
    """

    patches: CleanPatches
    """Patches of images that are noisy already."""
    sigma: float
    """Standard deviation of their noise, image units."""

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """(y2 [B, C, size, size], y1, noise of y1 [B]); the generator alone decides.

        >>> from proxlab.training.patches import Patches
        >>> from proxlab.training.recorrupted import RecorruptedPatches
        >>> flat = Patches([torch.zeros(64, 64)], 64)
        >>> y2, y1, _ = RecorruptedPatches(flat, 0.1).draw(1, torch.Generator().manual_seed(0))
        >>> bool((y1 * y2).mean() < 0)   # z alone is in both, with opposite signs
        True
        """
        return recorrupted(self.patches.draw(count, generator), self.sigma, generator)


def recorrupted(noisy: torch.Tensor, sigma: float, generator: torch.Generator) -> Drawn:
    """(y2, y1, noise of y1 [B]) of noisy images [B, C, H, W] whose noise is `sigma`.

    >>> from proxlab.training.recorrupted import recorrupted
    >>> y = torch.zeros(1, 1, 2, 2)
    >>> y2, y1, _ = recorrupted(y, 0.1, torch.Generator().manual_seed(0))
    >>> torch.allclose(y2, -4 * y1)
    True
    """
    z = sigma * torch.randn(noisy.shape, generator=generator).to(noisy)
    levels = noisy.new_full((len(noisy),), GROWTH * sigma)
    return noisy - z / SHARE, noisy + SHARE * z, levels
