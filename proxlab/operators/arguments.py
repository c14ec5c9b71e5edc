"""Arrays and images at the door of an operator: let in as they are, or refused in one sentence."""

import numpy as np
import torch
from torch import Tensor


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
    """x if no entry is NaN or infinite. Asked at the doors only: a solver tells its own failures"""
    check_image(x)
    strange = int((~x.isfinite()).sum())
    if strange:
        raise ValueError(f"{strange} of {x.numel()} pixels are NaN or infinite; fill them first")
    return x


def filled(z: Tensor | float | None, y: Tensor) -> Tensor:
    """deepinv also passes numbers and None (zero) for an image."""
    return check_image(z) if isinstance(z, Tensor) else torch.full_like(y, z or 0.0)


def column(gamma: float | Tensor, y: Tensor) -> float | Tensor:
    if not isinstance(gamma, Tensor):
        return gamma
    if gamma.numel() not in (1, len(y)) or (gamma.ndim > 1 and gamma.numel() != len(gamma)):
        raise ValueError(
            f"gamma is a float, [B] or [B, 1, 1, 1] with B = {len(y)}, got {list(gamma.shape)}"
        )
    return gamma.to(y).reshape(-1, 1, 1, 1)
