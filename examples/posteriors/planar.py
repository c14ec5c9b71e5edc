"""Posteriors of several modes in the plane: the guided descent beside the annealed sampler.

    python -m examples.posteriors.planar --seeds 30 31 32

A cell is a mixture of six narrow Gaussians, one number measured of a point, and a level of noise;
it is taken if the second most likely mode has a tenth of the posterior or more. Judged as in
`examples.posteriors.laboratory`, by the best of the same twelve settings of each on other seeds.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import ClassVar

import torch
from torch import Tensor

import solvers
from examples.posteriors.cells import Cell
from examples.posteriors.rivals import Exact, Sampler, falling
from examples.posteriors.tuning import TRIED, Figures, best, figures
from proxlab.priors.exact.mixtures import Mixture
from solvers.posteriors.covariances import Applied

MATRICES = {"mask": [[1.0, 0.0]], "blur": [[0.6, 0.4]], "difference": [[0.5, -0.5]]}
NOISES = (0.05, 0.2, 0.5)
MODES, DEVIATION, APART = 6, 0.1, 0.8
EVALUATIONS = (5, 10, 20)


def planar(matrix: str, noise: float, seed: int) -> Cell:
    """A posterior of at least two modes."""
    generator = torch.Generator().manual_seed(seed)
    A = torch.tensor(MATRICES[matrix], dtype=torch.float64)
    while True:
        means = 4 * torch.rand(MODES, 2, generator=generator, dtype=A.dtype) - 2
        if torch.pdist(means).min() < APART:
            continue
        weights = (0.5 * torch.randn(MODES, generator=generator, dtype=A.dtype)).softmax(0)
        round_ = (DEVIATION**2 * torch.eye(2, dtype=A.dtype)).repeat(MODES, 1, 1)
        prior = Mixture(weights, means, round_)
        seen = A @ prior.draw(1, generator)[0]
        y = seen + noise * torch.randn(1, generator=generator, dtype=A.dtype)
        cell = Cell(prior, A, y, noise)
        if cell.truth.weights.sort().values[-2] > 0.1:
            return cell


@dataclass(frozen=True)
class Guided:
    """Ours. Settings: the levels over the deviation of the data."""

    high: float = 3.0
    low: float = 0.1
    rest: int = 0
    """Levels that are left to the annealed sampler, but for one."""
    together: int | None = None
    """Particles of one measurement; None is all draws."""
    products: ClassVar[int] = 2

    def __call__(self, cell: Cell, levels: int, generator: torch.Generator) -> Tensor:
        """Draws [N, d]."""
        S = cell.prior.covariance()
        by = solvers.LinearObservation(
            lambda x: x @ cell.A.T, lambda y: y @ cell.A, cell.y.expand(cell.n, -1), cell.noise**2
        )
        x = by.draw(cell.centre, Applied(lambda u: u @ S, len(S)), generator)
        covariance = solvers.JacobianCovariance(len(S), cell.linearize)
        steps = falling(self.high * cell.variance**0.5, self.low * cell.variance**0.5, levels)
        wide = max(1, levels - self.rest)
        first, rest = steps[:wide], steps[wide:]
        *_, last = solvers.guided(
            cell.denoise,
            by,
            x,
            first,
            covariance=covariance,
            together=self.together or cell.n,
            noise=generator,
        )
        if rest:
            *_, last = solvers.posterior(
                cell.denoise, by, last.x, rest, covariance=covariance, noise=generator
            )
        return last.x


GUIDED: list[Guided] = [Guided(h, l) for h in (2.0, 3.0, 5.0) for l in (0.05, 0.1, 0.2, 0.3)]


def on_seeds(seeds: Sequence[int]) -> dict[str, Cell]:
    """Cells by name, one for each seed, matrix and noise."""
    kinds = itertools.product(seeds, MATRICES, NOISES)
    return {
        f"seed {seed}, {matrix}, noise {noise}": planar(matrix, noise, 100 * seed + k)
        for k, (seed, matrix, noise) in enumerate(kinds)
    }


def chosen(seeds: Sequence[int]) -> dict[str, Sampler]:
    """The best of twelve settings of each sampler."""
    on = [replace(cell, n=100) for cell in on_seeds(seeds).values()]
    tried = {n: s for n, s in TRIED.items() if s[0].products < 2}
    best_of = {name: best(s, on, counted=False) for name, s in tried.items()}
    guided = best(GUIDED, on, counted=False)
    return {
        "exact": Exact(),
        "guided": guided,
        "guided, its last 2 levels annealed": replace(guided, rest=2),
        "guided, 16 particles each": replace(guided, together=16),
        **best_of,
    }


def main(seeds: Sequence[int], tune: Sequence[int]) -> None:
    """Print the table, and each cell in which the guided descent does not halve the distance."""
    samplers, cells = chosen(tune), on_seeds(seeds)
    on = list(cells.values())
    for name, sampler in samplers.items():
        print(f"{name}: {sampler}")
    print(f"| {len(on)} cells | " + " | ".join(map(str, EVALUATIONS)) + " |")
    found: dict[str, list[Figures]] = {}
    for name, sampler in samplers.items():
        found[name] = [figures(sampler, on, k) for k in EVALUATIONS]
        row = [f"{f.distance:.2f}, {f.calibrated:.2f}, {mean(f.held):.2f}" for f in found[name]]
        print(f"| {name} | " + " | ".join(row) + " |", flush=True)
    for k, count in enumerate(EVALUATIONS):
        all_three = (found[n][k].distances for n in ("annealed, jacobian", "guided", "exact"))
        for name, before, after, least in zip(cells, *all_three, strict=True):
            if after > before / 2:
                print(
                    f"not halved in {count} levels: {name}: {before:.2f} to {after:.2f}, "
                    f"exact draws {least:.2f}"
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="posteriors of several modes in the plane")
    parser.add_argument("--seeds", type=int, nargs="+", default=[30, 31, 32])
    parser.add_argument("--tune", type=int, nargs="+", default=[1], help="seeds of settings")
    args = parser.parse_args()
    main(args.seeds, args.tune)
