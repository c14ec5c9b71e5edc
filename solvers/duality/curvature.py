"""Curvature of a quadratic as a filter: what the Hessian does to a point, used as a metric.

The Hessian of tomography nearly is a convolution, of which the spectrum of its response to a point
tells more than one Lipschitz constant does: what A hardly sees may move much further at each step.
[Clinthorne93, Fessler99]
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solvers.protocols import Image, PerImage, dot, float_for_sums, guarded, norm, per_image

FLOOR = 1e-2
"""Least curvature, of the largest: responses differ from place to place, and a filter that takes
A to be blind where it is not has to be scaled up as a whole. The best of 1e-4 to 1e-1 on a scan."""
POWERS = 12
"""Steps of the power method that scales the filter."""
RAISE = 1.5
"""Factor by which it is scaled up where a step shows it too small."""
PLACES = ((0.5, 0.5), (0.37, 0.68))
"""Places of points, as parts of height and width."""


@dataclass(frozen=True)
class Curvature:
    """The filter c H, per image and channel: about the Hessian of f, and meant to be above it."""

    filter: Tensor
    """H > 0 at each frequency, [B, C, H, W // 2 + 1]."""
    scale: PerImage
    """c, [B] in float64."""

    @staticmethod
    def measured(grad: Callable[[Image], Image], x: Image, lipschitz: PerImage) -> "Curvature":
        """Curvature of the quadratic with that gradient, for images like x.

        lipschitz [B] is about the Hessian's largest eigenvalue. Two products for H, and `POWERS`
        for c: the largest eigenvalue of H^-1/2 (Hessian) H^-1/2 by the power method, plus the
        residual of its last step. Where the Hessian is zero, so is x's business with f: c = 1.
        """
        still = grad(torch.zeros_like(x))

        def hessian(d: Image) -> Image:
            return grad(d) - still

        least = torch.where(lipschitz > 0, lipschitz, 1.0)
        # points as large as the data, or their rounding would drown them; x may be zero
        sums = float_for_sums(x)
        large = torch.maximum(norm(x).to(sums), norm(still).to(sums) / least)
        large = per_image(torch.where(large > 0, large, 1.0).to(x.dtype), x)
        response = torch.zeros_like(x)
        for down, across in PLACES:
            at = int(down * x.shape[-2]), int(across * x.shape[-1])
            point = torch.zeros_like(x)
            point[..., at[0], at[1]] = 1.0
            response += (hessian(large * point) / large).roll((-at[0], -at[1]), (-2, -1))
        found = torch.fft.rfft2(response / len(PLACES)).real.clamp(min=0)
        near = found + FLOOR * per_image(least, x)
        root, shape = near.sqrt(), x.shape[-2:]

        def whitened(d: Image) -> Image:
            inner = hessian(torch.fft.irfft2(torch.fft.rfft2(d) / root, s=shape))
            return torch.fft.irfft2(torch.fft.rfft2(inner) / root, s=shape)

        generator = torch.Generator().manual_seed(0)  # one picture for all images of the batch
        d = torch.randn(x.shape[1:], generator=generator).to(x).expand_as(x)
        # the gradient's constant part must not drown the product either
        length = large.flatten() * per_image(least, x).flatten().sqrt()
        scale = torch.ones_like(least)
        for _ in range(POWERS):
            d = d * per_image(length / guarded(d.flatten(1).norm(dim=1)), d)
            image = whitened(d)
            scale = dot(d, image) / dot(d, d)
            rest = image - per_image(scale, d) * d
            scale = scale + (dot(rest, rest) / dot(d, d)).sqrt()
            d = image
        return Curvature(near, torch.where(scale > 0, scale, 1.0))

    def solve(self, q: Image, s: PerImage, others: Tensor) -> Image:
        """(c H + s others)^-1 q, `others` a filter that broadcasts; s [B]."""
        metric = per_image(self.scale, q) * self.filter + per_image(s, q) * others
        return torch.fft.irfft2(torch.fft.rfft2(q) / metric, s=q.shape[-2:])

    def raised(self, where: Tensor) -> "Curvature":
        """The same, `RAISE` times as large for those images, [B]."""
        return replace(self, scale=torch.where(where, RAISE * self.scale, self.scale))

    def select(self, index: Tensor) -> "Curvature":
        """The same for those images of the batch."""
        return Curvature(self.filter[index], self.scale[index])
