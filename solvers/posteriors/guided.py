"""Posteriors of several modes: a descent over wide levels whose draws are weighed against another.

The annealed sampler takes p(x_0 | x_sigma) for a Gaussian. Where it has several modes, one of them
is chosen at a level at which y hardly tells them apart, and later levels keep it: their weights are
those of that Gaussian. Here rows of a batch that share a measurement are particles [Wu23]: at each
level D and its Jacobian say anew how likely y is,

    p(y | x_sigma) = N(y; A m, A C A^T + s^2 I),  m = D(x_sigma, sigma), C = sigma^2 J,

and rows are drawn again in proportion to what that is over what the level before expected. Where
p(x_0 | x_sigma) is Gaussian the two are equal, nothing is drawn again, and the law is exact. From
x_sigma to the next level s, with a = 1 - s^2 / sigma^2,

    x_0 ~ N(m, C) given y,  x_s = a x_0 + (1 - a) x_sigma + s sqrt(a) z,

and given x_sigma and x_s, x_0 is seen with a further noise of variance s^2 / a, whence p(y | x_s)
as this level expects it. J is asked for whole, so this is for images of few numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.noise import Noise, normal_like
from solvers.posteriors.annealed import PosteriorState, posterior
from solvers.posteriors.covariances import Covariance, CovarianceMatrix, Denoise, Root
from solvers.posteriors.observations import LinearObservation

MOST = 1024
"""Numbers of an image, and of a measurement, above which a whole Jacobian is refused."""


def guided(
    denoise: Denoise,
    observation: LinearObservation,
    x: Tensor,
    levels: Sequence[float],
    *,
    covariance: Covariance,
    together: int,
    noise: Noise = None,
) -> Iterator[PosteriorState]:
    """Draws of x_0 given a measurement of several explanations, to start `posterior` with.

    x: a first draw [B, ...], as there; together: so many rows in a row, from the first on, are
    particles of one measurement, and end as draws that depend on each other: take one of each for
    draws that do not. levels: falling, from some 3 deviations of the images to well below the
    distance of two modes. One evaluation of D for each level, and as many products with the
    Jacobian as an image has numbers. Raises what `posterior` does, and ValueError for a batch that
    `together` does not divide and for images or measurements of more than `MOST` numbers.

    >>> ends = torch.tensor([-1.0, 1.0])             # an image is about one of these
    >>> def denoise(x, sigma):
    ...     near = (-(x - ends) ** 2 / (2 * (sigma**2 + 0.01))).softmax(1)
    ...     return (near * (ends + 0.01 / (0.01 + sigma**2) * (x - ends))).sum(1, keepdim=True)
    >>> y = torch.full((4000, 1), 0.3)               # seen with noise of deviation 1
    >>> by = solvers.LinearObservation(lambda x: x, lambda y: y, y, variance=1.0)
    >>> *_, last = solvers.guided(
    ...     denoise, by, torch.randn(4000, 1), [3.0, 1.5, 0.8, 0.4, 0.2],
    ...     covariance=solvers.JacobianCovariance(1), together=4000)
    >>> share = (last.x > 0).double().mean()         # exp(.6) to 1
    >>> abs(share - 0.646) < 0.05
    tensor(True)
    """
    posterior(denoise, observation, x, levels, covariance=covariance, noise=noise)  # refuses
    if isinstance(together, bool) or together not in range(1, len(x) + 1) or len(x) % together:
        raise ValueError(
            f"together is a number of rows that divides the batch of {len(x)}, got {together}"
        )
    if max(x[0].numel(), observation.y[0].numel()) > MOST:
        raise ValueError(
            f"images and measurements of at most {MOST} numbers have a whole Jacobian here, got "
            f"{x[0].numel()} and {observation.y[0].numel()}; take `posterior` alone"
        )
    return _walk(denoise, observation, x, [float(s) for s in levels], covariance, together, noise)


def _walk(denoise, observation, x, levels, covariance, together, noise) -> Iterator[PosteriorState]:
    noisy, expected = x + levels[0] * normal_like(x, noise), None
    for sigma, following in zip(levels, [*levels[1:], None], strict=True):
        mean, matrix = covariance.around(denoise, noisy, sigma)
        known = Whole.of(mean, matrix)
        likely = known.likelihood(observation)
        weights = torch.zeros_like(likely) if expected is None else likely - expected
        rows = _again(weights, normal_like(x, noise).flatten(1)[:, 0], together)
        noisy, mean, known = noisy[rows], mean[rows], Whole(known.mean[rows], known.table[rows])
        x = observation.draw(mean, known, noise)
        yield PosteriorState(x, mean, sigma)
        if following is not None:
            share = 1 - (following / sigma) ** 2
            there = share * x + (1 - share) * noisy
            there = there + following * share**0.5 * normal_like(x, noise)
            if share:
                seen = (there - (1 - share) * noisy) / share
                known = known.given(seen, following**2 / share)
            noisy, expected = there, known.likelihood(observation)


@dataclass(frozen=True)
class Whole:
    """N(mean, C) with C as a matrix for each image, and a `CovarianceMatrix`."""

    mean: Tensor
    """[B, ...]."""
    table: Tensor
    """C, symmetric, [B, d, d]."""

    @classmethod
    def of(cls, mean: Tensor, matrix: CovarianceMatrix) -> "Whole":
        """The same from its products, one for each of d pixels."""
        columns = []
        for j in range(mean[0].numel()):
            pixel = torch.zeros_like(mean)
            pixel.view(len(mean), -1)[:, j] = 1
            columns.append(matrix.product(pixel).flatten(1))
        table = torch.stack(columns, 2)
        return cls(mean, (table + table.mT) / 2)

    def product(self, u: Tensor, /) -> Tensor:
        """See `CovarianceMatrix.product`."""
        return (self.table @ u.flatten(1)[..., None]).view_as(u)

    def root(self, z: Tensor) -> Root:
        """See `CovarianceMatrix.root`."""
        values, axes = torch.linalg.eigh(self.table)
        along = axes.mT @ z.flatten(1)[..., None] * values.clamp(min=0).sqrt()[..., None]
        return Root((axes @ along).view_as(z), self.product(z))

    def given(self, seen: Tensor, variance: float) -> "Whole":
        """The Gaussian given what was seen of each pixel with noise of a variance."""
        eye = variance * torch.eye(self.table.shape[1]).to(self.table)
        gain = torch.linalg.solve(self.table + eye, self.table).mT
        off = (gain @ (seen - self.mean).flatten(1)[..., None]).view_as(seen)
        table = self.table - gain @ self.table
        return Whole(self.mean + off, (table + table.mT) / 2)

    def likelihood(self, observation: LinearObservation) -> Tensor:
        """log N(y; A mean, A C A^T + s^2 I) but for what all rows share, [B]."""

        def forward(columns: Tensor) -> Tensor:
            """A times each column of [B, d, k], [B, m, k]."""
            seen = [observation.forward(c.view_as(self.mean)) for c in columns.unbind(2)]
            return torch.stack([s.flatten(1) for s in seen], 2)

        system = forward(forward(self.table).mT)
        variance = torch.as_tensor(observation.variance).to(system).expand_as(observation.y)
        system = system + torch.diag_embed(variance.flatten(1))
        root = torch.linalg.cholesky((system + system.mT) / 2)
        misfit = (observation.y - observation.forward(self.mean)).flatten(1)[..., None]
        whitened = torch.linalg.solve_triangular(root, misfit, upper=False)[..., 0]
        return -whitened.square().sum(1) / 2 - root.diagonal(dim1=1, dim2=2).log().sum(1)


def _again(weights: Tensor, normal: Tensor, together: int) -> Tensor:
    """Rows drawn again in proportion to exp(weights), [B], each group from its own rows.

    Systematically [Kitagawa96]: equal weights leave every row where it is, and a row of a weight w
    is taken w or, at most one off, about as often.
    """
    ends = weights.view(-1, together).double().softmax(1).cumsum(1)
    start = torch.special.ndtr(normal.view(-1, together)[:, :1].double()).clamp(1e-6, 1 - 1e-6)
    places = (torch.arange(together).to(ends) + start) / together
    chosen = torch.searchsorted(ends, places).clamp(max=together - 1)
    return (chosen + together * torch.arange(len(ends)).to(chosen)[:, None]).flatten()
