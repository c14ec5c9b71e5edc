"""The Laplace approximation around a restored image: a Gaussian with the objective's curvature.

Near its minimiser x the objective is a quadratic, whose Gaussian has the covariance

    (A^T W A / s_y^2 + weight (J^-1 - 1) / s^2)^-1,

since the prox of R at v = x + grad R(x) has the Jacobian J = (1 + Hess R)^-1. With x = J z this is
J (J A^T W A J / s_y^2 + weight (J - J^2) / s^2)^-1 J: a symmetric system that needs no inverse of
J, solved by conjugate gradients. It knows one mode, and of that the curvature at one point; it
takes the prior's weight for true. `proxlab.posterior` draws from the posterior itself.
"""

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.counts.camera import counting
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import PhotonCounts, measurement_weights
from proxlab.priors.contract import Prior
from proxlab.priors.jacobians.contract import PROBES
from proxlab.priors.jacobians.probes import probed_diagonal
from proxlab.priors.jacobians.spread import NO_MEAN, jacobian
from proxlab.restoration import Restoration
from proxlab.restoration.data_terms import data_term
from proxlab.restoration.premises import default_weight
from solvers.linear_systems import conjugate_gradient
from solvers.protocols import dot, per_image

TOL, STEPS = 0.05, 60
"""Residual of each system over its right-hand side, and conjugate gradient steps at most."""


def laplace_spread(
    result: Restoration,
    y: Tensor,
    op: LinearPhysics,
    prior: Prior,
    weight: float | None = None,
    probes: int = PROBES,
    seed: int = 0,
) -> Tensor:
    """Standard deviation of each pixel of a restored image, [B, C, H, W], by the curvature there.

    result: what `restore` made of y, op and prior with that weight, the prior's own if None.
    `probes` systems are solved, on grids of pixels with random signs; where an estimate does not
    exceed its own standard error, that stands in its place.
    Raises ValueError for fewer than 2 probes, for a measurement that `restore` refuses, and for a
    prior whose prox is not smooth, as that of tv.

    >>> from proxlab.posteriors.laplace import laplace_spread
    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((16, 16), 0.5), noise=0.05)
    >>> y, prior = op(torch.full((1, 1, 16, 16), 0.5)), proxlab.load("lpn-gray-small")
    >>> result = proxlab.restore(y, op, prior)
    >>> s = laplace_spread(result, y, op, prior, probes=8)
    >>> s.shape, bool(s[op.mask == 0].mean() > s[op.mask == 1].mean())
    (torch.Size([1, 1, 16, 16]), True)
    """
    if prior.capabilities.most_probable:
        raise ValueError(f"{prior.name} has no Laplace spread: {NO_MEAN}")
    if probes < 2:
        raise ValueError(f"a standard error takes at least 2 probes, got {probes}; take {PROBES}")
    x, sigma = result.pixels.detach(), result.sigma.to(result.pixels)
    if weight is None:
        weight = default_weight(prior, op, y if result.premises.counts else None)
    numbers = counting(op.noise_model, y) if result.premises.counts else None
    # of counts each entry has its own
    alike = numbers is None and not isinstance(op.noise_model, PhotonCounts)
    noise = result.premises.noise.to(x) if alike else None
    with torch.no_grad():
        y = as_operator(op).usable(y.detach())
        weights = measurement_weights(
            y if numbers is None else numbers.in_image_units(y), op, noise
        )
        slope = data_term(y, op, noise=noise).grad(x)
        v = x - per_image(sigma**2 / weight, x) * slope
        pull = jacobian(prior, v, sigma)
    precision, rigid = per_image(weights.image, x).to(x), per_image(weight / sigma**2, x)

    def seen(u: Tensor) -> Tensor:
        r = op.A(u)
        return precision * op.A_adjoint(r if weights.entry is None else weights.entry.to(r) * r)

    def curvature(z: Tensor) -> Tensor:
        u = pull(z)
        return pull(seen(u) + rigid * (z - u))

    def covariance(b: Tensor) -> Tensor:
        right = pull(b)
        found = conjugate_gradient(
            curvature,
            lambda z: right - curvature(z),
            torch.zeros_like(right),
            scale=dot(right, right).sqrt().clamp(min=torch.finfo(x.dtype).tiny),
            tol=TOL,
            max_steps=STEPS,
        )
        return pull(found.x)

    with torch.no_grad():
        value, error = probed_diagonal(covariance, x, probes, seed)
    return torch.maximum(value, error).clamp(min=0).sqrt()
