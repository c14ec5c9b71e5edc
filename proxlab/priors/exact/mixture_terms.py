"""-log p of a Gaussian mixture p with its derivatives, at many points at once.

Points are columns here, [d, n]: numbers that belong to one coordinate of all points lie together.
"""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor

TABLED = 8
"""Most dimensions in which products of means are tabulated."""
SURE = 0.05
"""Least curvature at which F counts as convex."""
DEEPEST = 600.0
"""Largest x for which exp(-x) is taken as it is, far above the least number."""
STEEP = 1e5
"""Largest ratio of squared spread to variance at which expanded squares keep their digits."""
CHUNK_NUMBERS = 4_000_000
"""Most numbers in the largest array that one chunk of points may need."""
DENSE = 32
"""Most dimensions in which round components are followed by Newton's method."""


class Terms(NamedTuple):
    """g = -log p and its derivatives at n points."""

    value: Tensor
    """g, [n]."""
    slope: Tensor
    """grad g, [d, n]."""
    hessian: Tensor
    """Hess g, [d, d, n], or [1, 1, n] for a multiple of I."""
    pull: Tensor
    """sum_i r_i P_i with shares r and inverse covariances P, [d, d, n] or [1, 1, n].

    It is what expectation maximisation keeps of the Hessian, and is never below it.
    """

    def at(self, i: Tensor) -> "Terms":
        """The terms at the points i."""
        return Terms(*(tensor[..., i] for tensor in self))


