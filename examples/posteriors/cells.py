"""Cells of the laboratory: a mixture of Gaussians seen through a matrix, where all is known.

Moments of p(x_0 | x_0 + sigma e = x) are those of a mixture, in closed form: the mean is what a
denoiser gives, the covariance is sigma^2 times its Jacobian, and neither takes autograd.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from proxlab.priors.exact.mixtures import Mixture
from solvers.noise import Noise, normal_like

DIMENSIONS, MATRICES, NOISES = (16, 64), ("mask", "blur", "random"), (0.05, 0.2, 1.0)
DRAWS, DIRECTIONS, INSIDE = 800, 100, 4000


class Yardstick(NamedTuple):
    """Exact draws of a posterior, to judge others by."""

    along: Tensor
    """Draws along each direction, sorted, [N, DIRECTIONS]."""
    directions: Tensor
    """Unit vectors, [d, DIRECTIONS]."""
    many: Tensor
    """Further draws, [INSIDE, d]."""
    deviation: float
    """Root mean variance of the posterior."""


class Spread(NamedTuple):
    """The covariance of a mixture for each draw, sum_k w_k (L_k L_k^T + off_k off_k^T)."""

    weights: Tensor
    """w, [N, K]."""
    off: Tensor
    """Means of the components from that of all, [N, K, d]."""
    roots: Tensor
    """L, [K, d, d]."""

    def product(self, u: Tensor) -> Tensor:
        """C u, [N, d]."""
        within = torch.einsum(
            "kij,nkj->nki", self.roots, torch.einsum("ni,kij->nkj", u, self.roots)
        )
        between = self.off * (self.off @ u[..., None])
        return (self.weights[..., None] * (within + between)).sum(1)

    def noise(self, like: Tensor, noise: Noise) -> Tensor:
        """Noise of this covariance, [N, d]."""
        z = torch.stack([normal_like(like, noise) for _ in self.roots], 1)
        within = torch.einsum("kij,nkj->nki", self.roots, z)
        between = self.off * normal_like(self.weights, noise)[..., None]
        return (self.weights.sqrt()[..., None] * (within + between)).sum(1)

    def seen(self, A: Tensor) -> Tensor:
        """A C A^T, [N, m, m]."""
        parts = A @ self.roots
        within = self.weights @ (parts @ parts.mT).flatten(1)
        off = self.weights.sqrt()[..., None] * (self.off @ A.T)
        return within.view(len(off), len(A), len(A)) + off.mT @ off


@dataclass(frozen=True, eq=False)
class Cell:
    """A `Posterior` of `examples.posteriors.rivals`, x ~ prior given y = A x + noise e."""

    prior: Mixture
    A: Tensor
    """[m, d]."""
    y: Tensor
    """[m]."""
    noise: float
    n: int = DRAWS
    """Draws."""

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """D(x, sigma), [N, d]."""
        return self.spread(x, sigma)[0]

    def linearize(self, x: Tensor, sigma: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """D(x, sigma), and u -> J u with the Jacobian J there, which is symmetric."""
        mean, spread = self.spread(x, sigma)
        return mean, lambda u: spread.product(u) / sigma**2

    def spread(self, x: Tensor, sigma: float) -> tuple[Tensor, "Spread"]:
        """Mean [N, d] and covariance of x_0 given x_sigma = x."""
        values, axes = self._axes
        prior, noisy = self.prior, values + sigma**2
        along = (x @ axes.permute(1, 0, 2).flatten(1)).view(len(x), *values.shape)
        along = along - (prior.means[:, None] @ axes)[:, 0]
        log = prior.weights.log() - noisy.log().sum(1) / 2 - (along**2 / noisy).sum(2) / 2
        weights = log.softmax(1)
        means = torch.einsum("nkj,kij->nki", along * values / noisy, axes) + prior.means
        mean = (weights[..., None] * means).sum(1)
        roots = axes * (sigma * (values / noisy).sqrt())[:, None]
        return mean, Spread(weights, means - mean[:, None], roots)

    def weighed(self, mean: Tensor, variance: float) -> Tensor:
        """A^T (variance A A^T + noise^2)^-1 (y - A mean), [N, d]."""
        system = variance * self.A @ self.A.T + self.noise**2 * torch.eye(len(self.A)).to(mean)
        return torch.linalg.solve(system, (self.y - mean @ self.A.T).T).T @ self.A

    def given(self, mean: Tensor, variance: float, generator: torch.Generator | None) -> Tensor:
        """Draws of N(mean, variance I) given y, [N, d]; without a generator their mean."""
        d = mean.shape[1]
        precision = torch.eye(d).to(mean) / variance + self.A.T @ self.A / self.noise**2
        covariance = torch.linalg.inv(precision)
        centre = (mean / variance + self.y @ self.A / self.noise**2) @ covariance
        if generator is None:
            return centre
        root = torch.linalg.cholesky((covariance + covariance.T) / 2)
        return centre + normal_like(mean, generator) @ root.T

    @property
    def centre(self) -> Tensor:
        """Mean of the prior, once for each draw, [N, d]."""
        return self.prior.mean().expand(self.n, -1)

    @property
    def variance(self) -> float:
        """Mean variance of a coordinate of the prior."""
        return float(self.prior.covariance().diagonal().mean())

    @cached_property
    def truth(self) -> Mixture:
        """The posterior."""
        return self.prior.posterior(self.A, self.y, self.noise)

    @cached_property
    def yardstick(self) -> Yardstick:
        """Exact draws of the posterior, always the same."""
        generator = torch.Generator().manual_seed(7)
        exact = self.truth.draw(self.n, generator)
        shape = (self.prior.dimension, DIRECTIONS)
        directions = torch.randn(shape, generator=generator, dtype=exact.dtype)
        directions /= directions.norm(dim=0)
        many = self.truth.draw(INSIDE, generator)
        deviation = float(self.truth.covariance().diagonal().mean()) ** 0.5
        return Yardstick((exact @ directions).sort(0).values, directions, many, deviation)

    def judged(self, drawn: Tensor) -> tuple[float, float]:
        """Sliced W2 over the posterior's deviation, and what 80 % intervals hold of it."""
        along, directions, many, deviation = self.yardstick
        gaps = (drawn @ directions).sort(0).values - along
        low, high = drawn.quantile(0.1, 0), drawn.quantile(0.9, 0)
        held = ((many > low) & (many < high)).double().mean()
        return float(gaps.square().mean().sqrt()) / deviation, float(held)

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        return torch.linalg.eigh(self.prior.covariances)


