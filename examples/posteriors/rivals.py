"""Rival samplers of posteriors, short, for a prior whose denoiser is exact: one matrix, many draws.

Each is called as rival(cell, evaluations, generator) and returns draws [N, d]. In coordinates
x_sigma = x_0 + sigma e, D the denoiser, over a falling sequence of levels:
- PiGDM (Song et al., ICLR 2023): guidance by the gradient of log p(y | x_sigma), where
  p(x_0 | x_sigma) is taken to be N(D, r^2 I);
- DAPS (Zhang et al., CVPR 2025) with an exact Gaussian draw in place of its Langevin steps:
  x_0 ~ N(D, r^2 I) given y, and noise anew;
- DiffPIR (Zhu et al., CVPR Workshops 2023): the data term's prox at D, then a share of the old
  noise and of fresh noise;
- PnP-DM [Wu24]: draws of x_0 given y and a coupled image, and a short diffusion of the coupled one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from proxlab.priors.exact.mixtures import Mixture


class Cell(NamedTuple):
    """A posterior to draw from."""

    prior: Mixture
    A: Tensor
    """[m, d]."""
    y: Tensor
    """[m]."""
    noise: float
    n: int
    """Draws."""

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """D(x, sigma), [N, d]."""
        return self.prior.posterior_mean(x, sigma**2)

    def given(self, mean: Tensor, variance: float, generator: torch.Generator | None) -> Tensor:
        """Draws of N(mean, variance I) given y, [N, d]; without a generator their mean."""
        d = mean.shape[1]
        precision = torch.eye(d).to(mean) / variance + self.A.T @ self.A / self.noise**2
        covariance = torch.linalg.inv(precision)
        centre = (mean / variance + self.y @ self.A / self.noise**2) @ covariance
        if generator is None:
            return centre
        root = torch.linalg.cholesky((covariance + covariance.T) / 2)
        return centre + normal(mean, generator) @ root.T


def renoised(
    x: Tensor, clean: Tensor, levels: tuple[float, float], fresh: float, generator: torch.Generator
) -> Tensor:
    """The clean image with noise of the second level, `fresh` of it new, the rest that of x."""
    sigma, following = levels
    kept = (following**2 - fresh**2) ** 0.5
    return clean + kept * (x - clean) / sigma + fresh * normal(x, generator)


Rival = Callable[[Cell, int, torch.Generator], Tensor]


def falling(high: float, low: float, count: int) -> list[float]:
    """Levels from high to low, in equal ratios."""
    return [high * (low / high) ** (k / max(1, count - 1)) for k in range(count)]


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)


@dataclass(frozen=True)
class PiGDM:
    """Settings: the levels, the share of fresh noise, the variance of the data."""

    high: float = 5.0
    low: float = 0.05
    eta: float = 0.5

    def __call__(self, cell: Cell, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        levels = [*falling(self.high, self.low, evaluations), 0.0]
        variance = float(cell.prior.covariance().diagonal().mean())
        x = cell.prior.mean() + self.high * normal(
            torch.empty(cell.n, len(cell.A[0])).double(), generator
        )
        for sigma, following in pairwise(levels):
            r2 = variance * sigma**2 / (variance + sigma**2)
            with torch.enable_grad():
                asked = x.detach().requires_grad_()
                mean = cell.denoise(asked, sigma)
                misfit = cell.y - mean.detach() @ cell.A.T
                system = r2 * cell.A @ cell.A.T + cell.noise**2 * torch.eye(len(cell.A)).to(x)
                pull = torch.linalg.solve(system, misfit.T).T @ cell.A
                (slope,) = torch.autograd.grad(mean, asked, pull)
            clean = mean.detach() + sigma**2 * slope
            fresh = self.eta * following * (1 - (following / sigma) ** 2) ** 0.5
            x = renoised(x, clean, (sigma, following), fresh, generator)
        return x


@dataclass(frozen=True)
class DAPS:
    """Settings: the levels, and r over sigma."""

    high: float = 5.0
    low: float = 0.05
    ratio: float = 0.7

    def __call__(self, cell: Cell, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        variance = float(cell.prior.covariance().diagonal().mean())
        x0 = cell.given(cell.prior.mean().expand(cell.n, -1), variance, generator)
        for sigma in falling(self.high, self.low, evaluations):
            noisy = x0 + sigma * normal(x0, generator)
            r2 = min((self.ratio * sigma) ** 2, variance)
            x0 = cell.given(cell.denoise(noisy, sigma), r2, generator)
        return x0


@dataclass(frozen=True)
class DiffPIR:
    """Settings: the levels, the weight of the data and the share of fresh noise."""

    high: float = 5.0
    low: float = 0.05
    weight: float = 1.0
    fresh: float = 0.5

    def __call__(self, cell: Cell, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        levels = [*falling(self.high, self.low, evaluations), 0.0]
        x = cell.prior.mean() + self.high * normal(
            torch.empty(cell.n, cell.prior.dimension).double(), generator
        )
        for sigma, following in pairwise(levels):
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

    def __call__(self, cell: Cell, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        variance = float(cell.prior.covariance().diagonal().mean())
        x = cell.given(cell.prior.mean().expand(cell.n, -1), variance, generator)
        rounds = max(1, evaluations // self.inner)
        for rho in falling(self.high, self.low, rounds):
            u = cell.given(x, rho**2, generator)
            for sigma, following in pairwise([*falling(rho, rho / 4, self.inner), 0.0]):
                clean = cell.denoise(u, sigma)
                fresh = following * (1 - (following / sigma) ** 2) ** 0.5
                u = renoised(u, clean, (sigma, following), fresh, generator)
            x = u
        return cell.given(x, self.low**2, generator)
