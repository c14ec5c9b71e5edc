"""Distances between two samples: Wasserstein, sliced Wasserstein, maximum mean discrepancy.

They tell how far the output of a sampler is from what it should be. Samples are rows, [N, d] and
[M, d]; a distance is a float, in the units of the points (`mmd` has none).
"""

import math
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from solvers.protocols import doubles


def wasserstein(
    x: Tensor,
    y: Tensor,
    p: int = 1,
    x_weights: Tensor | None = None,
    y_weights: Tensor | None = None,
) -> float:
    """Wasserstein distance W_p = min over couplings of (E |x - y|^p)^(1/p), exact, for p = 1 or 2.

    x_weights, y_weights: weights of the points, [N] and [M], equal if None. The time grows as
    N M log(N M), the memory as N M: 1000 points each take a second. Raises ValueError for another
    p, for samples that are not rows of one length, for weights that are negative or do not add up
    to 1, and where POT is not installed.
    """
    ot = _pot()
    _check(x, y)
    if p not in (1, 2):
        raise ValueError(f"Wasserstein distances are known here for p = 1 and p = 2, got {p}")
    a, b = _weights(x_weights, x), _weights(y_weights, y)
    costs = torch.cdist(doubles(x), doubles(y), compute_mode="donot_use_mm_for_euclid_dist") ** p
    cost, log = ot.emd2(a, b, costs.cpu().numpy(), numItermax=10_000_000, log=True)
    if log["warning"]:
        raise ValueError(f"the transport between {len(x)} and {len(y)} points failed: {log}")
    return max(0.0, float(cost)) ** (1 / p)


def sliced_wasserstein(x: Tensor, y: Tensor, projections: int = 200, seed: int = 0) -> float:
    """Sliced Wasserstein distance, (mean over directions of W_2^2 of the projections)^(1/2).

    It is for samples too large for `wasserstein`, is at most W_2, and about sqrt(d) times smaller.
    projections: number of random directions; seed: seed of these. Raises ValueError for samples
    that are not rows of one length, for projections < 1, and where POT is not installed.
    """
    ot = _pot()
    _check(x, y)
    if projections < 1:
        raise ValueError(f"projections are counted from 1, got {projections}; take hundreds")
    a, b = (points.cpu().double().numpy() for points in (x, y))
    return float(ot.sliced_wasserstein_distance(a, b, n_projections=projections, seed=seed))


def mmd(x: Tensor, y: Tensor, bandwidth: float) -> float:
    """Maximum mean discrepancy, (E k(x, x') + E k(y, y') - 2 E k(x, y))^(1/2).

    k(x, y) = exp(-|x - y|^2 / (2 bandwidth^2)). This is the V-statistic: pairs of a point with
    itself count. So it is never imaginary, is 0 for x = y, and is about N^(-1/2) for two samples of
    N points of one distribution. Raises ValueError for samples that are not rows of one length, and
    unless bandwidth > 0.
    """
    _check(x, y)
    if not 0 < bandwidth < math.inf:
        raise ValueError(f"the bandwidth of a kernel is positive, got {bandwidth}")
    x, y = doubles(x), doubles(y)
    means = [_mean_kernel(a, b, bandwidth) for a, b in ((x, x), (y, y), (x, y))]
    return max(0.0, means[0] + means[1] - 2 * means[2]) ** 0.5


def _mean_kernel(x: Tensor, y: Tensor, bandwidth: float) -> float:
    """Mean of k over all pairs, some million at a time."""
    rows = max(1, 4_000_000 // len(y))
    exact = "donot_use_mm_for_euclid_dist"
    parts = [torch.cdist(part, y, compute_mode=exact) / bandwidth for part in x.split(rows)]
    return sum(float((-r.square() / 2).exp().sum()) for r in parts) / (len(x) * len(y))


def _check(x: Tensor, y: Tensor) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or 0 in (*x.shape, *y.shape):
        raise ValueError(
            f"samples are rows [N, d] and [M, d], got {list(x.shape)} and {list(y.shape)}; "
            "flatten images first"
        )


def _weights(weights: Tensor | None, x: Tensor) -> np.ndarray:
    """Weights of the points as float64 with a sum of 1, equal if None."""
    if weights is None:
        weights = x.new_ones(len(x)) / len(x)
    elif weights.shape != x.shape[:1] or weights.min() < 0 or abs(float(weights.sum()) - 1) > 1e-6:
        raise ValueError(
            f"weights are one for each of {len(x)} points, none negative, with a sum of 1, got "
            f"{list(weights.shape)} with a sum of {float(weights.sum()):g}"
        )
    weights = weights.cpu().double()
    return (weights / weights.sum()).numpy()


def _pot() -> ModuleType:
    """The package POT, an optional one. Raises ValueError where it is not installed."""
    try:
        import ot
    except ImportError:
        need = 'distances between samples need POT; pip install "proxlab[benches]"'
        raise ValueError(need) from None
    return ot
