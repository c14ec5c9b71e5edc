"""Noise levels that are checked where they are known, so that no device is waited for.

A solver asks for its level as a number. To check that on the device would be to wait until all that
was asked for before is done, at every call; so it is checked on the CPU and sent behind the images.
"""

import torch
from torch import Tensor, nn

from proxlab.priors.arguments import check_channels, check_images, check_weights, noise_levels


def host_levels(
    name: str, v: Tensor, sigma: float | Tensor, known: tuple[float, float], dtype: torch.dtype
) -> Tensor:
    """The level of each image of v, [B], on the CPU unless sigma lies on a device already.

    Raises as `arguments.noise_levels`, which it is but for that.
    """
    there = isinstance(sigma, Tensor) and sigma.device.type != "cpu"
    images = v if there or v.device.type == "cpu" else torch.empty(len(v), 0)
    return noise_levels(name, images, sigma, known, dtype)


def sent(levels: Tensor, like: Tensor) -> Tensor:
    """The levels on the device of `like`, which is not waited for."""
    return levels.to(like.device, non_blocking=True)


def network_input(
    name: str,
    v: Tensor,
    sigma: float | Tensor,
    known: tuple[float, float],
    channels: int,
    network: nn.Module,
) -> tuple[Tensor, Tensor]:
    """Images [n, channels, H, W] as a network of so many channels takes them, and levels [n].

    A network of one channel takes every channel as an image. The levels are on the CPU where they
    are known there: see `sent`. Raises ValueError as the four checks of `arguments`.
    """
    check_images(v)
    check_channels(name, v, channels)
    check_weights(name, v, network)
    levels = host_levels(name, v, sigma, known, v.dtype)
    levels = levels.repeat_interleave(v.shape[1] // channels)
    return v.reshape(-1, channels, *v.shape[2:]), levels
