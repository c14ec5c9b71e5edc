"""The linear system of a draw, solved by conjugate gradients that keep what they found on the way.

A draw wants C F^T w, where (I + F C F^T) w = b and F = A / s is a measurement in units of its
noise. Each step of conjugate gradients asks for C F^T p anyway; added up with the steps' lengths
these are C F^T w, so that neither the answer nor its residual takes a product with C of its own.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.protocols import PerImage, dot, per_image

DRIFT = 0.9
"""Share of the goal at which the residual that is carried along has to be, so that the recomputed
one, which differs by rounding, is at the goal too."""


class Answer(NamedTuple):
    """An answer w of the system, as far as it was found."""

    w: Tensor
    change: Tensor
    """C F^T w, [B, ...], shaped like images."""
    residual: PerImage
    """Norm of b - F change - w, recomputed."""


def draw_system(
    forward: Callable[[Tensor], Tensor],
    back: Callable[[Tensor], Tensor],
    b: Tensor,
    goal: PerImage,
    max_steps: int,
    precondition: Callable[[Tensor], Tensor] | None = None,
) -> Answer:
    """w with |b - F C F^T w - w| <= goal for each of b [B, ...], from w = 0. [Hestenes52, Sec. 3]

    forward: F; back: C F^T, the costly one; goal: [B]; max_steps: products with C; precondition:
    about the inverse of the matrix, linear, symmetric and positive. Each image has its own steps
    and its own end; one is done at its goal, or when a restart no longer halves its residual, for
    rounding allows no more. An answer that is no better than the one before is not kept.

    >>> from solvers.posteriors.draw_systems import draw_system
    >>> goal = torch.full((1,), 1e-5)
    >>> draw_system(lambda x: x, lambda w: 3 * w, torch.ones(1, 2), goal, 9).w
    tensor([[0.2500, 0.2500]])
    """
    w, r, size = torch.zeros_like(b), b, dot(b, b).sqrt()
    change, steps = None, 0
    active = size > goal
    while active.any() and steps < max_steps:
        more, spent = _sweep(
            forward, back, r, goal * DRIFT, active, max_steps - steps, precondition
        )
        steps += spent
        moved = more.change if change is None else change + more.change
        left = b - forward(moved) - w - more.w
        found = dot(left, left).sqrt()
        better = found < size
        keep = per_image(better, b).bool()
        if change is None:
            change = torch.zeros_like(moved)
        change = torch.where(per_image(better, change).bool(), moved, change)
        w, r = torch.where(keep, w + more.w, w), torch.where(keep, left, r)
        halved = found <= size / 2
        size = torch.where(better, found, size)
        active = active & (size > goal) & halved
    return Answer(w, back(w) if change is None else change, size)


def _sweep(forward, back, r, goal, active, budget, precondition) -> tuple[Answer, int]:
    """Answer to a residual r and steps taken, until the recursion believes to be at the goal."""
    z = r if precondition is None else precondition(r)
    p, rz, w, change = z, dot(r, z), torch.zeros_like(r), None
    for step in range(1, budget + 1):
        covered = back(p)
        q = forward(covered) + p
        pq = dot(p, q)
        active = active & (pq > 0)
        alpha = torch.where(active, rz / torch.where(active, pq, 1), 0)
        part = per_image(alpha, covered) * covered
        change = part if change is None else change + part
        w = w + per_image(alpha, w) * p
        r = r - per_image(alpha, r) * q
        rr = dot(r, r)
        active = active & (rr > goal**2)
        if not active.any() or step == budget:
            return Answer(w, change, rr.sqrt()), step
        z = r if precondition is None else precondition(r)
        last, rz = rz, dot(r, z)
        p = z + per_image(torch.where(active, rz / torch.where(active, last, 1), 0), r) * p
    raise AssertionError("a budget has one step at least")
