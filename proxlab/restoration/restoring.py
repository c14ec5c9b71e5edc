"""Restore images from a measurement: the main job, as one function.

    x minimises |A x - y|^2 / (2 s_y^2) + weight * R_s(x) / s^2

for noise level s_y of the measurement and a prior R_s at level s. Phase one comes down from a high
level to s by half-quadratic splitting, which leads to a good minimum; phase two stays at s and runs
the chosen solver until every image is at rest. Only phase two is certified. ADMM and DRS are
over-relaxed there (`RELAXATION`), which changes neither their fixed points nor what is proved.

An image is certified if the conditions of the solver's theorem hold, which is checked before the
run (`premises`, `solvers.conditions`), and if afterwards neither the objective nor what the
theorem makes fall ever rose beyond rounding and the residual ended below tol. Outside of the
conditions a run goes ahead all the same, and `doubts` says what is lost.
The default s = s_y sqrt(weight) / |A| is the largest for which PGD, ADMM and DRS are proved to
converge with a nonconvex prior, tau = s^2 < 1 / L, L = |A^T A| / (weight s_y^2). Where that is
below the least level that the prior knows, the least is taken and the run told not certified. With
a convex prior without certificates, TV, ADMM and DRS take a larger s (`STRIDE`).

If R_s / s^2 is -log p, weight 1 is right and s the only choice; on held-out photographs,
`examples/benchmarks/bench_calibration.py` prints what weight 1 loses to the best weight.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

import solvers
from proxlab.operators.noise import PhotonCounts, noise_level
from proxlab.restoration.data_terms import data_term, start
from proxlab.restoration.premises import Premises, premises
from solvers import Result, Trace
from solvers.conditions import PROVED
from solvers.protocols import PerImage
from solvers.schedules import geometric

FIRST_LEVEL = 49 / 255
"""Where the descent of noise levels begins, as in the plug-and-play literature [Zhang21]."""
ROUNDING = 1e-6
"""Relative error that certificates forgive, ten units in the last place of float32."""
RELAXATION = 1.7
"""Of ADMM and DRS, 0 to 2 and 1 for none: the same fixed points and theorems, and two fifths fewer
iterations (`examples/benchmarks/bench_relaxation.py`). At 1.9 TV's swing and take longer."""
STRIDE = 8.0
"""Of ADMM and DRS with TV, whose minimum is one whatever the step: at sqrt(1 / L) itself their
residual was below 1e-4 with missing pixels still empty, 1 dB from where they end."""
DESCENT = 24
"""Steps of that descent."""
ASSUMED_NOISE = 0.01
"""Of a measurement whose operator knows no noise and whose user tells none."""
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
    """Per image: the premises hold, after the descent neither objective nor merit ever rose, and
    the residual ended below tol."""
    doubts: list[str]
    """Per image: why it is not certified; empty if it is."""
    steps: Tensor
    """Per image: steps taken, the descent included."""
    sigma: float
    """The noise level s of the prior."""
    descent: int
    """Steps of the descent, in which the objective still changes its meaning."""
    premises: Premises
    """What was known of the step and the prior before the run, and what of it breaks a theorem."""


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
    steps: int = 400,
    tol: float = 1e-4,
    init: Tensor | None = None,
    progress: bool = False,
    *,
    weight: float | None = None,
    noise: float | None = None,
) -> Restoration:
    """Estimate the images behind y = op(x) + noise.

    y: measurement [B, ...]; op: a deepinv LinearPhysics; prior: any object with prox(v, sigma), and
    prox_and_value for an objective, `exact` and `convex` for certificates; solver: "pgd", "fista",
    "admm", "drs" or "hqs"; sigma: level s of the prior at the end (`default_sigma` if None); steps:
    at most so many, the descent included; tol: relative residual at which an image stops; init:
    first estimate [B, C, H, W], from which the solver starts without a descent; weight: of the
    prior (its `default_weight` if None, or 1); noise: of the measurement, if the operator does not
    know it (0.01 if neither does).
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
    if noise is None and not isinstance(op.noise_model, PhotonCounts):
        known = noise_level(op)
        noise = known if isinstance(known, Tensor) or known else ASSUMED_NOISE
    f = data_term(y, op, noise=noise, strength=1 / weight)
    lipschitz = f.lipschitz()
    if sigma is None:
        sigma = default_sigma(lipschitz, prior, ALGORITHMS[solver])
    if not 0 < sigma < 1:
        raise ValueError(
            f"sigma is in image units, expected 0 < sigma < 1, got {sigma}"
            + ("; divide by 255?" if sigma >= 1 else "")
        )
    tau = sigma**2
    with torch.no_grad():
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
        before = premises(ALGORITHMS[solver], prior, tau, x, lipschitz)
        relaxed = {"relaxation": RELAXATION} if solver in ("admm", "drs") else {}
        algorithm = ALGORITHMS[solver](f, g, x, tau=tau, **relaxed)
        # a prox by conjugate gradients is known to the tolerance of these, and so is what falls
        accuracy = max(ROUNDING, getattr(f, "tol", 0.0))
        short = len(getattr(f, "stopped_short", ()))
        last = solvers.run(
            algorithm, max_steps=steps - descent, tol=tol, rounding=accuracy, progress=progress
        )
        short = len(getattr(f, "stopped_short", ())) - short
    return _joined(first, last, sigma, descent, before, short)


def default_sigma(lipschitz: PerImage, prior, algorithm: Callable = solvers.pgd) -> float:
    """sqrt(1 / L), a hair less, kept inside the levels that the prior knows; L [B], its largest.

    `STRIDE` times as much where the prior is convex, the algorithm takes any step, and there is no
    certificate to lose: the envelope that proves a descent falls for steps below 1 / L alone.
    """
    low, high = prior.sigma_range if _bounded(prior) else (1 / 255, 75 / 255)
    largest = max(float(lipschitz.max()), 1e-12)  # 0 for an operator that sees nothing
    free = getattr(prior, "convex", False) and not getattr(prior, "exact", False)
    free = free and PROVED[algorithm].limit(True) == math.inf
    stride = STRIDE if free and algorithm is not solvers.hqs else 1.0  # hqs minimises another sum
    return min(max(0.99 * stride / largest**0.5, low), high)


def _bounded(prior) -> bool:
    return hasattr(prior, "sigma_range")


def _joined(
    first: Result | None, last: Result, sigma: float, descent: int, before: Premises, short: int
) -> Restoration:
    missed = f"the data term's prox missed its tolerance {short} times" if short else ""
    doubts = [
        "; ".join(filter(None, (broken, missed, seen)))
        for broken, seen in zip(before.broken, last.doubts, strict=True)
    ]
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
        certified=[not doubt for doubt in doubts],
        doubts=doubts,
        steps=last.steps + descent,
        sigma=sigma,
        descent=descent,
        premises=before,
    )
