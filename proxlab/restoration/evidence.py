"""Evidence of a restoration: what its own evaluations prove, number by number, image by image.

    result = proxlab.restore(y, op, "unet-gray-wide")
    print(result.evidence[0])           # each number, and what it was compared with
    result.certified[0], result.doubts[0]

The prior is judged by `solvers.evidence`: whether one function R exists whose prox its answers are,
and, where it reports values, whether they are that function's. With such an R the run was the exact
algorithm on f + R / tau, and its theorem applies, whatever network stood behind the answers. A
convex problem solved by `pdhg` needs none of that: its duality gap bounds what is left to gain.

Not proved: that two images share an R, that R is a good prior, that the picture is right.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from proxlab.restoration.premises import Premises
from solvers.evidence import CROSS, VALUE, Interpolation, curvature, gram, judge
from solvers.large.freed import give_back_freed_memory
from solvers.protocols import float_for_sums
from solvers.witness import REST, Seen

LOOSEST_TOL = 1e-2
"""The largest tol that certifies anything."""
CURVATURE_SLACK = 0.01
"""Share by which curvature may be met above L: a difference of gradients is known no better."""
DATA_ERROR = 1e-2
"""Relative error allowed to the data term's last gradient, beyond that of its prox: it is compared
with two products of the operator itself."""


@dataclass(frozen=True)
class Evidence:
    """Numbers of one image's run at the fixed level, beside what each was compared with.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((32, 32), 0.5), noise=0.05)
    >>> x = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    >>> evidence = proxlab.restore(op(x), op, "lpn-gray").evidence[0]
    >>> evidence.margin > 0   # some R exists whose prox all evaluations were
    True
    >>> evidence.step < evidence.step_limit   # the step is one that is proved to converge
    True
    >>> evidence.brief
    'one prox, and its values, by ... evaluations, margin 0...; gradient left ...'
    >>> print(evidence)   # each number beside what it was compared with
    evaluations looked at ...
    margin of one prox ...  >= 0
    ...
    """

    evaluations: int
    """Evaluations of the prior's prox at that level."""
    looked_at: int
    """Number of those that were kept and tested; the first and the last are among them."""
    adjoint_error: float
    """Relative error of <A u, w> = <u, A^T w>."""
    linearity_error: float
    """Relative error of A (u + v) = A u + A v."""
    margin: float | None = None
    """Margin of the interpolation test, at least 0 if the answers are those of one prox. It and all
    below but the gap are None for `pdhg`, which asks for no prox."""
    convex_margin: float | None = None
    """The same for a convex R."""
    value_margin: float | None = None
    """The same with the values that the prior reports; None where it reports none."""
    objective_fall: tuple[float, float] | None = None
    """Least and largest fall of f + R / tau over the run: it is known up to the R that fit."""
    data_error: float | None = None
    """Relative error of the data term's last gradient against w A^T W (A x - y)."""
    step: float | None = None
    """tau L, L bounded from above."""
    step_limit: float | None = None
    """Bound on tau L below which the solver is proved to converge."""
    curvature: float | None = None
    """Largest curvature of the data term that the run met, over L: at most 1."""
    gradient: float | None = None
    """Gradient of the objective at the end, over that at the first estimate."""
    gap: float | None = None
    """Duality gap over the objective, where the problem is convex and `pdhg` solves it."""

    @property
    def brief(self) -> str:
        """Numbers that a certificate would rest on, in a few words."""
        if self.gap is not None:
            return f"duality gap {self.gap:.1e}"
        if self.margin is None or self.gradient is None:
            return "nothing"
        told = self.margin if self.value_margin is None else min(self.margin, self.value_margin)
        what = "one prox" if self.value_margin is None else "one prox, and its values"
        return (
            f"{what}, by {self.looked_at} of {self.evaluations} evaluations, margin {told:.2g}; "
            f"gradient left {self.gradient:.1e}"
        )

    def __str__(self) -> str:
        rows = [
            ("evaluations looked at", f"{self.looked_at} of {self.evaluations}", ""),
            ("margin of one prox", self.margin, ">= 0"),
            ("margin with reported values", self.value_margin, ">= 0"),
            ("margin of a convex prior", self.convex_margin, ""),
            ("tau L", self.step, "" if self.step_limit is None else f"< {self.step_limit:g}"),
            ("curvature met / L", self.curvature, "<= 1"),
            ("gradient left", self.gradient, f"<= {REST:g}"),
            ("duality gap / objective", self.gap, "<= tol"),
            ("error of the adjoint", self.adjoint_error, "<= 0.0001"),
            ("error of linearity", self.linearity_error, "<= 0.0001"),
            ("error of the data term", self.data_error, f"<= {DATA_ERROR:g}"),
        ]
        lines = [
            f"{name:28s}{value if isinstance(value, str) else f'{value:.3g}':>12s}  {limit}"
            for name, value, limit in rows
            if value is not None
        ]
        if self.objective_fall is not None:
            low, high = self.objective_fall
            known = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
            lines.append(f"{'fall of the objective':28s}{known:>12s}")
        return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True)
class Probe:
    """One evaluation more, a little further along what the prior removed; [C, H, W] each."""

    v: Tensor
    x: Tensor
    value: float
    """R there, in the units of `Seen.values`."""


