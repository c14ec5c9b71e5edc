"""The input-convex networks of learned proximal networks: for vectors, and for images of any size.

    z_1 = q(H_1 v + b_1),   z_k = softplus(W_k z_{k-1} + H_k v + b_k),   W_k, w_k >= 0,
    psi(v) = alpha |v|^2 / 2 + sum_k <w_k, z_k>                                       [Fang24]

is convex because q and softplus are convex and non-decreasing. Two things differ from the network
of its inventors. The first layer has a one-sided square, q(a) = max(a, 0)^2 / 2 with its corner
rounded. Softplus grows like |v|, so its gradient is bounded; two one-sided squares make the
identity, v^2 / 2 = q(v) + q(-v), and two others a soft threshold. And every layer is read out, so
that the network can start as the identity and grow into its deeper layers. It needs them: the slope
f' of squares alone is nowhere larger than the sum of its values far to the left and far to the
right, and a prox that is steep between two modes is steeper than that.

For images the matrices are convolutions, some with a stride, v enters each layer averaged down to
its size, and psi is a sum over all positions, whatever their number.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from proxlab.priors.arguments import up_to
from proxlab.priors.lpn.icnn_layers import ConvexLayers, convolve, multiply

QUIET_IMAGES, QUIET_VECTORS = -4.0, -2.0
"""First readouts of the deeper layers, before their softplus, for images and for vectors.

They are low, and training can still raise them: a softplus (or exp) of -10 never moves, and a
weight clamped to zero stays there.
"""


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
    """Seed of the random weights that training starts from."""

    def __post_init__(self):
        _check(self, self.size, self.layers)


@dataclass(frozen=True)
class ImageICNNConfig:
    """The size of a convolutional input-convex network."""

    width: int = 64
    """Channels a layer, a multiple of 4 and at least 36 for gray images, 108 for colour."""
    strides: tuple[int, ...] = (2, 1, 2, 1, 2)
    """Strides of the layers after the first, which has none."""
    channels: int = 1
    """1 for gray images, 3 for colour."""
    spread: float = 3.0
    """`spread`, `corner`, `alpha` and `seed` are those of `VectorICNNConfig`."""
    corner: float = 0.1
    alpha: float = 1e-6
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "strides", tuple(self.strides))  # a list, when it was JSON
        _check(self, 9 * self.channels, 1 + len(self.strides))


class VectorICNN(nn.Module):
    """psi for vectors of one size, given as images [B, 1, h, w] with h * w = size."""

    channels = 1
    fixed_size, reach, alignment = True, None, 1

    def __init__(self, config: VectorICNNConfig):
        super().__init__()
        self.config, self.alpha = config, config.alpha
        self.layers = ConvexLayers(config, config.size, 1, [1] * (config.layers - 1), QUIET_VECTORS)

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, the shape of v, at noise levels [B]."""
        return _gradient(self, v, sigma)[0]

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and |v|^2 / 2 - psi [B] in float64."""
        grad, psi = _gradient(self, v, sigma)
        return grad, _half_square(v) - (psi - self.total(torch.zeros_like(v), sigma)).detach()

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B] in float64, zero at v = 0."""
        return self.total(v, sigma) - self.total(torch.zeros_like(v), sigma)

    def total(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi up to its constant, [B]. Raises ValueError for vectors of another size."""
        if v[0].numel() != self.config.size:
            size, shape = self.config.size, list(v.shape[1:])
            raise ValueError(f"this network is for vectors of {size} entries, got {shape}")
        flat = v.flatten(1)
        return self.layers(flat, sigma, multiply) + self.config.alpha * _half_square(flat)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """All parameters for an optimiser, at one rate."""
        return [{"params": list(self.parameters()), "lr": learning_rate}]


class ImageICNN(nn.Module):
    """psi for images [B, channels, H, W] of any size, one set of weights for all noise levels."""

    fixed_size = False

    def __init__(self, config: ImageICNNConfig):
        super().__init__()
        self.config, self.alpha, self.channels = config, config.alpha, config.channels
        self.layers = ConvexLayers(config, config.channels, 3, config.strides, QUIET_IMAGES)

    @property
    def reach(self) -> int:
        """Pixels beyond an aligned block on which the gradient depends, made up to whole strides.

        Let J be the product of the strides up to a layer. Its unit i sees pixels J i - before to
        J i + after, through the layer below or through the means of v. The gradient at a pixel
        depends on all that is seen by the units that see this pixel.
        """
        jump, before, after, most = 1, 1, 1, 2
        for stride in self.config.strides:
            before, after = before + jump, after + jump
            jump *= stride
            before, after = max(before, jump), max(after, 2 * jump - 1)
            left = after // jump * jump + before
            right = (before - 1) // jump * jump + after + 1
            most = max(most, left, right)
        return up_to(most, jump)

    @property
    def alignment(self) -> int:
        """Pixels from one unit of the last layer to the next."""
        return math.prod(self.config.strides)

    def gradient(self, v: Tensor, sigma: Tensor) -> Tensor:
        """grad psi, the shape of v, at noise levels [B]."""
        return _gradient(self, v, sigma)[0]

    def gradient_and_gap(self, v: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """grad psi, and |v|^2 / 2 - psi [B] in float64, from two large terms: best with v in it."""
        grad, psi = _gradient(self, v, sigma)
        return grad, _half_square(v) - (psi - self.total(torch.zeros_like(v), sigma)).detach()

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B] in float64, zero at v = 0."""
        return self.total(v, sigma) - self.total(torch.zeros_like(v), sigma)

    def total(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi up to its constant, [B]."""
        return self.layers(v, sigma, convolve) + self.config.alpha * _half_square(v)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """All parameters for an optimiser, at one rate."""
        return [{"params": list(self.parameters()), "lr": learning_rate}]


def _gradient(potential: VectorICNN | ImageICNN, v: Tensor, sigma: Tensor):
    """(grad psi, psi), differentiable where gradients are enabled and something asks for them."""
    asked = v.requires_grad or any(p.requires_grad for p in potential.parameters())
    keep = torch.is_grad_enabled() and asked
    with torch.enable_grad():
        z = v if keep and v.requires_grad else v.detach().requires_grad_()
        psi = potential.total(z, sigma)
        (grad,) = torch.autograd.grad(psi.sum(), z, create_graph=keep)
    return grad, psi


def _half_square(v: Tensor) -> Tensor:
    return v.double().square().flatten(1).sum(1) / 2


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
