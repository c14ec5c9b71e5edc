"""Extreme eigenvalues: how far from convex a prior is, and how steep a data term can be.

A function is the prox of something exactly if its Jacobian is symmetric and has no negative
eigenvalue anywhere [Fang24]. The largest eigenvalue lam there tells how concave R is: R has no
curvature below 1 / lam - 1, and none below 0 if lam <= 1. `solvers.conditions` says what follows.

A step that is to be safe needs the largest eigenvalue of A^T A from above, which no number of
products with one vector gives: `largest_eigenvalue` and `perron_bound` bound it.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.protocols import PerImage, dot, float_for_sums, per_image

EXHAUSTED = 1e-8
"""Length of a remainder at which an image's Krylov space is taken to be complete."""
COMPLETE = 1e-9
"""The same, over the largest eigenvalue, where completeness is to be all but certain: what a random
start hides from so small a remainder has a chance of about 1e-7."""
FAILURE = 1e-6
"""Chance that `largest_eigenvalue` is too small."""
SLACK = 0.05
"""Share by which it may lie above the largest eigenvalue."""
FLOOR = 1e-3
"""Least entry of a vector of `perron_bound` over its largest: rounding stays small beside it."""


class Krylov(NamedTuple):
    """Orthonormal basis of the span of u, A u, A A u, ..., and A in that basis, image by image."""

    basis: list[Tensor]
    """K + 1 vectors q_0, ..., q_K shaped like u; zeros for an image whose space was complete."""
    table: Tensor
    """<q_i, A q_k>, [B, K + 1, K]: zero but for rounding where i > k + 1."""


class Spectrum(NamedTuple):
    """Extremes that Lanczos found at one point, each float64 [B].

    >>> v = torch.rand(2, 1, 8, 8).double()
    >>> found = solvers.jacobian_spectrum(lambda v: 0.3 * v, v, step=1e-4)
    >>> found.highest.round(decimals=3)
    tensor([0.3000, 0.3000], dtype=torch.float64)
    >>> found.lowest.round(decimals=3)
    tensor([0.3000, 0.3000], dtype=torch.float64)
    >>> found.asymmetry < 1e-6   # the Jacobian of a prox is symmetric
    tensor([True, True])
    """

    lowest: PerImage
    """Smallest Ritz value: the smallest eigenvalue is not above it."""
    highest: PerImage
    """Largest Ritz value: the largest eigenvalue is not below it."""
    error: PerImage
    """Residual of the worse of the two: an eigenvalue lies so near to either."""
    asymmetry: PerImage
    """|H - H^T| / |H| of the Jacobian H on the space searched: rounding alone, if f is a
    gradient."""


