"""Rival samplers of posteriors, short, on one denoiser and with closed forms in the data.

Each is called as rival(posterior, levels, generator) and returns a batch of draws; a level costs
one evaluation of the denoiser and, where a gradient goes through it, one product with its Jacobian.
They know of a posterior what `Posterior` has, and so draw points seen through a matrix
(`examples.posteriors.cells`) as well as images that are measured pixel by pixel or frequency by
frequency (`examples.posteriors.diagonal`). DPS, which asks for more, draws points only.
In coordinates x_sigma = x_0 + sigma e, D the denoiser, over a falling sequence of levels:
- PiGDM (Song et al., ICLR 2023): guidance by the gradient of log p(y | x_sigma), where
  p(x_0 | x_sigma) is taken to be N(D, r^2 I);
- DPS (Chung et al., ICLR 2023): a step towards the measurement by the gradient of |y - A D(x)|;
- DAPS (Zhang et al., CVPR 2025) with an exact Gaussian draw in place of its Langevin steps:
  x_0 ~ N(D, r^2 I) given y, and noise anew;
- DiffPIR (Zhu et al., CVPR Workshops 2023): the data term's prox at D, then a share of the old
  noise and of fresh noise;
- PnP-DM [Wu24]: draws of x_0 given y and a coupled image, and a short diffusion of the coupled one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from examples.posteriors.cells import Cell
from solvers.noise import normal_like


class Posterior(Protocol):
    """Posteriors to draw from, x ~ prior given y = A x + noise e; draws are a batch [N, ...]."""

    @property
    def centre(self) -> Tensor:
        """Mean of the prior, once for each draw."""
        ...

    @property
    def variance(self) -> float:
        """Mean variance of a coordinate of the prior."""
        ...

    def denoise(self, x: Tensor, sigma: float, /) -> Tensor:
        """D(x, sigma)."""
        ...

    def linearize(self, x: Tensor, sigma: float, /) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """D(x, sigma), and u -> J^T u with the Jacobian J there, to be called once."""
        ...

    def weighed(self, mean: Tensor, variance: float, /) -> Tensor:
        """A^T (variance A A^T + noise^2)^-1 (y - A mean)."""
        ...

    def given(self, mean: Tensor, variance: float, generator: torch.Generator | None, /) -> Tensor:
        """Draws of N(mean, variance I) given y; without a generator their mean."""
        ...


class Sampler(Protocol):
    """A sampler of cells with its settings."""

    products: ClassVar[int]
    """Products with the denoiser's Jacobian that a level takes."""

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator, /) -> Tensor:
        """Draws [N, d], by so many evaluations of the denoiser."""
        ...


def falling(high: float, low: float, count: int) -> list[float]:
    """Levels from high to low, in equal ratios; a single one is the low one."""
    return [low * (high / low) ** ((count - 1 - k) / max(1, count - 1)) for k in range(count)]


def wide(posterior: Posterior, sigma: float, generator: torch.Generator) -> Tensor:
    """Noise of the first level around the prior's mean; a single level is the low one."""
    mean = posterior.centre
    return mean + sigma * normal_like(mean, generator)


def plain(posterior: Posterior, generator: torch.Generator) -> Tensor:
    """Draws given y of a prior that knows no more than its mean and variance."""
    return posterior.given(posterior.centre, posterior.variance, generator)


def renoised(
    x: Tensor, clean: Tensor, levels: tuple[float, float], fresh: float, generator: torch.Generator
) -> Tensor:
    """The clean image with noise of the second level, `fresh` of it new, the rest that of x."""
    sigma, following = levels
    kept = max(0.0, following**2 - fresh**2) ** 0.5
    return clean + kept * (x - clean) / sigma + fresh * normal_like(x, generator)


def ancestral(sigma: float, following: float) -> float:
    """Fresh noise of an ancestral step."""
    return following * (1 - (following / sigma) ** 2) ** 0.5


