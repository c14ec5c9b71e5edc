"""Grids and settings of few-step samplers of digits, chosen on held-out digits by an equal budget.

    PROXLAB_DATA=... python -m examples.tune_samplers --out tuned.jsonl
    PROXLAB_DATA=... python -m examples.tune_samplers --out tuned.jsonl --final --n 10000

Every sampler has the same `GRIDS` at 5 and at 10 evaluations, then, if it has a setting of its own,
3 values of that on its best grid. Grids start from N(0, I) at t = 1, or later from the start law of
the model, which our samplers do. The choice is the least product of the two distances.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from examples.benchmarks.bench_mnist import THEIRS
from examples.k_diffusion_rivals import RIVALS
from proxlab.checkpoints import load_classifier, load_diffusion
from proxlab.diffusion.digit_quality import digit_features, frechet_distance, judge_digits
from proxlab.diffusion.models import ScoreModel
from proxlab.images.data_sets import load_digits
from proxlab.sample_noise import SampleNoise
from proxlab.sampling import BATCH
from solvers import VP, Restricted, ScalarSpread, karras_grid, proxdm, uniform_grid

EVALUATIONS = (5, 10)
LOW, FALL = 2.5, 0.75
"""The least level of N steps, LOW / N^FALL, which grids have a multiple of."""


class Grid(NamedTuple):
    """Levels of a sampler, whatever their number."""

    law: bool
    """Whether they start from the start law of the model, or else at t = 1."""
    low: float = 1.0
    """Least level, over LOW / N^FALL."""
    power: float | None = 5.0
    """Power of `karras_grid`; None for times in equal steps."""

    def times(self, model: ScoreModel, steps: int) -> list[float]:
        """Times of so many steps, at least 2."""
        if self.power is None:
            return uniform_grid(steps)
        schedule = model.schedule
        high = model.start.high if self.law else _sigma(1.0, schedule)
        grid = karras_grid(steps, self.low * LOW / steps**FALL, high, self.power, schedule)
        return grid if self.law else [*grid[:-1], 1.0]


GRIDS = [
    *(Grid(True, low, power) for low in (0.5, 1.0, 2.0) for power in (3.0, 5.0, 7.0)),
    Grid(False, power=None),
    Grid(False, 0.25, 7.0),
    Grid(False, 1.0, 7.0),
]

Draw = Callable[[ScoreModel, Tensor, list[float], SampleNoise, float | None], Tensor]
"""(model, x, times, noise, own setting) -> samples in [-1, 1]."""


class Contestant(NamedTuple):
    """A sampler, the values of its own setting, the first of which goes with all grids."""

    draw: Draw
    own: tuple[float | None, ...] = (None,)
    costs: int = 1

    def steps(self, evaluations: int) -> int:
        """Most steps that cost no more than so many evaluations, the last of them one."""
        return (evaluations + self.costs - 1) // self.costs


def restricted(model, x, times, noise, eta) -> Tensor:
    """Restricted steps of order 2 by the posterior mean."""
    kind = Restricted(eta=eta)
    *_, last = proxdm(model.prox, x, times, kind=kind, schedule=model.schedule, noise=noise)
    return last.x


class Analytic(NamedTuple):
    """Analytic-DPM [Bao22]: order 1 with the posterior's measured variance, factor `own`."""

    images: Tensor
    """[N, 1, 28, 28] in [-1, 1], of which the denoiser's error is measured."""

    def __call__(self, model, x, times, noise, factor) -> Tensor:
        """Samples from x."""
        kind = Restricted(order=1, spread=ScalarSpread(partial(self._error, model, factor)))
        *_, last = proxdm(model.prox, x, times, kind=kind, schedule=model.schedule, noise=noise)
        return last.x

    def _error(self, model: ScoreModel, factor: float, sigma: float) -> float:
        if sigma not in MEASURED:
            e = torch.randn(self.images.shape, generator=torch.Generator().manual_seed(0))
            miss = model.denoise(self.images + sigma * e, sigma) - self.images
            MEASURED[sigma] = float(miss.square().mean())
        return factor * MEASURED[sigma]


MEASURED: dict[float, float] = {}
"""The error of the denoiser by sigma, measured once."""


def k_diffusion(name: str, model, x, times, noise, own) -> Tensor:
    """A sampler of k-diffusion; its own setting is eta, or the churn of Heun's method."""
    rival = RIVALS[name]
    if own is not None:
        rival = (
            replace(rival, churn=own)
            if rival.costs == 2
            else replace(rival, settings={**rival.settings, "eta": own})
        )
    return rival.sample(model.denoise, x, times, noise, model.schedule)


def unipc(model, x, times, noise, own) -> Tensor:
    """UniPC of diffusers."""
    return THEIRS["unipc"].on(model.noise, x, times, model.schedule)


