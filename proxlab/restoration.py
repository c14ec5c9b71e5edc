"""Restore images from a measurement: the main job, as one function.

    x minimises |A x - y|^2 / (2 s_y^2) + weight * R_s(x) / s^2

for noise level s_y of the measurement and a prior R_s at level s. Phase one comes down from a high
level to s by half-quadratic splitting, which leads to a good minimum; phase two stays at s and runs
the chosen solver until every image is at rest. Only phase two is certified.

The default s = s_y sqrt(weight) is the largest for which ADMM and DRS are proved to converge with a
nonconvex prior, tau = s^2 <= 1 / L, for an operator of norm one: L = 1 / (weight s_y^2).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

import solvers
from proxlab.data_terms import data_term, start
from proxlab.operators import noise_level
from solvers import Result, Trace
from solvers.schedules import geometric

FIRST_LEVEL = 49 / 255
"""Where the descent of noise levels begins, as in the plug-and-play literature [Zhang21]."""
DESCENT = 24
"""Steps of that descent."""
ALGORITHMS: dict[str, Callable] = {
    "pgd": solvers.pgd,
    "fista": solvers.fista,
    "admm": solvers.admm,
    "drs": solvers.drs,
    "hqs": solvers.hqs,
}


@dataclass(frozen=True)
class Restoration:
    """A restored batch, what was measured on the way, and what can be vouched for."""

    image: Tensor
    """[B, C, H, W]."""
    trace: Trace
    """Per step and image, [K, B]: objective, residual, data_misfit. The descent comes first."""
    stopped: list[str]
    """Per image: "tolerance" or "max_steps"."""
    certified: list[bool]
    """Per image: after the descent the objective never rose and the residual ended below tol."""
    doubts: list[str]
    """Per image: why it is not certified; empty if it is."""
    steps: Tensor
    """Per image: steps taken, the descent included."""
    sigma: float
    """The noise level s of the prior."""
    descent: int
    """Steps of the descent, in which the objective still changes its meaning."""


class AtStep:
    """A denoiser-type prior R_sigma as the g of a solver: g = weight * R_sigma / sigma^2.

    Taking tau = sigma^2 makes prox_{tau g} the prior's own prox, once the data term is divided by
    the weight.
    """

    def __init__(self, prior):
        self.prior = prior

    def select(self, index: Tensor) -> "AtStep":
        return AtStep(self.prior.select(index)) if hasattr(self.prior, "select") else self

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return self.prior.prox(v, tau**0.5)

    def prox_and_value(self, v: Tensor, tau: float | Tensor) -> tuple[Tensor, Tensor | None]:
        if not hasattr(self.prior, "prox_and_value"):
            return self.prox(v, tau), None
        x, r = self.prior.prox_and_value(v, tau**0.5)
        return x, r / tau


def restore(
    y: Tensor,
    op: LinearPhysics,
    prior,
    solver: str = "admm",
    sigma: float | None = None,
    steps: int = 200,
    tol: float = 1e-4,
    init: Tensor | None = None,
    progress: bool = False,
    *,
    weight: float | None = None,
    noise: float | None = None,
) -> Restoration:
    """Estimate the images behind y = op(x) + noise.

    y: measurement [B, ...]; op: a deepinv LinearPhysics; prior: any object with prox(v, sigma), and
    prox_and_value for an objective; solver: "pgd", "fista", "admm", "drs" or "hqs"; sigma: level s
    of the prior at the end (`default_sigma` if None); steps: at most so many, the descent included;
    tol: relative residual at which an image stops; init: first estimate [B, C, H, W], from which
    the solver starts without a descent; weight: of the prior (its `default_weight` if None, or 1);
    noise: of the measurement, if the operator does not know it.
    Raises ValueError on what cannot be, solvers.Diverged with the step when iterates blow up.
    Sources: [Fang24] for the prox, [Themelis20] for the choice of sigma, [Geman95] for splitting,
    [Zhang21] for the descent.
    """
    if solver not in ALGORITHMS:
        raise ValueError(f"solver is one of {', '.join(ALGORITHMS)}, got {solver!r}")
    if steps < 1:
        raise ValueError(f"a restoration needs steps >= 1, got {steps}")
    if weight is None:
        weight = getattr(prior, "default_weight", 1.0)
    if not 0 < weight < math.inf:
        raise ValueError(f"weight multiplies the prior, positive and finite, got {weight}")
    f = data_term(y, op, noise=noise, strength=1 / weight)
    if sigma is None:
        sigma = default_sigma(op, prior, noise, weight)
    if not 0 < sigma < 1:
        raise ValueError(
            f"sigma is in image units, expected 0 < sigma < 1, got {sigma}"
            + ("; divide by 255?" if sigma >= 1 else "")
        )
    tau = sigma**2
    with torch.no_grad():
        if solver in ("pgd", "fista"):
            tau = _gradient_step(f, tau, solver)
        x = start(y, op) if init is None else init
        g = AtStep(prior)
        descent = 0 if init is not None else min(DESCENT, steps - 1)
        first = None
        if descent:
            high = min(max(FIRST_LEVEL, sigma), prior.sigma_range[1] if _bounded(prior) else 1.0)
            levels = geometric(high, sigma, descent + 1)[:-1]
            down = solvers.hqs(f, g, x, tau=[s**2 for s in levels])
            first = solvers.run(down, max_steps=descent, tol=1e-12, progress=progress)
            x = first.x
        algorithm = ALGORITHMS[solver](f, g, x, tau=tau)
        last = solvers.run(algorithm, max_steps=steps - descent, tol=tol, progress=progress)
    return _joined(first, last, sigma, descent)


def default_sigma(op: LinearPhysics, prior, noise: float | None, weight: float) -> float:
    """noise * sqrt(weight), a hair less, kept inside the levels that the prior knows."""
    level = noise if noise is not None else noise_level(op)
    level = float(torch.as_tensor(level or 0.01).max())
    low, high = prior.sigma_range if _bounded(prior) else (1 / 255, 75 / 255)
    return min(max(0.99 * weight**0.5 * level, low, 1 / 255), high)


def _bounded(prior) -> bool:
    return hasattr(prior, "sigma_range")


def _gradient_step(f, tau: float, solver: str) -> float:
    """A gradient method needs tau = sigma^2 below 1 / L; refuse, with the sigma that would do."""
    limit = float(1 / f.lipschitz().max())
    if tau >= limit:
        raise ValueError(
            f"{solver} needs sigma below {limit**0.5:.3g} here (sigma^2 < 1 / Lipschitz constant "
            f"of the data term), got {tau**0.5:.3g}; choose a smaller sigma, or admm, drs or hqs"
        )
    return tau


def _joined(first: Result | None, last: Result, sigma: float, descent: int) -> Restoration:
    trace = last.trace
    if first is not None:
        trace = Trace(
            *(
                None if a is None or b is None else torch.cat([a, b])
                for a, b in zip(first.trace, last.trace, strict=True)
            )
        )
    return Restoration(
        image=last.x,
        trace=trace,
        stopped=last.stopped,
        certified=last.certified,
        doubts=last.doubts,
        steps=last.steps + descent,
        sigma=sigma,
        descent=descent,
    )
