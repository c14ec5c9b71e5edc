"""Table of samplers of digits, on equal networks with equal training and equal evaluations.

    PROXLAB_DATA=... python examples/benchmarks/bench_mnist.py --out rows.jsonl

proxdm-mnist and score-mnist have one architecture and one number of training steps. Each sampler
gets the same number of network evaluations per digit, and sample i the same noise. Samples are
judged against the 10,000 test digits in the features of digit-classifier, or with --held-out
against the 3,000 held-out training digits, by which settings are chosen. A row that --out holds
already is not made again; several processes may share the samplers, each with a file of its own.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from examples.diffusers_rivals import RIVALS, Rival
from proxlab.checkpoints import load_classifier, load_diffusion
from proxlab.diffusion.digit_quality import digit_features, judge_digits
from proxlab.diffusion.models import ScoreModel
from proxlab.images.data_sets import load_digits
from proxlab.sample_noise import SampleNoise
from proxlab.sampling import BATCH, sample
from solvers import power_grid, uniform_grid
from solvers.diffusion.score import LAST_TIME

STEPS = (5, 10, 20, 50, 100)
"""Numbers of evaluations."""


class Models(NamedTuple):
    """Names or files of the networks."""

    prox: str | Path = "proxdm-mnist"
    score: str | Path = "score-mnist"
    classifier: str | Path = "digit-classifier"


SHIPPED = Models()

THEIRS = {
    "ddim": Rival("DDIMScheduler", {"timestep_spacing": "trailing", "clip_sample": False}),
    "dpm": Rival("DPMSolverMultistepScheduler", {"timestep_spacing": "linspace"}),
    "dpm-log": RIVALS["DPM-Solver++ 2M, log sigma"],
    "unipc": Rival("UniPCMultistepScheduler", {"timestep_spacing": "linspace"}),
    "heun": RIVALS["Heun"],
}
"""Rivals of diffusers, from the score. On held-out digits uniform time is far ahead of what is
best in the plane: with DPM-Solver++ at 5 evaluations 19 against 64 (Karras) and 69 (log)."""
OURS = (
    "restricted",
    "mean-restricted",
    "hybrid",
    "hybrid-power",
    "backward",
    "flow",
    "mean-hybrid",
    "mean-flow",
)
POWER = 0.8
"""Power of the time grid: of 0.6 to 2 the best on held-out digits, though training was for 1."""
PLAIN = ("sde", "sde-stopped", "ode", "ode-stopped")

Sampler = Callable[[int, int], Tensor]
"""A sampler, (number of digits n, network evaluations for each) -> [n, 1, 28, 28]."""


def samplers(models: Models = SHIPPED) -> dict[str, Sampler]:
    """Samplers that are compared, by name."""
    proxdm, model = load_diffusion(models.prox), load_diffusion(models.score)

    def ours(network, kind: str, grid: Callable[[int], int | list[float]]) -> Sampler:
        return lambda n, steps: sample(network, n, steps=grid(steps), kind=kind)

    def stopped(steps: int) -> list[float]:
        return uniform_grid(steps - 1, LAST_TIME)

    return {
        "restricted": ours(proxdm, "restricted", int),
        "mean-restricted": ours(model, "restricted", int),
        "hybrid": ours(proxdm, "hybrid", uniform_grid),
        "hybrid-power": ours(proxdm, "hybrid", partial(power_grid, power=POWER)),
        "backward": ours(proxdm, "backward", uniform_grid),
        "flow": ours(proxdm, "flow", uniform_grid),
        "mean-hybrid": ours(model, "hybrid", uniform_grid),
        "mean-flow": ours(model, "flow", uniform_grid),
        "sde": ours(model, "sde", uniform_grid),
        "sde-stopped": ours(model, "sde", stopped),
        "ode": ours(model, "ode", uniform_grid),
        "ode-stopped": ours(model, "ode", stopped),
        **{name: partial(rival, model, scheme) for name, scheme in THEIRS.items()},
    }


def rival(model: ScoreModel, scheme: Rival, n: int, evaluations: int) -> Tensor:
    """Digits by a scheduler of diffusers, n of them, from the start noise of `proxlab.sample`."""
    parts = []
    for first in range(0, n, BATCH):
        count = min(BATCH, n - first)
        x = SampleNoise(0, range(first, first + count))(torch.empty(count, *model.shape))
        with torch.no_grad():
            parts.append((scheme.sample(model.noise, x, evaluations, model.schedule) + 1) / 2)
    return torch.cat(parts)


def main(
    names: tuple[str, ...],
    steps: tuple[int, ...] = STEPS,
    n: int = 10_000,
    out: Path | None = None,
    *,
    held_out: bool = False,
    models: Models = SHIPPED,
) -> list[dict]:
    """Run the samplers named; return the rows, with those that the file `out` holds already.

    What a sampler refuses is printed, and is no row.
    """
    rows = (
        [json.loads(line) for line in out.read_text().splitlines()] if out and out.exists() else []
    )
    done = {(row["sampler"], row["evaluations"], row["samples"]) for row in rows}
    judge = load_classifier(models.classifier)
    real = digit_features(load_digits("held-out" if held_out else "test").images, judge)
    made = samplers(models)
    for evaluations in steps:
        for name in names:
            if (name, evaluations, n) in done:
                continue
            try:
                started = time.monotonic()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of grids: the table is about them
                    digits = made[name](n, evaluations)
                seconds = time.monotonic() - started
            except ValueError as error:
                print(f"{name} at {evaluations}: {error}")
                continue
            row = {"sampler": name, "evaluations": evaluations, "seconds": seconds}
            row |= judge_digits(digits, judge, real)
            print(
                f"{name:14s} {evaluations:4d}  distance {row['frechet_distance']:8.2f}  precision "
                f"{row['precision']:.3f}  recall {row['recall']:.3f}  {seconds:.0f} s",
                flush=True,
            )
            rows.append(row)
            if out:
                with open(out, "a") as file:
                    file.write(json.dumps(row) + "\n")
    return rows


def table(rows: list[dict]) -> str:
    """Table in Markdown: sampler by evaluations, distance (precision / recall)."""
    steps = sorted({row["evaluations"] for row in rows})
    lines = ["| | " + " | ".join(map(str, steps)) + " |", "| --- |" + " --- |" * len(steps)]
    for name in dict.fromkeys(row["sampler"] for row in rows):
        cells = []
        for k in steps:
            found = [r for r in rows if (r["sampler"], r["evaluations"]) == (name, k)]
            cells.append(
                f"{found[-1]['frechet_distance']:.2f} ({found[-1]['precision']:.2f} / "
                f"{found[-1]['recall']:.2f})"
                if found
                else ""
            )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samplers", default=",".join([*OURS, *PLAIN, *THEIRS]))
    parser.add_argument("--steps", default=",".join(map(str, STEPS)))
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--prox", default=SHIPPED.prox)
    parser.add_argument("--score", default=SHIPPED.score)
    parser.add_argument("--classifier", default=SHIPPED.classifier)
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    args = _arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(
        table(
            main(
                tuple(args.samplers.split(",")),
                tuple(map(int, args.steps.split(","))),
                args.n,
                args.out,
                held_out=args.held_out,
                models=Models(args.prox, args.score, args.classifier),
            )
        )
    )
