"""A line of pixels continued by its mirror image at both ends (half-sample symmetric).

    x[..., mirrored(torch.arange(-4, length + 4), length)]      # four pixels more on either side

The windows of a mixture potential, the blocks of local gains and the cells of a U-Net reach beyond
the border of an image, and see it there so.
"""

import torch
from torch import Tensor


def mirrored(places: Tensor, length: int) -> Tensor:
    """Numbers of the pixels that a line of `length` pixels repeats at integer `places`, any shape.

    Places 0 ... length - 1 are the pixels themselves, -1 repeats 0 and `length` the last; with
    every 2 * length places it all begins anew.
    """
    place = places % (2 * length)
    return torch.where(place < length, place, 2 * length - 1 - place)
