"""Gaussian mixtures in d dimensions, with everything known about them: a laboratory of diffusion.

    x = Mixture.points(cloud).at(0.3).prox(v, lam=0.1)  # of a diffused cloud of points [K, d]

A mixture stays a mixture when it is diffused, observed through a matrix or seen through noise, so
density, score, prox, posterior and samples of all these are exact. Points are rows [N, d], of the
dtype and device of the mixture's tensors. A covariance of zero is a point mass.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from proxlab.priors.exact.mixture_prox import mixture_prox
from proxlab.priors.exact.mixture_terms import CHUNK_NUMBERS
from solvers.diffusion.schedule import VP


@dataclass(frozen=True, eq=False)
class Mixture:
    """p = sum_i weights_i N(means_i, covariances_i). Raises ValueError for what is no mixture.

    >>> from proxlab.priors.exact.mixtures import Mixture
    >>> means, covariances = torch.tensor([[-1.0], [1.0]]), torch.full((2, 1, 1), 0.01)
    >>> two = Mixture(torch.tensor([0.5, 0.5]), means, covariances)
    >>> two.mean(), two.covariance(), two.dimension
    (tensor([0.]), tensor([[1.0100]]), 1)
    >>> two.prox(torch.tensor([[0.8], [-2.0]]), 0.1)   # towards the nearest mean
    tensor([[ 0.9818],
            [-1.0909]])
    >>> two.posterior(torch.eye(1), torch.tensor([0.8]), noise=0.1).mean()   # half way to 1
    tensor([0.9000])
    >>> two.posterior_mean(torch.tensor([[0.0]]), variance=0.1)
    tensor([[0.]])
    >>> x = two.draw(3, torch.Generator().manual_seed(0))
    >>> x.shape, two.log_density(x).shape, two.score(x).shape
    (torch.Size([3, 1]), torch.Size([3]), torch.Size([3, 1]))
    >>> two.at(0.5).covariance() < 1.01   # of X_t, nearer to that of noise
    tensor([[True]])
    """

    weights: Tensor
    """Positive, adding up to 1, [K]."""
    means: Tensor
    """[K, d]."""
    covariances: Tensor
    """Variances [K] of round components, or positive semi-definite matrices [K, d, d]."""

    def __post_init__(self):
        w, m, c = self.weights, self.means, self.covariances
        if m.ndim != 2 or w.shape != m.shape[:1] or 0 in m.shape:
            raise ValueError(
                f"a mixture has weights [K] and means [K, d], got {list(w.shape)} and "
                f"{list(m.shape)}; a single component in one dimension is [1] and [1, 1]"
            )
        if c.shape not in (w.shape, (*m.shape, m.shape[1])):
            raise ValueError(
                f"covariances are variances [K] or matrices [K, d, d], got {list(c.shape)} for "
                f"means {list(m.shape)}; give one for each component"
            )
        if not m.is_floating_point() or w.dtype != m.dtype or c.dtype != m.dtype:
            raise ValueError(
                f"a mixture's tensors share one floating dtype, got {w.dtype}, {m.dtype} and "
                f"{c.dtype}; convert them, best to float64"
            )
        for name, tensor in (("weights", w), ("means", m), ("covariances", c)):
            if not tensor.isfinite().all():
                raise ValueError(f"{name} are finite, got nan or inf; look where they were made")
        slack = torch.finfo(m.dtype).eps ** 0.5 / 10
        if w.min() <= 0 or abs(float(w.sum()) - 1) > slack:
            raise ValueError(
                f"weights are positive and add up to 1, got a least one of {float(w.min()):g} and "
                f"a sum of {float(w.sum()):.9g}; drop the empty components, divide by the sum"
            )
        if c.ndim == 1 and c.min() < 0:
            raise ValueError(f"variances are at least 0, got {float(c.min()):g}; square deviations")
        if c.ndim == 3:
            scale = float(c.abs().amax())
            skew = float((c - c.mT).abs().amax())
            if skew > slack * scale:
                raise ValueError(
                    f"covariances are symmetric, got a difference of {skew:g} between one and its "
                    "transpose; take the mean of the two"
                )
            least = float(torch.linalg.eigvalsh(c).amin())
            if least < -slack * scale:
                raise ValueError(
                    f"covariances have no negative eigenvalue, got {least:g}; build them as B B^T"
                )

    @classmethod
    def points(cls, points: Tensor, weights: Tensor | None = None) -> "Mixture":
        """Point masses at [K, d], of equal weight unless weights [K] are given.

        >>> from proxlab.priors.exact.mixtures import Mixture
        >>> masses = Mixture.points(torch.tensor([[-1.0], [1.0]]))
        >>> masses.prox(torch.tensor([[0.3]]), 0.1)   # the nearest
        tensor([[1.]])
        """
        points = points if points.is_floating_point() else points.double()
        zero = points.new_zeros(len(points))
        return cls(zero + 1 / max(1, len(points)) if weights is None else weights, points, zero)

    @property
    def dimension(self) -> int:
        """Coordinates of a point."""
        return self.means.shape[1]

    def at(self, t: float, schedule: VP | None = None) -> "Mixture":
        """The mixture of X_t = sqrt(a) X_0 + sqrt(1 - a) e, where X_0 has this one. [Fang25]"""
        schedule = schedule or VP()
        a, noise = float(schedule.signal(t)), float(schedule.noise(t))
        return self._noisy(math.sqrt(a), noise)

    def log_density(self, x: Tensor) -> Tensor:
        """log p, [N, d] -> [N]. Raises ValueError where some component has no density."""
        w = self._whitening()
        return torch.cat(
            [self._log_joint(part, w).logsumexp(1) for part in self._chunks(self._checked(x))]
        )

    def score(self, x: Tensor) -> Tensor:
        """grad log p, [N, d] -> [N, d]. Raises ValueError where some component has no density."""
        w = self._whitening()
        return torch.cat([self._score(part, w) for part in self._chunks(self._checked(x))])

    def posterior_mean(self, y: Tensor, variance: float) -> Tensor:
        """E[x | x + sqrt(variance) e = y], [N, d] -> [N, d], by Tweedie's formula."""
        if not 0 < variance < math.inf:
            raise ValueError(f"the variance of noise is positive, got {variance}; y itself at 0?")
        return y + variance * self._noisy(1.0, variance).score(y)

    def prox(self, v: Tensor, lam: float | Tensor) -> Tensor:
        """argmin_x |x - v|^2 / 2 - lam log p(x), the least of all minima; [N, d] -> [N, d].

        lam is a positive number or one for each point, [N]. Where two minima tie the prox jumps,
        and either may be returned. For point masses it is the limit of one vanishing variance: the
        mass with the least |m_i - v|^2 / 2 - lam log weights_i, the nearest of equal weights.

        Raises ValueError unless lam > 0, and where components have no density but not all of them
        are point masses.
        """
        self._checked(v)
        lam = torch.as_tensor(lam, dtype=v.dtype, device=v.device)
        if lam.shape not in ((), v.shape[:1]) or not ((lam > 0) & lam.isfinite()).all():
            raise ValueError(
                f"lam is positive, one number or one for each of {len(v)} points, got "
                f"{lam.tolist() if lam.numel() < 4 else list(lam.shape)}; at 0 the prox is v itself"
            )
        if not self.covariances.any():
            lam, ends = lam.expand(len(v))[:, None], []
            for part, each in zip(self._chunks(v), self._chunks(lam), strict=True):
                squares = (part[:, None] - self.means).square().sum(2)
                ends.append(self.means[(squares / 2 - each * self.weights.log()).argmin(1)])
            return torch.cat(ends)
        self._check_density()
        # In float64 always: where F is flat, single precision would end far from the minimum.
        parts = (self.weights, self.means, self.covariances, v, lam)
        return mixture_prox(*(part.double() for part in parts)).to(v.dtype)

    def posterior(self, A: Tensor, y: Tensor, noise: float) -> "Mixture":
        """The mixture of x given y = A x + noise e, for a matrix A [m, d] and one measurement [m].

        A weight below the least positive number of the dtype is set to that number.
        """
        if A.shape != (len(y), self.dimension) or y.ndim != 1:
            raise ValueError(
                f"A is [m, {self.dimension}] and y is [m], got {list(A.shape)} and {list(y.shape)};"
                " observe one point at a time"
            )
        if not 0 < noise < math.inf:
            raise ValueError(f"the deviation of noise is positive, got {noise}; take a small one")
        eye = torch.eye(len(y)).to(y)
        residuals = (y - self.means @ A.T)[..., None]
        cross = self._matrices() @ A.T  # [K, d, m]
        roots = torch.linalg.cholesky(A @ cross + noise**2 * eye)
        whitened = torch.linalg.solve_triangular(roots, residuals, upper=False)[..., 0]
        fit = whitened.square().sum(1) / 2 + roots.diagonal(dim1=1, dim2=2).log().sum(1)
        weights = (self.weights.log() - fit).softmax(0).clamp(min=torch.finfo(y.dtype).tiny)
        if not self.covariances.any():
            return Mixture(weights, self.means, self.covariances)
        gains = torch.cholesky_solve(cross.mT, roots).mT
        # Joseph's form keeps the covariance positive where noise is small.
        left = torch.eye(self.dimension).to(y) - gains @ A
        covariances = left @ self._matrices() @ left.mT + noise**2 * gains @ gains.mT
        means = self.means + (gains @ residuals)[..., 0]
        return Mixture(weights, means, (covariances + covariances.mT) / 2)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n independent points, [n, d]."""
        j = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        e = self.means.new_empty(n, self.dimension).normal_(generator=generator)
        if self.covariances.ndim == 1:
            return self.means[j] + self.covariances[j, None].sqrt() * e
        values, vectors = torch.linalg.eigh(self.covariances)  # Cholesky refuses singular ones
        roots = vectors * values.clamp(min=0).sqrt()[:, None]
        return self.means[j] + (roots[j] @ e[..., None])[..., 0]

    def mean(self) -> Tensor:
        """E[x], [d]."""
        return self.weights @ self.means

    def covariance(self) -> Tensor:
        """Cov[x], [d, d]."""
        off = self.means - self.mean()
        return torch.einsum("k,kab->ab", self.weights, self._matrices()) + off.T @ (
            self.weights[:, None] * off
        )

    def _noisy(self, gain: float, variance: float) -> "Mixture":
        """The mixture of gain X + sqrt(variance) e."""
        c = gain**2 * self.covariances
        c = c + variance * (torch.eye(self.dimension).to(c) if c.ndim == 3 else 1)
        return Mixture(self.weights, gain * self.means, c)

    def _matrices(self) -> Tensor:
        """Covariances as matrices, [K, d, d]."""
        if self.covariances.ndim == 3:
            return self.covariances
        return self.covariances[:, None, None] * torch.eye(self.dimension).to(self.means)

    def _whitening(self) -> Tensor:
        """Inverse roots of the covariances, [K, 1] or [K, d, d] lower triangular."""
        self._check_density()
        c = self.covariances
        if c.ndim == 1:
            return c[:, None].rsqrt()
        eye = torch.eye(self.dimension).to(c)
        return torch.linalg.solve_triangular(torch.linalg.cholesky(c), eye, upper=False)

    def _check_density(self) -> None:
        c = self.covariances
        bad = int(((c <= 0) if c.ndim == 1 else torch.linalg.cholesky_ex(c)[1] != 0).sum())
        if bad:
            raise ValueError(
                f"{bad} of {len(c)} components have no density, for their covariance is singular; "
                "take at(t) with t > 0, or posterior_mean"
            )

    def _log_joint(self, x: Tensor, whitening: Tensor) -> Tensor:
        """log(weights_i N(x; means_i, covariances_i)), [N, K]."""
        z = self._whitened(x, whitening)
        if whitening.ndim == 2:
            volume = self.dimension * whitening[:, 0].log()
        else:
            volume = whitening.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = self.weights.log() + volume - self.dimension / 2 * math.log(2 * math.pi)
        return constant - z.square().sum(2) / 2

    def _whitened(self, x: Tensor, whitening: Tensor) -> Tensor:
        """Whitened distances from the means, [N, K, d]; expanded squares would lose digits."""
        off = x[:, None] - self.means
        return whitening * off if whitening.ndim == 2 else (whitening @ off[..., None])[..., 0]

    def _score(self, x: Tensor, whitening: Tensor) -> Tensor:
        z = self._log_joint(x, whitening).softmax(1)[..., None] * self._whitened(x, whitening)
        if whitening.ndim == 2:
            return -(whitening * z).sum(1)
        return -torch.einsum("kab,nka->nb", whitening, z)

    def _checked(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.dimension:
            raise ValueError(
                f"points are rows of {self.dimension} numbers, [N, {self.dimension}], got "
                f"{list(x.shape)}; reshape them"
            )
        if x.dtype != self.means.dtype:
            raise ValueError(f"a mixture of {self.means.dtype}, points of {x.dtype}; convert one")
        return x

    def _chunks(self, x: Tensor) -> tuple[Tensor, ...]:
        """Rows in parts for which an array [N, K, d] has at most CHUNK_NUMBERS numbers."""
        return x.split(max(1, CHUNK_NUMBERS // self.means.numel()))
