"""Starts from which the least minimum of F(x) = |x - v|^2 / 2 - lam log p(x) is found.

In one and two dimensions a fine grid shows every basin. The Hessian of F is at most 1 + lam q, q
being the largest eigenvalue of an inverse covariance. So F at the grid point next to the least
minimum is at most (1 + lam q) h^2 / 8 above it for each side h of a cell, and grid points farther
above the least of them cannot lead to it. In more dimensions, and where the grid would be too
large, the bound of expectation maximisation is minimised in closed form for a list of shares.
"""

import math
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from proxlab.priors.exact.mixture_terms import (
    AlikeTerms,
    MixtureTerms,
    Terms,
    precision_matrices,
    solved,
)

FINENESS = 0.4
"""Side of the grid's cells in least deviations."""
CELLS = 100_000
"""The largest grid."""
SOFT = 0.1
"""Least curvature of F, relative to the largest, below which a grid point may lie between minima.

Two minima nearer to each other than a cell have such points between them. Measured on the diffused
dino: with this and a FINENESS of 0.4 none of 260,000 prox differs from that of a grid twice as
fine, with a FINENESS of 0.5 one in 160,000 does.
"""
PAIRED = 16
"""Most components of which all pairs are tried."""
FEW = 32
"""Number of the best shares that are starts."""


class Starts(NamedTuple):
    """Starts for the prox at some points."""

    i: Tensor
    """Number of the point that each start is for, [S]."""
    x: Tensor
    """The starts, [d, S]."""
    first: Terms
    """The terms there."""


class ConvexStart:
    """One start for each point, where F is convex and has one minimum.

    The start then matters for time alone. It is the prox of the Gaussian with the mixture's mean
    and covariance, then a Newton step in single precision, which costs half of one in double.
    """

    def __init__(self, terms: AlikeTerms, weights: Tensor, means: Tensor):
        self.terms, self.single = terms, terms.single()
        self.mean = (weights @ means)[:, None]
        off = means - self.mean[:, 0]
        spreads, self.axes = torch.linalg.eigh(off.T @ (weights[:, None] * off))
        self.precisions = 1 / (spreads + 1 / terms.precision)[:, None]

    def __call__(self, v: Tensor, lam: Tensor) -> Starts:
        """A start for each point v [d, N], lam [N]."""
        away = self.axes.T @ (v - self.mean)
        x = self.mean + self.axes @ (away / (1 + lam * self.precisions))
        near, y, s = x.float(), v.float(), lam.float()
        here = self.single(near)
        near = (near - solved(s, here.hessian, near - y + s * here.slope)[0]).double()
        x = torch.where(near.isfinite(), near, x)
        return Starts(torch.arange(len(lam), device=lam.device), x, self.terms(x))


