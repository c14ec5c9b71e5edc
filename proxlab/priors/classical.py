"""Classical priors by their names, and the one of them that changes nothing.

To add one, write a class that keeps the contract (`proxlab.priors.contract`) in a file of its own,
as `wavelets` is, and give it a row in `CLASSICAL`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from proxlab.priors.arguments import check_images, noise_levels
from proxlab.priors.contract import Capabilities, Prior
from proxlab.priors.jacobians.contract import PROBES
from proxlab.priors.jacobians.spread import spread
from proxlab.priors.total_variation import TV
from proxlab.priors.wavelets import Wavelets
from solvers.protocols import float_for_sums

__all__ = ["CLASSICAL", "TV", "Classical", "Identity", "Wavelets"]


class Identity:
    """No prior: R = 0, whose prox changes nothing.

    >>> prior, v = proxlab.classical.Identity(), torch.rand(2, 1, 8, 8)
    >>> torch.equal(prior.prox(v, 0.1), v), prior.value(v, 0.1)
    (True, tensor([0., 0.], dtype=torch.float64))
    >>> prior.prox_and_value(v, 0.1)[1] == prior.prox_and_part(v, 0.1, (slice(4), slice(8)))[1]
    tensor([True, True])
    """

    name = "none"
    sigma_range = (0.0, 1.0)
    capabilities = Capabilities(exact=True, convex=True, reach=0, parts=True, memory=4)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """v itself. Raises as that of every prior, so that no mistake hides behind it."""
        check_images(v)
        noise_levels(self.name, v, sigma, self.sigma_range, torch.float64)
        return v

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """v, and zeros [B] in float64."""
        return self.prox(v, sigma), self.value(v, sigma)

    def spread(
        self, v: Tensor, sigma: float | Tensor, probes: int = PROBES, seed: int = 0
    ) -> Tensor:
        """sigma at each pixel: without a prior the noise stays. Raises as that of every prior.

        >>> proxlab.classical.Identity().spread(torch.rand(1, 1, 1, 2), 0.5)
        tensor([[[[0.5000, 0.5000]]]])
        """
        return spread(self, v, sigma, probes, seed)

    def prox_and_part(
        self, v: Tensor, sigma: float | Tensor, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        """v, and zeros [B] in float64."""
        return self.prox_and_value(v, sigma)

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Zeros, [B] in float64. Raises as `prox`."""
        x = self.prox(x, sigma)
        return x.new_zeros(len(x), dtype=float_for_sums(x))


class Classical(NamedTuple):
    """A prior that is not learned, as the commands know it.

    >>> entry = proxlab.classical.CLASSICAL["tv"]
    >>> entry.make().name, entry.what
    ('tv', 'total variation')
    """

    make: Callable[[], Prior]
    """The prior with its defaults."""
    what: str
    """One line for `proxlab models`."""


CLASSICAL = {
    "tv": Classical(TV, "total variation"),
    "wavelets": Classical(Wavelets, "soft thresholding in an orthogonal basis"),
    "none": Classical(Identity, "no prior"),
}
"""The classical priors by the names that `proxlab.load` knows. A new one is a file and a row."""
