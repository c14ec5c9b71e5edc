"""Colour for gray priors: luminance and two chroma channels, in place of red, green and blue.

The three channels of a photograph have edges in the same places. An orthonormal change of channels
puts what they share into one, and leaves two of little contrast, which a gray prior smooths most.
White noise stays white, of the same level, and a prox stays a prox:

    Q^T prox_R(Q v) = argmin_x |x - v|^2 / 2 + R(Q x)    for orthonormal Q.
"""

from dataclasses import replace
from functools import partial

import torch
from deepinv.models import Denoiser
from torch import Tensor

from proxlab.priors.arguments import check_channels, check_images, noise_levels
from proxlab.priors.contract import Prior
from proxlab.priors.jacobians.contract import PROBES
from proxlab.priors.jacobians.spread import spread
from solvers.protocols import HasProxAndValue

ROWS = torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]], dtype=torch.float64)
MIXING = ROWS / ROWS.norm(dim=1, keepdim=True)
"""Q: the sum of the channels, red against green, both against blue."""
GRAY = 0.5
"""Value about which channels are turned, and at which the prior finds a gray of no contrast."""


class Luminance(Denoiser):
    """A gray prior on luminance and chroma of colour images: R(x) = R(Y) + R(C1) + R(C2).

    It is exact, convex or neither as the prior is, and has a value if that has one. It claims no
    more: a prior for colour, as `lpn-color`, is trained on what is not sure of three channels.

    >>> prior = proxlab.Luminance(proxlab.load("lpn-gray-small"))
    >>> x, r = prior.prox_and_value(torch.rand(2, 3, 16, 16), 0.1)
    >>> x.shape, r.shape, prior.name, prior.capabilities.exact
    (torch.Size([2, 3, 16, 16]), torch.Size([2]), 'lpn-gray-small on luminance', True)
    """

    def __init__(self, prior: Prior):
        super().__init__()
        self.prior = prior
        self.name, self.sigma_range = f"{prior.name} on luminance", prior.sigma_range
        self.capabilities = replace(prior.capabilities, parts=False)
        if isinstance(prior, HasProxAndValue):
            self.prox_and_value = partial(_prox_and_value, self, prior)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`.

        >>> prior = proxlab.Luminance(proxlab.load("lpn-gray-small"))
        >>> v = torch.rand(1, 3, 16, 16)
        >>> torch.equal(prior(v, 0.1), prior.prox(v, 0.1))
        True
        """
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """Q^T prox(Q v), [B, 3, H, W] -> the same. Raises as the prior's, and ValueError for images
        without three channels.

        >>> prior = proxlab.Luminance(proxlab.load("lpn-gray-small"))
        >>> prior.prox(torch.rand(1, 1, 16, 16), 0.1)
        Traceback (most recent call last):
            ...
        ValueError: lpn-gray-small on luminance knows colour images [B, 3, H, W], got ...
        """
        planes, levels = self._planes(v, sigma)
        return turned_back(self.prior.prox(planes, levels), v)

    def spread(
        self, v: Tensor, sigma: float | Tensor, probes: int = PROBES, seed: int = 0
    ) -> Tensor:
        """Standard deviation of each pixel of the prox, [B, 3, H, W]: see `jacobians.spread`.

        >>> prior = proxlab.Luminance(proxlab.load("lpn-gray-small"))
        >>> prior.spread(torch.rand(1, 3, 16, 16), 0.1, probes=4).shape
        torch.Size([1, 3, 16, 16])
        """
        return spread(self, v, sigma, probes, seed)

    def _planes(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """Luminance and chroma as gray images [3 B, 1, H, W], and their levels [3 B]."""
        check_images(v)
        check_channels(self.name, v, 3)
        levels = noise_levels(self.name, v, sigma, self.sigma_range, torch.float64)
        planes = torch.einsum("ij,bjhw->bihw", MIXING.to(v), v - GRAY) + GRAY
        return planes.reshape(-1, 1, *v.shape[2:]), levels.repeat_interleave(3)


def turned_back(planes: Tensor, like: Tensor) -> Tensor:
    """Colour images [B, 3, H, W] of their luminance and chroma [3 B, 1, H, W]."""
    mixed = planes.view_as(like) - GRAY
    return torch.einsum("ji,bjhw->bihw", MIXING.to(like), mixed) + GRAY


def _prox_and_value(
    prior: Luminance, gray: HasProxAndValue, v: Tensor, sigma: float | Tensor
) -> tuple[Tensor, Tensor | None]:
    """The prox x of R_sigma at v, and R_sigma(x), float64 [B], the sum over the three."""
    planes, levels = prior._planes(v, sigma)
    x, r = gray.prox_and_value(planes, levels)
    return turned_back(x, v), None if r is None else r.view(-1, 3).sum(1)
