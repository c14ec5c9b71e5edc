"""Errors of a CT slice in Hounsfield units: what PSNR on a scale of 4095 of them does not show.

    errors = proxlab.images.slices.hounsfield_errors(image, truth)
    errors.rmse, errors.bias, errors.noise

0.5 dB of PSNR at 42 dB are 2 Hounsfield units of 32, where liver and its lesions are 20 apart.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from proxlab.images.reading import HOUNSFIELD

SIDE = 15
"""Side of the flat region, pixels; of a smaller image its smaller side."""
SOFT = (-150.0, 250.0)
"""Hounsfield units between which the mean of a flat region is looked for: fat, organs, blood."""
WINDOW = (-160.0, 240.0)
"""Black and white of a soft-tissue window, 400 wide at 40, Hounsfield units."""
DIFFERENCE = 100.0
"""Size of a difference, Hounsfield units, that is drawn black or white."""
BODY = -500.0
"""Hounsfield units above which a pixel of the truth is taken to be body, not air."""


@dataclass(frozen=True)
class HounsfieldErrors:
    """Errors of images against the truth in Hounsfield units, a number for each, float64 [B].

    >>> truth = torch.full((1, 1, 32, 32), 0.25)
    >>> errors = proxlab.images.slices.hounsfield_errors(truth + 0.01, truth)
    >>> str(errors)
    'RMSE 40.9 HU, bias +40.9 HU, noise 0.0 HU in a flat region at row 0, column 0'
    """

    rmse: Tensor
    """Root of the mean squared error over the body, or over all where there is no body."""
    bias: Tensor
    """Mean error there."""
    noise: Tensor
    """Deviation of the error in the region of soft tissue where the truth is flattest."""
    place: Tensor
    """Row and column of that region's upper left pixel, whole numbers [B, 2]."""

    def __str__(self) -> str:
        """The first image's, in words."""
        row, column = self.place[0].tolist()
        return (
            f"RMSE {float(self.rmse[0]):.1f} HU, bias {float(self.bias[0]):+.1f} HU, noise "
            f"{float(self.noise[0]):.1f} HU in a flat region at row {row}, column {column}"
        )


def hounsfield_errors(
    x: Tensor, truth: Tensor, scale: tuple[float, float] = HOUNSFIELD
) -> HounsfieldErrors:
    """Errors of slices x against the truth, both [B, 1, H, W] in [0, 1], in Hounsfield units.

    scale: Hounsfield units of 0 and of 1. The flat region has `SIDE` pixels a side and lies where
    the truth varies least among those whose mean is soft tissue, or anywhere if none is; its noise
    is that of x - truth, so what structure the truth has there counts for nothing. NaN in an image
    makes its numbers NaN.
    Raises ValueError for images of two shapes or of several channels, and for a scale that does
    not rise.

    >>> truth = torch.full((1, 1, 64, 64), 0.25)
    >>> noisy = truth + 0.01 * torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    >>> errors = proxlab.images.slices.hounsfield_errors(noisy, truth)
    >>> errors.rmse.round(), errors.bias.abs() < 2   # of 0.01 * 4095
    (tensor([41.], dtype=torch.float64), tensor([True]))
    """
    checked(x, truth, scale)
    width = scale[1] - scale[0]
    true = truth.double() * width + scale[0]
    error = (x.double() - truth.double()) * width
    side = min(SIDE, *truth.shape[-2:])
    mean = avg_pool2d(true, side, 1)
    # about the middle of the scale, or the difference of two large squares would be rounding
    middle = true.flatten(1).mean(1).view(-1, 1, 1, 1)
    spread = avg_pool2d((true - middle).square(), side, 1) - (mean - middle).square()
    soft = (mean > SOFT[0]) & (mean < SOFT[1])
    soft = soft | ~soft.flatten(1).any(1).view(-1, 1, 1, 1)
    spread = torch.where(soft, spread.clamp(min=0), torch.inf).flatten(1)
    flattest = spread.argmin(1)
    rows, columns = flattest // mean.shape[-1], flattest % mean.shape[-1]
    rmse, bias, noise = [], [], []
    for one, there, row, column in zip(error, true, rows, columns, strict=True):
        body = one[there > BODY] if bool((there > BODY).any()) else one
        rmse.append(body.square().mean().sqrt())
        bias.append(body.mean())
        noise.append(one[0, row : row + side, column : column + side].std(correction=0))
    return HounsfieldErrors(
        torch.stack(rmse), torch.stack(bias), torch.stack(noise), torch.stack([rows, columns], 1)
    )


def soft_tissue_picture(
    x: Tensor, truth: Tensor, scale: tuple[float, float] = HOUNSFIELD
) -> Tensor:
    """The slice, the truth and their difference side by side, [B, 1, H, 3 W] in [0, 1].

    The first two are in the window of soft tissue (`WINDOW`), the difference x - truth is gray
    where it is 0 and black or white from `DIFFERENCE` Hounsfield units on. Raises as
    `hounsfield_errors`.

    >>> truth = torch.full((1, 1, 8, 8), 0.25)   # 0.25 * 4095 - 1024 = 0 Hounsfield units
    >>> picture = proxlab.images.slices.soft_tissue_picture(truth, truth)
    >>> picture.shape, picture[0, 0, 0, 0].round(decimals=1), picture[0, 0, 0, -1]
    (torch.Size([1, 1, 8, 24]), tensor(0.4000), tensor(0.5000))
    """
    checked(x, truth, scale)
    width = scale[1] - scale[0]
    low, high = WINDOW
    shown = [(image * width + scale[0] - low) / (high - low) for image in (x, truth)]
    difference = 0.5 + (x - truth) * width / (2 * DIFFERENCE)
    return torch.cat([*shown, difference], -1).clamp(0, 1)


def checked(x: Tensor, truth: Tensor, scale: tuple[float, float]) -> None:
    """Raise ValueError unless x and truth are slices of one shape, and the scale rises."""
    if x.shape != truth.shape or x.ndim != 4 or x.shape[1] != 1 or not x.numel():
        raise ValueError(
            "slices are [B, 1, H, W] with pixels, compared with a truth of their shape, got "
            f"{list(x.shape)} and {list(truth.shape)}; take one channel at a time"
        )
    if not scale[0] < scale[1]:
        raise ValueError(
            f"scale is the Hounsfield units of 0 and of 1, the second above the first, got {scale}"
        )
