"""Images of a folder to train or test on, and the part of them that is held out."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from proxlab.images.hounsfield import read_slice
from proxlab.images.reading import list_images
from proxlab.images.stored import StoredImages, read_levels

HELD_OUT_EVERY = 20
"""One image of so many is held out for choosing settings; none is trained on."""


def load_gray(folder: str | Path) -> list[Tensor]:
    """Every image of a folder as gray levels 0 .. 255, uint8 [H, W], ordered by name."""
    return [read_levels(path, gray=True) for path in list_images(folder)]


def load_color(folder: str | Path) -> list[Tensor]:
    """Every image of a folder as levels 0 .. 255, uint8 [3, H, W], ordered by name.

    Raises ValueError for a gray image: three equal channels are no colours to learn or test on.
    """
    return [read_levels(path, gray=False) for path in list_images(folder)]


def load_ct(folder: str | Path) -> list[Tensor]:
    """Every CT slice of a folder, HOUNSFIELD mapped to [0, 1], float32 [H, W], ordered by name.

    DICOM, or 16-bit PNG that holds Hounsfield units + 1024. Raises ValueError for another file, and
    for a PNG with values above 4095, which are no Hounsfield units.
    """
    return [read_slice(path).pixels[0, 0] for path in list_images(folder)]


def hold_out(
    images: Sequence[Tensor], every: int = HELD_OUT_EVERY
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Images to train on, and each `every`-th, held out to choose settings; none is read here."""
    kept = [i for i in range(len(images)) if i % every]
    if isinstance(images, StoredImages):
        return images.part(kept), images[::every]
    return [images[i] for i in kept], images[::every]


def hold_out_part(image: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The only image there is, [H, W] or [3, H, W], without its end, and that end, held out.

    The end is a fifth of the longer side, at least `side` pixels, and no patch of that side lies in
    both. Raises ValueError for an image of which too little would be left.

    >>> from proxlab.images.folders import hold_out_part
    >>> kept, end = hold_out_part(torch.zeros(64, 200), 16)
    >>> kept.shape, end.shape
    (torch.Size([64, 160]), torch.Size([64, 40]))
    """
    height, width = image.shape[-2:]
    along, longer = (-2, height) if height > width else (-1, width)
    end = max(longer // 5, side)
    if min(height, width) < side or longer - end < side:
        raise ValueError(
            f"a single image of {height} x {width} pixels is too small to be trained on and judged "
            f"by, each in patches of {side}: one side has to have {2 * side} and the other {side}; "
            "add images, or take a larger one"
        )
    return image.narrow(along, 0, longer - end), image.narrow(along, longer - end, end)


def as_floats(image: Tensor) -> Tensor:
    """The image in [0, 1]: levels 0 .. 255 over 255, floats as they are."""
    return image / 255 if image.dtype == torch.uint8 else image