def cells(seeds: Sequence[int]) -> list[Cell]:
    """One cell for each seed, dimension, matrix and noise."""
    return [
        cell(d, matrix, noise, seed)
        for seed, d, matrix, noise in itertools.product(seeds, DIMENSIONS, MATRICES, NOISES)
    ]


def cell(d: int, matrix: str, noise: float, seed: int) -> Cell:
    """A mixture of 6 Gaussians whose spectra fall, observed once."""
    generator = torch.Generator().manual_seed(1000 * seed + d)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    spectrum = 1 / (1 + torch.arange(d, dtype=torch.float64))
    axes = torch.linalg.qr(normal(6, d, d))[0]
    covariances = axes @ torch.diag(spectrum / spectrum.mean() / 4) @ axes.mT
    weights = (0.5 * normal(6)).softmax(0)
    prior = Mixture(weights, normal(6, d), (covariances + covariances.mT) / 2)
    eye = torch.eye(d, dtype=torch.float64)
    if matrix == "mask":
        A = eye[torch.randperm(d, generator=generator)[: d // 2]]
    elif matrix == "blur":
        A = 0.3 * eye.roll(-1, 1) + 0.4 * eye + 0.3 * eye.roll(1, 1)
    else:
        A = normal(d // 2, d) / d**0.5
    x = prior.draw(1, generator)[0]
    return Cell(prior, A, A @ x + noise * normal(len(A)), noise)
