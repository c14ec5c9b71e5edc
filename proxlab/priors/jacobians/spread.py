"""Standard deviation of each pixel of a denoised image, from the Jacobian: how far to trust it.

If v = x + sigma e and the prox is the posterior mean of x, then sigma^2 J is its covariance
[Efron11], and sigma sqrt(diag J) the standard deviation of x at each pixel, given v. A learned prox
is such a mean as nearly as it was trained to be. docs/measured/denoising.md says how near.
"""

import torch
from torch import Tensor

from proxlab.priors.arguments import check_images, noise_levels
from proxlab.priors.contract import Prior
from proxlab.priors.gradients import stopped
from proxlab.priors.jacobians.autograd import AutogradJacobian
from proxlab.priors.jacobians.contract import PROBES, HasJacobian, Jacobian, check_probes
from proxlab.priors.jacobians.explicit import NO_GRADIENT

NO_MEAN = (
    "its prox is a most probable image, not a mean, and its Jacobian is no error bar; take a "
    "learned prior, lpn-gray say"
)
"""Why a prior has no spread."""


def jacobian(prior: Prior, v: Tensor, sigma: float | Tensor) -> Jacobian:
    """The Jacobian of the prior's prox at v [B, C, H, W]: its own, or by autograd.

    Raises as the prox, and ValueError where no gradient passes through it.

    >>> from proxlab.priors.jacobians.spread import jacobian
    >>> v = torch.rand(1, 1, 9, 9)
    >>> [jacobian(proxlab.load(f"{kind}-gray"), v, 0.1).symmetric for kind in ("lpn", "unet")]
    [True, False]
    """
    if isinstance(prior, HasJacobian):
        return prior.jacobian(v, sigma)
    # an exact prox is the gradient of a function, whose second derivative is symmetric
    return AutogradJacobian(prior.prox, v, sigma, prior.name, prior.capabilities.exact)


def spread(
    prior: Prior, v: Tensor, sigma: float | Tensor, probes: int = PROBES, seed: int = 0
) -> Tensor:
    """Standard deviation of each pixel of the prior's prox at v, sigma sqrt(diag J), [B, C, H, W].

    Exact for a mixture potential. Elsewhere diag J is an estimate from at most `probes` products
    (`AutogradJacobian.diagonal`), and where it does not exceed its own standard error, that stands
    in its place: no pixel is called sure for want of probes. `jacobian(...).diagonal()` has both.
    It is of the noise alone: an operator before it, or a prox that was trained for other images,
    it does not know. Raises as the prox, and ValueError for a sigma of 0, for too few probes, and
    of a prior whose prox is a most probable image.

    >>> from proxlab.priors.jacobians.spread import spread
    >>> prior, v = proxlab.load("unet-gray-small"), torch.full((1, 1, 16, 16), 0.5)
    >>> s = spread(prior, v, 0.1, probes=8)
    >>> s.shape, bool((s > 0).all()), bool(s.mean() < 0.1)
    (torch.Size([1, 1, 16, 16]), True, True)
    """
    if prior.capabilities.most_probable:
        raise ValueError(f"{prior.name} has no spread: {NO_MEAN}")
    check_probes(probes, seed)
    check_images(v)
    levels = noise_levels(prior.name, v, sigma, prior.sigma_range, v.dtype)
    if not bool((levels > 0).all()):
        raise ValueError("a spread is of images with noise, sigma > 0, got sigma = 0")
    value, error = jacobian(prior, v.detach(), sigma).diagonal(probes, seed)
    if not bool(error.isfinite().all()):
        raise ValueError(
            f"an estimated spread takes at least 2 probes, got {probes}; take {PROBES}"
        )
    deviation = levels.view(-1, 1, 1, 1) * torch.maximum(value, error).clamp(min=0).sqrt()
    return stopped(NO_GRADIENT, deviation.detach(), v, levels)


class SpreadOfMean:
    """The method `spread` of a prior, refused where its prox is no posterior mean.

    >>> from proxlab.priors.jacobians.spread import SpreadOfMean
    >>> isinstance(proxlab.load("unet-gray-small"), SpreadOfMean)
    True
    """

    def spread(
        self: Prior, v: Tensor, sigma: float | Tensor, probes: int = PROBES, seed: int = 0
    ) -> Tensor:
        """Standard deviation of each pixel of the prox, [B, C, H, W]: see `jacobians.spread`.

        >>> v = torch.rand(1, 1, 8, 8)
        >>> proxlab.load("unet-gray-small").spread(v, 0.1, probes=8).shape
        torch.Size([1, 1, 8, 8])
        >>> proxlab.classical.TV().spread(v, 0.1)
        Traceback (most recent call last):
            ...
        ValueError: tv has no spread: its prox is a most probable image, not a mean, ...
        """
        return spread(self, v, sigma, probes, seed)
