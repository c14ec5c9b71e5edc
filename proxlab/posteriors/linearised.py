"""The covariance of clean images that a prior knows: its prox and its Jacobian, and their count."""

from torch import Tensor

import solvers
from proxlab.priors.contract import Prior
from proxlab.priors.jacobians.contract import KnowsProx
from proxlab.priors.jacobians.spread import NO_MEAN, jacobian

ROOT_PRODUCTS = 1
"""Products with the Jacobian for a root of it (`solvers.posteriors.roots.root_by_one`)."""


class Linearised:
    """The prox of a prior with its Jacobian at one level, and how often both were asked for.

    Raises ValueError for a prior whose prox is a most probable image.

    >>> from proxlab.posteriors.linearised import Linearised
    >>> prior = Linearised(proxlab.load("lpn-gray-small"))
    >>> mean, matrix = prior.covariance.around(prior.prox, torch.rand(2, 1, 16, 16), 0.1)
    >>> matrix.product(mean).shape, prior.evaluations, prior.products
    (torch.Size([2, 1, 16, 16]), 1, 1)
    """

    def __init__(self, prior: Prior):
        if prior.capabilities.most_probable:
            raise ValueError(f"{prior.name} has no posterior samples: {NO_MEAN}")
        self.prior, self.prox = prior, prior.prox
        self.evaluations = self.products = 0
        self.symmetric = True
        """Whether all Jacobians so far were symmetric by construction."""

    @property
    def covariance(self) -> solvers.JacobianCovariance:
        """sigma^2 J, see `solvers.JacobianCovariance`."""
        return solvers.JacobianCovariance(ROOT_PRODUCTS, self._at)

    def _at(self, x: Tensor, sigma: float):
        matrix = jacobian(self.prior, x, sigma)
        self.symmetric &= matrix.symmetric
        self.evaluations += 1

        def product(u: Tensor) -> Tensor:
            self.products += 1
            return matrix(u)

        mean = matrix.prox() if isinstance(matrix, KnowsProx) else self.prior.prox(x, sigma)
        return mean, product