@dataclass(frozen=True)
class PiGDM:
    """Settings: the levels, and the share of fresh noise."""

    high: float = 5.0
    low: float = 0.05
    eta: float = 0.5
    products: ClassVar[int] = 1

    def __call__(self, posterior: Posterior, levels: int, generator: torch.Generator) -> Tensor:
        """Draws like the centre."""
        sigmas = [*falling(self.high, self.low, levels), 0.0]
        x = wide(posterior, sigmas[0], generator)
        for sigma, following in pairwise(sigmas):
            r2 = posterior.variance * sigma**2 / (posterior.variance + sigma**2)
            mean, transposed = posterior.linearize(x, sigma)
            clean = mean + sigma**2 * transposed(posterior.weighed(mean, r2))
            fresh = self.eta * ancestral(sigma, following)
            x = renoised(x, clean, (sigma, following), fresh, generator)
        return x


@dataclass(frozen=True)
class DPS:
    """Settings: the levels, and the step towards the measurement; noise as in ancestral steps."""

    high: float = 5.0
    low: float = 0.05
    step: float = 1.0
    products: ClassVar[int] = 1

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        sigmas = [*falling(self.high, self.low, levels), 0.0]
        x = wide(cell, sigmas[0], generator)
        for sigma, following in pairwise(sigmas):
            mean, jacobian = cell.linearize(x, sigma)
            misfit = cell.y - mean @ cell.A.T
            pull = misfit @ cell.A / misfit.norm(dim=1, keepdim=True)
            fresh = ancestral(sigma, following)
            x = renoised(x, mean, (sigma, following), fresh, generator)
            x = x + self.step * jacobian(pull)
        return x


@dataclass(frozen=True)
class DAPS:
    """Settings: the levels, and r over sigma."""

    high: float = 5.0
    low: float = 0.05
    ratio: float = 0.7
    products: ClassVar[int] = 0

    def __call__(self, posterior: Posterior, levels: int, generator: torch.Generator) -> Tensor:
        """Draws like the centre."""
        x0 = plain(posterior, generator)
        for sigma in falling(self.high, self.low, levels):
            noisy = x0 + sigma * normal_like(x0, generator)
            r2 = min((self.ratio * sigma) ** 2, posterior.variance)
            x0 = posterior.given(posterior.denoise(noisy, sigma), r2, generator)
        return x0


@dataclass(frozen=True)
class DiffPIR:
    """Settings: the levels, the weight of the data and the share of fresh noise."""

    high: float = 5.0
    low: float = 0.05
    weight: float = 1.0
    fresh: float = 0.5
    products: ClassVar[int] = 0

    def __call__(self, posterior: Posterior, levels: int, generator: torch.Generator) -> Tensor:
        """Draws like the centre."""
        sigmas = [*falling(self.high, self.low, levels), 0.0]
        x = wide(posterior, sigmas[0], generator)
        for sigma, following in pairwise(sigmas):
            mean = posterior.denoise(x, sigma)
            clean = posterior.given(mean, sigma**2 / self.weight, None)
            fresh = following * self.fresh**0.5
            x = renoised(x, clean, (sigma, following), fresh, generator)
        return x


@dataclass(frozen=True)
class PnPDM:
    """Settings: the couplings, and the evaluations of each inner diffusion."""

    high: float = 2.0
    low: float = 0.1
    inner: int = 2
    products: ClassVar[int] = 0

    def __call__(self, posterior: Posterior, levels: int, generator: torch.Generator) -> Tensor:
        """Draws like the centre."""
        x = plain(posterior, generator)
        for rho in falling(self.high, self.low, max(1, levels // self.inner)):
            u = posterior.given(x, rho**2, generator)
            for sigma, following in pairwise([*falling(rho, rho / 4, self.inner), 0.0]):
                clean = posterior.denoise(u, sigma)
                u = renoised(u, clean, (sigma, following), ancestral(sigma, following), generator)
            x = u
        return posterior.given(x, self.low**2, generator)


@dataclass(frozen=True)
class Exact:
    """Draws of the posterior itself: what 800 points can be at best."""

    products: ClassVar[int] = 0

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        other = torch.Generator().manual_seed(
            generator.initial_seed() + 1000
        )  # not the yardstick's
        return cell.truth.draw(cell.n, other)
