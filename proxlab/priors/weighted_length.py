"""Length of an image's gradient, weighted: total variation as g(K x), for solvers without its prox.

    g = WeightedLength(8.0)
    g.value(x), g.forward(x), g.adjoint(u), g.project(u)    # 8 sum |K x|, K x, K^T u, |u| <= 8

K takes the differences to the pixels below and to the right; what such a g has to have is
`solvers.primal_dual.Composite`. [Rudin92]
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solvers.protocols import Image, PerImage, float_for_sums


@dataclass(frozen=True)
class WeightedLength:
    """g(x) = weight * sum |K x|, K the forward differences inside the image: x -> [B, 2, C, H, W].

    A `solvers.primal_dual.Composite`; weight a float, or one for each image [B].
    """

    weight: float | PerImage
    norm_squared: float = 8.0
    """A bound on |K|^2: each difference squared is at most twice its pixels squared."""

    @property
    def radius(self) -> float | PerImage:
        """Largest length of a dual arrow."""
        return self.weight

    def forward(self, x: Image) -> Tensor:
        """Differences to the pixel below and to the right, zero at the last ones."""
        u = x.new_zeros(len(x), 2, *x.shape[1:])
        if x.requires_grad and torch.is_grad_enabled():
            u[:, 0, ..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
            u[:, 1, ..., :-1] = x[..., 1:] - x[..., :-1]
            return u
        torch.sub(x[..., 1:, :], x[..., :-1, :], out=u[:, 0, ..., :-1, :])
        torch.sub(x[..., 1:], x[..., :-1], out=u[:, 1, ..., :-1])
        return u

    def adjoint(self, u: Tensor) -> Image:
        """K^T u: minus the divergence."""
        down, right = u[:, 0, ..., :-1, :], u[:, 1, ..., :-1]
        x = torch.zeros_like(u[:, 0])
        x[..., :-1, :].sub_(down)
        x[..., 1:, :].add_(down)
        x[..., :-1].sub_(right)
        x[..., 1:].add_(right)
        return x

    def project(self, u: Tensor) -> Tensor:
        """Arrows longer than the weight, cut to it."""
        size, tiny = lengths(u), torch.finfo(u.dtype).tiny
        if isinstance(self.weight, Tensor):
            weight = self.weight.to(u).view(-1, 1, 1, 1)
            longest = weight.clamp(min=tiny)
        else:  # a number on the CPU, which waits for no device
            weight, longest = torch.tensor(self.weight, dtype=u.dtype), max(self.weight, tiny)
        return u * (weight / size.clamp(min=longest)).unsqueeze(1)

    def value(self, x: Image) -> PerImage:
        """g(x), float64 [B]."""
        total = lengths(self.forward(x)).sum((1, 2, 3), dtype=float_for_sums(x))
        return total * self.weight

    def spectrum(self, x: Image) -> Tensor:
        """The Laplacian of an image that wraps around: all of K's differences and more."""
        height, width = x.shape[-2:]
        down = torch.fft.fftfreq(height, dtype=x.dtype, device=x.device)
        across = torch.fft.rfftfreq(width, dtype=x.dtype, device=x.device)
        return 4 - 2 * (2 * math.pi * down[:, None]).cos() - 2 * (2 * math.pi * across).cos()

    def select(self, index: Tensor) -> "WeightedLength":
        """The same for those images of the batch."""
        if not isinstance(self.weight, Tensor):
            return self
        return replace(self, weight=self.weight[index])


def lengths(u: Tensor) -> Tensor:
    """Length of each arrow, [B, 2, C, H, W] -> [B, C, H, W]."""
    if u.requires_grad:  # an arrow of no length has a gradient, zero, only so
        return torch.linalg.vector_norm(u, dim=1)
    return torch.addcmul(u[:, 0].square(), u[:, 1], u[:, 1]).sqrt()
