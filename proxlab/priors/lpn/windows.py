"""Overlapping square windows at every second pixel of an image of any size, without a seam.

The image is continued by its mirror image (half-sample symmetric). A window counts fully where it
lies inside. Where it crosses the border it counts by half along that axis, for its mirror image is
there too. With these weights the windows' energies add up to a multiple of the image's energy at
every pixel, so a network that sums over windows can be the exact gradient of a potential and still
leave the border as sharp as the middle. This holds for every height and width, because a window of
even size that starts at an even pixel is mirrored onto another one that does.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.mirror import mirrored

WINDOW_STRIDE = 2
"""Pixels from the start of one window to the next."""


def extend(x: Tensor, size: int) -> Tensor:
    """The image mirrored as far as windows reach that touch it, [B, C, H, W] -> [B, 4 C, h, w].

    Pixels are grouped in blocks of 2 x 2, one channel each, so that the windows lie at every
    position of a grid and convolutions on it have no stride (on CPUs a strided transposed
    convolution is ten times slower).
    """
    height, width = x.shape[-2:]
    rows, columns = _mirrored(height, size, x.device), _mirrored(width, size, x.device)
    return F.pixel_unshuffle(x.index_select(-2, rows).index_select(-1, columns), WINDOW_STRIDE)


def fold(blocks: Tensor, size: int, height: int, width: int) -> Tensor:
    """The adjoint of `extend`, [B, 4 C, h, w] -> [B, C, H, W]."""
    y = F.pixel_shuffle(blocks, WINDOW_STRIDE)
    rows, columns = _mirrored(height, size, y.device), _mirrored(width, size, y.device)
    y = y.new_zeros(*y.shape[:-2], height, y.shape[-1]).index_add(-2, rows, y)
    return y.new_zeros(*y.shape[:-1], width).index_add(-1, columns, y)


def multiplicity(size: int, height: int, width: int, like: Tensor) -> Tensor:
    """Weight of each window, [h, w]: 1 inside, 1/2 across an edge, 1/4 across a corner."""

    def along(length: int) -> Tensor:
        number = torch.arange(_count(length, size), device=like.device)
        start = number * WINDOW_STRIDE - (size - WINDOW_STRIDE)
        inside = (start >= 0) & (start + size <= length)
        return torch.where(inside, 1.0, 0.5).to(like.dtype)

    return along(height)[:, None] * along(width)


def owned(size: int, shape: Sequence[int], part: tuple[slice, slice]) -> tuple[slice, slice]:
    """Rows and columns of the windows whose middle lies in `part` of an image of `shape` H, W.

    A middle beyond a border counts as on it, so that every window belongs to one pixel.
    """

    def along(length: int, within: slice) -> slice:
        first, last, _ = within.indices(length)
        number = [-(-(edge + size // 2 - WINDOW_STRIDE) // WINDOW_STRIDE) for edge in (first, last)]
        return slice(
            number[0] if first > 0 else 0, number[1] if last < length else _count(length, size)
        )

    rows, columns = (along(*pair) for pair in zip(shape, part, strict=True))
    return rows, columns


def overlaps(size: int) -> int:
    """Number of windows of this size over a pixel."""
    return (size // WINDOW_STRIDE) ** 2


def _count(length: int, size: int) -> int:
    """Number of windows that touch a line: they start at -(size - 2), ..., length - 1.

    On a line shorter than a window none lies inside, and mirror images repeat after 2 * length.
    """
    return length if length < size else (length - 1) // WINDOW_STRIDE + size // WINDOW_STRIDE


def _mirrored(length: int, size: int, device: torch.device) -> Tensor:
    """Pixel of a line whose value each pixel of the extended line repeats."""
    total = WINDOW_STRIDE * (_count(length, size) - 1) + size
    return mirrored(torch.arange(total, device=device) - (size - WINDOW_STRIDE), length)
