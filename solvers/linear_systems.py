"""Conjugate gradients for a batch of systems that share a matrix and nothing else.

Every image has its own step lengths, its own count of steps and its own end, so that what happens
to one never depends on its neighbours. The residual that counts is recomputed from the definition:
the recursion's own drifts away from it in floating point.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.protocols import Image, PerImage, dot, per_image


class Solution(NamedTuple):
    """Where conjugate gradients ended."""

    x: Image
    residual: PerImage
    """Recomputed, over scale; below tol unless max_steps or rounding came first."""
    steps: PerImage
    """Products with the matrix spent on each image, besides those that recompute residuals."""


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
    """Solve residual(x) = b - matrix(x) = 0 for each image, starting at x.

    The matrix is symmetric and positive definite. `residual` is a function of its own because its
    caller may know a more exact or cheaper way than by b and matrix: for least squares, A^T (y -
    A x). Its last answer with the smallest norm is that of the solution.
    `precondition` is about the inverse of the matrix, linear, symmetric and positive definite too.

    Stops an image once its true residual is at most `tol * scale`, after max_steps of its own, or
    when restarts from the true residual no longer halve it, which is what rounding allows.
    An iterate whose residual is no smaller is not kept: after very few steps, preconditioned ones
    above all, that may be the start itself. Says which in the result and raises nothing; NaN in
    gives NaN out. [Hestenes52, Sec. 3]
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
    """From residual r until the recursion believes in `goal`. [Golub13, Sec. 11.5]"""
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