def contestants(images: Tensor) -> dict[str, Contestant]:
    """Samplers by name; images, [N, 1, 28, 28] in [-1, 1], for what is to be measured on some."""
    etas = (1.0, 0.85, 0.7, 1.15)
    return {
        "mean-restricted": Contestant(restricted, etas),
        "DDIM": Contestant(partial(k_diffusion, "DDIM")),
        "Euler ancestral": Contestant(partial(k_diffusion, "Euler ancestral"), etas),
        "Analytic-DPM": Contestant(Analytic(images), (1.0, 0.5, 1.5, 2.0)),
        "DPM-Solver++ 2M": Contestant(partial(k_diffusion, "DPM-Solver++ 2M")),
        "UniPC": Contestant(unipc),
        "Heun": Contestant(partial(k_diffusion, "Heun"), costs=2),
        "EDM, stochastic Heun": Contestant(
            partial(k_diffusion, "EDM, stochastic Heun"), (0.2, 0.1, 0.3, 0.414), costs=2
        ),
    }


def digits(one: Contestant, model: ScoreModel, times: list[float], own, n: int) -> Tensor:
    """Digits in [0, 1], n of them, digit i from the same noise whatever the sampler."""
    parts = []
    for first in range(0, n, BATCH):
        noise = SampleNoise(0, range(first, min(first + BATCH, n)))
        x = model.begin(noise(torch.empty(len(noise.indices), *model.shape)), times[-1])
        with torch.no_grad():
            parts.append((one.draw(model, x, times, noise, own) + 1) / 2)
    return torch.cat(parts)


def tune(name: str, model: ScoreModel, judge, real: Tensor, n: int, images: Tensor) -> dict:
    """The row of one sampler: its best grid and setting, and all that was tried."""
    one = contestants(images)[name]

    def distance(grid: Grid, own, evaluations: int) -> float:
        made = digits(one, model, grid.times(model, one.steps(evaluations)), own, n)
        return frechet_distance(digit_features(made, judge), real)

    tried = []

    def trial(grid: Grid, own) -> None:
        found = [distance(grid, own, k) for k in EVALUATIONS]
        tried.append({"grid": grid, "own": own, "distances": found})
        print(f"{name:22s} {grid} own {own}: " + " / ".join(f"{d:.2f}" for d in found), flush=True)

    def best() -> dict:
        return min(tried, key=lambda row: row["distances"][0] * row["distances"][1])

    for grid in GRIDS:
        trial(grid, one.own[0])
    chosen = best()["grid"]
    for own in one.own[1:]:
        trial(chosen, own)
    return {"sampler": name, "samples": n, **best(), "tried": tried}


def final(rows: list[dict], model: ScoreModel, judge, n: int, steps: Sequence[int]) -> None:
    """Print distance (precision / recall) of what was chosen, against the test digits."""
    images, real = _measured_on(), digit_features(load_digits("test").images, judge)
    for row in rows:
        one = contestants(images)[row["sampler"]]
        for evaluations in steps:
            times = Grid(*row["grid"]).times(model, one.steps(evaluations))
            found = judge_digits(digits(one, model, times, row["own"], n), judge, real)
            print(
                f"{row['sampler']:22s} {evaluations:3d}  {found['frechet_distance']:6.2f} "
                f"({found['precision']:.2f} / {found['recall']:.2f})",
                flush=True,
            )


def main(args: argparse.Namespace) -> None:
    """Tune the samplers named, a row in JSON for each; or with --final run what was chosen."""
    model, judge = load_diffusion(args.score), load_classifier("digit-classifier")
    if not isinstance(model, ScoreModel):
        raise ValueError(f"the samplers need a score, got {args.score}")
    if args.final:
        lines = args.out.read_text().splitlines()
        rows = [
            row
            for row in map(json.loads, lines)
            if not args.samplers or row["sampler"] in args.samplers
        ]
        return final(rows, model, judge, args.n, args.steps)
    images, real = _measured_on(), digit_features(load_digits("held-out").images, judge)
    for name in args.samplers or contestants(images):
        with torch.no_grad():
            row = tune(name, model, judge, real, args.n, images)
        with open(args.out, "a") as file:
            file.write(json.dumps(row) + "\n")


def _measured_on() -> Tensor:
    """Training digits that the denoiser's error is measured on, in [-1, 1]."""
    return load_digits("train").images[:500] / 127.5 - 1


def _sigma(t: float, schedule: VP) -> float:
    return (schedule.noise(t) / schedule.signal(t)) ** 0.5


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="grids of samplers of digits, by equal budgets")
    parser.add_argument("--samplers", nargs="*", default=[])
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--score", default="score-mnist")
    parser.add_argument("--out", type=Path, default=Path("tuned.jsonl"))
    parser.add_argument("--final", action="store_true", help="run what is in the file, on test")
    parser.add_argument("--steps", type=int, nargs="+", default=[*EVALUATIONS, 20])
    main(parser.parse_args())
