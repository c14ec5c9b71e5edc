"""Blur kernels: which ones an operator takes, and the Gaussian."""

import math

import numpy as np
import torch
from torch import Tensor

from proxlab.arrays import real_tensor

SUM_TOLERANCE = 1e-3
"""How far from 1 a kernel may sum; negative entries may cancel down to this share of the whole."""


def gaussian_kernel(sigma: float) -> Tensor:
    """Gaussian of std `sigma` pixels, cut at 4 sigma: float64 [n, n], n odd, sums to 1."""
    if not 0 < sigma <= 100:
        raise ValueError(f"a blur sigma is in pixels, expected 0 < sigma <= 100, got {sigma}")
    reach = math.ceil(4 * sigma)
    line = torch.exp(-((torch.arange(-reach, reach + 1.0).double() / sigma) ** 2) / 2)
    line = line / line.sum()
    return line[:, None] * line


def checked_kernel(kernel: np.ndarray | Tensor, normalize: bool) -> Tensor:
    """A copy in float64 [h, w]; see `operators.deblur` for what is refused."""
    kernel = real_tensor("kernel", kernel).to(torch.float64)
    if kernel.ndim != 2 or 0 in kernel.shape:
        raise ValueError(f"a kernel is [h, w], got shape {list(kernel.shape)}; index or squeeze it")
    size = " x ".join(map(str, kernel.shape))
    strange = int((~kernel.isfinite()).sum())
    if strange:
        raise ValueError(f"the kernel has {strange} entries that are NaN or infinite; repair it")
    if any(n % 2 == 0 for n in kernel.shape):
        raise ValueError(
            f"an even-sized kernel has no centre, got {size}; pad it with a zero row or column"
        )
    if not kernel.any():
        raise ValueError(f"all entries of the {size} kernel are zero; is it the right file?")
    total = kernel.sum().item()
    if normalize:
        if total <= SUM_TOLERANCE * kernel.abs().sum().item():
            raise ValueError(f"kernel sums to {total:.3g}, which nothing can be divided by")
        return kernel / total
    if abs(total - 1) > SUM_TOLERANCE:
        raise ValueError(
            f"kernel sums to {total:.4g}; pass normalize=True, or --normalize, to divide by it"
        )
    return kernel.clone()


def check_fits(kernel: Tensor, x: Tensor) -> None:
    """ValueError if the kernel [..., h, w] is larger than the images x."""
    (h, w), (height, width) = kernel.shape[-2:], x.shape[-2:]
    if h > height or w > width:
        raise ValueError(
            f"the kernel is {h} x {w}, larger than the image, {height} x {width}; crop the kernel"
        )
