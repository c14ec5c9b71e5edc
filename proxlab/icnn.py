"""The input-convex networks of learned proximal networks: for vectors, and for images of any size.

    z_1 = q(H_1 v + b_1),   z_k = softplus(W_k z_{k-1} + H_k v + b_k),   W_k, w_k >= 0,
    psi(v) = alpha |v|^2 / 2 + sum_k <w_k, z_k>                                       [Fang24]

is convex because q and softplus are convex and non-decreasing. Two things differ from the network
of its inventors. The first layer has a one-sided square, q(a) = max(a, 0)^2 / 2 with its corner
rounded: softplus grows like |v|, which leaves its gradient bounded, while two one-sided squares
make the identity, v^2 / 2 = q(v) + q(-v), and two others a soft threshold. And every layer is read
out, so that the network can start as the identity and grow into its deeper layers. These are
needed: squares alone have a slope f' at a point of at most the sum of those far to its left and
right, and a prox that is steep between two modes is beyond them.

For images the matrices are convolutions, some with a stride, v enters each layer averaged down to
its size, and psi is a sum over all positions, whatever their number.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab.icnn_config import ImageICNNConfig, VectorICNNConfig
from proxlab.potential import REFERENCE
from proxlab.prior_arguments import up_to

DEGREE = 2
"""Biases and readouts (before their softplus) are polynomials of log s of this degree."""
QUIET, SOFT = -4.0, -2.0
"""Where the readouts of the deeper layers start, before their softplus: low, but not out of reach.

