"""Judging a run: its numbers as `Evidence`, and sentences on all that they fail to prove.

A run through the prox is judged by the interpolation test, the step's theorem, descent and rest; a
run of `pdhg` by its duality gap. Both rest on the checks of operator and data term before the run.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.checks import check_operator, ratio
from proxlab.operators.contract import QuadraticDataTerm
from proxlab.operators.data_term_checks import by_products
from proxlab.operators.noise import Weights
from proxlab.restoration.evidence import (
    Evidence,
    Probe,
    data_doubts,
    fall,
    gap_doubts,
    interpolated,
    premise_doubts,
    prior_doubts,
    rest_doubts,
    value_error,
)
from proxlab.restoration.fixed_level import ROUNDING, Run, batched
from proxlab.restoration.premises import (
    KnownPrior,
    Premises,
    curvature_floor,
    is_proved,
    step_doubt,
)
from proxlab.restoration.settings import ALGORITHMS, Settings
from solvers import Result, hqs
from solvers.certificate import Rounding, risen
from solvers.conditions import PROVED
from solvers.evidence import Interpolation
from solvers.protocols import norm, per_image
from solvers.witness import Seen

LAST_LOOK = 2
"""Steps of the power method after the run: enough for an operator that has grown by a half."""
LOOSEST_ACCURACY = 1e-4
"""The largest relative error of the data term's prox that certifies anything."""


@dataclass(frozen=True)
class Job:
    """One restoration: what was asked for, and what is known before it runs."""

    y: Tensor
    op: LinearPhysics
    prior: KnownPrior
    settings: Settings
    f: QuadraticDataTerm
    weights: Weights
    before: Premises


def checked_again(job: Job, x: Tensor) -> Job:
    """The job with the operator as it is now, after the run: one may have changed on the way.

    x [B, C, H, W]: images of its size and range, as it was checked with others before.
    """
    now, bent = check_operator(job.op, job.y, x, remembered=False), job.before.curvature
    bent = torch.maximum(bent, curvature_floor(job.f, x, steps=LAST_LOOK))
    before = replace(job.before, curvature=bent)
    if now.doubts or now.adjoint_wrong:
        before = replace(before, operator=now)
    return replace(job, before=before)


class Weighed(NamedTuple):
    """Numbers and sentences on what was seen of one image's run."""

    met: Interpolation
    fall: tuple[float, float] | None
    """Least and largest fall of the objective, where some R fits."""
    curvature: float
    """Curvature of the data term that was met, over that which it should have at most."""
    monotone: float
    data_error: float
    value_error: float
    gradient: float
    """Gradient of the objective at the end."""
    counts: tuple[int, int]
    """Evaluations, and how many of them were kept."""
    doubts: list[str]
    """Sentences on the prior."""


def weighed(job: Job, run: Run) -> list[Weighed | None]:
    """Numbers on the evaluations of each image, None of one that diverged.

    They are let go: `run.seen` and `run.probes` are empty afterwards, for a large image's take as
    much memory as all the rest, and there are checks to come.
    """
    looks = list(zip(run.seen, run.probes, strict=True))
    found = [
        None if seen is None else _weighed(job, b, seen, probe, run.curved[b])
        for b, (seen, probe) in enumerate(looks)
    ]
    ends = [None if seen is None else (seen.point[-1], seen.v[-1]) for seen in run.seen]
    for many in (looks, run.seen, run.probes):
        many.clear()
    errors = _data_errors(job, ends, run.last.x, ALGORITHMS[job.settings.solver or ""] is hqs)
    return [x and x._replace(data_error=e) for x, e in zip(found, errors, strict=True)]


def _weighed(
    job: Job, b: int, seen: Seen, probe: Probe | None, curved: tuple[float, float]
) -> Weighed:
    """The same of image b, all but what `_data_errors` tells."""
    met, lipschitz = interpolated(seen, probe), float(job.before.lipschitz[b])
    # hqs is asked for the gradient of f's Moreau envelope, which is flatter than f
    envelope = ALGORITHMS[job.settings.solver or ""] is hqs
    flat = lipschitz / (1 + float(job.before.tau[b]) * lipschitz) if envelope else lipschitz
    most, monotone = curved
    return Weighed(
        met,
        fall(seen, met) if met.margin >= 0 else None,
        most / flat if flat > 0 else 0.0,
        monotone,
        0.0,
        value_error(seen),
        seen.gradient,
        (seen.evaluations, len(seen.x)),
        prior_doubts(job.prior.name, met, seen),
    )


