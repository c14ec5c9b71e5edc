"""Targets in the plane whose prox and score are exact: the dino's points and four Gaussians."""

import csv
from functools import partial

import torch
from torch import Tensor

from proxlab.images.data_sets import find_data
from proxlab.priors.exact.mixtures import Mixture
from solvers import VP


def dino() -> Mixture:
    """Dino of the Datasaurus in [-1, 1]^2, as point masses. Raises as `find_data` without it."""
    with find_data("datasaurus/datasaurus.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "dino"]
    points = torch.tensor([[float(row["x"]), float(row["y"])] for row in rows]).double()
    return Mixture.points((points - 50) / 50)


def four() -> Mixture:
    """Three long Gaussians around a small round one."""
    numbers = partial(torch.tensor, dtype=torch.float64)
    means = numbers([[-0.8, -0.5], [0.0, 0.8], [0.9, -0.3], [0.1, -0.1]])
    long = [[0.25, 0, 0.15, 0.06], [0.3, 0, -0.1, 0.05], [0.05, 0, 0.1, 0.2]]
    roots = numbers([*long, [0.04, 0, 0, 0.04]]).reshape(4, 2, 2)
    return Mixture(numbers([0.3, 0.3, 0.25, 0.15]), means, roots @ roots.mT)


def reference(target: Mixture, n: int) -> tuple[Tensor, Tensor | None]:
    """Points that samples are compared with, [M, d], and weights: the target's, or 2 n draws."""
    if not target.covariances.any():
        return target.means, target.weights
    return target.draw(2 * n, torch.Generator().manual_seed(99_999)), None


class Moments:
    """A Gaussian with a mixture's mean and covariance, which few-step samplers start from."""

    def __init__(self, target: Mixture):
        """The moments of a target of points, or of 2000 draws from another."""
        points, weights = reference(target, 1000)
        if weights is None:
            weights = points.new_full((len(points),), 1 / len(points))
        self.mean = weights @ points
        off = points - self.mean
        self.variances, self.axes = torch.linalg.eigh((off * weights[:, None]).mT @ off)

    def begin(self, noise: Tensor, t: float, schedule: VP = VP()) -> Tensor:
        """Nearly X_t, [N, d], of standard normal noise of that shape."""
        a, rest = schedule.signal(t), schedule.noise(t)
        wide = (a * self.variances + rest).sqrt()
        return a**0.5 * self.mean + (noise @ self.axes * wide) @ self.axes.mT
