"""Kernels of blurs: the Gaussian one, and which kernels are taken."""

import math

import numpy as np
import torch
from torch import Tensor

from proxlab.operators.arguments import real, real_tensor, said

SUM_TOLERANCE = 1e-3
"""Largest distance of a kernel's sum from 1. One that is to be normalised has to sum to more than
this share of its absolute values."""
SYMMETRY = 1e-6
"""Largest difference to its mirror image, over its largest entry, of a kernel that is one."""


def gaussian_kernel(sigma: float, even: bool = False) -> Tensor:
    """Gaussian of std `sigma` pixels, cut at 4 sigma: float64 [n, n], n odd, sums to 1.

    even: n is even, and the centre between four pixels, as `operators.superres` needs it for an
    even factor.
    Raises ValueError unless 0 < sigma <= 100.

    >>> kernel = proxlab.operators.gaussian_kernel(1.6)
    >>> kernel.shape, kernel.sum().round(decimals=6)
    (torch.Size([15, 15]), tensor(1., dtype=torch.float64))
    >>> proxlab.operators.gaussian_kernel(1.6, even=True).shape
    torch.Size([14, 14])
    """
    if not isinstance(even, (bool, np.bool_)):
        raise TypeError(f"even is True or False, got {said(even)}")
    if not 0 < real(sigma) <= 100:
        raise ValueError(f"a blur sigma is in pixels, expected 0 < sigma <= 100, got {said(sigma)}")
    sigma = real(sigma)
    reach = math.ceil(4 * sigma)
    places = torch.arange(-reach, reach + 1.0).double()
    places = places[:-1] + 0.5 if even else places
    line = torch.exp(-((places / sigma) ** 2) / 2)
    line = line / line.sum()
    return line[:, None] * line


def checked_kernel(kernel: np.ndarray | Tensor, normalize: bool, centred: bool = True) -> Tensor:
    """A copy of the kernel in float64 [h, w]; `operators.deblur` says what is refused.

    centred: whether one of its pixels has to be its centre.
    """
    if not isinstance(normalize, (bool, np.bool_)):
        raise TypeError(f"normalize is True or False, got {said(normalize)}")
    kernel = real_tensor("kernel", kernel).to(torch.float64)
    if kernel.ndim != 2 or 0 in kernel.shape:
        raise ValueError(f"a kernel is [h, w], got shape {list(kernel.shape)}; index or squeeze it")
    size = " x ".join(map(str, kernel.shape))
    strange = int((~kernel.isfinite()).sum())
    if strange:
        raise ValueError(f"the kernel has {strange} entries that are NaN or infinite; repair it")
    if centred and any(n % 2 == 0 for n in kernel.shape):
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


def check_kernel_fits(kernel: Tensor, x: Tensor) -> None:
    """ValueError if the kernel [..., h, w] is larger than the images x."""
    (h, w), (height, width) = kernel.shape[-2:], x.shape[-2:]
    if h > height or w > width:
        raise ValueError(
            f"the kernel is {h} x {w}, larger than the image, {height} x {width}; crop the kernel"
        )


def is_mirrored(kernel: Tensor) -> bool:
    """Whether the kernel [h, w] is its own mirror image, up to down and left to right."""
    away = torch.stack([kernel - kernel.flip(dim) for dim in (0, 1)]).abs().max()
    return bool(away <= SYMMETRY * kernel.abs().max())


def lengths_to_centre(kernel: Tensor, factor: int, offset: float) -> list[int]:
    """Pixels from the first of a block to that on which the last row, and column, of kernel lies.

    Its centre, at (n - 1) / 2, lies on row and column `offset` of the block of factor x factor
    pixels. Raises ValueError for a kernel whose pixels would lie between those of the image.
    """
    lengths = [offset + (n - 1) / 2 for n in kernel.shape]
    if all(length == round(length) for length in lengths):
        return [round(length) for length in lengths]
    (h, w), middle = kernel.shape, offset == (factor - 1) / 2
    where = f"the middle of a block of {factor} x {factor}" if middle else f"offset {offset:g}"
    sides = "odd" if offset == round(offset) else "even"
    more = "; or offset=0, which keeps the first pixel of each block" if sides == "even" else ""
    raise ValueError(
        f"a kernel of {h} x {w} has its centre between pixels on {where}; make its sides {sides}, "
        f"as gaussian_kernel(sigma, even={sides == 'even'}) has them{more}"
    )
