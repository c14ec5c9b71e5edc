"""Densities simple enough to know everything about: samples, -log p, its exact prox, the mean.

A learned prox and a learned prior are held against them. Points are rows [N, d], float64 by
default; d is the `dimension` of the density. Every density makes a sample out of `uniforms` numbers
in (0, 1), so that these may come from a low-discrepancy sequence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from proxlab.priors.exact.mixtures import Mixture


@dataclass(frozen=True)
class Laplace:
    """p(x) = exp(-|x| / scale) / (2 scale), on the line."""

    scale: float = 1.0
    dimension = 1
    uniforms = 1

    def __post_init__(self):
        _positive("scale", self.scale)

    def draw(self, u: Tensor) -> Tensor:
        """Uniform numbers [N, 1] in (0, 1) -> samples [N, 1]."""
        return -self.scale * (u - 0.5).sign() * torch.log1p(-2 * (u - 0.5).abs())

    def neg_log_density(self, x: Tensor) -> Tensor:
        """-log p at points [N, 1], [N]."""
        return x[:, 0].abs() / self.scale + torch.tensor(2 * self.scale).log()

    def prox(self, v: Tensor, tau: float) -> Tensor:
        """argmin_x |x - v|^2 / 2 - tau log p(x), a soft threshold. [Beck17, Ex. 6.8]"""
        return v.sign() * (v.abs() - tau / self.scale).clamp(min=0)

    def posterior_mean(self, v: Tensor, sigma: float) -> Tensor:
        """E[x | x + sigma e = v], the minimiser of the squared loss.

        With s for sigma and t = s^2 / scale the posterior is a mixture of two Gaussians,
        N(v - t, s^2) and N(v + t, s^2), each cut off at zero; a and b below are the logarithms of
        their masses.
        """
        shift = sigma**2 / self.scale
        a = torch.special.log_ndtr((v - shift) / sigma) - v / self.scale
        b = torch.special.log_ndtr(-(v + shift) / sigma) + v / self.scale
        return v - shift * torch.tanh((a - b) / 2)


@dataclass(frozen=True)
class Gaussian:
    """p = N(mean, deviation^2), on the line."""

    mean: float = 0.0
    deviation: float = 1.0
    dimension = 1
    uniforms = 1

    def __post_init__(self):
        _positive("deviation", self.deviation)

    def draw(self, u: Tensor) -> Tensor:
        """Uniform numbers [N, 1] in (0, 1) -> samples [N, 1]."""
        return self.mean + self.deviation * torch.special.ndtri(u)

    def neg_log_density(self, x: Tensor) -> Tensor:
        """-log p at points [N, 1], [N]."""
        r = (x[:, 0] - self.mean) / self.deviation
        return r.square() / 2 + torch.tensor(2 * torch.pi * self.deviation**2).log() / 2

    def prox(self, v: Tensor, tau: float) -> Tensor:
        """argmin_x |x - v|^2 / 2 - tau log p(x)."""
        return (self.deviation**2 * v + tau * self.mean) / (self.deviation**2 + tau)

    def posterior_mean(self, v: Tensor, sigma: float) -> Tensor:
        """E[x | x + sigma e = v]: for a Gaussian the same as the prox."""
        return self.prox(v, sigma**2)


@dataclass(frozen=True)
class GaussianMixture:
    """p = sum_j weights_j N(means_j, deviations_j^2 I), on the line or in the plane."""

    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    deviations: tuple[float, ...]

    def __post_init__(self):
        if not len(self.weights) == len(self.means) == len(self.deviations) >= 1:
            raise ValueError(
                "a mixture has as many weights as means and deviations, at least one, got "
                f"{len(self.weights)}, {len(self.means)} and {len(self.deviations)}"
            )
        for weight, deviation in zip(self.weights, self.deviations, strict=True):
            _positive("a weight", weight)
            _positive("a deviation", deviation)
        if abs(sum(self.weights) - 1) > 1e-9:
            raise ValueError(f"weights add up to 1, got {sum(self.weights)}; divide by that")
        if {len(mean) for mean in self.means} not in ({1}, {2}):
            raise ValueError(f"means are points, all of 1 or all of 2 coordinates: {self.means}")

    @property
    def dimension(self) -> int:
        """Coordinates of a point."""
        return len(self.means[0])

    @property
    def uniforms(self) -> int:
        """Uniform numbers that a sample takes."""
        return 1 + self.dimension

    def draw(self, u: Tensor) -> Tensor:
        """Uniform numbers [N, 1 + d] in (0, 1) -> samples [N, d]; the first picks the component."""
        weights, means, deviations = self._tensors(u)
        steps = weights.cumsum(0)[:-1]
        j = torch.searchsorted(steps, u[:, 0].contiguous())
        return means[j] + deviations[j, None] * torch.special.ndtri(u[:, 1:])

    def neg_log_density(self, x: Tensor) -> Tensor:
        """-log p at points [..., d], [...]."""
        rows = x.reshape(-1, self.dimension)
        return -self._mixture(x).log_density(rows).view(x.shape[:-1])

    def prox(self, v: Tensor, tau: float) -> Tensor:
        """argmin_x |x - v|^2 / 2 - tau log p(x), the least of the local minima; [N, d] -> [N, d].

        Where two minima tie the prox jumps, and either may be returned.
        """
        return self._mixture(v).prox(v, tau)

    def posterior_mean(self, v: Tensor, sigma: float) -> Tensor:
        """E[x | x + sigma e = v], [N, d] -> [N, d]."""
        return self._mixture(v).posterior_mean(v, sigma**2)

    def _mixture(self, like: Tensor) -> Mixture:
        weights, means, deviations = self._tensors(like)
        return Mixture(weights, means, deviations.square())

    def _tensors(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights, means, deviations = (
            torch.tensor(part, dtype=like.dtype, device=like.device)
            for part in (self.weights, self.means, self.deviations)
        )
        return weights, means, deviations


Density = Laplace | Gaussian | GaussianMixture


def sample(density: Density, n: int, generator: torch.Generator) -> Tensor:
    """n independent points, [n, d] in float64."""
    u = torch.rand(n, density.uniforms, dtype=torch.float64, generator=generator)
    return density.draw(u.clamp(min=2.0**-54))  # rand may give 0, which is infinitely far out


def proximal_hull(density: Density, x: Tensor) -> Tensor:
    """The least function with the same Moreau envelope as -log p, on the line, [N, 1] -> [N].

    It is the convex envelope of |x|^2 / 2 - log p, less |x|^2 / 2. Two conjugates on grids give it
    to some 1e-3 for |x| <= 15. It lies below -log p where the prox jumps, and equals it elsewhere.
    """
    grid = torch.linspace(-15, 15, 1501, dtype=x.dtype)[:, None]
    slopes = torch.linspace(-30, 30, 3001, dtype=x.dtype)
    convex = grid[:, 0].square() / 2 + density.neg_log_density(grid)
    conjugate = (slopes[:, None] * grid[:, 0] - convex).amax(1)
    return (x * slopes - conjugate).amax(1) - x[:, 0].square() / 2


def _positive(name: str, number: float) -> None:
    if not 0 < number < float("inf"):
        raise ValueError(f"{name} of a density is positive and finite, got {number}")