class GridStarts:
    """Points of a grid that are low enough, and lower than their neighbours or where F is soft.

    Where F is nowhere soft it is convex, and has one start. Axes are those of `grid_starts`.
    """

    def __init__(self, terms: MixtureTerms, axes: list[Tensor], steepness: float, lam: Tensor):
        self.counts, self.steepness = [len(axis) for axis in axes], steepness
        self.points = torch.cartesian_prod(*axes).view(-1, len(axes)).T.contiguous()
        self.size = self.points.shape[1]
        self.cell = sum(float(axis[1] - axis[0]) ** 2 for axis in axes) / 8
        parts = [terms(part) for part in self.points.split(terms.chunk, 1)]
        self.table = Terms(*(torch.cat(fields, -1) for fields in zip(*parts, strict=True)))
        self.halves = self.points.square().sum(0) / 2
        self.convex = not self._soft(lam.amax(), self.table.hessian).any()

    def __call__(self, v: Tensor, lam: Tensor) -> Starts:
        """Starts for points v [d, N], lam [N]."""
        alike = bool((lam == lam[0]).all())
        level = self.halves + lam[0] * self.table.value if alike else self.halves
        values = torch.addmm(level, v.T, self.points, alpha=-1)
        if not alike:
            values.addcmul_(lam[:, None], self.table.value)
        if self.convex:
            i, j = torch.arange(len(lam), device=lam.device), values.min(1).indices
        else:
            slack = self.cell * (1 + lam * self.steepness)
            i, j = (values <= (values.amin(1) + slack)[:, None]).nonzero(as_tuple=True)
            keep = self._lowest(values, i, j) | self._soft(lam[i], self.table.hessian[..., j])
            keep = keep.nonzero()[:, 0]
            i, j = i[keep], j[keep]
        return Starts(i, self.points[:, j], self.table.at(j))

    def _lowest(self, values: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """Whether grid point j is not above its neighbours."""
        lowest, here = torch.ones_like(i, dtype=torch.bool), values[i, j]
        places = torch.unravel_index(j, self.counts)
        for offset in product((-1, 0, 1), repeat=len(places)):
            beside = torch.zeros_like(j)
            for place, count, step in zip(places, self.counts, offset, strict=True):
                beside = beside * count + (place + step).clamp(0, count - 1)
            lowest &= here <= values[i, beside]
        return lowest

    def _soft(self, lam: Tensor, hessian: Tensor) -> Tensor:
        """Whether the least eigenvalue of I + lam hessian is below SOFT (1 + lam steepness)."""
        a = 1 - SOFT * (1 + lam * self.steepness) + lam * hessian[0, 0]
        if len(hessian) == 1:
            return a < 0
        c = a + lam * (hessian[1, 1] - hessian[0, 0])
        return (a < 0) | (a * c < (lam * hessian[0, 1]).square())


def grid_starts(
    terms: MixtureTerms, means: Tensor, covariances: Tensor, v: Tensor, lam: Tensor
) -> GridStarts | None:
    """Grid for points v [d, N], lam [N]; None if too large or in more than two dimensions."""
    if means.shape[1] > 2:
        return None
    sides = torch.stack([means.amin(0), means.amax(0)]), torch.stack([v.amin(1), v.amax(1)])
    if covariances.ndim == 1:
        least, most = covariances.min(), covariances.max()
        # Of round components a minimum lies between v and a mean of means, at a known share.
        weights = torch.stack([lam.amin() / (lam.amin() + most), lam.amax() / (lam.amax() + least)])
        corners = torch.stack([sides[1] + weight * (sides[0] - sides[1]) for weight in weights])
        low, high = corners[:, 0].amin(0), corners[:, 1].amax(0)
    else:
        variances = torch.linalg.eigvalsh(covariances)
        least, most = variances.min(), variances.max()
        corners = torch.cat(sides)
        low, high = corners.amin(0) - 2 * most.sqrt(), corners.amax(0) + 2 * most.sqrt()
    counts = (2 + (high - low) / (FINENESS * least.sqrt())).clamp(3, 2 * CELLS).long().tolist()
    if math.prod(counts) > CELLS:
        return None
    ends = zip(low.tolist(), high.tolist(), counts, strict=True)
    axes = [torch.linspace(*end, dtype=v.dtype, device=v.device) for end in ends]
    return GridStarts(terms, axes, float(1 / least), lam)


class ShareStarts:
    """Minima of the bound of expectation maximisation for a list of C shares r.

    F(x) <= |x - v|^2 / 2 + lam (x^T A x / 2 - b^T x + c) with A = sum_i r_i P_i,
    b = sum_i r_i P_i m_i and c what is left; equality holds where r are the shares at x. The list
    has each component alone, the shares at the means, the weights, and all even pairs of few
    components.
    """

    def __init__(self, terms: MixtureTerms, weights: Tensor, means: Tensor, covariances: Tensor):
        k, d = means.shape
        self.terms = terms
        if covariances.ndim == 1:
            inverse = 1 / covariances
            pulled, volume = inverse[:, None] * means, d * covariances.log() / 2
            exact = "donot_use_mm_for_euclid_dist"
            squares = torch.cdist(means, means, compute_mode=exact).square() * inverse
        else:
            p = precision_matrices(covariances, d)
            pulled = (p @ means[..., None])[..., 0]
            volume = torch.linalg.slogdet(covariances)[1] / 2
            off = means[:, None] - means
            squares = (off * torch.einsum("kab,jkb->jka", p, off)).sum(2)
        eye, heights = torch.eye(k).to(means), volume - weights.log()
        first, second = torch.triu_indices(k, k, 1) if k <= PAIRED else torch.empty(2, 0).long()
        pairs = (eye[first] + eye[second]) / 2
        at_means = (-squares / 2 - heights).softmax(1)
        r = torch.cat([eye, at_means, weights[None], pairs])
        self.heights = r @ (heights + (pulled * means).sum(1) / 2) + torch.xlogy(r, r).sum(1)
        self.pulls = r @ pulled
        if covariances.ndim == 1:
            self.bends, self.vectors = (r @ inverse)[:, None], None
        else:
            self.bends, self.vectors = torch.linalg.eigh((r @ p.flatten(1)).view(-1, d, d))
        self.size = len(r) * (d + 2) + FEW * (means.numel() + d * d)

    def __call__(self, v: Tensor, lam: Tensor) -> Starts:
        """Starts for points v [d, N], lam [N]."""
        n, gain = len(lam), 1 / (1 + lam[:, None, None] * self.bends)
        if self.vectors is None:
            # |v + lam b|^2 without an array [N, C, d].
            ahead = v.square().sum(0)[:, None] + lam[:, None].square() * self.pulls.square().sum(1)
            ahead = (ahead + 2 * lam[:, None] * (v.T @ self.pulls.T)) * gain[..., 0]
        else:
            turned = torch.einsum("an,cab->ncb", v, self.vectors)
            turned += lam[:, None, None] * torch.einsum("ca,cab->cb", self.pulls, self.vectors)
            ahead = (turned.square() * gain).sum(2)
        bound = lam[:, None] * self.heights - ahead / 2
        j = bound.topk(min(FEW, bound.shape[1]), largest=False).indices.flatten()
        i = torch.arange(n, device=j.device).repeat_interleave(len(j) // n)
        x = v.T[i] + lam[i, None] * self.pulls[j]
        if self.vectors is None:
            x = (x * gain[i, j]).T
        else:
            x = torch.einsum("sab,sb->as", self.vectors[j], turned[i, j] * gain[i, j])
        x = x.contiguous()
        return Starts(i, x, self.terms(x))