def probed(seen: Seen) -> Tensor:
    """Image to ask a prior about once more to test its values: v + h (v - x) at the last one.

    Along v - x a value changes fastest. h is about as small as rounding allows: values off by more
    than the share h of their differences break an inequality there.
    """
    v, x = seen.v[-1], seen.x[-1]
    removed = float(torch.linalg.vector_norm((v - x).flatten(), dtype=float_for_sums(x)))
    size = float(torch.linalg.vector_norm(x.flatten(), dtype=float_for_sums(x)))
    error = VALUE * torch.finfo(x.dtype).eps / 2 * size**2 / x.numel() ** 0.5
    share = min(max((40 * error) ** 0.5 / max(removed, 1e-300), 1e-3), 0.25)
    return torch.add(v, v - x, alpha=share)


def interpolated(seen: Seen, probe: Probe | None) -> Interpolation:
    """The interpolation test of a run, its probe before all others."""
    if probe is None or seen.values is None:
        return judge(gram(seen.v, seen.x), seen.values)
    told = torch.tensor([probe.value], dtype=torch.float64)
    return judge(gram([probe.v, *seen.v], [probe.x, *seen.x]), torch.cat([told, seen.values]))


def fall(seen: Seen, found: Interpolation) -> tuple[float, float]:
    """Least and largest fall of f + R / tau from the first evaluation of the run to the last.

    They are equal where R is known by the values that the prior reports.
    """
    misfit = float(seen.misfits[0] - seen.misfits[-1])
    if seen.values is not None:
        known = misfit + float(seen.values[0] - seen.values[-1]) / seen.tau
        return known, known
    # without values there was no probe, so the first entry is that of the run
    low, high = (float(ends[0]) / seen.tau for ends in (found.low, found.high))
    return misfit + low, misfit + high


def curvature_met(seen: Seen, accuracy: float) -> tuple[float, float]:
    """`solvers.evidence.curvature` of a run.

    Of the points at which gradients were taken the last one is kept: of large images a copy counts.
    """
    give_back_freed_memory(seen.x[-1])
    met = curvature(seen.point, seen.v, seen.tau, accuracy)
    del seen.point[:-1]
    give_back_freed_memory(seen.x[-1])
    return met


def premise_doubts(before: Premises, image: int) -> list[str]:
    """Sentences on an operator, a data term and units that are not what solvers and priors need."""
    check = before.operator
    others = [check.adjoint_wrong, before.data_doubt, before.units[image]]
    return [*check.doubts, *filter(None, others)]


def data_doubts(curved: float, monotone: float, error: float, missed: int) -> list[str]:
    """Sentences on a data term that is not |A x - y|^2 / 2, or curved more than L says."""
    found = []
    if curved > 1 + CURVATURE_SLACK:
        found.append(
            f"the data term bends {curved:.3g} times as much as its L says, so the step is longer "
            "than is proved; its lipschitz() has to be a bound from above"
        )
    if monotone < -DATA_ERROR:
        found.append("the data term is not convex along the run; is A linear?")
    if not error <= DATA_ERROR:
        found.append(
            f"the data term's gradient differs from A^T (A x - y) by {error:.1e} of its size; its "
            "prox or its grad is wrong"
        )
    if missed:
        found.append(f"the data term's prox missed its tolerance {missed} times")
    return found


def gap_doubts(gap: float, tol: float) -> list[str]:
    """Sentences on a duality gap that is too large."""
    if tol > LOOSEST_TOL:
        return [f"tol = {tol:g} is above {LOOSEST_TOL:g}, which certifies nothing"]
    if not gap < tol:
        return [f"duality gap {gap:.1e} of the objective, above tol {tol:.1e}; allow more steps"]
    return []


def value_error(seen: Seen) -> float:
    """Error of reported values between neighbouring steps, in the units of the objective."""
    x = seen.x[-1]
    square = float(torch.linalg.vector_norm(x.flatten(), dtype=float_for_sums(x))) ** 2
    return 2 * torch.finfo(x.dtype).eps * square / (x.numel() ** 0.5 * seen.tau)


def prior_doubts(name: str, found: Interpolation, seen: Seen) -> list[str]:
    """Sentences on a prior whose answers are not those of one prox, or values not theirs."""
    if not found.margin >= 0:
        return [
            f"the answers of {name} are those of no prox: the interpolation test fails by "
            f"{found.margin:.2g} (it needs 0), so nothing is proved of this run"
        ]
    if found.value_margin is not None and not found.value_margin >= 0:
        return [
            f"the values that {name} reports do not belong to its answers: with them the "
            f"interpolation test fails by {found.value_margin:.2g}, without them it passes by "
            f"{found.margin:.2g}; checks=Checks(values=False) tests the answers alone"
        ]
    if len(seen.x) == 1:
        return [f"{name} was asked once, which says nothing of its prox"]
    apart = max(float(torch.linalg.vector_norm((v - seen.v[-1]).flatten())) for v in seen.v) / max(
        float(torch.linalg.vector_norm(seen.v[-1].flatten())), 1e-300
    )
    if apart < 20 * CROSS * torch.finfo(seen.v[-1].dtype).eps:
        return [
            f"{name} was asked {len(seen.x)} times about one image, which says nothing of its "
            "prox; start further away"
        ]
    return []


def rest_doubts(residual: float, tol: float, gradient: float | None) -> list[str]:
    """Sentences on a run that did not come to rest."""
    found = []
    if not residual < tol:
        found.append(f"residual {residual:.1e} above tol {tol:.1e}")
    if gradient is not None and not gradient <= REST:
        found.append(
            f"the gradient of the objective is {gradient:.1e} of that at the first estimate, above "
            f"{REST:g}"
        )
    if found:
        found[-1] += "; allow more steps"
    if tol > LOOSEST_TOL:
        found.append(f"tol = {tol:g} is above {LOOSEST_TOL:g}, which certifies nothing")
    return found
