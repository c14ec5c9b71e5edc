"""Missing pixels: the operator, its masks and which masks it takes, and the physics behind it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from deepinv.physics import Inpainting, LinearPhysics, NoiseModel
from torch import Tensor

from proxlab.operators.arguments import (
    check_finite,
    check_image,
    column,
    filled,
    listed,
    real,
    real_tensor,
    said,
    unchanged,
    whole,
)
from proxlab.operators.contract import Accuracy, QuadraticDataTerm
from proxlab.operators.counts.camera import CameraNoise
from proxlab.operators.data_terms.linear import LinearData
from proxlab.operators.data_terms.mask import MaskData
from proxlab.operators.noise import Weights, noise_model
from solvers.protocols import Image, per_image

MOST_PIXELS = 10**9
"""Pixels of a mask that is made here, at most; drawing it takes nine bytes for each."""


def random_mask(
    shape: Sequence[int], missing: float, generator: torch.Generator | None = None
) -> Tensor:
    """Bool mask of `shape` ([H, W] or [C, H, W]) with exactly round(missing * pixels) at False.

    Raises ValueError unless 0 <= missing < 1 and a pixel remains seen.

    >>> draw = torch.Generator().manual_seed(0)
    >>> mask = proxlab.operators.random_mask((10, 10), missing=0.3, generator=draw)
    >>> mask.dtype, (~mask).sum()
    (torch.bool, tensor(30))
    """
    sides = _sides(shape)
    count = math.prod(sides)
    if not 0 <= real(missing) < 1:
        raise ValueError(f"missing is a fraction, expected 0 <= missing < 1, got {said(missing)}")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is a torch.Generator, got {type(generator).__name__}")
    holes = round(real(missing) * count)
    if holes == count:
        raise ValueError(f"missing = {missing} leaves none of {count} pixels seen; take a smaller")
    device = generator.device if generator is not None else None
    order = torch.randperm(count, generator=generator, device=device)
    return (order >= holes).reshape(sides)


def box_mask(shape: Sequence[int], box: tuple[int, int, int, int]) -> Tensor:
    """Bool mask [H, W] or [C, H, W], False inside `box` = (y, x, h, w), y and x its top left.

    Raises ValueError for a box that is not inside the image, or is all of it.

    >>> proxlab.operators.box_mask((4, 5), (1, 2, 2, 3)).int()
    tensor([[1, 1, 1, 1, 1],
            [1, 1, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [1, 1, 1, 1, 1]], dtype=torch.int32)
    """
    sides = _sides(shape)
    height, width = sides[-2:]
    places = [whole(n) for n in listed(box)]
    if len(places) != 4:
        raise ValueError(f"a box is y, x, h, w, four whole numbers, got {said(box)}")
    y, x, h, w = places
    if not (0 <= y < y + h <= height and 0 <= x < x + w <= width):
        raise ValueError(f"box y, x, h, w = {said(box)} is not inside {height} x {width}")
    if (h, w) == (height, width):
        raise ValueError(f"box {h} x {w} covers the whole image, nothing is seen; take a smaller")
    mask = torch.ones(sides, dtype=torch.bool)
    mask[..., y : y + h, x : x + w] = False
    return mask


def boxes_mask(shape: Sequence[int], side: int) -> Tensor:
    """Bool mask [H, W] or [C, H, W], False in square boxes, one in each square of 3 sides.

    Raises ValueError for an image that is smaller than such a square.

    >>> mask = proxlab.operators.boxes_mask((64, 64), side=5)
    >>> mask.shape, round(1 - mask.double().mean().item(), 2)   # missing
    (torch.Size([64, 64]), 0.1)
    """
    sides = _sides(shape)
    height, width = sides[-2:]
    if not 1 <= whole(side) <= min(height, width) // 3:
        raise ValueError(
            f"boxes of {said(side)} pixels need images three times as large at least, got "
            f"{height} x {width}"
        )
    side = whole(side)
    mask = torch.ones(sides, dtype=torch.bool)
    for top in range(side, height - side, 3 * side):
        for left in range(side, width - side, 3 * side):
            mask[..., top : top + side, left : left + side] = False
    return mask


def checked_mask(mask: np.ndarray | Tensor) -> Tensor:
    """The mask as float32 [1 or C, H, W]; `operators.inpaint` says what is refused."""
    mask = real_tensor("mask", mask)
    if mask.ndim not in (2, 3) or 0 in mask.shape:
        raise ValueError(f"a mask is [H, W] or [C, H, W], got shape {list(mask.shape)}")
    strange = ~((mask == 0) | (mask == 1))
    if strange.any():
        raise ValueError(
            f"a mask holds 0 (missing) and 1 (seen) only, got {mask[strange][0].item()} among "
            "others; threshold it first, e.g. mask > 0"
        )
    if not mask.any():
        raise ValueError("the mask has no seen pixel (all 0); 1 means seen, is it inverted?")
    return mask.to(torch.float32).reshape(-1, *mask.shape[-2:])


def _sides(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, if a mask may have it."""
    sides = tuple(whole(n) for n in listed(shape))
    if len(sides) not in (2, 3) or min(sides) < 1:
        raise ValueError(f"a mask is [H, W] or [C, H, W], got shape {said(shape)}")
    if math.prod(sides) > MOST_PIXELS:
        raise ValueError(f"a mask has at most {MOST_PIXELS:.0e} pixels, got shape {said(shape)}")
    return sides


def inpaint(mask: np.ndarray | Tensor, noise: float | CameraNoise = 0.0) -> LinearPhysics:
    """Keep the pixels where `mask` [H, W] or [C, H, W] is 1, zero where it is 0.

    Gaussian noise of std `noise` (image units), or that of a camera, falls on the kept pixels only.
    [H, W] serves any
    number of channels. Raises ValueError or TypeError on other values or shapes, on a mask without
    a single 1, on a bad noise; the operator itself refuses images of another size than the mask.

    >>> mask = proxlab.operators.random_mask((32, 32), missing=0.5)
    >>> op = proxlab.operators.inpaint(mask, noise=0.01)
    >>> y = op(torch.ones(1, 1, 32, 32))
    >>> y.shape, (y == 0).sum()   # half of 1024 pixels
    (torch.Size([1, 1, 32, 32]), tensor(512))
    """
    mask = checked_mask(mask)
    return MaskedPixels(mask, noise_model(noise))


class MaskedPixels(Inpainting):
    """deepinv's Inpainting, which here refuses images that its mask would broadcast over.

    >>> op = proxlab.operators.inpaint(proxlab.operators.box_mask((8, 8), (2, 2, 3, 3)))
    >>> x = torch.ones(1, 1, 8, 8)
    >>> op.A(x).sum(), op.fitted(x).shape
    (tensor(55.), torch.Size([1, 1, 8, 8]))
    >>> op.prox_l2(0 * x, op.A(x), gamma=1.0).max()   # half way from 0 to the seen 1
    tensor(0.5000)
    """

    mask: Tensor

    def __init__(self, mask: Tensor, noise_model: NoiseModel):
        """`mask` is [1 or C, H, W]."""
        size: Any = tuple(mask.shape)  # deepinv takes [C, H, W] and says tuple[int]
        super().__init__(size, mask[None], noise_model=noise_model)
        self.forw = self.sensor_model = unchanged
        self._U = self._U_adjoint = self._V = self._V_adjoint = unchanged

    def fitted(self, x: Tensor) -> Tensor:
        """The mask [1, 1 or C, H, W] for images like x, in their dtype and on their device."""
        channels, *size = self.mask.shape[1:]
        if list(check_image(x).shape[2:]) != size or channels not in (1, x.shape[1]):
            raise ValueError(
                f"the mask is for [C, H, W] = {list(self.mask.shape[1:])}, the image has "
                f"{list(x.shape[1:])}; make the mask of the image's size"
            )
        return self.mask.to(x)

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        return super().forward(check_finite(x), **kwargs)

    def noise(self, x: Tensor, **kwargs) -> Tensor:
        return self.fitted(x) * self.noise_model(x, **kwargs)

    def A(self, x: Tensor, mask=None, **kwargs) -> Tensor:
        self.update_parameters(mask=mask, **kwargs)
        return self.fitted(x) * x

    def A_adjoint(self, y: Tensor, mask=None, **kwargs) -> Tensor:
        return self.A(y, mask=mask, **kwargs)

    def A_adjoint_A(self, x: Tensor, mask=None, **kwargs) -> Tensor:
        return self.A(x, mask=mask, **kwargs)

    def A_A_adjoint(self, y: Tensor, mask=None, **kwargs) -> Tensor:
        return self.A(y, mask=mask, **kwargs)

    def A_dagger(self, y: Tensor, mask=None, **kwargs) -> Tensor:
        return self.A(y, mask=mask, **kwargs)

    def prox_l2(self, z, y: Tensor, gamma, **kwargs) -> Tensor:
        """argmin_x gamma / 2 |A x - y|^2 + |x - z|^2 / 2; gamma a float, [B] or [B, 1, 1, 1]."""
        m, z, gamma = self.fitted(y), filled(z, y), column(gamma, y)
        return z + m * (y - z) * (gamma / (1 + gamma))

    def usable(self, y: Tensor) -> Tensor:
        """y with zeros where pixels are missing, which may hold anything, even NaN."""
        return torch.where(self.fitted(y) != 0, y, 0)

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """A product per pixel, unless pixels have weights of their own."""
        if weights.entry is not None:
            return LinearData(y, self, weights, accuracy, non_negative=True)
        return MaskData(self.fitted(y), y, weights.image)

    def first_estimate(self, y: Tensor) -> Image:
        """y, its missing pixels means of seen ones."""
        return fill_missing(y, (self.fitted(y) != 0).to(y).expand_as(y))


def fill_missing(y: Image, seen: Tensor) -> Image:
    """Missing pixels by normalised convolution, the Gaussian doubled until it reaches them."""
    y = torch.where(seen > 0, y, 0)
    filled, x, sigma = seen, y, 0.5
    while (filled == 0).any() and sigma < sum(y.shape[-2:]):
        sigma *= 2
        total, weight = _blur(y, sigma), _blur(seen, sigma)
        now = (filled == 0) & (weight >= 0.1)
        x = torch.where(now, total / weight.clamp(min=0.1), x)
        filled = filled + now
    mean = y.flatten(1).sum(1) / seen.flatten(1).sum(1).clamp(min=1)  # a channel without any
    return torch.where(filled == 0, per_image(mean, y), x)


def _blur(x: Image, sigma: float) -> Image:
    """Gaussian of height 1, not of sum 1, as two matrix products; nothing beyond the edges."""
    rows, columns = (
        torch.exp(-((i[:, None] - i) ** 2) / (2 * sigma**2))
        for i in (torch.arange(n, dtype=x.dtype, device=x.device) for n in x.shape[-2:])
    )
    return rows @ x @ columns
