"""Does the weight between data and prior need tuning? PSNR at weight 1 against the best weight.

    PROXLAB_DATA=... python examples/benchmarks/bench_calibration.py [--prior lpn-gray] [--crops 4]

If R_s / s^2 is -log p, the restoration minimises |A x - y|^2 / (2 noise^2) + R_s / s^2 with nothing
to tune: s follows from the theory, s = 0.99 noise / |A|, the largest for which convergence is
proved. For each problem of bench_restore, on crops of photographs held out of the training set
(never a test set), the table has the mean PSNR by weight, what the untuned weight 1 loses to the
best of the grid, and the PSNR at weight 1 by s, in multiples of the default. The last is by
half-quadratic splitting, which may go beyond the default.
"""

import argparse
from statistics import mean

import bench_restore as bench
import numpy as np
import torch
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_gray
from proxlab.images.metrics import psnr
from proxlab.jobs import restore

WEIGHTS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
TIMES = (0.5, 0.7, 1.0, 1.4, 2.0)


def measured(crops: list[Tensor], kernels: list[np.ndarray], problem: tuple[str, float]):
    """(truth, operator, y) of each crop, by a kernel or mask of its own."""
    for i, j, make in bench.cases(problem, kernels, len(crops)):
        if problem[0] == "deblur" and i != j:
            continue
        truth = crops[i][None, None] / 255
        op = make(truth.shape[-2:])
        yield truth, op, op(truth, generator=torch.Generator().manual_seed(i))


def by_weight(cases: list[tuple], prior, weights: tuple[float, ...]) -> dict[float, float]:
    """Mean PSNR of `restore` by weight, all else at its default."""
    return {
        w: mean(
            float(psnr(restore(y, op, prior, steps=bench.STEPS, weight=w).image, truth))
            for truth, op, y in cases
        )
        for w in weights
    }


def by_level(cases: list[tuple], prior, times: tuple[float, ...]) -> dict[float, float]:
    """Mean PSNR at weight 1 by s in multiples of the default."""
    found = {}
    for factor in times:
        values = []
        for truth, op, y in cases:
            level = float(restore(y, op, prior, "hqs", steps=1, weight=1.0).sigma)
            sigma = max(factor * level, prior.sigma_range[0])
            result = restore(y, op, prior, "hqs", sigma=sigma, steps=bench.STEPS, weight=1.0)
            values.append(float(psnr(result.image, truth)))
        found[factor] = mean(values)
    return found


def middle(x: Tensor, side: int) -> Tensor:
    """The middle side x side pixels: corners are mostly sky."""
    top, left = ((n - side) // 2 for n in x.shape)
    return x[top : top + side, left : left + side]


def row(name: str, values: dict[float, float]) -> str:
    return f"  {name:8s}" + "".join(f"{k:6g}: {v:.2f}" for k, v in values.items())


def main(argv: list[str] | None = None) -> list[float]:
    """Print, and return what the untuned setting loses to the best weight, per problem in dB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--side", type=int, default=128)
    args = parser.parse_args(argv)
    prior = load(args.prior)
    _, held_out = hold_out(load_gray(find_data("bsds400")))
    large = [x for x in held_out if min(x.shape) >= 256][1:20]
    crops = [middle(x, args.side) for x in large[:: max(1, 20 // args.crops)]]
    kernels = bench.motion_kernels(len(crops))
    lost = []
    for problem in bench.PROBLEMS:
        cases = list(measured(crops, kernels, problem))
        weights = by_weight(cases, prior, WEIGHTS)
        best = max(weights, key=lambda w: weights[w])
        lost.append(weights[best] - weights[1.0])
        print(f"{problem[0]} {problem[1]}: weight 1 loses {lost[-1]:.2f} dB to weight {best:g}")
        print(row("weight", weights))
        print(row("s", by_level(cases, prior, TIMES)), flush=True)
    own = prior.capabilities.default_weight
    print(f"most lost: {max(lost):.2f} dB; {args.prior} has weight {own} where none is given")
    return lost


if __name__ == "__main__":
    main()
