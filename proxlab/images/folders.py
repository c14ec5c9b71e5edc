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


def as_floats(image: Tensor) -> Tensor:
    """The image in [0, 1]: levels 0 .. 255 over 255, floats as they are."""
    return image / 255 if image.dtype == torch.uint8 else image
