"""What keeps a gradient step a prox while it is trained: its curvature is penalised.

v - a grad g(v) is a prox where no eigenvalue of a grad^2 g is above 1. No network holds to that by
itself, so the largest eigenvalue is looked for at points between each photograph and its noisy
version, and what is above a target is added to the loss, squared. [Hurault22, Sec. 4.2] penalises
the spectral norm by power iterations through a third derivative; here Lanczos, which needs fewer,
on differences of grad g, and from above alone: negative curvature does not undo a prox.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from proxlab.training.losses import Loss, share
from solvers.protocols import dot, per_image

TARGET = 0.8
"""Largest eigenvalue that costs nothing; what Lanczos misses lies above it."""
STEP = 0.3
"""Length of a difference over sigma: float32 still resolves it."""
LANCZOS_STEPS = 6
SIDE, COUNT = 32, 4
"""Of the corners of patches that are looked at, pixels, and how many of a batch: as many pixels as
one patch of 64 x 64."""


class ProxPenalty:
    """A loss plus `weight` times the mean of max(0, eigenvalue - `TARGET`)^2.

    `slope(v, sigma)` is a grad g, differentiable by its parameters where gradients are enabled.
    """

    def __init__(self, loss: Loss, slope: Callable[[Tensor, Tensor], Tensor], weight: float):
        self.loss, self.slope, self.weight = loss, slope, weight

    def __call__(self, estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
        return self.share(estimate, clean, sigma, slice(None))

    def share(self, estimate: Tensor, clean: Tensor, sigma: Tensor, part: slice) -> Tensor:
        """What the images `part` add, see `proxlab.loss_shares`: to the penalty those looked at."""
        value = share(self.loss, estimate, clean, sigma, part)
        x, s = clean[:COUNT, :, :SIDE, :SIDE], sigma[:COUNT]
        # seeded by the levels that were drawn: an interrupted training goes on with the same noise
        generator = torch.Generator().manual_seed(int(float(sigma.double().sum()) * 2**40))
        noise = torch.randn(x.shape, generator=generator).to(x)
        way = torch.rand(len(x), 1, 1, 1, generator=generator).to(x)
        v = (x + way * s.view(-1, 1, 1, 1) * noise)[part]
        if not len(v):
            return value
        excess = (top_curvature(self.slope, v, s[part]) - TARGET).clamp(min=0)
        return value + self.weight * (excess.square().mean() * (len(v) / len(x)))


def top_curvature(
    slope: Callable[[Tensor, Tensor], Tensor], v: Tensor, sigma: Tensor, steps: int = LANCZOS_STEPS
) -> Tensor:
    """The largest eigenvalue of the Jacobian of `slope` at each v [B, C, H, W], from below, [B].

    Differentiable by the parameters of `slope`: <u, slope(v + h u) - slope(v)> / h for the unit u
    that Lanczos found, which is held fixed. sigma [B] is what v is asked at.
    """
    h = per_image(STEP * sigma, v)
    with torch.no_grad():
        at = slope(v, sigma)
        u = _top(lambda q: (slope(v + h * q, sigma) - at) / h, v, steps)
    return dot(u, (slope(v + h * u, sigma) - slope(v, sigma)) / h)


def _top(apply: Callable[[Tensor], Tensor], v: Tensor, steps: int) -> Tensor:
    """The Ritz vector of the largest Ritz value of a symmetric map, by Lanczos, [B, C, H, W]."""
    start = torch.randn(v[0].shape, generator=torch.Generator().manual_seed(0)).to(v).expand_as(v)
    basis, rows = [start / per_image(dot(start, start).sqrt(), v).to(v)], []
    for _ in range(steps):
        w = apply(basis[-1])
        rows.append(
            torch.stack([dot(q, w) for q in basis] + [dot(w, w) * 0] * (steps - len(basis)))
        )
        for q in basis:
            w = w - per_image(dot(q, w), w) * q
        basis.append(w / per_image(dot(w, w).sqrt().clamp(min=1e-12), w))
    upper = torch.stack(rows, 1).permute(2, 0, 1).triu()  # [B, steps, steps]
    symmetric = upper + upper.triu(1).mT
    vectors = torch.linalg.eigh(symmetric.double().cpu())[1][:, :, -1].to(v)
    return sum(per_image(vectors[:, k], v) * q for k, q in enumerate(basis[:steps]))
