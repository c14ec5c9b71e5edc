"""Runs of a prior at one noise level, after a descent from a high one: how `restore` uses a prox.

Phase one comes down from a high level to s by half-quadratic splitting, which leads to a good
minimum; phase two stays at s and runs the chosen solver until every image is at rest. Only phase
two is certified. Before both, one step of proximal gradient descent at s measures the gradient at
the first estimate, which rest is compared with; the descent goes on from where it leads. ADMM and
DRS are over-relaxed in phase two (`RELAXATION`), which changes neither their fixed points nor what
is proved.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor

import solvers
from proxlab.operators.contract import HasPriorLevel, QuadraticDataTerm
from proxlab.restoration.evidence import Probe, curvature_met, probed
from proxlab.restoration.following import Following
from proxlab.restoration.premises import KnownPrior
from proxlab.restoration.settings import Settings
from solvers import Result
from solvers.duality.composite import HasWarmStart
from solvers.protocols import HasProxAndValue, PerImage, Selectable, norm
from solvers.schedules import geometric
from solvers.witness import REST, Seen, Witness

FIRST_LEVEL = 49 / 255
"""Noise level at which the descent begins, as in the plug-and-play literature [Zhang21]."""
DESCENT = 24
"""Steps of that descent, the one at s before it among them."""
ROUNDING = 1e-6
"""Relative error that certificates forgive, ten units in the last place of float32."""
RELAXATION = 1.7
"""Over-relaxation of ADMM and DRS, between 0 and 2; 1 is none. Fixed points and theorems are the
same, and iterations two fifths fewer (`examples/benchmarks/bench_relaxation.py`)."""


class AtStep:
    """A denoiser-type prior R_sigma as the g of a solver: g = weight * R_sigma / sigma^2.

    Taking tau = sigma^2 makes prox_{tau g} the prior's own prox, once the data term is divided by
    the weight. `values` False makes it a prior without values. The prior is handed a copy and its
    answer is copied, so that a prior which writes over either changes no evidence afterwards;
    `apart` True leaves both out, for a prior that is known to.
    """

    def __init__(self, prior: KnownPrior, values: bool = True, apart: bool = False):
        self.prior, self.values, self.apart = prior, values, apart

    def select(self, index: Tensor) -> "AtStep":
        """The same for those images of the batch; a prior without state serves them all."""
        if isinstance(self.prior, Selectable):
            return AtStep(self.prior.select(index), self.values, self.apart)
        return self

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        """The prior's prox at sigma = sqrt(tau), [B, C, H, W] -> the same.

        Raises ValueError for an answer of another shape or dtype: evidence allows for the rounding
        of the dtype in which answers come.
        """
        return self._owned(v, self.prior.prox(self._lent(v), tau**0.5))

    def prox_and_value(self, v: Tensor, tau: float | Tensor) -> tuple[Tensor, Tensor | None]:
        """The prox and g there, [B]; None for a prior without a value."""
        if not self.values or not isinstance(self.prior, HasProxAndValue):
            return self.prox(v, tau), None
        x, r = self.prior.prox_and_value(self._lent(v), tau**0.5)
        return self._owned(v, x), None if r is None else r / tau

    def _lent(self, v: Tensor) -> Tensor:
        return v if self.apart else v.clone()

    def _owned(self, v: Tensor, x: Tensor) -> Tensor:
        if (x.shape, x.dtype) != (v.shape, v.dtype):
            raise ValueError(
                f"{self.prior.name} turned {v.dtype} {list(v.shape)} into {x.dtype} "
                f"{list(x.shape)}; a prior keeps shape and dtype, let it end with .to(v)"
            )
        return x if self.apart else x.clone()


class Fitted(NamedTuple):
    """A prior made for images of one size."""

    prior: KnownPrior
    apart: bool = False
    """Whether whoever made it knows that it writes neither over the images that it is asked about
    nor, later, over its answers: then `AtStep` copies neither."""


def as_it_is(prior: KnownPrior, images: Tensor) -> Fitted:
    """The prior as it was brought, for images of any size."""
    return Fitted(prior)


class Run(NamedTuple):
    """Both phases of a run, and what was seen of the second."""

    first: list[Result]
    """The step that measures and the descent, without their images; empty from a first estimate of
    the user's."""
    last: Result
    seen: list[Seen | None]
    """Per image: its evaluations, and of their points the last; None of one that diverged."""
    curved: list[tuple[float, float]]
    """Per image: `evidence.curvature_met`."""
    probes: list[Probe | None]
    """Per image: the evaluation that tests the reported values; None where there are none."""
    reference: PerImage
    """Gradient of the objective at the first estimate, [B]."""
    missed: list[int]
    """Per image: calls of the data term's prox that missed its tolerance in the second phase."""


