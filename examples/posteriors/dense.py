"""The annealed sampler in the laboratory, whose covariances and draws are solved as matrices.

Conjugate gradients and Lanczos of `solvers.posteriors` come to the same draws by products; in 16 or
64 dimensions a matrix for each draw is quicker.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import solvers
from examples.posteriors.cells import Cell, Spread
from examples.posteriors.rivals import falling
from solvers.noise import Noise, normal_like

PROBES = 400
"""Draws of the prior by which the error of the denoiser is measured."""


@dataclass(frozen=True)
class Annealed:
    """Ours. Settings: "wiener" or "jacobian", and the levels over the deviation of the data."""

    covariance: str
    high: float = 0.7
    low: float = 0.1
    products: ClassVar[int] = 0

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        by, unit = Solved(cell), cell.variance**0.5
        covariance = Wiener(cell) if self.covariance == "wiener" else Whole(cell)
        start = Dense(cell.prior.covariance())
        x = by.draw(cell.centre, start, generator)
        # `Dense` and `Spread` draw by themselves where a `CovarianceMatrix` has a root of a noise
        *_, last = solvers.posterior(
            cell.denoise,
            by,  # pyright: ignore[reportArgumentType]
            x,
            falling(self.high * unit, self.low * unit, levels),
            covariance=covariance,  # pyright: ignore[reportArgumentType]
            noise=generator,
        )
        return last.x


@dataclass(frozen=True)
class AnnealedByProducts:
    """Ours with the Jacobian known by products, few of them: two for a root, three for a draw."""

    high: float = 0.7
    low: float = 0.1
    products: ClassVar[int] = 5

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        S, unit = cell.prior.covariance(), cell.variance**0.5
        by = solvers.LinearObservation(
            lambda x: x @ cell.A.T,
            lambda y: y @ cell.A,
            cell.y.expand(cell.n, -1),
            cell.noise**2,
            max_steps=3,
        )
        x = Solved(cell).draw(cell.centre, Dense(S), generator)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "a draw stopped short")
            *_, last = solvers.posterior(
                cell.denoise,
                by,
                x,
                falling(self.high * unit, self.low * unit, levels),
                covariance=solvers.JacobianCovariance(2, cell.linearize),
                noise=generator,
            )
        return last.x


class Dense:
    """A covariance that all draws share, as a matrix [d, d]."""

    def __init__(self, table: Tensor):
        self.table = (table + table.T) / 2

    def product(self, u: Tensor) -> Tensor:
        """C u, [N, d]."""
        return u @ self.table

    def noise(self, like: Tensor, noise: Noise) -> Tensor:
        """Noise of this covariance, [N, d]."""
        values, axes = torch.linalg.eigh(self.table)
        return (normal_like(like, noise) * values.clamp(min=0).sqrt()) @ axes.T

    def seen(self, A: Tensor) -> Tensor:
        """A C A^T, [m, m]."""
        return A @ self.table @ A.T


@dataclass(frozen=True)
class Solved:
    """The measurement of a cell, an `Observation` whose system is solved as a matrix."""

    cell: Cell

    def draw(self, mean: Tensor, matrix: Dense | Spread, noise: Noise) -> Tensor:
        """A draw of N(mean, C) given y, [N, d]."""
        A, deviation = self.cell.A, self.cell.noise
        moved = mean + matrix.noise(mean, noise)
        seen = self.cell.y.expand(len(mean), -1)
        misfit = seen + deviation * normal_like(seen, noise) - moved @ A.T
        system = matrix.seen(A)
        root = torch.linalg.cholesky(system + deviation**2 * torch.eye(len(A)).to(A))
        if root.ndim == 2:
            found = torch.cholesky_solve(misfit.T, root).T
        else:
            found = torch.cholesky_solve(misfit[..., None], root)[..., 0]
        return moved + matrix.product(found @ A)


class Wiener:
    """S sigma^2 (S + sigma^2)^-1, scaled to the measured error of the denoiser."""

    def __init__(self, cell: Cell):
        generator = torch.Generator().manual_seed(0)
        self.x = cell.prior.draw(PROBES, generator)
        self.e = normal_like(self.x, generator)
        self.values, self.axes = torch.linalg.eigh(cell.prior.covariance())

    def around(self, denoise, x: Tensor, sigma: float) -> tuple[Tensor, Dense]:
        """See `solvers.posteriors.covariances.Covariance`."""
        miss = denoise(self.x + sigma * self.e, sigma) - self.x
        wiener = self.values * sigma**2 / (self.values + sigma**2)
        wiener = (wiener * (miss.square().mean() / wiener.mean())).clamp(max=sigma**2)
        return denoise(x, sigma), Dense((self.axes * wiener) @ self.axes.T)


@dataclass(frozen=True)
class Whole:
    """sigma^2 J, which knows its components."""

    cell: Cell

    def around(self, denoise, x: Tensor, sigma: float) -> tuple[Tensor, Spread]:
        """See `solvers.posteriors.covariances.Covariance`."""
        return self.cell.spread(x, sigma)