class AlikeTerms:
    """The terms of round components of one variance, from two matrix products."""

    newton = True

    def __init__(self, weights: Tensor, means: Tensor, variance: Tensor):
        d = means.shape[1]
        self.chunk = max(1, CHUNK_NUMBERS // len(means))
        self.precision, self.centre = 1 / variance, means.mean(0)[:, None]
        m = means - self.centre[:, 0]
        squares = m.square().sum(1)
        self.reach, self.rarest = squares.amax(), weights.log().amin()
        # log2 of w exp(-q |z - m|^2 / 2) is a product with z and |z|^2 / 2; torch's exp2 takes half
        # the time of its exp.
        unit = self.precision / math.log(2)
        self.logits = unit * torch.cat([m, -torch.ones_like(m[:, :1])], 1)
        self.constants = (weights.log2() - unit * squares / 2)[:, None]
        self.volume = d / 2 * (2 * math.pi * variance).log()
        products = m.T[:, None] * m.T[None]
        self.moments = torch.cat([torch.ones_like(m[:, 0])[None], m.T, products.flatten(0, 1)])
        self.eye = self.precision.expand(d).diag()[..., None]

    def __call__(self, x: Tensor) -> Terms:
        d, n = x.shape
        z = x - self.centre
        half = z.square().sum(0, keepdim=True) / 2
        joint = torch.addmm(self.constants, self.logits, torch.cat([z, half]))
        farthest = ((2 * half.amax()).sqrt() + self.reach.sqrt()).square()
        if self.precision / 2 * farthest - self.rarest < DEEPEST:
            top = 0.0
        else:
            top = joint.amax(0)
            joint -= top
        sums = self.moments @ joint.exp2_()
        mass, means = sums[0], sums[1 : 1 + d] / sums[0]
        second = (sums[1 + d :] / mass).view(d, d, n)
        q = self.precision
        hessian = self.eye - q * q * (second - means[:, None] * means)
        value = self.volume - mass.log() - math.log(2) * top
        return Terms(value, q * (z - means), hessian, q.expand(1, 1, n))

    def convex(self, lam: Tensor) -> bool:
        """Whether |x - v|^2 / 2 + lam g(x) is convex whatever the shares: their covariance has no
        eigenvalue above the largest squared distance of a mean from the centre."""
        q = self.precision
        return bool(1 + lam * (q - q * q * self.reach) > SURE)

    def single(self) -> "AlikeTerms":
        """The same in single precision."""
        made = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(made, name, value.float())
        return made


class RoundTerms:
    """The terms of round components in many dimensions, where pull stands in for the Hessian."""

    newton = False

    def __init__(self, weights: Tensor, means: Tensor, variances: Tensor):
        self.chunk = max(1, CHUNK_NUMBERS // max(means.shape))
        self.means, self.precisions = means, 1 / variances
        volume = means.shape[1] / 2 * (2 * math.pi * variances).log()
        self.constants = weights.log() - volume

    def __call__(self, x: Tensor) -> Terms:
        exact = "donot_use_mm_for_euclid_dist"
        squares = torch.cdist(x.T, self.means, compute_mode=exact).square()
        joint = self.constants - self.precisions * squares / 2
        shared = joint.softmax(1) * self.precisions
        pull = shared.sum(1)
        slope = pull * x - (shared @ self.means).T
        return Terms(-joint.logsumexp(1), slope, pull.view(1, 1, -1), pull.view(1, 1, -1))


class GeneralTerms:
    """The terms for any inverse covariances [K, d, d], from differences."""

    newton = True

    def __init__(self, weights: Tensor, means: Tensor, precisions: Tensor):
        self.chunk = max(1, CHUNK_NUMBERS // (means.numel() + means.shape[1] ** 2))
        self.means, self.precisions = means, precisions
        volume = torch.linalg.slogdet(precisions)[1] / 2
        self.constants = weights.log() + volume - means.shape[1] / 2 * math.log(2 * math.pi)

    def __call__(self, x: Tensor) -> Terms:
        off = x.T[:, None] - self.means
        slopes = torch.einsum("kab,nkb->nka", self.precisions, off)
        joint = self.constants - (off * slopes).sum(2) / 2
        share = joint.softmax(1)
        pull = torch.einsum("nk,kab->abn", share, self.precisions)
        shared = share[..., None] * slopes
        slope = shared.sum(1).T.contiguous()
        spread = (shared.mT @ slopes).permute(1, 2, 0) - slope[:, None] * slope
        return Terms(-joint.logsumexp(1), slope, pull - spread, pull)


MixtureTerms = AlikeTerms | RoundTerms | GeneralTerms


def solved(lam: Tensor, matrix: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """(I + lam matrix)^-1 g, [d, n], and whether I + lam matrix is positive definite, [n]."""
    if len(matrix) == 1:
        a = 1 + lam * matrix[0, 0]
        return g / a, a > 0
    if len(matrix) == 2:
        a, b, c = 1 + lam * matrix[0, 0], lam * matrix[0, 1], 1 + lam * matrix[1, 1]
        det = a * c - b * b
        step = torch.stack([c * g[0] - b * g[1], a * g[1] - b * g[0]]) / det
        return step, (det > 0) & (a > 0)
    whole = torch.eye(len(g)).to(g) + (lam * matrix).permute(2, 0, 1)
    roots, bad = torch.linalg.cholesky_ex(whole)
    return torch.cholesky_solve(g.T[..., None], roots)[..., 0].T.contiguous(), bad == 0


def precision_matrices(covariances: Tensor, d: int) -> Tensor:
    """Inverses [K, d, d] of variances [K] or covariances [K, d, d]."""
    if covariances.ndim == 3:
        return torch.cholesky_inverse(torch.linalg.cholesky(covariances))
    return torch.eye(d).to(covariances) / covariances[:, None, None]


def mixture_terms(weights: Tensor, means: Tensor, covariances: Tensor) -> MixtureTerms:
    """The fastest terms that are exact for this mixture."""
    d = means.shape[1]
    if covariances.ndim == 1:
        if d <= TABLED and (covariances == covariances[0]).all():
            terms = AlikeTerms(weights, means, covariances[0])
            if terms.reach < STEEP * covariances[0]:
                return terms
        if d > DENSE:
            return RoundTerms(weights, means, covariances)
    return GeneralTerms(weights, means, precision_matrices(covariances, d))
