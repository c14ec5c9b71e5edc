"""Layouts of numpy arrays: one image [H, W] or [H, W, 3] becomes a batch, and answers go back.

    layout = Layout.of(array)          # or a sentence on why it could be two things
    x = layout.batch(array)            # tensor [1, C, H, W], 255 of uint8 become 1
    layout.back(x)                     # an array of the layout and the type of the first

A layout is told by the shape alone, so a shape that may mean two things is refused: [3, 64, 64] may
be one colour image or three gray ones. Batches are [B, C, H, W], as tensors are.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

CHANNELS = (1, 3)
"""Channels of an image: gray or colour."""
BATCH = 4
"""Dimensions of a batch [B, C, H, W]."""
WHITE = 255
"""Value of white in uint8."""
Kind = TypeVar("Kind", bound=Tensor | np.ndarray)
"""Either of the kinds in which images come and go."""


@dataclass(frozen=True)
class Layout:
    """Layout and type of an array of one image, or of a batch.

    >>> from proxlab.images.layouts import Layout
    >>> photo = np.zeros((48, 64, 3), np.uint8)
    >>> layout = Layout.of(photo)
    >>> x = layout.batch(photo)
    >>> x.shape, x.dtype
    (torch.Size([1, 3, 48, 64]), torch.float32)
    >>> layout.back(x).shape, layout.back(x).dtype
    ((48, 64, 3), dtype('uint8'))
    """

    sides: int
    """Dimensions of the array: 2 of [H, W], 3 of [H, W, C], 4 or more of [B, ...]."""
    dtype: np.dtype

    @classmethod
    def of(cls, array: np.ndarray) -> "Layout":
        """The layout of an array. Raises ValueError for a shape that is none, or may be two.

        >>> from proxlab.images.layouts import Layout
        >>> Layout.of(np.zeros((3, 64, 64)))
        Traceback (most recent call last):
            ...
        ValueError: an array [3, 64, 64] may be one image, its channels first, or a batch of gray...
        """
        shape = array.shape
        if array.ndim == 3:
            _check_one(shape)
        if array.ndim == 4 and shape[1] not in CHANNELS and shape[3] in CHANNELS:
            raise ValueError(
                f"an array {list(shape)} seems to be a batch with its channels last, and batches "
                "are [B, C, H, W]: .transpose(0, 3, 1, 2), or a tensor to have it as it is"
            )
        if array.ndim < 2 or 0 in shape:
            raise ValueError(
                f"an array is one image [H, W] or [H, W, 3], or a batch [B, C, H, W], got "
                f"{list(shape)}"
            )
        return cls(array.ndim, array.dtype)

    @property
    def one(self) -> bool:
        """Whether it is of one image, [H, W] or [H, W, C]."""
        return self.sides < BATCH

    def batch(self, array: np.ndarray) -> Tensor:
        """An array of that layout as a tensor [B, C, H, W]; 255 of uint8 becomes 1.

        Raises TypeError for numbers whose white is not known, and for none; see `as_tensor`.
        """
        if array.dtype == np.uint8:
            x = as_tensor(array).float() / WHITE
        else:
            x = as_tensor(array)
            if x.dtype not in (torch.float32, torch.float64):
                raise TypeError(
                    f"images are arrays of float32, float64 or uint8, got {array.dtype}, whose "
                    "white is not known; divide by it: (a / white).astype(numpy.float32)"
                )
        if not self.one:
            return x
        return x[None, None] if array.ndim == 2 else x.movedim(-1, 0)[None].contiguous()

    def back(self, x: Tensor) -> np.ndarray:
        """Images [..., B, C, H, W] in this layout and type; of uint8 rounded, clipped to 0..255."""
        if self.dtype == np.uint8:
            x = (x * WHITE).round().clamp(0, WHITE).to(torch.uint8)
        return self.floats(x)

    def floats(self, x: Tensor) -> np.ndarray:
        """Images [..., B, C, H, W] in this layout, their values as they are; of floats the type."""
        if self.one:
            x = x.detach().select(-4, 0).movedim(-3, -1)
            if self.sides == 2 and x.shape[-1] == 1:
                x = x[..., 0]
        floats = self.dtype.newbyteorder("=") if self.dtype.kind == "f" else None
        return np.ascontiguousarray(x.detach().cpu().numpy(), floats)


def as_tensor(array: np.ndarray) -> Tensor:
    """The numbers of an array as a tensor, on the CPU; a copy where torch could not share them.

    Raises TypeError for an array of no numbers that torch has, and for one with a mask, which would
    be lost.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("an array with a mask of its own is not read; take array.filled(...)")
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if not plain.flags.writeable:  # as those that Pillow hands out
        plain = plain.copy()
    try:
        return torch.from_numpy(plain)
    except TypeError:
        raise TypeError(
            f"an array of numbers is needed, of a type that torch has too, got one of "
            f"{array.dtype} {list(array.shape)}; .astype(numpy.float32)?"
        ) from None


def as_images(x: Tensor | np.ndarray) -> Tensor:
    """Images as a batch [B, C, H, W], a tensor as it is. Raises as `Layout.of` and `Layout.batch`.

    >>> from proxlab.images.layouts import as_images
    >>> as_images(np.zeros((8, 9, 3))).shape
    torch.Size([1, 3, 8, 9])
    """
    return Layout.of(x).batch(x) if isinstance(x, np.ndarray) else x


def as_samples(x: Tensor | np.ndarray) -> Tensor:
    """Samples as [n, B, C, H, W]: arrays [n, H, W] and [n, H, W, C] are of one image, B = 1.

    >>> from proxlab.images.layouts import as_samples
    >>> as_samples(np.zeros((5, 8, 9, 3))).shape
    torch.Size([5, 1, 3, 8, 9])
    """
    if not isinstance(x, np.ndarray):
        return x
    samples = as_tensor(x)
    if samples.ndim == 3:
        return samples[:, None, None]
    return samples.movedim(-1, 1)[:, None] if samples.ndim == 4 else samples


def _check_one(shape: tuple[int, ...]) -> None:
    """Raises ValueError unless [H, W, C] is the only thing that the shape may be."""
    first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
    if last and not first:
        return
    if shape[2] == 4:
        words = "has four channels; drop the alpha channel: a[..., :3]"
    elif first and last:
        words = "may have its channels first or last; give a batch: a.transpose(2, 0, 1)[None], or"
        words += " a[None]"
    else:
        words = (
            "may be one image, its channels first, or a batch of gray ones; give a batch: a[None] "
            "of one image, a[:, None] of gray ones"
        )
    raise ValueError(f"an array {list(shape)} {words}")
