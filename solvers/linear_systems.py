"""Conjugate gradients for a batch of systems that share a matrix and nothing else.

Every image has its own step lengths, its own count of steps and its own end, so that what happens
to one never depends on its neighbours. The residual that decides is recomputed from its definition:
in floating point the one that the recursion carries along drifts away from it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.protocols import Image, PerImage, dot, per_image


class Solution(NamedTuple):
    """End of a run of conjugate gradients.

    >>> A, b = torch.diag(torch.tensor([1.0, 4.0])), torch.ones(1, 2)
    >>> found = solvers.conjugate_gradient(
    ...     lambda x: x @ A, lambda x: b - x @ A, 0 * b, scale=torch.ones(1), tol=1e-6, max_steps=9
    ... )
    >>> found.x, found.steps, found.residual < 1e-6
    (tensor([[1.0000, 0.2500]]), tensor([2]), tensor([True]))
    """

    x: Image
    residual: PerImage
    """Norm of the recomputed residual over `scale`; at most tol, unless max_steps or rounding came
    first."""
    steps: PerImage
    """Products with the matrix that each image took, int64; recomputed residuals not counted."""


def conjugate_gradient(
    matrix: Callable[[Image], Image],
    residual: Callable[[Image], Image],
    x: Image,
    *,
    scale: PerImage,
    tol: float,
    max_steps: int,
    precondition: Callable[[Image], Image] | None = None,
) -> Solution:
    """Solution of residual(x) = b - matrix(x) = 0 for each image, starting at x [B, ...].

    matrix: a linear map, symmetric and positive definite. residual: a function of its own, because
    the caller may know a more exact or cheaper way than by b and matrix; for least squares it is
    A^T (y - A x). Of the answers that it gave, the one of smallest norm belongs to the solution.
    scale: [B], what a residual is compared with. precondition: about the inverse of the matrix,
    linear, symmetric and positive definite too.

    An image is done once its recomputed residual is at most `tol * scale`, after max_steps of its
    own, or when a restart from the recomputed residual no longer halves it: rounding allows no
    more. An iterate whose residual is no smaller than before is not kept; after very few steps,
    preconditioned ones above all, that may leave the start itself. The result says how it ended;
    nothing is raised, and NaN in gives NaN out. [Hestenes52, Sec. 3]

    >>> A, b = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([[3.0, 4.0]])
    >>> solvers.conjugate_gradient(
    ...     lambda x: x @ A, lambda x: b - x @ A, 0 * b, scale=b.norm(dim=1), tol=1e-6, max_steps=9
    ... ).x
    tensor([[1.0000, 1.0000]])
    """
    goal = tol * scale
    steps = torch.zeros_like(scale, dtype=torch.int64)
    r = residual(x)
    size = dot(r, r).sqrt()
    unfinished = size > goal
    while unfinished.any():
        budget = max_steps - steps
        swept, spent = _sweep(matrix, precondition, r, x, goal, unfinished, budget)
        steps = steps + spent
        r_swept = residual(swept)
        size_swept = dot(r_swept, r_swept).sqrt()
        better = size_swept < size
        x = torch.where(per_image(better, x).bool(), swept, x)
        r = torch.where(per_image(better, r).bool(), r_swept, r)
        halved = size_swept <= size / 2
        size = torch.where(better, size_swept, size)
        unfinished = (size > goal) & halved & (steps < max_steps)
    return Solution(x, size / scale, steps)


def _sweep(
    matrix: Callable[[Image], Image],
    precondition: Callable[[Image], Image] | None,
    r: Image,
    x: Image,
    goal: PerImage,
    active: Tensor,
    budget: PerImage,
) -> tuple[Image, PerImage]:
    """Iterate and steps of one recursion from residual r, until it believes to be at the goal.
    [Golub13, Sec. 11.5]"""
    steps = torch.zeros_like(budget)
    p = r if precondition is None else precondition(r)
    rz = dot(r, p)
    active = active & (budget > 0)
    while True:
        q = matrix(p)
        pq = dot(p, q)
        active = active & (pq > 0)
        alpha = torch.where(active, rz / torch.where(active, pq, 1), 0)
        x = x + per_image(alpha, x) * p
        r = r - per_image(alpha, r) * q
        steps = steps + active
        rr = dot(r, r)
        # half the goal, so that the true residual, which is a little larger, meets it too
        active = active & (rr > (goal / 2) ** 2) & (steps < budget)
        if not active.any():
            return x, steps
        z = r if precondition is None else precondition(r)
        last, rz = rz, rr if precondition is None else dot(r, z)
        p = z + per_image(torch.where(active, rz / torch.where(active, last, 1), 0), r) * p
