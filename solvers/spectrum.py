"""Extremes of the spectrum of a prior's Jacobian: how far from convex it is, and whether a prox.

A function is the prox of something exactly if its Jacobian is symmetric and has no negative
eigenvalue anywhere [Fang24]. The largest eigenvalue lam there tells how concave R is: R has no
curvature below 1 / lam - 1, and none below 0 if lam <= 1. `solvers.conditions` says what follows.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.protocols import PerImage, dot, per_image


class Spectrum(NamedTuple):
    """What Lanczos found at one point, each float64 [B]."""

    lowest: PerImage
    """Smallest Ritz value: the smallest eigenvalue is not above it."""
    highest: PerImage
    """Largest Ritz value: the largest eigenvalue is not below it."""
    error: PerImage
    """The larger residual of the two: so near to either lies an eigenvalue."""
    asymmetry: PerImage
    """Of J on the space searched, |H - H^T| / |H|: 0 but for rounding, if f is a gradient."""


def jacobian_spectrum(
    prox: Callable[[Tensor], Tensor],
    v: Tensor,
    step: float,
    steps: int = 30,
) -> Spectrum:
    """Extreme eigenvalues of the Jacobian of `prox` at v [B, C, H, W], each image by itself.

    Lanczos from a fixed start, in full orthogonality [Golub13, Sec. 10.3]; its matrix is computed
    whole, as Arnoldi does, to see whether it is symmetric. J u is a central difference over `step`,
    the length of the move in image units, 1e-3 sigma say: small against the sigma at which a prior
    bends, also where all of u lies on one pixel. Give v in float64: at that step float32 knows
    nothing. Two calls of prox a step. Raises ValueError on step <= 0 or steps < 1.
    """
    if not (step > 0 and steps >= 1):
        raise ValueError(f"a spectrum needs step > 0 and steps >= 1, got {step} and {steps}")
    steps = min(steps, v[0].numel())
    q = [_unit(_scattered(v))[0]]
    table = v.new_zeros(len(v), steps + 1, steps, dtype=torch.float64)
    for k in range(steps):
        w = (prox(v + step * q[k]) - prox(v - step * q[k])) / (2 * step)
        for _ in range(2):  # once more for what the first left by rounding
            for i, other in enumerate(q):
                part = dot(other, w)
                table[:, i, k] += part
                w = w - per_image(part, w) * other
        following, length = _unit(w)
        table[:, k + 1, k] = length
        # an image whose space is exhausted goes on with zeros, which add eigenvalues 0 to none
        q.append(following * per_image((length > 1e-8).to(w), w))
    return _extremes(table.cpu())


def _extremes(table: Tensor) -> Spectrum:
    """From the Hessenberg matrix [B, K + 1, K], up to where each image's space was exhausted."""
    rows = []
    for one in table:
        ends = (one.diagonal(-1) <= 1e-8).nonzero().flatten()
        size = int(ends[0]) + 1 if len(ends) else one.shape[1]
        square = one[:size, :size]
        values, vectors = torch.linalg.eigh((square + square.T) / 2)
        error = (one[size, size - 1] * vectors[-1, [0, -1]]).abs().max()
        skew = (square - square.T).norm() / square.norm().clamp(min=1e-300)
        rows.append(torch.stack([values[0], values[-1], error, skew]))
    return Spectrum(*torch.stack(rows, 1))


def _scattered(v: Tensor) -> Tensor:
    """Fixed numbers that look random, the same for each image: no seed, every frequency."""
    n = torch.arange(v[0].numel(), dtype=torch.float64)
    return (((n + 1).sin() * 43758.5453).frac() - 0.5).to(v).view_as(v[0]).expand_as(v)


def _unit(w: Tensor) -> tuple[Tensor, Tensor]:
    length = dot(w, w).sqrt()
    return w / per_image(length.clamp(min=1e-300), w), length
