"""Sources of clean images that a diffusion is trained on: whole images, or crops of photographs."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from proxlab.images.folders import as_floats
from proxlab.images.stored import StoredImages


class Source(Protocol):
    """Images that are drawn at random."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Images in [-1, 1], [count, C, S, S]; the generator alone decides which."""
        ...

    def levels(self, most: int) -> Tensor:
        """Images to find mean and axes of, uint8 [N, C, S, S] with N <= most, always the same."""
        ...

    def __len__(self) -> int:
        """Number of images, or of those that crops are cut from."""
        ...


class Whole:
    """Images of one size, uint8 [N, C, S, S].

    >>> source = Whole(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8))
    >>> source.draw(1, torch.Generator())
    tensor([[[[1., 1.],
              [1., 1.]]]])
    """

    def __init__(self, images: Tensor):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """See `Source.draw`; with replacement."""
        return self.images[torch.randint(len(self), (count,), generator=generator)] / 127.5 - 1

    def levels(self, most: int) -> Tensor:
        """See `Source.levels`: the first of them."""
        return self.images[:most]


class Crops:
    """Square crops of photographs, half of them mirrored left to right; never turned.

    >>> source = Crops([torch.zeros(3, 40, 50, dtype=torch.uint8)], 32)
    >>> source.draw(2, torch.Generator()).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(self, images: Sequence[Tensor], side: int):
        """Crops of `side` pixels of images, gray [H, W] or [C, H, W], uint8 or floats in [0, 1].

        Raises ValueError for no images, and for one that is smaller than a crop.
        """
        shapes = (
            images.shapes if isinstance(images, StoredImages) else [tuple(x.shape) for x in images]
        )
        small = [shape for shape in shapes if min(shape[-2:]) < side]
        if small or not shapes:
            raise ValueError(
                f"crops of {side} x {side} pixels need images at least as large, got "
                f"{f'one of {small[0][-2]} x {small[0][-1]}' if small else 'none'}; enlarge it or "
                "leave it out"
            )
        self.images, self.side = images, side

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """See `Source.draw`."""
        return torch.stack([self._crop(generator) for _ in range(count)]) * 2 - 1

    def levels(self, most: int) -> Tensor:
        """See `Source.levels`: as many crops, but no more than 100 of an image."""
        generator = torch.Generator().manual_seed(0)
        drawn = self.draw(min(most, 100 * len(self)), generator)
        return ((drawn + 1) * 127.5).round().byte()

    def _crop(self, generator: torch.Generator) -> Tensor:
        x = self.images[int(torch.randint(len(self.images), (1,), generator=generator))]
        top, left = (
            int(torch.randint(n - self.side + 1, (1,), generator=generator)) for n in x.shape[-2:]
        )
        x = as_floats(x[..., top : top + self.side, left : left + self.side])
        x = x[None] if x.ndim == 2 else x
        return x.flip(-1) if int(torch.randint(2, (1,), generator=generator)) else x