def krylov(apply: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Krylov:
    """The Krylov space of the linear map `apply` from `start` [B, ...], by so many calls of it.

    Lanczos in full orthogonality [Golub13, Sec. 10.3]: each A q_k is made orthogonal to all before
    it, twice, and the whole table is kept, as Arnoldi does, so that an A that is not symmetric
    shows. Each image has its own space.
    """
    basis = [_unit(start)[0]]
    table = start.new_zeros(len(start), steps + 1, steps, dtype=float_for_sums(start))
    for k in range(steps):
        w = apply(basis[k])
        for _ in range(2):  # once more for what the first left by rounding
            for i, other in enumerate(basis):
                part = dot(other, w)
                table[:, i, k] += part
                w = w - per_image(part, w) * other
        following, length = _unit(w)
        table[:, k + 1, k] = length
        # an image whose space is complete goes on with zeros, which add eigenvalues 0 to none
        basis.append(following * per_image((length > EXHAUSTED).to(w), w))
    return Krylov(basis, table)


def jacobian_spectrum(
    prox: Callable[[Tensor], Tensor],
    v: Tensor,
    step: float,
    steps: int = 30,
) -> Spectrum:
    """Extreme eigenvalues of the Jacobian of `prox` at v [B, C, H, W], each image by itself.

    Lanczos from a fixed start, `krylov`. J u is a central difference over `step`, the length of the
    move in image units, 1e-3 sigma say: small against the sigma at which a prior bends, also where
    all of u lies on one pixel. Give v in float64: at that step float32 knows nothing. Two calls of
    prox a step. NaN for an image at which it gives NaN or infinity. Raises ValueError on step <= 0,
    steps < 1, or no pixels.

    >>> prior = proxlab.load("lpn-gray").double()
    >>> v = torch.rand(1, 1, 16, 16).double()
    >>> found = solvers.jacobian_spectrum(lambda v: prior.prox(v, 0.1), v, step=1e-4)
    >>> found.lowest > -1e-3, found.asymmetry < 1e-3   # symmetric and nonnegative: a prox
    (tensor([True]), tensor([True]))
    """
    if not (step > 0 and steps >= 1):
        raise ValueError(f"a spectrum needs step > 0 and steps >= 1, got {step} and {steps}")
    if v.numel() == 0:
        raise ValueError(f"a spectrum is of images with pixels, got shape {list(v.shape)}")

    def jacobian(u: Tensor) -> Tensor:
        return (prox(v + step * u) - prox(v - step * u)) / (2 * step)

    return _extremes(krylov(jacobian, scattered(v), min(steps, v[0].numel())).table.cpu())


def largest_eigenvalue(apply: Callable[[Tensor], Tensor], start: Tensor) -> PerImage:
    """A bound, float64 [B], from above of the largest eigenvalue of A^T A, by `apply` = A^T A.

    `start` [B, ...] is standard normal, drawn afresh by one who does not know A. Then K steps of
    Lanczos miss more than a share e of the largest eigenvalue with a chance of at most
    1.648 sqrt(n) exp(-sqrt(e) (2 K - 1)) [Kuczynski92], whatever the other eigenvalues.
    K is such that this is `FAILURE` at e = `SLACK`: 36 products for 16 entries
    and 47 for 512 x 512, fewer where the space is complete. The bound is
    Ritz value / (1 - e), so at most 5.3 % too large.
    Without orthogonality beyond the last two vectors: what rounding adds are copies of eigenvalues
    that were found, none above them. inf for a map that gives NaN or infinity.
    """
    n = start[0].numel()
    steps = _lanczos_steps(n)
    q, length = _unit(start)
    last, beta = torch.zeros_like(q), torch.zeros_like(length)
    complete = length == 0
    size = torch.zeros_like(length)
    diagonal, beside = [], []
    for _ in range(steps):
        w = apply(q)
        alpha = dot(q, w)
        w = w - per_image(alpha, w) * q - per_image(beta, w) * last
        again = dot(q, w)  # what rounding left of q
        w = w - per_image(again, w) * q
        alpha = alpha + again
        last, (q, beta) = q, _unit(w)
        size = torch.maximum(size, alpha.abs() + beta)
        complete = complete | (beta <= COMPLETE * size)
        # an image whose space is complete goes on with zeros, which add eigenvalues 0 to none
        q, beta = q * per_image((~complete).to(q), q), torch.where(complete, 0, beta)
        diagonal.append(alpha)
        beside.append(beta)
        if complete.all():
            break
    table = torch.diag_embed(torch.stack(diagonal, 1))
    for offset in (1, -1):
        table = table + torch.diag_embed(torch.stack(beside, 1)[:, :-1], offset)
    finite = table.flatten(1).isfinite().all(1)
    ritz = torch.linalg.eigvalsh(table[finite].cpu())[:, -1].clamp(min=0)
    bound = torch.full_like(beta, math.inf)
    bound[finite] = ritz.to(bound)
    return bound / (1 - SLACK) * _rounding(start)


def perron_bound(
    apply: Callable[[Tensor], Tensor], like: Tensor, near: float = 0.01, steps: int = 20
) -> PerImage:
    """A bound, float64 [B], from above of the largest eigenvalue of an M = A^T A with entries >= 0.

    max_i (M p)_i / p_i bounds it for every p > 0 [Collatz42]. p runs through the power method from
    1, so the bound comes near: within `near` of a Rayleigh quotient, which lies below, it stops, or
    after so many products. `like` [B, ...] gives shape, dtype and device. What `apply` says of its
    entries is believed. inf for a map that gives NaN or infinity.
    """
    p = torch.ones_like(like)
    bound = torch.full((len(like),), math.inf, dtype=float_for_sums(like), device=like.device)
    below = torch.zeros_like(bound)
    running = torch.ones_like(bound, dtype=torch.bool)
    for _ in range(steps):
        image = apply(p)
        ratio = (image / p).flatten(1).amax(1).to(bound)
        # an image by itself: one that is near does not go on improving for its neighbours' sake
        bound = torch.where(running & (ratio < bound), ratio, bound)
        below = torch.maximum(below, dot(p, image) / dot(p, p))
        running = running & ~(bound <= (1 + near) * below)
        if not running.any():
            break
        top = image.flatten(1).amax(1).clamp(min=torch.finfo(image.dtype).tiny)
        p = (image / per_image(top, image)).clamp(min=0) + FLOOR
    return bound.clamp(min=0) * _rounding(like)


def scattered(like: Tensor) -> Tensor:
    """Fixed numbers that look random, the same for each image: no seed, and every frequency.

    They lie between -0.5 and 1.5 and are 0.5 on average. So they are far from orthogonal to the
    leading eigenvector of an operator with entries >= 0, whose own entries are >= 0 too.
    """
    noise = torch.sin(torch.arange(like[0].numel(), dtype=torch.float64) + 1) * 43758.5453
    return (0.5 + noise.frac()).to(like).view_as(like[0]).expand_as(like)


def _extremes(table: Tensor) -> Spectrum:
    """Extremes of the table [B, K + 1, K] of each image, up to where its space was complete."""
    rows = []
    for one in table:
        if not bool(one.isfinite().all()):
            rows.append(one.new_full((4,), math.nan))
            continue
        ends = (one.diagonal(-1) <= EXHAUSTED).nonzero().flatten()
        size = int(ends[0]) + 1 if len(ends) else one.shape[1]
        square = one[:size, :size]
        values, vectors = torch.linalg.eigh((square + square.T) / 2)
        error = (one[size, size - 1] * vectors[-1, [0, -1]]).abs().max()
        skew = (square - square.T).norm() / square.norm().clamp(min=1e-300)
        rows.append(torch.stack([values[0], values[-1], error, skew]))
    return Spectrum(*torch.stack(rows, 1))


def _lanczos_steps(n: int) -> int:
    """Steps after which a random start in n dimensions is as certain as `FAILURE` says."""
    return math.ceil((math.log(1.648 * math.sqrt(n) / FAILURE) / math.sqrt(SLACK) + 1) / 2)


def _rounding(like: Tensor) -> float:
    """1 plus a share for the rounding of products with A and A^T, and of float32 entries."""
    return 1 + 64 * torch.finfo(like.dtype).eps


def _unit(w: Tensor) -> tuple[Tensor, Tensor]:
    """The vector over its length, and that length [B]; zero stays zero."""
    length = dot(w, w).sqrt()
    return w / per_image(length.clamp(min=torch.finfo(w.dtype).tiny), w), length