A softplus (or exp) of -10 never moves, a weight clamped to zero stays there. Images, vectors.
"""


class VectorICNN(nn.Module):
    """psi for vectors of one size, given as images [B, 1, h, w] with h * w = size."""

    channels = 1
    fixed_size = True

    def __init__(self, config: VectorICNNConfig):
        super().__init__()
        self.config = config
        self.layers = _Layers(config, config.size, 1, [1] * (config.layers - 1), SOFT)

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
        return self.layers(flat, sigma, _multiply) + self.config.alpha * _half_square(flat)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """For an optimiser."""
        return [{"params": list(self.parameters()), "lr": learning_rate}]


class ImageICNN(nn.Module):
    """psi for images [B, channels, H, W] of any size, one set of weights for all noise levels."""

    def __init__(self, config: ImageICNNConfig):
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.layers = _Layers(config, config.channels, 3, config.strides, QUIET)

    @property
    def reach(self) -> int:
        """Pixels beyond an aligned block on which the gradient depends, made up to whole strides.

        Unit i of a layer with jump J, the product of strides so far, sees J i - before ..
        J i + after of the image, through the layer below or the means of v; the gradient at a pixel
        sees what the units see that see this pixel.
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
        """grad psi, and |v|^2 / 2 - psi [B] in float64: two large terms, so v is best float64."""
        grad, psi = _gradient(self, v, sigma)
        return grad, _half_square(v) - (psi - self.total(torch.zeros_like(v), sigma)).detach()

    def value(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi, [B] in float64, zero at v = 0."""
        return self.total(v, sigma) - self.total(torch.zeros_like(v), sigma)

    def total(self, v: Tensor, sigma: Tensor) -> Tensor:
        """psi up to its constant, [B]."""
        return self.layers(v, sigma, _convolve) + self.config.alpha * _half_square(v)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """For an optimiser."""
        return [{"params": list(self.parameters()), "lr": learning_rate}]


class _Layers(nn.Module):
    """sum_k <w_k, z_k>; a matrix is a convolution with filters of `side` pixels."""

    def __init__(self, config, inputs: int, side: int, strides, quiet: float):
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        width, fan_in = config.width, inputs * side**2
        self.corner, self.strides = config.corner, tuple(strides)
        # Directions Q with Q^T Q = I, each in four units (h, b), (-h, -b), (h, -b), (-h, b): their
        # one-sided squares add up to |v|^2 / 2, whatever b, and so do all patches of an image.
        frame = torch.randn(width // 4, fan_in, dtype=torch.float64, generator=generator)
        frame = torch.linalg.qr(frame)[0]
        lengths = frame.norm(dim=1, keepdim=True)
        signs = torch.tensor([1.0, -1.0, 1.0, -1.0]).repeat_interleave(width // 4)[:, None]
        biases = config.spread * torch.rand(width // 4, generator=generator).repeat(4)
        biases = biases * torch.tensor([1.0, -1.0, -1.0, 1.0]).repeat_interleave(width // 4)
        weights = (lengths.square() / (2 * side**2)).repeat(4, 1)[:, 0] * (1 - config.alpha)
        first = (signs * (frame / lengths).repeat(4, 1)).float()
        self.inputs = nn.ParameterList([first])
        self.biases = nn.ParameterList([_polynomial_of(biases)])
        self.unit = float(weights.mean())
        self.readouts = nn.ParameterList([_polynomial_of((weights / self.unit).expm1().log())])
        self.hidden = nn.ParameterList()
        for _ in self.strides:
            free = torch.randn(width, fan_in, generator=generator) / fan_in**0.5
            self.inputs.append(free)
            self.hidden.append(torch.randn(width, width * side**2, generator=generator))
            self.biases.append(_polynomial_of(torch.randn(width, generator=generator)))
            self.readouts.append(_polynomial_of(torch.full((width,), quiet)))

    def forward(self, v: Tensor, sigma: Tensor, multiply: Callable) -> Tensor:
        """v [B, C, ...] and noise levels [B] -> [B] in float64."""
        log_s = (sigma / REFERENCE).log().to(v)
        a = multiply(v, self.inputs[0].to(v), 1) + _at(self.biases[0], log_s, v)
        z = _one_sided_square(a, self.corner)
        total, area = self._read(0, z, log_s), 1
        for k, stride in enumerate(self.strides):
            if stride > 1:
                v = F.avg_pool2d(v, stride, ceil_mode=True)
            weights = F.softplus(self.hidden[k].to(v)) / self.hidden[k].shape[1]
            a = multiply(z, weights, stride) + multiply(v, self.inputs[k + 1].to(v), 1)
            a = a + _at(self.biases[k + 1], log_s, v)
            z = F.softplus(a, beta=1 / self.corner)
            area *= stride**2
            total = total + area * self._read(k + 1, z, log_s)
        return total

    def _read(self, k: int, z: Tensor, log_s: Tensor) -> Tensor:
        weights = self.unit * F.softplus(_at(self.readouts[k], log_s, z))
        return (weights * z).flatten(1).sum(1, dtype=torch.float64)


def _gradient(potential: VectorICNN | ImageICNN, v: Tensor, sigma: Tensor):
    """(grad psi, psi), differentiable where gradients are enabled and something asks for them."""
    asked = v.requires_grad or any(p.requires_grad for p in potential.parameters())
    keep = torch.is_grad_enabled() and asked
    with torch.enable_grad():
        z = v if keep and v.requires_grad else v.detach().requires_grad_()
        psi = potential.total(z, sigma)
        (grad,) = torch.autograd.grad(psi.sum(), z, create_graph=keep)
    return grad, psi


def _one_sided_square(a: Tensor, corner: float) -> Tensor:
    """max(a, 0)^2 / 2 outside -corner .. corner; its second derivative rises linearly inside.

    So q'(a) - q'(-a) = a everywhere, rounded corner or not.
    """
    inside = (a + corner).clamp(0, 2 * corner)
    beyond = (a - corner).clamp(min=0)
    return inside * inside * inside / (12 * corner) + beyond * (beyond / 2 + corner)


def _multiply(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    return F.linear(x, weights)


def _convolve(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """By 3 x 3 filters, the image continued by its mirror image: each pixel lies in 9 patches."""
    filters = weights.view(len(weights), x.shape[1], 3, 3)
    return F.conv2d(F.pad(x, [1, 1, 1, 1], mode="replicate"), filters, stride=stride)


def _polynomial_of(constant: Tensor) -> Tensor:
    return torch.stack([constant.float()] + [torch.zeros_like(constant).float()] * DEGREE)


def _at(coefficients: Tensor, log_s: Tensor, like: Tensor) -> Tensor:
    """A polynomial of log s for each unit, [B, units] shaped against `like`."""
    powers = log_s[:, None] ** torch.arange(len(coefficients), device=log_s.device)
    return (powers @ coefficients.to(like)).view(len(log_s), -1, *[1] * (like.ndim - 2))


def _half_square(v: Tensor) -> Tensor:
    return v.double().square().flatten(1).sum(1) / 2
