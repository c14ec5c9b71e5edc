"""The sizes of input-convex networks."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class VectorICNNConfig:
    """The size of an input-convex network for vectors."""

    size: int = 1
    """Entries of a vector."""
    width: int = 64
    """Units a layer, a multiple of 4 and at least 4 * size."""
    layers: int = 2
    spread: float = 3.0
    """The first biases start in -spread .. spread, in units of the noise."""
    corner: float = 0.1
    """Half the width of q's rounded corner, and 1 / sharpness of softplus."""
    alpha: float = 1e-6
    """Strong convexity: no eigenvalue of the prox's Jacobian is below."""
    seed: int = 0

    def __post_init__(self):
        _check(self, self.size, self.layers)


@dataclass(frozen=True)
class ImageICNNConfig:
    """The size of a convolutional input-convex network."""

    width: int = 64
    """Channels a layer, a multiple of 4 and at least 36 for gray images, 108 for colour."""
    strides: tuple[int, ...] = (2, 1, 2, 1, 2)
    """Of the layers after the first, which has none."""
    channels: int = 1
    spread: float = 3.0
    corner: float = 0.1
    alpha: float = 1e-6
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "strides", tuple(self.strides))  # a list, when it was JSON
        _check(self, 9 * self.channels, 1 + len(self.strides))


def _check(config: VectorICNNConfig | ImageICNNConfig, inputs: int, layers: int) -> None:
    if min(inputs, layers) < 1:
        raise ValueError(f"a network has inputs and layers, got {inputs} and {layers}")
    if config.width % 4 or config.width < 4 * inputs:
        raise ValueError(f"width is a multiple of 4, at least {4 * inputs}, got {config.width}")
    if not (0 < config.alpha < 1 and config.corner > 0 and math.isfinite(config.spread)):
        raise ValueError(
            f"expected 0 < alpha < 1, corner > 0 and a finite spread, got {config.alpha}, "
            f"{config.corner} and {config.spread}"
        )
