"""Certificates of finished runs: a run came to rest, and its objective never rose on the way."""

import torch
from torch import Tensor


def rises(objective: Tensor, *, rounding: float = 1e-6) -> Tensor:
    """Rises of one image's objective [K]: how far each entry lies above the lowest before it, or 0.

    It is compared with the lowest, not the last, since many small steps up are a climb too.
    A difference that rounding can make counts as 0. If the terms of a squared norm F carry errors
    of e times the size of the data, F is known to about e sqrt(F F_max) + e^2 F_max, F_max being
    its largest value; `rounding` is that e, by default ten units in the last place of float32.
    To compare with F_max alone would let a bad start hide true rises; with F alone, noise would
    count as a rise where F tends to 0.
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
    """Reasons why one image's run is not certified, in words for a person; empty if it is.

    objective: of that image, [K]; residual: its last. settled_at: the first step after any
    schedule, counted from 1; the objective before it was another problem's. merit: [K], what the
    algorithm's theorem makes fall where that is not the objective. Neither may rise: the merit
    because that would break the theorem, the objective because it is what a person sees.
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
