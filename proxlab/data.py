"""Training images: a folder read once into memory, a part held out, patches drawn from the rest."""

from pathlib import Path

import torch
from torch import Tensor

from proxlab.images import list_images, read_image

HELD_OUT_EVERY = 20


def load_gray(folder: str | Path) -> list[Tensor]:
    """Every image of a folder as gray levels 0 .. 255, uint8 [H, W], ordered by name."""
    return [_to_bytes(read_image(path, gray=True).pixels) for path in list_images(folder)]


def hold_out(
    images: list[Tensor], every: int = HELD_OUT_EVERY
) -> tuple[list[Tensor], list[Tensor]]:
    """(training, held out): each `every`-th image is kept for choosing settings."""
    return [x for i, x in enumerate(images) if i % every], images[::every]


class Patches:
    """Random square patches of images, turned and mirrored, as floats in [0, 1]."""

    def __init__(self, images: list[Tensor], size: int):
        small = [tuple(x.shape) for x in images if min(x.shape) < size]
        if small or not images:
            raise ValueError(
                f"patches of {size} pixels need images at least as large, got "
                f"{small[0] if small else 'none'}; use larger images or a smaller patch"
            )
        self.images = images
        self.size = size

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """[count, 1, size, size]; the generator alone decides which."""
        patches = torch.empty(count, 1, self.size, self.size)
        for patch in patches:
            x = self.images[_below(len(self.images), generator)]
            top = _below(x.shape[0] - self.size + 1, generator)
            left = _below(x.shape[1] - self.size + 1, generator)
            x = x[top : top + self.size, left : left + self.size]
            turns = _below(8, generator)
            x = x.rot90(turns % 4)
            patch[0] = (x.flip(0) if turns >= 4 else x) / 255
        return patches


def _below(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (1,), generator=generator))


def _to_bytes(pixels: Tensor) -> Tensor:
    return (pixels[0, 0] * 255).round().to(torch.uint8)
