"""Observations y = A x + s e of an image: draws of what they and a Gaussian leave open.

Given x ~ N(m, C) and y, the law of x is Gaussian. It is drawn exactly by perturbing the prior's
mean and the measurement and solving one system [Orieux12, Papandreou10]:

    x = m + e + C A^T (A C A^T + s^2 I)^-1 (y + s n - A (m + e)),  e ~ N(0, C),  n ~ N(0, I).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from solvers.noise import Noise, normal_like
from solvers.posteriors.covariances import CovarianceMatrix
from solvers.posteriors.draw_systems import draw_system
from solvers.posteriors.preconditioner import preconditioner
from solvers.protocols import dot

ROUNDING = 16
"""Units in the last place of a misfit below which no residual is asked for."""


class Observation(Protocol):
    """A measurement y [B, ...] of images."""

    def draw(self, mean: Tensor, matrix: CovarianceMatrix, noise: Noise) -> Tensor:
        """A draw of x given y from x ~ N(mean, C), shaped like mean."""
        ...


@dataclass
class LinearObservation:
    """y = A x + s e for any linear A: the system is solved by conjugate gradients.

    It is solved in units of the noise, preconditioned (`posteriors.preconditioner`), until its
    residual r has |r| <= tol sqrt(entries of y). Then the error e of a draw has
    (e, P^-1 e) <= |r|^2, P the covariance of x given y: tol of a deviation of the posterior for
    each entry of y, or less.

    Raises ValueError for a variance that is not positive.

    >>> seen = torch.tensor([1.0, 0.0])   # of two pixels one is seen
    >>> y = torch.tensor([[2.0, 0.0]])
    >>> by = solvers.LinearObservation(lambda x: seen * x, lambda y: seen * y, y, variance=1e-8)
    >>> matrix = solvers.posteriors.covariances.ScaledIdentity(1.0)
    >>> by.draw(torch.zeros(1, 2), matrix, torch.zeros_like)   # without noise: the mean
    tensor([[2., 0.]])
    """

    forward: Callable[[Tensor], Tensor]
    """A."""
    adjoint: Callable[[Tensor], Tensor]
    """A^T."""
    y: Tensor
    variance: float | Tensor
    """s^2, positive, or one for each entry of y, broadcast against it."""
    tol: float = 1e-2
    """Error of a draw in posterior deviations, for each entry of y."""
    max_steps: int = 500
    products: int = field(default=0, init=False)
    """Products with C so far, of whole batches, those of roots left out."""
    stopped_short: int = field(default=0, init=False)
    """Draws in which an image ended above `tol`."""

    def __post_init__(self):
        if not bool((torch.as_tensor(self.variance) > 0).all()):
            raise ValueError(
                f"the variance of a measurement's noise is positive, got {self.variance}; an entry "
                "that says nothing is left out of A"
            )

    def draw(self, mean: Tensor, matrix: CovarianceMatrix, noise: Noise) -> Tensor:
        """See `Observation.draw`. Warns, once, of an image that ends above `tol`.

        >>> by = solvers.LinearObservation(lambda x: x, lambda y: y, torch.ones(1, 2), variance=1.0)
        >>> matrix = solvers.posteriors.covariances.ScaledIdentity(1.0)
        >>> by.draw(torch.zeros(1, 2), matrix, torch.zeros_like)   # half way
        tensor([[0.5000, 0.5000]])
        """
        deviation = self.variance**0.5
        z = normal_like(mean, noise)
        root = matrix.root(z)
        moved = mean + root.noise
        white = normal_like(self.y, noise)
        misfit = (self.y - self.forward(moved)) / deviation + white

        def back(w: Tensor) -> Tensor:
            self.products += 1
            return matrix.product(self.adjoint(w / deviation))

        # in float32 no answer is nearer, relative to where the search begins
        floor = ROUNDING * torch.finfo(misfit.dtype).eps * dot(misfit, misfit).sqrt()
        scale = (floor / self.tol).clamp(min=misfit[0].numel() ** 0.5)
        found = draw_system(
            lambda x: self.forward(x) / deviation,
            back,
            misfit,
            self.tol * scale,
            self.max_steps,
            preconditioner(self.forward(z) / deviation, self.forward(root.product) / deviation),
        )
        residual = found.residual / scale
        if (residual > self.tol).any():
            self._say(float(residual.max()))
        return moved + found.change

    def _say(self, residual: float) -> None:
        if not self.stopped_short:
            warnings.warn(
                f"a draw stopped short of tol = {self.tol:g} posterior deviations at "
                f"{residual:.1e}; raise max_steps or tol (said once, all are counted in "
                "stopped_short)",
                stacklevel=3,
            )
        self.stopped_short += 1


@dataclass(frozen=True)
class Unobserved:
    """No measurement: the draw is that of the Gaussian alone.

    >>> matrix = solvers.posteriors.covariances.ScaledIdentity(4.0)
    >>> solvers.Unobserved().draw(torch.zeros(1, 2), matrix, torch.ones_like)
    tensor([[2., 2.]])
    """

    def draw(self, mean: Tensor, matrix: CovarianceMatrix, noise: Noise) -> Tensor:
        """See `Observation.draw`.

        >>> matrix = solvers.posteriors.covariances.ScaledIdentity(0.0)
        >>> solvers.Unobserved().draw(torch.ones(1, 2), matrix, torch.ones_like)
        tensor([[1., 1.]])
        """
        return mean + matrix.root(normal_like(mean, noise)).noise
