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
from proxlab.restoration.data_terms import data_term, start
from proxlab.restoration.premises import KnownPrior, Premises, premises
from proxlab.restoration.settings import ALGORITHMS, Settings
from solvers import Result, Trace
from solvers.conditions import PROVED
from solvers.protocols import HasProxAndValue, PerImage, Selectable
from solvers.schedules import geometric

FIRST_LEVEL = 49 / 255
"""Noise level at which the descent begins, as in the plug-and-play literature [Zhang21]."""
DESCENT = 24
"""Steps of that descent."""
ROUNDING = 1e-6
"""Relative error that certificates forgive, ten units in the last place of float32."""
RELAXATION = 1.7
"""Over-relaxation of ADMM and DRS, between 0 and 2; 1 is none. Fixed points and theorems are the
same, and iterations two fifths fewer (`examples/benchmarks/bench_relaxation.py`). At 1.9 TV swings
and takes longer."""
STRIDE = 8.0
"""Factor on the step of ADMM and DRS with TV, whose minimum is one whatever the step: at
sqrt(1 / L) itself their residual was below 1e-4 with missing pixels still empty, 1 dB from where
they end."""
ASSUMED_NOISE = 0.01
"""Noise level of a measurement whose operator knows none and whose user tells none."""


@dataclass(frozen=True)
class Restoration:
    """A restored batch, what was measured on the way, and what can be vouched for."""

    image: Tensor
    """The restored images [B, C, H, W]."""
    trace: Trace
    """Objective, residual and data_misfit per step and image, [K, B]; the descent comes first."""
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
    """Step and prior as they were known before the run, and what of it breaks a theorem."""


class AtStep:
    """A denoiser-type prior R_sigma as the g of a solver: g = weight * R_sigma / sigma^2.

    Taking tau = sigma^2 makes prox_{tau g} the prior's own prox, once the data term is divided by
    the weight.
    """

    def __init__(self, prior: KnownPrior):
        self.prior = prior

    def select(self, index: Tensor) -> "AtStep":
        """The same for those images of the batch; a prior without state serves them all."""
        return AtStep(self.prior.select(index)) if isinstance(self.prior, Selectable) else self

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        """The prior's prox at sigma = sqrt(tau), [B, C, H, W] -> the same."""
        return self.prior.prox(v, tau**0.5)

    def prox_and_value(self, v: Tensor, tau: float | Tensor) -> tuple[Tensor, Tensor | None]:
        """The prox and g there, [B]; None for a prior without a value."""
        if not isinstance(self.prior, HasProxAndValue):
            return self.prox(v, tau), None
        x, r = self.prior.prox_and_value(v, tau**0.5)
        return x, None if r is None else r / tau


def restore(
    y: Tensor,
    op: LinearPhysics,
    prior: KnownPrior,
    settings: Settings = Settings(),
    *,
    init: Tensor | None = None,
    progress: bool = False,
) -> Restoration:
    """Estimate the images behind y = op(x) + noise; `proxlab.restore` is its door for scripts.

    y: measurement [B, ...]; op: a deepinv LinearPhysics; prior: what keeps the contract of
    `proxlab.priors.contract`; init: first estimate [B, C, H, W], from which the solver starts
    without a descent.
    Raises ValueError on what cannot be, solvers.Diverged with the step when iterates blow up.
    Sources: [Fang24] for the prox, [Themelis20] for the choice of sigma, [Geman95] for splitting,
    [Zhang21] for the descent.
    """
    algorithm, weight = ALGORITHMS[settings.solver], settings.weight
    if weight is None:
        weight = prior.capabilities.default_weight
    f = data_term(y, op, noise=settings.noise, strength=1 / weight, assumed=ASSUMED_NOISE)
    lipschitz = f.lipschitz()
    sigma = settings.sigma
    if sigma is None:
        sigma = default_sigma(lipschitz, prior, algorithm)
    if not 0 < sigma < 1:
        raise ValueError(
            f"sigma is in image units, expected 0 < sigma < 1, got {sigma}"
            + ("; divide by 255?" if sigma >= 1 else "")
        )
    tau = sigma**2
    with torch.no_grad():
        x = start(y, op) if init is None else init
        g = AtStep(prior)
        descent = 0 if init is not None else min(DESCENT, settings.steps - 1)
        first = None
        if descent:
            high = min(max(FIRST_LEVEL, sigma), prior.sigma_range[1])
            levels = geometric(high, sigma, descent + 1)[:-1]
            down = solvers.hqs(f, g, x, tau=[s**2 for s in levels])
            first = solvers.run(down, max_steps=descent, tol=1e-12, progress=progress)
            x = first.x
        before = premises(algorithm, prior, tau, x, lipschitz)
        relaxed = {"relaxation": RELAXATION} if algorithm in (solvers.admm, solvers.drs) else {}
        # a prox by conjugate gradients is known to the tolerance of these, and so is what falls
        short, accuracy = len(f.stopped_short), max(ROUNDING, f.tol)
        last = solvers.run(
            algorithm(f, g, x, tau=tau, **relaxed),
            max_steps=settings.steps - descent,
            tol=settings.tol,
            rounding=accuracy,
            progress=progress,
        )
        short = len(f.stopped_short) - short
    missed = f"the data term's prox missed its tolerance {short} times" if short else ""
    doubts = [
        "; ".join(filter(None, (broken, missed, seen)))
        for broken, seen in zip(before.broken, last.doubts, strict=True)
    ]
    return Restoration(
        image=last.x,
        trace=last.trace if first is None else _joined(first, last),
        stopped=last.stopped,
        certified=[not doubt for doubt in doubts],
        doubts=doubts,
        steps=last.steps + descent,
        sigma=sigma,
        descent=descent,
        premises=before,
    )


def default_sigma(
    lipschitz: PerImage, prior: KnownPrior, algorithm: Callable = solvers.pgd
) -> float:
    """sqrt(1 / L), a hair less, kept inside the levels that the prior knows; L [B], its largest.

    `STRIDE` times as much where the prior is convex, the algorithm takes any step, and there is no
    certificate to lose: the envelope that proves a descent falls for steps below 1 / L alone.
    """
    low, high = prior.sigma_range
    largest = max(float(lipschitz.max()), 1e-12)  # 0 for an operator that sees nothing
    free = prior.capabilities.convex and not prior.capabilities.exact
    free = free and PROVED[algorithm].limit(True) == math.inf
    stride = STRIDE if free and algorithm is not solvers.hqs else 1.0  # hqs minimises another sum
    return min(max(0.99 * stride / largest**0.5, low), high)


def _joined(first: Result, last: Result) -> Trace:
    """The traces of both phases, one after the other."""
    one, two = first.trace, last.trace

    def known(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        return None if a is None or b is None else torch.cat([a, b])

    return Trace(
        objective=known(one.objective, two.objective),
        residual=torch.cat([one.residual, two.residual]),
        data_misfit=torch.cat([one.data_misfit, two.data_misfit]),
        merit=known(one.merit, two.merit),
    )
