"""The layers of an input-convex network, where no weight between two layers can be negative."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxlab.priors.lpn.potential import REFERENCE

DEGREE = 2
"""Degree of the polynomials of log s that biases and readouts (before their softplus) are."""


class ConvexLayers(nn.Module):
    """sum_k <w_k, z_k>, convex in v; a matrix is a convolution with filters of `side` pixels.

    `strides` are those of the layers after the first, `quiet` is where their readouts start.
    """

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
        """The sum for v [B, C, ...] at noise levels [B], [B] in float64, by a `multiply` below."""
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


def _one_sided_square(a: Tensor, corner: float) -> Tensor:
    """q(a) = max(a, 0)^2 / 2 but for a in -corner .. corner, where q'' rises linearly.

    So q'(a) - q'(-a) = a everywhere, with the rounded corner as without.
    """
    inside = (a + corner).clamp(0, 2 * corner)
    beyond = (a - corner).clamp(min=0)
    return inside * inside * inside / (12 * corner) + beyond * (beyond / 2 + corner)


def multiply(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """x W^T for rows x; vectors have no stride."""
    return F.linear(x, weights)


def convolve(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """Convolution with 3 x 3 filters on the mirrored image, so that a pixel lies in 9 patches."""
    filters = weights.view(len(weights), x.shape[1], 3, 3)
    return F.conv2d(F.pad(x, [1, 1, 1, 1], mode="replicate"), filters, stride=stride)


def _polynomial_of(constant: Tensor) -> Tensor:
    return torch.stack([constant.float()] + [torch.zeros_like(constant).float()] * DEGREE)


def _at(coefficients: Tensor, log_s: Tensor, like: Tensor) -> Tensor:
    """Polynomial of log s for each unit, [B, units, 1 ...] with the dimensions of `like`."""
    powers = log_s[:, None] ** torch.arange(len(coefficients), device=log_s.device)
    return (powers @ coefficients.to(like)).view(len(log_s), -1, *[1] * (like.ndim - 2))
