"""A penalty on curvature, which keeps a gradient step a prox while it is trained.

v - a grad g(v) is a prox where no eigenvalue of a grad^2 g is above 1. No network holds to that by
itself, so the largest eigenvalue is looked for at points between each photograph and its noisy
version, and the square of its excess over a target is added to the loss. [Hurault22, Sec. 4.2]
penalises the spectral norm by power iterations through a third derivative. Here it is Lanczos,
which needs fewer steps, on differences of grad g, and large eigenvalues alone are penalised:
negative curvature does not undo a prox.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from proxlab.training.losses import Loss, share
from solvers.protocols import dot, per_image
from solvers.spectrum import krylov

TARGET = 0.8
"""Largest eigenvalue that costs nothing, if not told: below 1, as Lanczos finds a little less than
there is."""
STEP = 0.3
"""Length of a difference over sigma: float32 still resolves it."""
LANCZOS_STEPS = 6
CORNER_SIDE = 32
"""Side of the corner of a patch that is looked at, pixels."""
CORNER_COUNT = 4
"""Patches of a batch that are looked at; together their corners have the pixels of 64 x 64."""


class ProxPenalty:
    """A loss plus `weight` times the mean of max(0, eigenvalue - `target`)^2.

    `slope(v, sigma)` is a grad g, differentiable by its parameters where gradients are enabled.
    """

    def __init__(
        self,
        loss: Loss,
        slope: Callable[[Tensor, Tensor], Tensor],
        weight: float,
        target: float = TARGET,
    ):
        self.loss, self.slope, self.weight, self.target = loss, slope, weight, target

    def __call__(self, estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
        """The loss of a whole batch: images [B, C, H, W] and sigma [B] -> a scalar."""
        return self.share(estimate, clean, sigma, slice(None))

    def share(self, estimate: Tensor, clean: Tensor, sigma: Tensor, part: slice) -> Tensor:
        """The share of the images `part`, see `losses.share`; the first few have a penalty too."""
        value = share(self.loss, estimate, clean, sigma, part)
        x, s = clean[:CORNER_COUNT, :, :CORNER_SIDE, :CORNER_SIDE], sigma[:CORNER_COUNT]
        # seeded by the levels that were drawn: an interrupted training goes on with the same noise
        generator = torch.Generator().manual_seed(int(float(sigma.double().sum()) * 2**40))
        noise = torch.randn(x.shape, generator=generator).to(x)
        way = torch.rand(len(x), 1, 1, 1, generator=generator).to(x)
        v = (x + way * s.view(-1, 1, 1, 1) * noise)[part]
        if not len(v):
            return value
        excess = (top_curvature(self.slope, v, s[part]) - self.target).clamp(min=0)
        return value + self.weight * (excess.square().mean() * (len(v) / len(x)))


def top_curvature(
    slope: Callable[[Tensor, Tensor], Tensor], v: Tensor, sigma: Tensor, steps: int = LANCZOS_STEPS
) -> Tensor:
    """The largest eigenvalue of the Jacobian of `slope` at each v [B, C, H, W], from below, [B].

    Differentiable by the parameters of `slope`: <u, slope(v + h u) - slope(v)> / h for the unit u
    that Lanczos found, which is held fixed. sigma [B] is handed to `slope`.
    """
    h = per_image(STEP * sigma, v)
    with torch.no_grad():
        at = slope(v, sigma)
        u = _top(lambda q: (slope(v + h * q, sigma) - at) / h, v, steps)
    return dot(u, (slope(v + h * u, sigma) - slope(v, sigma)) / h)


def _top(apply: Callable[[Tensor], Tensor], v: Tensor, steps: int) -> Tensor:
    """The Ritz vector of the largest Ritz value of a symmetric map, by Lanczos, [B, C, H, W]."""
    start = torch.randn(v[0].shape, generator=torch.Generator().manual_seed(0)).to(v).expand_as(v)
    basis, table = krylov(apply, start, steps)
    upper = table[:, :steps].cpu().double().triu()
    vectors = torch.linalg.eigh(upper + upper.triu(1).mT)[1][:, :, -1].to(v)
    parts = (per_image(vectors[:, k], v) * q for k, q in enumerate(basis[:steps]))
    return sum(parts, start=torch.zeros_like(v))
