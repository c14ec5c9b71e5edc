"""Rival samplers of posteriors, short, for a prior whose denoiser is exact: one matrix, many draws.

Each is called as rival(cell, levels, generator) and returns draws [N, d]; a level costs one
evaluation of the denoiser and, where a gradient goes through it, one product with its Jacobian.
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

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from examples.posteriors.cells import Cell, normal


class Sampler(Protocol):
    """A sampler with its settings."""

    products: ClassVar[int]
    """Products with the denoiser's Jacobian that a level takes."""

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d], by so many evaluations of the denoiser."""
        ...


def falling(high: float, low: float, count: int) -> list[float]:
    """Levels from high to low, in equal ratios; a single one is the low one."""
    return [low * (high / low) ** ((count - 1 - k) / max(1, count - 1)) for k in range(count)]


def wide(cell: Cell, sigma: float, generator: torch.Generator) -> Tensor:
    """Noise of the first level around the prior's mean, [N, d]."""
    mean = cell.prior.mean().expand(cell.n, -1)
    return mean + sigma * normal(mean, generator)


def renoised(
    x: Tensor, clean: Tensor, levels: tuple[float, float], fresh: float, generator: torch.Generator
) -> Tensor:
    """The clean image with noise of the second level, `fresh` of it new, the rest that of x."""
    sigma, following = levels
    kept = max(0.0, following**2 - fresh**2) ** 0.5
    return clean + kept * (x - clean) / sigma + fresh * normal(x, generator)


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

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        x = wide(cell, self.high if levels > 1 else self.low, generator)
        for sigma, following in pairwise([*falling(self.high, self.low, levels), 0.0]):
            r2 = cell.variance * sigma**2 / (cell.variance + sigma**2)
            mean, jacobian = cell.linearize(x, sigma)
            system = r2 * cell.A @ cell.A.T + cell.noise**2 * torch.eye(len(cell.A)).to(x)
            pull = torch.linalg.solve(system, (cell.y - mean @ cell.A.T).T).T @ cell.A
            clean = mean + sigma**2 * jacobian(pull)
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
        x = wide(cell, self.high if levels > 1 else self.low, generator)
        for sigma, following in pairwise([*falling(self.high, self.low, levels), 0.0]):
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

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        x0 = cell.given(cell.prior.mean().expand(cell.n, -1), cell.variance, generator)
        for sigma in falling(self.high, self.low, levels):
            noisy = x0 + sigma * normal(x0, generator)
            r2 = min((self.ratio * sigma) ** 2, cell.variance)
            x0 = cell.given(cell.denoise(noisy, sigma), r2, generator)
        return x0


@dataclass(frozen=True)
class DiffPIR:
    """Settings: the levels, the weight of the data and the share of fresh noise."""

    high: float = 5.0
    low: float = 0.05
    weight: float = 1.0
    fresh: float = 0.5
    products: ClassVar[int] = 0

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        x = wide(cell, self.high if levels > 1 else self.low, generator)
        for sigma, following in pairwise([*falling(self.high, self.low, levels), 0.0]):
            clean = cell.given(cell.denoise(x, sigma), sigma**2 / self.weight, None)
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

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        x = cell.given(cell.prior.mean().expand(cell.n, -1), cell.variance, generator)
        for rho in falling(self.high, self.low, max(1, levels // self.inner)):
            u = cell.given(x, rho**2, generator)
            for sigma, following in pairwise([*falling(rho, rho / 4, self.inner), 0.0]):
                clean = cell.denoise(u, sigma)
                u = renoised(u, clean, (sigma, following), ancestral(sigma, following), generator)
            x = u
        return cell.given(x, self.low**2, generator)


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
