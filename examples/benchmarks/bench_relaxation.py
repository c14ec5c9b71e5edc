"""Over-relaxation of ADMM: how many iterations it takes, and where they end.

    PROXLAB_DATA=... python examples/benchmarks/bench_relaxation.py
        [--priors lpn-gray,tv] [--times 1]

Crops of photographs held out of the training set are restored with the problems and the settings of
`proxlab compare`. Printed are the iterations until the residual is below the tolerance, without the
24 of the descent, in which nothing is relaxed; their ratio to those of the first relaxation; PSNR;
how many of the images came to rest; and how many were certified. `--times` multiplies the default
sigma, whose square is the step: 1.5 breaks the conditions of the theorem, with tau L = 2.2.
"""

import argparse
import dataclasses
from statistics import mean
from unittest.mock import patch

import torch
from torch import Tensor

from proxlab.comparison.case import Case, PriorSettings, parameters, run_case
from proxlab.comparison.comparing import load_priors
from proxlab.comparison.problems import PROBLEMS, Problem
from proxlab.comparison.settings import SHIPPED, read_settings
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_gray
from proxlab.restoration import fixed_level


def crops(count: int, side: int) -> list[Tensor]:
    """Middles of held-out photographs, [1, 1, side, side] each."""
    _, held_out = hold_out(load_gray(find_data("bsds400")))
    large = [x for x in held_out if min(x.shape) >= side]
    found = []
    for x in large[:: max(1, len(large) // count)][:count]:
        top, left = ((n - side) // 2 for n in x.shape)
        found.append(x[None, None, top : top + side, left : left + side] / 255)
    return found


def restored(
    prior, name: str, problem: Problem, settings: PriorSettings, x: Tensor, i: int, times: float
) -> dict:
    """Row of a comparison of one prior on crop x, number i, at `times` the default sigma."""
    noise = problem.levels[0]
    case = Case(name, problem.name, parameters(problem), str(i), noise, 0, "admm", settings)
    if times != 1:
        once = dataclasses.replace(case, settings=dataclasses.replace(settings, steps=1))
        sigma = times * run_case(once, problem, prior, x).row["sigma"]
        case = dataclasses.replace(case, settings=dataclasses.replace(settings, sigma=sigma))
    return run_case(case, problem, prior, x).row


def main(argv: list[str] | None = None) -> dict[tuple[str, str, float], float]:
    """Print the table; return by (prior, problem, relaxation) the ratio of iterations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--priors", default="lpn-gray,tv")
    parser.add_argument("--problems", default="deblur,inpaint,ct")
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--times", type=float, default=1.0)
    parser.add_argument("--relaxations", default="1,1.3,1.5,1.6,1.7,1.8,1.9")
    args = parser.parse_args(argv)
    truths, ratios = crops(args.crops, args.side), {}
    relaxations = [float(part) for part in args.relaxations.split(",")]
    problems = [PROBLEMS[name] for name in args.problems.split(",")]
    tuned = read_settings(SHIPPED, problems, PriorSettings())
    for name, prior in load_priors(args.priors.split(",")).items():
        for problem in problems:
            print(f"{name}, {problem.name}\n  relaxation  steps  ratio   PSNR  at rest  certified")
            settings = tuned.get((name, problem.name), PriorSettings())
            for relaxation in relaxations:
                # no argument of `restore`: users have no reason to choose it
                with patch.object(fixed_level, "RELAXATION", relaxation):
                    rows = [
                        restored(prior, name, problem, settings, x, i, args.times)
                        for i, x in enumerate(truths)
                    ]
                steps = mean(row["iterations"] for row in rows) - fixed_level.DESCENT
                ratios[name, problem.name, relaxation] = steps
                ratio = steps / ratios[name, problem.name, relaxations[0]]
                level = mean(row["psnr"] for row in rows)
                rest = sum(row["stopped"] == "tolerance" for row in rows)
                certified = sum(row["certified"] for row in rows)
                print(
                    f"  {relaxation:10g}{steps:7.0f}{ratio:7.2f}{level:7.2f}{rest:9d}"
                    f"{certified:11d}",
                    flush=True,
                )
    return {(a, b, r): s / ratios[a, b, relaxations[0]] for (a, b, r), s in ratios.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
