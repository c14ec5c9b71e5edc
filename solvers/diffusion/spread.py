"""Spread of a posterior around a restricted step's centre: its covariance is D J, see `restricted`.

J is the Jacobian of the centre. It lies between r, where the posterior of the clean image is a
point, and 1. A spread gives J^(1/2) z: by one measured number for J, or by the Jacobian itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from solvers.posteriors.roots import root_times

Prox = Callable[[Tensor, float, float], Tensor]
"""`solvers.diffusion.proximal.LogDensityProx`."""


class Step(NamedTuple):
    """A restricted step, from time t down to s."""

    s: float
    lam: float
    """Factor of -log p_s in its prox, exp(int_s^t beta) - 1."""
    sigma: float
    """Noise before the step over the signal, sqrt((1 - a) / a) at t."""
    ratio: float
    """Square of that at s over its square at t."""


class Spread(Protocol):
    """The centre of a restricted step, and noise with the spread around it."""

    def centre(self, prox: Prox, y: Tensor, step: Step, noise: Tensor) -> tuple[Tensor, Tensor]:
        """prox(y, step.s, step.lam) and J^(1/2) noise, both [B, ...] like y and noise."""
        ...


@dataclass(frozen=True)
class ScalarSpread:
    """One number for the posterior's variance at each level, as in Analytic-DPM [Bao22].

    >>> solvers.ScalarSpread(lambda sigma: 0.1 * sigma**2 / (0.1 + sigma**2)).variance(1.0)
    0.09090909090909091
    """

    variance: Callable[[float], float]
    """sigma -> mean square of x_0 - E[x_0 | x_0 + sigma e] over coordinates and images."""

    def centre(self, prox: Prox, y: Tensor, step: Step, noise: Tensor) -> tuple[Tensor, Tensor]:
        """See `Spread.centre`. Raises ValueError for a variance below 0 or above sigma^2.

        >>> prox = lambda y, t, lam: y / (1 + lam)
        >>> step = solvers.diffusion.spread.Step(s=0.1, lam=3.0, sigma=2.0, ratio=0.25)
        >>> spread = solvers.ScalarSpread(lambda sigma: 0.2 * sigma**2)
        >>> spread.centre(prox, torch.ones(1, 2), step, torch.ones(1, 2))[1]
        tensor([[0.6325, 0.6325]])
        """
        share = self.variance(step.sigma) / step.sigma**2
        if not 0 <= share <= 1:
            raise ValueError(
                f"a posterior's variance is 0 to sigma^2, got {share:.3g} sigma^2 at sigma = "
                f"{step.sigma:.3g}; measure it as the error of the denoiser"
            )
        size = step.ratio + (1 - step.ratio) * share
        return prox(y, step.s, step.lam), size**0.5 * noise


@dataclass(frozen=True)
class JacobianSpread:
    """The Jacobian of the prox by autograd, and its root by Lanczos [Golub13, Sec. 10.3].

    It is that of a prox, symmetric, where the prox is exact; of another map the symmetric part is
    taken on the space that was searched. Raises ValueError unless 1 <= products <= 1000.

    >>> solvers.JacobianSpread().products
    4
    """

    products: int = 4
    """Products with the Jacobian for each step, each of them one backward pass. Of noisy digits 2
    give the root to 1 %."""

    def __post_init__(self):
        if isinstance(self.products, bool) or self.products not in range(1, 1001):
            raise ValueError(f"products is a whole number from 1 to 1000, got {self.products}")

    def centre(self, prox: Prox, y: Tensor, step: Step, noise: Tensor) -> tuple[Tensor, Tensor]:
        """See `Spread.centre`.

        >>> prox = lambda y, t, lam: y / (1 + lam)   # with the Jacobian 1 / (1 + lam) = 1 / 4
        >>> step = solvers.diffusion.spread.Step(s=0.1, lam=3.0, sigma=2.0, ratio=0.25)
        >>> solvers.JacobianSpread().centre(prox, torch.ones(1, 2), step, torch.ones(1, 2))[1]
        tensor([[0.5000, 0.5000]])
        """
        with torch.enable_grad():
            asked = y.detach().requires_grad_()
            answer = prox(asked, step.s, step.lam)

            def jacobian(u: Tensor) -> Tensor:
                return torch.autograd.grad(answer, asked, u, retain_graph=True)[0]

            fresh = root_times(jacobian, noise, self.products)[0]
        return answer.detach(), fresh
