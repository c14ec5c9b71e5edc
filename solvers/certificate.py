"""What a finished run can vouch for: it came to rest, and its objective never rose on the way."""

import torch
from torch import Tensor


def rises(objective: Tensor, *, rounding: float = 1e-6) -> Tensor:
    """By how much each entry of one image's objective [K] exceeds the lowest before it, or 0.

    The lowest, not the last: a slow climb of small steps is a climb. Differences that rounding can
    make count as 0. A squared norm whose terms carry errors of relative size e of the data, F_max
    being its largest value, is known to about e sqrt(F F_max) + e^2 F_max; `rounding` is that e,
    ten units in the last place of float32 by default. Measuring against F_max alone would let a bad
    start hide true rises, measuring against F alone would call noise a rise where F tends to 0.
    """
    rise = torch.zeros_like(objective)
    if len(objective) > 1:
        now, low = objective[1:], objective.cummin(0).values[:-1]
        top = objective.abs().max()
        size = torch.maximum(now.abs(), low.abs())
        slack = rounding * (size * top).sqrt() + rounding**2 * top
        rise[1:] = torch.where(now - low > slack, now - low, 0)
    return rise


def doubts(
    objective: Tensor | None,
    residual: float,
    *,
    settled_at: int | None,
    tol: float,
    rounding: float = 1e-6,
    merit: Tensor | None = None,
) -> str:
    """Why one image's run is not certified, in words for a person; empty if it is.

    objective [K] and residual (the last) of that image; settled_at is the number of the first step
    after any schedule, counted from 1: what happens before is another problem's objective. merit
    [K] is what the algorithm's theorem makes fall where that is not the objective; neither may
    rise, the one because it would break the theorem, the other because it is what a person sees.
    """
    found = []
    if objective is None:
        found.append("the prior has no value")
    if settled_at is None:
        found.append("the schedule was still running")
    else:
        for name, values in (("objective", objective), ("merit", merit)):
            if values is None:
                continue
            rise = rises(values[settled_at - 1 :], rounding=rounding)
            worst = int(rise.argmax()) if len(rise) else 0
            if len(rise) and rise[worst] > 0:
                found.append(f"{name} rose by {rise[worst]:.1e} at step {worst + settled_at}")
    if not residual < tol:
        found.append(f"residual {residual:.1e} above tol {tol:.1e}")
    return "; ".join(found)
