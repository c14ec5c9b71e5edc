"""Descent of finished runs: what a theorem makes fall never rose on the way, rounding apart."""

from typing import NamedTuple

import torch
from torch import Tensor


class Rounding(NamedTuple):
    """Errors that an objective f + g may have."""

    relative: float = 1e-6
    """Error of the terms of f, a squared norm, relative to the data: by default ten units in the
    last place of float32; with an iterative prox, its accuracy."""
    floor: float = 0.0
    """Error of g, in the units of the objective."""


FLOAT32 = Rounding()


def rises(objective: Tensor, misfit: Tensor | None = None, rounding: Rounding = FLOAT32) -> Tensor:
    """Rises of one image's objective [K]: how far each entry lies above the lowest before it, or 0.

    It is compared with the lowest, not the last, since many small steps up are a climb too.
    A difference that rounding can make counts as 0. If the terms of a squared norm F carry errors
    of e times the size of the data, F is known to about e sqrt(F F_max) + e^2 F_max, F_max being
    its largest value; `rounding.relative` is that e. F is the misfit [K], its part that is such a
    norm, and what the objective lies above its least value: so a constant in the rest, however
    large, hides nothing. misfit None: the objective is itself a squared norm.
    """
    rise = torch.zeros_like(objective)
    if len(objective) > 1:
        now, low = objective[1:], objective.cummin(0).values[:-1]
        size = objective.abs()
        if misfit is not None:
            size = objective - objective.min() + misfit.abs()
        top, e = size.max(), rounding.relative
        slack = e * (torch.maximum(size[1:], size[:-1]) * top).sqrt() + e**2 * top
        rise[1:] = torch.where(now - low > slack + rounding.floor, now - low, 0)
    return rise


def risen(
    name: str, values: Tensor, misfit: Tensor | None, rounding: Rounding, first: int = 1
) -> str:
    """Sentence on the largest rise of values [K], empty if they never rose.

    `first` is the step of the run, counted from 1, that the first value belongs to.
    """
    rise = rises(values, misfit, rounding)
    if not len(rise) or not bool(rise.max() > 0):
        return ""
    worst = int(rise.argmax())
    return f"{name} rose by {rise[worst]:.1e} at step {worst + first}"


def doubts(
    objective: Tensor | None,
    residual: float,
    *,
    settled_at: int | None,
    tol: float,
    rounding: Rounding = FLOAT32,
    merit: Tensor | None = None,
    misfit: Tensor | None = None,
) -> str:
    """Reasons why one image's run is not known to have come down to rest, empty if it is.

    objective, misfit: of that image, [K], see `rises`; residual: its last. settled_at: the first
    step after any schedule, counted from 1; the objective before it was another problem's. merit:
    [K], what the algorithm's theorem makes fall where that is not the objective. Neither may rise:
    the merit because that would break the theorem, the objective because a person sees it.
    """
    found = []
    if objective is None:
        found.append("the prior has no value")
    if settled_at is None:
        found.append("the schedule was still running")
    else:
        after = slice(settled_at - 1, None)
        for name, values in (("objective", objective), ("merit", merit)):
            if values is not None:
                f = None if misfit is None else misfit[after]
                found.append(risen(name, values[after], f, rounding, settled_at))
    if not residual < tol:
        found.append(f"residual {residual:.1e} above tol {tol:.1e}")
    return "; ".join(filter(None, found))
