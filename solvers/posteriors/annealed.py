"""The annealed proximal sampler of a posterior: a prox at each level, and a Gaussian draw after it.

In coordinates x_sigma = x_0 + sigma e, for each level of a falling sequence:

    x = x_0 + sigma z                                  z fresh
    m = D(x, sigma)                                    the mean of p(x_0 | x), one evaluation
    x_0 ~ N(m, C) given y                              C the covariance of p(x_0 | x)

This is Gibbs sampling of (x_0, x_sigma) given y. Where p(x_0 | x_sigma) is N(m, C), as for Gaussian
images, it is exact at every level and in any number of them, and no norm of A limits a step. Around
a clean image that is no Gaussian it errs as far as p(x_0 | x_sigma) does, less at lower levels; so
levels fall. D is the posterior mean, which is a prox, and C is sigma^2 times its Jacobian: it is
symmetric and nonnegative where the prox is exact. Splitting Gibbs samplers [Vono19] and PnP-DM
[Wu24] alternate likewise, and draw x_0 given x_sigma by a whole diffusion where this takes one
evaluation.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.noise import Noise, normal_like
from solvers.posteriors.covariances import Covariance, Denoise
from solvers.posteriors.observations import Observation


class PosteriorState(NamedTuple):
    """State of `posterior` after a level.

    >>> states = solvers.posterior(
    ...     lambda x, sigma: x / (1 + sigma**2), solvers.Unobserved(), torch.zeros(1, 2),
    ...     [1.0, 0.5], covariance=solvers.ScalarCovariance(lambda s: s**2 / (1 + s**2)))
    >>> [state.sigma for state in states]
    [1.0, 0.5]
    """

    x: Tensor
    """A draw of x_0, [B, ...]."""
    mean: Tensor
    """D(x_sigma, sigma), which knows of y what x_sigma does."""
    sigma: float


def posterior(
    denoise: Denoise,
    observation: Observation,
    x: Tensor,
    levels: Sequence[float],
    *,
    covariance: Covariance,
    noise: Noise = None,
) -> Iterator[PosteriorState]:
    """Draws of x_0 given a measurement, from x [B, ...], one evaluation of D for each level.

    x: a first draw, say from N(mu, S) given y; levels: noise sigma in the units of x, falling, for
    photographs from 0.7 to 0.1 of their deviation; noise: a generator or a function, see
    `solvers.noise`. The last x is the sample. Raises before any step, TypeError for an x that is no
    float32 or float64 tensor, ValueError for one without entries and for levels that are not
    positive or do not fall.

    >>> y = torch.full((20_000, 1), 2.0)   # of x ~ N(0, 1) with noise of deviation 1
    >>> by = solvers.LinearObservation(lambda x: x, lambda y: y, y, variance=1.0)
    >>> prior = solvers.posteriors.covariances.ScaledIdentity(1.0)
    >>> first = by.draw(torch.zeros_like(y), prior, None)
    >>> *_, last = solvers.posterior(
    ...     lambda x, sigma: x / (1 + sigma**2), by, first, [0.8, 0.4],
    ...     covariance=solvers.ScalarCovariance(lambda sigma: sigma**2 / (1 + sigma**2)))
    >>> last.x.mean().round(decimals=1), last.x.var().round(decimals=1)   # N(1, 1 / 2)
    (tensor(1.), tensor(0.5000))
    """
    if not isinstance(x, Tensor) or x.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            "a first draw is one float32 or float64 tensor [B, ...], got "
            + (str(x.dtype) if isinstance(x, Tensor) else type(x).__name__)
        )
    if x.ndim < 2 or not x.numel():
        raise ValueError(
            f"a first draw is a batch of images with pixels, [B, ...], got {list(x.shape)}"
        )
    levels = [float(sigma) for sigma in levels]
    most = torch.finfo(x.dtype).max ** 0.5
    if not levels or not all(0 < sigma < most for sigma in levels):
        raise ValueError(
            f"levels are positive deviations of noise whose squares are finite, got {levels}"
        )
    if sorted(levels, reverse=True) != levels:
        raise ValueError(f"levels fall, got {levels}; sort them from the noisiest down")
    return _walk(denoise, observation, x, levels, covariance, noise)


def _walk(denoise, observation, x, levels, covariance, noise) -> Iterator[PosteriorState]:
    for sigma in levels:
        noisy = x + sigma * normal_like(x, noise)
        mean, matrix = covariance.around(denoise, noisy, sigma)
        x = observation.draw(mean, matrix, noise)
        yield PosteriorState(x, mean, sigma)