def run_at_level(
    algorithm: Callable,
    f: QuadraticDataTerm,
    fitted: Fitted,
    sigma: PerImage,
    settings: Settings,
    starts: list[Tensor],
    follow: Following,
) -> Run:
    """Descend to the level sigma [B], stay there until at rest, and test reported values once.

    starts: the plain first estimate, and maybe that of the user, which replaces the descent; nor is
    there one for a prior that says it is convex. The list is emptied: of a large image each copy
    counts, and these are needed no more once the run is on its way.
    """
    plain, own = starts[0], starts[1] if len(starts) > 1 else None
    starts.clear()
    prior, count = fitted.prior, len(plain)
    tau, steps = alike(sigma**2), settings.steps or 0
    # a prox that is an iteration starts where the last call of this run ended
    used = cast(KnownPrior, prior.for_run()) if isinstance(prior, HasWarmStart) else prior
    g = AtStep(used, settings.checks.values, fitted.apart)
    measured, reference = _measured(f, g, plain, sigma, settings.tol)
    x, first = plain if own is None else own, []
    # a convex prior has one minimum, to which a descent of levels does not help
    direct = own is not None or prior.capabilities.convex
    del plain, own
    descent = 0 if direct else min(DESCENT, steps - 1)
    if descent:
        # above 1 / L that step may lead far away
        bound = f.lipschitz()
        short = (sigma.to(bound) ** 2 * bound <= 1).view(-1, 1, 1, 1)
        x, first = torch.where(short, measured.x, x), [_without_images(measured)]
        follow.step(x, measured.trace.residual[-1])
    del measured
    if descent > 1 and not follow.ended:
        high = sigma.clamp(min=FIRST_LEVEL).clamp(max=prior.sigma_range[1])
        ends = zip(high.tolist(), sigma.tolist(), strict=True)
        ways = [geometric(first, last, descent) for first, last in ends]
        levels = torch.tensor(ways, dtype=torch.float64).mT[:-1]
        down = solvers.hqs(f, g, x, tau=[alike(s**2) for s in levels])
        led = follow.run(down, max_steps=descent - 1, tol=1e-12)
        x, first = led.x, [*first, _without_images(led)]
        del led
    relaxed = {"relaxation": RELAXATION} if algorithm in (solvers.admm, solvers.drs) else {}
    witness = Witness(settings.checks.pairs, f.lipschitz(), reference)
    missed = len(f.stopped_short)
    there = algorithm(f, g, x, tau=tau, **relaxed)
    del x
    last = follow.run(
        there,
        max_steps=steps - descent,
        tol=settings.tol,
        # a prox by conjugate gradients is known to the tolerance of these, and so is what falls
        rounding=max(ROUNDING, f.tol),
        witness=witness,
    )
    ended = zip(range(count), last.stopped, strict=True)
    seen = [None if how == "diverged" else witness.of(b) for b, how in ended]
    for one, x in zip(seen, last.x, strict=True):
        if one is not None:
            one.x[-1] = x  # the same numbers, kept once
    del witness
    curved = [(0.0, 1.0) if one is None else curvature_met(one, f.tol) for one in seen]
    late = f.stopped_short[missed:]
    missed = [sum(b in call.images for call in late) for b in range(count)]
    return Run(first, last, seen, curved, _probe(g, seen, tau), reference, missed)


def default_sigma(lipschitz: PerImage, prior: KnownPrior) -> PerImage:
    """sqrt(1 / L), a hair less, kept inside the levels that the prior knows; L [B] -> the same.

    >>> from proxlab.restoration import default_sigma
    >>> prior = proxlab.load("lpn-gray")
    >>> default_sigma(torch.tensor([100.0, 400.0]), prior)   # 1 / 10 and 1 / 20, a hair less
    tensor([0.0990, 0.0495], dtype=torch.float64)
    """
    low, high = prior.sigma_range
    bound = lipschitz.cpu().double().clamp(min=1e-12)  # 0 for an operator that sees nothing
    return (0.99 / bound.sqrt()).clamp(min=low).clamp(max=high)


def scan_sigma(op: HasPriorLevel, noise: PerImage, prior: KnownPrior) -> PerImage:
    """The level that the operator names for measurements of those deviations, [B] -> the same.

    Kept inside the levels that the prior knows.

    >>> from proxlab.restoration.fixed_level import scan_sigma
    >>> op = proxlab.operators.ct(32, angles=48, noise=0.5)
    >>> scan_sigma(op, torch.tensor([0.5]), proxlab.load("lpn-ct"))
    tensor([0.0092], dtype=torch.float64)
    """
    low, high = prior.sigma_range
    return op.prior_level(noise.cpu().double()).clamp(min=low).clamp(max=high)


def batched(images: list[Tensor]) -> Tensor:
    """Images [C, H, W] as a batch; a single one is not copied."""
    return images[0][None] if len(images) == 1 else torch.stack(images)


def alike(each: PerImage) -> float | PerImage:
    """The number that all of [B] are, or else [B]: not every prior takes one for each image."""
    return float(each[0]) if bool((each == each[0]).all()) else each


def _measured(
    f: QuadraticDataTerm, g: AtStep, plain: Tensor, sigma: PerImage, tol: float | Tensor
) -> tuple[Result, PerImage]:
    """One step of proximal gradient descent from the first estimate; the gradient there, [B]."""
    look = Witness()
    steps = solvers.pgd(f, g, plain, tau=alike(sigma**2))
    measured = solvers.run(steps, max_steps=1, tol=tol, witness=look)
    assert look.reference is not None
    # a gradient is known to the rounding of x over tau: that is rest, wherever a run began
    rounding = torch.finfo(plain.dtype).eps * norm(plain).cpu().double() / (sigma**2).cpu()
    return measured, torch.maximum(look.reference, rounding / REST)


def _without_images(result: Result) -> Result:
    return result._replace(x=result.x[:0].clone())


def _probe(g: AtStep, seen: list[Seen | None], tau: float | PerImage) -> list[Probe | None]:
    """One evaluation more of each image, where values were reported."""
    places = [b for b, one in enumerate(seen) if one is not None and one.values is not None]
    probes: list[Probe | None] = [None] * len(seen)
    told = [one for one in seen if one is not None and one.values is not None]
    if not told:
        return probes
    v, index = batched([probed(one) for one in told]), torch.tensor(places)
    each = tau[index].to(v) if isinstance(tau, Tensor) else tau
    x, r = g.select(index.to(v.device)).prox_and_value(v, each)
    if r is None:
        return probes
    for place, one, answer, value, seen_there in zip(places, v, x, r, told, strict=True):
        probes[place] = Probe(one, answer, seen_there.tau * float(value))
    return probes
