"""Patches of CT slices as other scanners would have shown them, for priors of any pixel size.

A prior that is trained on slices as they are knows their pixels, their reconstruction kernel and
their window alone. Here each patch is drawn at a pixel size, a sharpness and a window of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from proxlab.images import HOUNSFIELD
from proxlab.training.patches import Patches

ZOOM = (0.35, 1.5)
"""Pixels of a patch per pixel of the slice; below 1 they are coarser."""
SHARPNESS = (-1.0, 0.5)
"""Shares of the difference between a patch and its blur that are added: -1 is a smooth kernel."""
WIDTH = (1500.0, 4095.0)
"""Hounsfield units from the black to the white of a window."""
BLACK = (-1024.0, -900.0)
"""Hounsfield units of its black, where it is not the whole scale."""
WHOLE = 0.5
"""Share of patches in the whole scale, which `HOUNSFIELD` is."""
BINOMIAL = torch.tensor([1.0, 2.0, 1.0]) / 4


@dataclass(frozen=True)
class ScanPatches:
    """Random square patches of slices in [0, 1], [H, W] floats, zoomed, filtered and windowed.

    Raises ValueError as `Patches` for slices from which the widest patch cannot be cut.
    """

    images: Sequence[Tensor]
    """`HOUNSFIELD` mapped to [0, 1]."""
    size: int
    """Side of a patch, pixels."""

    def __post_init__(self):
        Patches(self.images, self._side(ZOOM[0]))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Patches [count, 1, size, size]; the generator alone decides which."""
        return torch.cat([self._one(generator) for _ in range(count)])

    def _side(self, zoom: float) -> int:
        return math.ceil(self.size / zoom)

    def _one(self, generator: torch.Generator) -> Tensor:
        zoom, sharpness, share, width, black = torch.rand(5, generator=generator).tolist()
        side = self._side(ZOOM[0] * (ZOOM[1] / ZOOM[0]) ** zoom)
        x = Patches(self.images, side).draw(1, generator)
        # Antialiased, since a scanner of coarse pixels sees the mean of fine ones.
        x = interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        x = x + _between(SHARPNESS, sharpness) * (x - _blurred(x))
        if share < WHOLE:
            return x.clamp(0, 1)
        low, high = HOUNSFIELD
        start, width = _between(BLACK, black), _between(WIDTH, width)
        return ((x * (high - low) + low - start) / width).clamp(0, 1)


def _between(span: tuple[float, float], share: float) -> float:
    return span[0] + share * (span[1] - span[0])


def _blurred(x: Tensor) -> Tensor:
    """The binomial blur of [1, 1, H, W], its borders mirrored."""
    kernel = torch.outer(BINOMIAL, BINOMIAL)[None, None]
    return conv2d(pad(x, (1, 1, 1, 1), mode="reflect"), kernel)
