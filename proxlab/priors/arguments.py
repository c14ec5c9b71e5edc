"""Checks of the images and noise levels that a prior is given, in the same words for all."""

import numpy as np
import torch
from torch import Tensor, nn

from solvers.protocols import float_for_sums


def check_images(v: Tensor) -> None:
    """Refuse anything but a batch of images [B, C, H, W] in float32 or float64, or an empty one.

    NaN and infinity pass: a solver whose image diverges goes on with the others. Raises TypeError
    for what is no tensor of numbers, ValueError for the rest.
    """
    if not isinstance(v, Tensor):
        raise TypeError(
            f"a prior takes a torch tensor [B, C, H, W], got {type(v).__name__}; torch.from_numpy?"
        )
    if v.layout is not torch.strided or v.is_meta:
        kind = "meta tensor, which holds no numbers" if v.is_meta else f"tensor of {v.layout}"
        raise TypeError(
            f"a prior takes an ordinary tensor [B, C, H, W], got a {kind}; .to_dense()?"
        )
    if v.ndim != 4 or 0 in v.shape or not v.is_floating_point():
        raise ValueError(
            f"a prior takes float images [B, C, H, W], got {v.dtype} of shape {list(v.shape)}"
        )
    if v.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"a prior computes in float32 or float64, got an image of {v.dtype}, whose "
            "rounding would cost more than 0.05 dB; convert it with .float()"
        )


def check_channels(name: str, v: Tensor, channels: int) -> None:
    """Raises ValueError if the prior knows colour images alone and v has another channel count."""
    if channels != 1 and v.shape[1] != channels:
        raise ValueError(
            f"{name} knows colour images [B, {channels}, H, W], got {list(v.shape)}; "
            "use a gray model such as lpn-gray, which takes any number of channels"
        )


def check_weights(name: str, v: Tensor, network: nn.Module) -> None:
    """Raises ValueError for images of another dtype or on another device than the weights."""
    weights = next(network.parameters(), None)
    if weights is not None and (v.dtype, v.device) != (weights.dtype, weights.device):
        raise ValueError(
            f"{name} has weights in {weights.dtype} on {weights.device}, got images in "
            f"{v.dtype} on {v.device}; move one with .to(...)"
        )


def noise_levels(
    name: str, v: Tensor, sigma: float | Tensor, known: tuple[float, float], dtype: torch.dtype
) -> Tensor:
    """The level of each image of v, [B]; sigma is a number or one per image, image units.

    Levels in float64 are in float32 on a device that has no other. Raises TypeError for what are no
    real numbers, ValueError for another number of them, and for one outside `known`, NaN included.
    """
    if dtype == torch.float64:
        dtype = float_for_sums(v)
    s = _real(sigma, dtype, v.device).flatten()
    if len(s) not in (1, len(v)):
        raise ValueError(f"sigma is one number or one per image, got {len(s)} for {len(v)} images")
    low, high = known
    outside = s[~((s >= low * (1 - 1e-6)) & (s <= high * (1 + 1e-6)))]
    if len(outside):
        raise ValueError(
            f"{name} knows noise levels from {low:.4f} to {high:.4f} in image units, got "
            f"sigma = {float(outside[0]):.4g}" + ("; divide by 255?" if outside[0] >= 1 else "")
        )
    return s.expand(len(v))


def _real(sigma: float | Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """sigma as a tensor of that dtype, in which a float keeps its digits."""
    try:
        found = torch.as_tensor(sigma)
        real = not (found.is_complex() or found.dtype is torch.bool or found.is_meta)
        if real and found.layout is torch.strided:
            return torch.as_tensor(sigma, dtype=dtype, device=device)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # whatever torch makes of it
        pass
    number = isinstance(sigma, (Tensor, np.ndarray, np.generic))
    got = sigma.dtype if number else f"{type(sigma).__name__} {str(sigma)[:40]!r}"
    raise TypeError(f"sigma is a number, or a tensor of one per image, in image units, got {got}")


def up_to(n: int, multiple: int) -> int:
    """n, or the next multiple above it."""
    return -(-n // multiple) * multiple
