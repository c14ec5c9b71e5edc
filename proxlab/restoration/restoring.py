"""Restore images from a measurement: the main job, as one function.

    x minimises |A x - y|^2 / (2 s_y^2) + weight * R_s(x) / s^2

for photons that a camera counted their likelihood in place of the square (`operators.counts`), for
noise level s_y of the measurement and a prior R_s at level s. A learned prior is used through
its prox: a descent of levels, then the chosen solver at the level s (`fixed_level`). A convex prior
g(K x), total variation or wavelets, is solved by `solvers.pdhg` with A and K in one loop.

An image is certified if its run's own numbers prove it (`evidence`): the operator is linear, with
its adjoint; one function R exists whose prox all answers of the prior were, with the values that it
reports; the step is within the solver's theorem for that R; and the run came to rest, by the
gradient of the objective. A run of `pdhg` is certified by its duality gap. Otherwise the run goes
ahead all the same, and `doubts` say what is lost.
The default s = s_y sqrt(weight) / |A| is the largest for which PGD, ADMM and DRS are proved to
converge with a nonconvex prior, tau = s^2 < 1 / L, L = |A^T A| / (weight s_y^2). Where that is
below the least level that the prior knows, the least is taken and the run told not certified.
A scan says itself which level serves it (`operators.contract.HasPriorLevel`), a larger one; there
`hqs` is the solver, which is proved at any level, for the splitting energy that it minimises.

If R_s / s^2 is -log p, weight 1 is right and s the only choice; on held-out photographs,
`examples/benchmarks/bench_calibration.py` prints what weight 1 loses to the best weight.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.arguments import positive
from proxlab.operators.checks import check_operator
from proxlab.operators.contract import HasPriorLevel
from proxlab.operators.data_term_checks import check_data_term
from proxlab.operators.estimates.noise_level import estimate_noise
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import measurement_weights
from proxlab.restoration.data_terms import (
    checked_start,
    counted,
    data_term,
    start,
)
from proxlab.restoration.evidence import Evidence
from proxlab.restoration.fixed_level import (
    Fitted,
    as_it_is,
    default_sigma,
    run_at_level,
    scan_sigma,
)
from proxlab.restoration.following import Following
from proxlab.restoration.judging import Job, checked_again, judged, judged_by_gap, weighed
from proxlab.restoration.premises import (
    KnownPrior,
    Premises,
    composite_doubt,
    curvature_floor,
    default_weight,
    units_doubts,
)
from proxlab.restoration.restored import Restoration
from proxlab.restoration.settings import ALGORITHMS, Settings
from solvers import Result, Trace
from solvers.primal_dual import HasComposite, condat_vu, pdhg
from solvers.progress import Follower

DEFAULT = Settings()
STEPS = 400
"""Largest number of steps where none is told."""
GAP_STEPS = 3000
"""The same of `pdhg`, whose steps are short and call no network."""


def restore_once(
    y: Tensor,
    op: LinearPhysics,
    prior: KnownPrior,
    settings: Settings = DEFAULT,
    *,
    init: Tensor | None = None,
    progress: bool | Follower = False,
    fit: Callable[[KnownPrior, Tensor], Fitted] = as_it_is,
) -> Restoration[Tensor]:
    """Estimate the images behind y = op(x) + noise with one prior; see `repeating.restore`.

    y: measurement [B, ...]; op: a deepinv LinearPhysics; prior: what keeps the contract of
    `proxlab.priors.contract`; init: first estimate [B, C, H, W], from which the solver starts
    without a descent; progress: whether to draw a bar, or a function as `proxlab.restore` takes it;
    fit: what makes of the prior the one that runs, once images [B, C, H, W] of
    their size are there.
    Raises ValueError on what cannot be, an operator without a noise level and one whose A_adjoint
    is not its adjoint among them; solvers.Diverged with the step when the iterates of all images
    blow up.
    Sources: [Fang24] for the prox, [Rockafellar70] for the evidence, [Themelis20] for the choice of
    sigma, [Geman95] for splitting, [Zhang21] for the descent, [Chambolle11] for `pdhg`.

    >>> from proxlab.restoration.restoring import Settings, restore_once
    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((32, 32), 0.5), noise=0.05)
    >>> y = op(torch.linspace(0, 1, 32).expand(1, 1, 32, 32))
    >>> restore_once(y, op, proxlab.load("lpn-gray"), Settings("pgd", steps=50)).image.shape
    torch.Size([1, 1, 32, 32])
    """
    numbers = counted(y, op, settings.noise)
    weight: float | Tensor = default_weight(prior, op, None if numbers is None else y)
    if settings.weight is not None:
        weight = positive("weight", settings.weight, y).detach()
    noise = settings.noise
    if isinstance(noise, str):  # "auto": `Settings` takes no other
        noise = estimate_noise(y, op)
    f = data_term(y, op, noise=noise, strength=1 / weight, assumed=None)
    with torch.no_grad():
        y = as_operator(op).usable(y)
        plain = start(y, op)
        y = y if numbers is None else numbers.in_image_units(y)
        init = None if init is None else checked_start(init, plain)
        fitted = fit(prior, plain)
        prior = fitted.prior
        check = check_operator(op, y, plain)
        if check.adjoint_wrong and settings.checks.adjoint:
            raise ValueError(
                f"{check.adjoint_wrong}; checks=Checks(adjoint=False) runs all the same"
            )
        level = None if numbers is None else numbers.mean_variance(y).sqrt()
        weights = measurement_weights(y, op, noise if level is None else level, 1 / weight)
        lipschitz = f.lipschitz()
        composite = isinstance(prior, HasComposite) and settings.solver in (None, "pdhg")
        if composite and numbers is not None:  # whose steps and gaps are for quadratics
            if settings.solver:
                raise ValueError("pdhg takes measurements with Gaussian noise, not counts; admm")
            composite = False
        scan = isinstance(op, HasPriorLevel) and not prior.capabilities.convex
        name = settings.solver or ("pdhg" if composite else "hqs" if scan else "admm")
        steps = settings.steps or (GAP_STEPS if composite else STEPS)
        algorithm, settings = ALGORITHMS[name], replace(settings, solver=name, steps=steps)
        level = (weights.image * weight).rsqrt()
        if settings.sigma is not None:
            sigma = positive("sigma", settings.sigma, y).detach().cpu()
        elif name == "hqs" and isinstance(op, HasPriorLevel):
            sigma = torch.maximum(scan_sigma(op, level, prior), default_sigma(lipschitz, prior))
        else:
            sigma = default_sigma(lipschitz, prior)
        before = Premises(
            sigma**2,
            lipschitz,
            level,
            check,
            check_data_term(f, op, y, plain, weights.entry),
            curvature_floor(f, plain),
            units_doubts(prior.name, plain),
            "" if numbers is None else str(numbers),
        )
        job = Job(y, op, prior, settings, f, weights, before)
        label = f"restore, {prior.name}"
        if composite:
            with Following(progress, steps, label) as follow:
                return _by_gap(job, (plain, init), follow)
        if algorithm is pdhg:
            raise ValueError(
                f"pdhg solves convex priors g(K x), as tv and wavelets are; {prior.name} is none, "
                "take admm"
            )
        starts = [plain] if init is None else [plain, init]
        del plain, init
        with Following(progress, steps, label) as follow:
            run = run_at_level(algorithm, f, fitted, sigma, settings, starts, follow)
        numbers = weighed(job, run)
        job = checked_again(job, run.last.x)
        return _restoration(job, run.first, run.last, *judged(job, run, numbers))


def _by_gap(job: Job, starts: tuple[Tensor, Tensor | None], follow: Following) -> Restoration:
    """The run of a convex prior g(K x), certified by its duality gap."""
    assert isinstance(job.prior, HasComposite)
    settings, f, g = job.settings, job.f, job.prior.composite()
    plain, own = starts
    x = plain if own is None else own
    closed = f.tol == 0  # else its prox is an inner solve, and gradients are better
    steps = pdhg(f, g, x) if closed else condat_vu(f, g, x, lipschitz=job.before.lipschitz)
    last = follow.run(steps, max_steps=settings.steps or 1, tol=settings.tol)
    composite = composite_doubt(job.prior.name, g, job.y, x)
    job = checked_again(job, plain)
    return _restoration(job, [], last, *judged_by_gap(job, last, composite))


def _restoration(
    job: Job,
    first: list[Result],
    last: Result,
    found: list[Evidence],
    doubts: list[str],
) -> Restoration[Tensor]:
    descent = sum(len(phase.trace.residual) for phase in first)
    return Restoration(
        image=last.x,
        trace=_joined([*(phase.trace for phase in first), last.trace]),
        stopped=last.stopped,
        certified=[not words for words in doubts],
        doubts=doubts,
        evidence=found,
        steps=last.steps + descent,
        solver=job.settings.solver or "",  # `restore` has filled it in
        prior=job.prior.name,
        sigma=job.before.tau.sqrt(),
        descent=descent,
        premises=job.before,
        pixels=last.x,
    )


def _joined(traces: list[Trace]) -> Trace:
    """The traces of all phases, one after the other; a single one as it is, with its gap."""
    if len(traces) == 1:
        return traces[0]

    def known(parts: list[Tensor | None]) -> Tensor | None:
        there = [part for part in parts if part is not None]
        return torch.cat(there) if len(there) == len(parts) else None

    return Trace(
        objective=known([trace.objective for trace in traces]),
        residual=torch.cat([trace.residual for trace in traces]),
        data_misfit=torch.cat([trace.data_misfit for trace in traces]),
        merit=known([trace.merit for trace in traces]),
    )
