"""Laws of what the samplers of `solvers` put out, computed without sampling, exact to rounding.

For a Gaussian target every sampler is affine in its start and its noises, so that the law can be
read off the sampler itself, driven by impulses. For a mixture on the line the distribution function
of x is carried from step to step; the sampler itself is asked what a step does.
"""

import math
from collections.abc import Sequence
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import make_interp_spline
from scipy.special import ndtr
from torch import Tensor

from proxlab.priors.exact.mixtures import Mixture
from solvers import VP, proxdm, score

CELLS, REACH = 4096, 10.0
X = np.linspace(-REACH, REACH, CELLS, endpoint=False)
"""Points of the line at which distribution functions are known, [CELLS]."""
POINTS = torch.from_numpy(X)[:, None]
"""The same, [CELLS, 1]."""


class Gaussian(NamedTuple):
    """Independent coordinates N(m, v), m and v [d]."""

    m: Tensor
    v: Tensor

    def at(self, t: float) -> "Gaussian":
        """Law of X_t."""
        return Gaussian(VP().signal(t) ** 0.5 * self.m, VP().signal(t) * self.v + VP().noise(t))

    def score(self, x: Tensor) -> Tensor:
        """Gradient of the log-density."""
        return (self.m - x) / self.v

    def prox(self, y: Tensor, lam: float) -> Tensor:
        """Prox of minus the log-density, times lam."""
        return (self.v * y + lam * self.m) / (self.v + lam)


def walk(target: Gaussian | Mixture, kind: str, x: Tensor, times: Sequence[float], noise):
    """States of the library's samplers, score (sde, ode) or proximal (hybrid, backward)."""
    if kind in ("sde", "ode"):
        return score(lambda x, t: target.at(t).score(x), x, times, kind=kind, noise=noise)
    return proxdm(lambda y, t, l: target.at(t).prox(y, l), x, times, kind=kind, noise=noise)


def output_law(target: Gaussian, kind: str, times: list[float], start: Gaussian, walk=walk):
    """Law of the output A x + b + sum_k c_k z_k of a sampler; one run on impulses gives b, A, c."""
    x = torch.zeros(len(times) + 1, len(target.m), dtype=torch.float64)
    x[1] = 1
    rows = count(2)

    def impulse(x: Tensor) -> Tensor:
        z = torch.zeros_like(x)
        z[next(rows)] = 1
        return z

    *_, (x, _) = walk(target, kind, x, times, impulse)
    b, A, c = x[0], x[1] - x[0], x[2:] - x[0]
    return Gaussian(A * start.m + b, A**2 * start.v + c.square().sum(0))


def gaussian_errors(law: Gaussian, target: Gaussian) -> dict[str, float]:
    """Errors of a law, in norm over coordinates, and KL(law, target)."""
    e, rise = law.m - target.m, (law.v - target.v) / target.v
    return {
        "mean": float(e.norm()),
        "variance": float((law.v - target.v).norm()),
        "W2": float((e.square() + (law.v.sqrt() - target.v.sqrt()).square()).sum().sqrt()),
        "KL": float((rise - rise.log1p() + e.square() / target.v).sum()) / 2,
    }


def smoothed(F: np.ndarray, variance: float) -> np.ndarray:
    """Distribution function of x + noise, by FFT.

    The difference from that of N(0, 1), which is what is transformed, is as good as periodic.
    """
    k = 2 * math.pi * np.fft.rfftfreq(CELLS, 2 * REACH / CELLS)
    rest = np.fft.irfft(np.fft.rfft(F - ndtr(X)) * np.exp(-variance * k**2 / 2), CELLS)
    return ndtr(X / math.sqrt(1 + variance)) + rest


def between(x: np.ndarray, F: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Distribution function through (x, F), by quintic splines."""
    inside = make_interp_spline(x, F, k=5)(np.clip(at, x[0], x[-1]))
    return np.where(at < x[0], 0.0, np.where(at > x[-1], 1.0, inside))


def proximal_step(target: Mixture, kind: str, F: np.ndarray, s: float, t: float) -> np.ndarray:
    """Distribution function after a proximal step from time t to s.

    F(prox(y)) = F_y(y), since a prox is monotone, and y = x - lam score(x) undoes it.
    """
    asked = []

    def spy(y, t, lam):
        asked.append((t, lam))
        return y

    x = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    gain, noise = next(proxdm(spy, x, [s, t], kind=kind, noise=lambda x: 1 - x)).x[:, 0].tolist()
    ((time, lam),) = asked
    density = target.at(time)
    y = POINTS - lam * density.score(POINTS)
    found = between(X, smoothed(F, (noise / gain) ** 2), y[:, 0].numpy() / gain)
    if bool((y.diff(dim=0) <= 0).any()):  # a jump: no output falls between its ends
        hit = (density.prox(y, lam) - POINTS).abs()[:, 0].numpy() < 1e-6
        found = np.maximum.accumulate(np.where(hit, found, 0.0))
    return found


def score_step(target: Mixture, kind: str, F: np.ndarray, s: float, t: float) -> np.ndarray:
    """Distribution function after a step along the score from time t to s.

    The sampler without its noise, x -> D(x), carries F along; then the noise smooths it. Raises
    ValueError where D folds the line and there is too little noise.
    """
    D, up = (next(walk(target, kind, POINTS, [s, t], n)).x[:, 0].numpy()
             for n in (torch.zeros_like, torch.ones_like))  # fmt: skip
    noise = float((up - D)[CELLS // 2])
    if (np.diff(D) > 0).all():
        moved = between(D, F, X)
        return smoothed(moved, noise**2) if noise else moved
    if noise < 0.1:
        raise ValueError(f"too few steps: that from t = {t:.3g} folds the line; take more")
    density = make_interp_spline(X, F, k=5).derivative()(X[::4])
    return ndtr((X[:, None] - D[::4]) / noise) @ density * (X[4] - X[0])


def mixture_errors(target: Mixture, kind: str, times: list[float]) -> dict[str, float]:
    """W1, Kolmogorov's distance and KL of a sampler's output from a mixture, started from p_1."""
    step = score_step if kind in ("sde", "ode") else proximal_step
    F = distribution(target.at(1.0))
    for t, s in pairwise(reversed(times)):
        F = step(target, kind, F, s, t)
    off, h = np.abs(F - distribution(target)), X[1] - X[0]
    q = target.log_density(POINTS).exp().numpy()
    p = make_interp_spline(X, F, k=5).derivative()(X).clip(1e-300)
    kl = (p * np.log(p / q) - p + q)[q > 1e-9]  # below, p is rounding
    return {"W1": h * off.sum(), "Kolmogorov": off.max(), "KL": h * kl.sum()}


def distribution(mixture: Mixture) -> np.ndarray:
    """Distribution function of a mixture on the line, at X."""
    z = (POINTS - mixture.means[:, 0]) / mixture.covariances.sqrt()
    return (torch.special.ndtr(z) @ mixture.weights).numpy()