def judged(job: Job, run: Run, numbers: list[Weighed | None]) -> tuple[list[Evidence], list[str]]:
    """Evidence and doubts, in one string each, of every image of a run through the prox."""
    algorithm, f, before = ALGORITHMS[job.settings.solver or ""], job.f, job.before
    merit, misfit = run.last.trace.merit, run.last.trace.data_misfit
    found, doubts = [], []
    for b, seen in enumerate(numbers):
        if seen is None:
            found.append(_nothing(before))
            doubts.append(_why_lost(run, b))
            continue
        tau, tol = float(before.tau[b]), tol_of(job, b)
        lipschitz = float(before.lipschitz[b])
        met = seen.met
        convex = met.convex_margin >= 0
        t = tau * lipschitz
        # what was found before the run is of f itself, and f is what L has to bound
        known = float(before.curvature[b])
        most = known / lipschitz if lipschitz > 0 else inf if known > 0 else 0.0
        curved = max(seen.curvature, most)
        gradient = seen.gradient / max(float(run.reference[b]), 1e-300)
        k = int(run.last.steps[b])
        found.append(
            Evidence(
                *seen.counts,
                before.operator.adjoint_error,
                before.operator.linearity_error,
                met.margin,
                met.convex_margin,
                met.value_margin,
                seen.fall,
                data_error=seen.data_error,
                step=t,
                step_limit=PROVED[algorithm].limit(convex),
                curvature=curved,
                gradient=gradient,
            )
        )
        words = premise_doubts(before, b)
        words += data_doubts(curved, seen.monotone, seen.data_error, run.missed[b])
        if not f.tol <= LOOSEST_ACCURACY:
            words.append(
                f"the data term knows its prox to {f.tol:g} alone, which would excuse any image; "
                f"at most {LOOSEST_ACCURACY:g} certifies"
            )
        words += seen.doubts
        words += filter(None, [step_doubt(algorithm, job.prior, tau, lipschitz, convex)])
        if merit is not None and (is_proved(algorithm, t, False) or PROVED[algorithm].falls):
            rounding = Rounding(max(ROUNDING, f.tol), seen.value_error)
            words += filter(None, [risen("the merit", merit[:k, b], misfit[:k, b], rounding)])
        residual = float(run.last.trace.residual[k - 1, b])
        words += rest_doubts(residual, tol, gradient)
        doubts.append("; ".join(words))
    return found, doubts


def judged_by_gap(job: Job, last: Result, composite: str) -> tuple[list[Evidence], list[str]]:
    """Evidence and doubts of every image of a run of `pdhg`, whose gap proves what it needs.

    composite: a sentence on a g(K x) that is none, `premises.composite_doubt`.
    """
    assert last.trace.gap is not None and last.trace.objective is not None
    check, found, doubts = job.before.operator, [], []
    for b, k in enumerate(last.steps.tolist()):
        if last.stopped[b] == "diverged":
            found.append(_nothing(job.before))
            doubts.append(last.doubts[b])
            continue
        # both are 0 where black is the answer
        gap = float(ratio(last.trace.gap[k - 1, b], last.trace.objective[k - 1, b].abs()))
        found.append(Evidence(0, 0, check.adjoint_error, check.linearity_error, gap=gap))
        words = premise_doubts(job.before, b) + [composite] * bool(composite)
        words += gap_doubts(gap, tol_of(job, b))
        doubts.append("; ".join(words))
    return found, doubts


def tol_of(job: Job, b: int) -> float:
    """The tolerance of image b."""
    tol = job.settings.tol
    return float(tol[b] if isinstance(tol, Tensor) and tol.ndim else tol)


def _nothing(before: Premises) -> Evidence:
    """Evidence of an image that diverged: what was known before the run."""
    return Evidence(0, 0, before.operator.adjoint_error, before.operator.linearity_error)


def _why_lost(run: Run, b: int) -> str:
    """Sentence on an image that diverged, from the phase in which it did."""
    phases = [*run.first, run.last]
    return next(one.doubts[b] for one in phases if one.stopped[b] == "diverged")


def _data_errors(
    job: Job, ends: list[tuple[Tensor, Tensor] | None], like: Tensor, at_answer: bool
) -> list[float]:
    """The data term's last gradient of each image against w A^T W (A x - y), by two products.

    ends: the last point and v of each image, None of one that diverged; like: images.
    """
    if any(one is None for one in ends):  # an operator may have a parameter for each image
        none = torch.zeros_like(like[0])
        ends = [(none, none) if one is None else one for one in ends]
    point, v = (batched(list(each)) for each in zip(*filter(None, ends), strict=True))
    tau = job.before.tau.to(norm(v))
    x = v if at_answer else point
    gradient = by_products(job.f, job.op, job.y, x, job.weights).grad
    known = (1 + tau * job.before.lipschitz) * norm(x) / tau
    allowed = (4 * job.f.tol + 8 * torch.finfo(x.dtype).eps) * known
    error = (norm((point - v) / per_image(tau, v) - gradient) - allowed).clamp(min=0)
    return ratio(error, norm(gradient)).tolist()
