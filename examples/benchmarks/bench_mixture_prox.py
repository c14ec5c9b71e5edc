"""The cost of the exact prox of a diffused point cloud: ours against scipy's L-BFGS-B.

The Datasaurus dino, 142 points in the plane, is diffused as at the steps of a hybrid sampler
[Fang25] of few steps; y = x_t + sqrt(lam) e. Both ways minimise |x - y|^2 / 2 - lam log p_t(x):
`Mixture.prox` at all points at once, scipy at one after the other, from y, with the gradient. Times
are those of one thread on the processor, so that other work on the machine counts little.

    python examples/benchmarks/bench_mixture_prox.py
"""

import argparse
import csv
import itertools
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from proxlab.images.data_sets import find_data
from proxlab.priors.exact.mixtures import Mixture
from solvers.diffusion.schedule import VP, uniform_grid

SLACK = 1e-9
"""Objectives this close, relatively, are equal."""


class Row(NamedTuple):
    """Times and failures of both ways at one step of a sampler."""

    steps: int
    t: float
    lam: float
    ours: float
    """Our seconds."""
    scipy: float
    """Seconds of scipy."""
    ours_worse: int
    """Number of points at which our objective is higher."""
    scipy_worse: int
    """Number of points at which scipy's is."""


def dino() -> Mixture:
    """The points of the dino as masses, in about [-1, 1]^2."""
    with open(find_data("datasaurus/datasaurus.csv"), newline="") as file:
        rows = [(row["x"], row["y"]) for row in csv.DictReader(file) if row["dataset"] == "dino"]
    points = torch.tensor([[float(x), float(y)] for x, y in rows], dtype=torch.float64)
    return Mixture.points((points - 50) / 50)


def scipy_prox(p: Mixture, y: Tensor, lam: float) -> Tensor:
    """The prox by scipy, for components of one variance and weight, as `at` makes of points."""
    means, variance = p.means.numpy(), float(p.covariances[0])
    slopes, constants = means / variance, -np.square(means).sum(1) / (2 * variance)

    def value_and_gradient(x, y):
        joint = slopes @ x
        joint += constants
        top = joint.max()
        joint -= top
        share = np.exp(joint, out=joint)
        mass, off = share.sum(), x - y
        value = off @ off / 2 - lam * (np.log(mass) + top - x @ x / (2 * variance))
        return value, off + lam / variance * (x - share @ means / mass)

    options = {"method": "L-BFGS-B", "jac": True}
    return torch.tensor(
        np.array([minimize(value_and_gradient, each, (each,), **options).x for each in y.numpy()])
    )


def seconds(way: Callable[[], Tensor], runs: int) -> tuple[float, Tensor]:
    """The least processor time of some runs, and their result."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        found = way()
        times.append(time.process_time() - start)
    return max(min(times), 1e-9), found


def compare(cloud: Mixture, steps: int, count: int, runs: int, seed: int) -> list[Row]:
    """A row for each step but the last, to t = 0, where the prox is the nearest point."""
    rows, schedule, grid = [], VP(), uniform_grid(steps)
    generator = torch.Generator().manual_seed(seed)
    for t, later in itertools.pairwise(grid[1:]):
        p, lam = cloud.at(t), float(schedule.integral(t, later))
        noise = torch.randn(count, 2, dtype=torch.float64, generator=generator)
        y = p.draw(count, generator) + lam**0.5 * noise
        costs, times = [], []
        # Our runs are short enough for any interruption to double one, so there are more of them.
        for way, repeats in ((p.prox, 5 * runs), (lambda y, lam, p=p: scipy_prox(p, y, lam), runs)):
            spent, x = seconds(lambda way=way, y=y, lam=lam: way(y, lam), repeats)
            times.append(spent)
            costs.append((x - y).square().sum(1) / 2 - lam * p.log_density(x))
        slack = SLACK * (costs[0].abs() + lam)
        worse = [int((a - b > slack).sum()) for a, b in (costs, costs[::-1])]
        rows.append(Row(steps, t, lam, *times, *worse))
    return rows


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Print the table, and return it."""
    parser = argparse.ArgumentParser(description="seconds for the exact prox of a point cloud")
    parser.add_argument("--points", type=int, default=1000, help="inputs of the prox at each time")
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 10, 20], help="of the sampler")
    parser.add_argument("--runs", type=int, default=3, help="least of so many runs (ours: of 5 x)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if min(args.points, args.runs) < 1 or min(args.steps) < 2:
        parser.error("--points and --runs are at least 1, --steps at least 2")
    torch.set_num_threads(1)
    cloud, table = dino(), []
    print(f"{args.points} points, one thread, processor time, least of {args.runs} runs:")
    print("steps     t    lam   ours ms  scipy ms  ratio   ours worse  scipy worse")
    for steps in args.steps:
        for row in compare(cloud, steps, args.points, args.runs, args.seed):
            print(f"{row.steps:5}{row.t:6.2f}{row.lam:7.3f}{1e3 * row.ours:10.2f}", end="")
            print(f"{1e3 * row.scipy:10.1f}{row.scipy / row.ours:7.0f}", end="")
            print(f"{row.ours_worse:13}{row.scipy_worse:13}", flush=True)
            table.append(row)
    ratios = [row.scipy / row.ours for row in table]
    whole = sum(row.scipy for row in table) / sum(row.ours for row in table)
    print(f"times faster: least {min(ratios):.0f}, median {median(ratios):.0f}, most ", end="")
    print(f"{max(ratios):.0f}, in sum {whole:.0f}")
    print(f"higher objective: ours at {sum(row.ours_worse for row in table)} points, ", end="")
    print(f"scipy's at {sum(row.scipy_worse for row in table)}, of {len(table) * args.points}")
    return table


if __name__ == "__main__":
    main()
