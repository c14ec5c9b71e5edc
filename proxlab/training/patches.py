"""Training pairs of a denoiser: patches cut, turned and mirrored at random, and noise added."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from proxlab.images.folders import as_floats
from proxlab.images.stored import StoredImages
from proxlab.training.draws import Drawn


class CleanPatches(Protocol):
    """Patches of a set of images."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Patches [count, 1 or 3, size, size] in [0, 1]; the generator alone decides which."""
        ...


class Patches:
    """Random square patches of images, turned and mirrored, as floats in [0, 1].

    The images are uint8 or floats in [0, 1], all gray [H, W] or all in colour [3, H, W]. Raises
    ValueError for no images, for a mixture of the two kinds, and for an image that is smaller than
    `size`; of images that stay on disk the headers are read.
    """

    def __init__(self, images: Sequence[Tensor], size: int):
        if isinstance(images, StoredImages):
            shapes = images.shapes
        else:
            shapes = [tuple(x.shape) for x in images]
        small = [shape for shape in shapes if min(shape[-2:]) < size]
        if small or not shapes:
            raise ValueError(
                f"patches of {size} pixels need images at least as large, got "
                f"{small[0] if small else 'none'}; use larger images or a smaller patch"
            )
        kinds = {shape[:-2]: list(shape) for shape in shapes}
        if len(kinds) > 1 or not set(kinds) <= {(), (3,)}:
            raise ValueError(
                "images for patches are all [H, W] or all [3, H, W], got "
                f"{' and '.join(map(str, kinds.values()))}; convert them"
            )
        self.images: Sequence[Tensor] = images
        self.channels = 3 if len(shapes[0]) == 3 else 1
        self.size = size

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Patches [count, 1 or 3, size, size]; the generator alone decides which."""
        patches = torch.empty(count, self.channels, self.size, self.size)
        for patch in patches:
            x = self.images[_below(len(self.images), generator)]
            top = _below(x.shape[-2] - self.size + 1, generator)
            left = _below(x.shape[-1] - self.size + 1, generator)
            x = x[..., top : top + self.size, left : left + self.size]
            turns = _below(8, generator)
            x = as_floats(x.rot90(turns % 4, (-2, -1)))
            patch[:] = x.flip(-2) if turns >= 4 else x
        return patches


@dataclass(frozen=True)
class NoisyPatches:
    """Pairs for a denoiser: clean patches, the same with noise, and the noise levels."""

    patches: CleanPatches
    sigma_range: tuple[float, float]
    """Image units; levels are drawn uniformly in their square roots."""

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """(clean [B, C, size, size], noisy, sigma [B]); the generator alone decides."""
        clean = self.patches.draw(count, generator)
        low, high = (s**0.5 for s in self.sigma_range)
        sigma = (low + (high - low) * torch.rand(count, generator=generator)) ** 2
        noise = torch.randn(clean.shape, generator=generator)
        return clean, clean + sigma.view(-1, 1, 1, 1) * noise, sigma


def _below(n: int, generator: torch.Generator) -> int:
    """A random number from 0 to n - 1."""
    return int(torch.randint(n, (1,), generator=generator))
