"""-log p of a Gaussian mixture p with its derivatives, at many points at once.

Points are columns here, [d, n]: numbers that belong to one coordinate of all points lie together.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

TABLED = 8
"""In at most this many dimensions products of means are tabulated."""
STEEP = 1e5
"""Beyond this ratio of squared spread to variance, expanded squares would cost digits."""
BLOCK = 4_000_000
"""Numbers in the largest array that one chunk of points may need."""
DENSE = 32
"""In more dimensions than this, round components are not followed by Newton's method."""


class Terms(NamedTuple):
    """g = -log p at n points: value [n], slope [d, n], Hessian [d, d, n], or [1, 1, n] for a
    multiple of I; and pull, of the same shapes: sum_i r_i P_i with shares r and inverse
    covariances P, which is what expectation maximisation keeps of the Hessian, and is above it.
    """

    value: Tensor
    slope: Tensor
    hessian: Tensor
    pull: Tensor

    def at(self, i: Tensor) -> "Terms":
        return Terms(*(tensor[..., i] for tensor in self))


class AlikeTerms:
    """For round components of one variance, from two matrix products."""

    newton = True

    def __init__(self, weights: Tensor, means: Tensor, variance: Tensor):
        d = means.shape[1]
        self.chunk = max(1, BLOCK // len(means))
        self.precision, self.centre = 1 / variance, means.mean(0)[:, None]
        m = means - self.centre[:, 0]
        self.logits = self.precision * m
        self.constants = (weights.log() - self.precision * m.square().sum(1) / 2)[:, None]
        self.volume = d / 2 * (2 * math.pi * variance).log()
        products = m.T[:, None] * m.T[None]
        self.moments = torch.cat([torch.ones_like(m[:, 0])[None], m.T, products.flatten(0, 1)])
        self.eye = self.precision * torch.eye(d).to(m)[..., None]

    def __call__(self, x: Tensor) -> Terms:
        d, n = x.shape
        z = x - self.centre
        joint = torch.addmm(self.constants, self.logits, z)
        top = joint.amax(0)
        sums = self.moments @ joint.sub_(top).exp_()
        mass, means = sums[0], sums[1 : 1 + d] / sums[0]
        second = (sums[1 + d :] / mass).view(d, d, n)
        q = self.precision
        value = q / 2 * z.square().sum(0) - mass.log() - top + self.volume
        hessian = self.eye - q * q * (second - means[:, None] * means)
        return Terms(value, q * (z - means), hessian, q.expand(1, 1, n))


class RoundTerms:
    """For round components in many dimensions: no Hessian but pull, which stands in for it."""

    newton = False

    def __init__(self, weights: Tensor, means: Tensor, variances: Tensor):
        self.chunk = max(1, BLOCK // max(means.shape))
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
    """For any inverse covariances [K, d, d], from differences."""

    newton = True

    def __init__(self, weights: Tensor, means: Tensor, precisions: Tensor):
        self.chunk = max(1, BLOCK // (means.numel() + means.shape[1] ** 2))
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


def precision_matrices(covariances: Tensor, d: int) -> Tensor:
    """Inverses, [K, d, d], of variances [K] or covariances [K, d, d]."""
    if covariances.ndim == 3:
        return torch.cholesky_inverse(torch.linalg.cholesky(covariances))
    return torch.eye(d).to(covariances) / covariances[:, None, None]


def mixture_terms(weights: Tensor, means: Tensor, covariances: Tensor) -> MixtureTerms:
    """The fastest that is exact for this mixture."""
    d = means.shape[1]
    if covariances.ndim == 1:
        spread = (means - means.mean(0)).square().sum(1).amax()
        alike = (covariances == covariances[0]).all() and spread < STEEP * covariances[0]
        if d <= TABLED and alike:
            return AlikeTerms(weights, means, covariances[0])
        if d > DENSE:
            return RoundTerms(weights, means, covariances)
    return GeneralTerms(weights, means, precision_matrices(covariances, d))
