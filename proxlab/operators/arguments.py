"""Arrays, images and numbers at the door of an operator: let in, or refused in one sentence."""

import numpy as np
import torch
from torch import Tensor

from solvers.protocols import PerImage, float_for_sums


def unchanged(x: Tensor, *args, **kwargs) -> Tensor:
    """x: in place of deepinv's lambdas, which hold operators back from being pickled."""
    return x


def real_tensor(what: str, array: np.ndarray | Tensor) -> Tensor:
    """The array as a tensor cut off from gradients; TypeError unless it is one of real numbers."""
    if not isinstance(array, (np.ndarray, Tensor)):
        raise TypeError(f"a {what} is a numpy array or tensor, got {type(array).__name__}")
    array = torch.as_tensor(array).detach()
    if array.is_complex():
        raise TypeError(f"a {what} is real, got {array.dtype}; take its real part?")
    return array


def check_image(x: Tensor) -> Tensor:
    """x if it is a float32 or float64 tensor [B, C, H, W]; TypeError or ValueError otherwise."""
    if not isinstance(x, Tensor):
        raise TypeError(f"an image is a torch tensor, got {type(x).__name__}; torch.from_numpy?")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"images are float32 or float64, got {x.dtype}; .float() and [0, 1] first")
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"images are [B, C, H, W], got shape {list(x.shape)}; x[None, None]?")
    return x


def check_finite(x: Tensor) -> Tensor:
    """x if it is an image without NaN and infinity; TypeError or ValueError otherwise."""
    check_image(x)
    strange = int((~x.isfinite()).sum())
    if strange:
        raise ValueError(f"{strange} of {x.numel()} pixels are NaN or infinite; fill them first")
    return x


def filled(z: Tensor | float | None, y: Tensor) -> Tensor:
    """z as an image like y: deepinv also passes numbers, and None for zero."""
    return check_image(z) if isinstance(z, Tensor) else torch.full_like(y, z or 0.0)


def column(gamma: float | Tensor, y: Tensor) -> float | Tensor:
    """A number as it is, one for each image as [B, 1, 1, 1]; ValueError for another shape."""
    if not isinstance(gamma, Tensor):
        return gamma
    if gamma.numel() not in (1, len(y)) or (gamma.ndim > 1 and gamma.numel() != len(gamma)):
        raise ValueError(
            f"gamma is a float, [B] or [B, 1, 1, 1] with B = {len(y)}, got {list(gamma.shape)}"
        )
    return gamma.to(y).reshape(-1, 1, 1, 1)


def positive(name: str, number: float | PerImage, y: Tensor) -> PerImage:
    """A number, or one for each image, as float64 [B]; ValueError unless positive and finite."""
    each = torch.as_tensor(number, device=y.device, dtype=float_for_sums(y))
    if each.ndim and each.shape != y.shape[:1]:
        raise ValueError(f"{name} is a float or [B], B = {len(y)}, got {list(each.shape)}")
    if not ((each > 0) & each.isfinite()).all():
        raise ValueError(f"{name} is positive and finite, got {each.tolist()}")
    return each.expand(len(y))
