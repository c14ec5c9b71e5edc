"""Samplers of posteriors judged on digits: half of the pixels missing, or blur.

    PROXLAB_DATA=... python -m examples.posteriors.digits --out rows.jsonl

Of 500 test digits, in [-1, 1], each is measured once with noise of 0.1 (0.05 of the range from
black to white), and each sampler draws n samples of each by the denoiser of a model. They are
judged as `digit_judge` says, and PSNR is compared digit by digit with that of PiGDM, which
takes a product with the Jacobian beside each evaluation.

Settings of ours and of PiGDM were chosen by --tune on 20 held-out training digits, eight of each,
10 evaluations, `score-mnist`, by the energy score summed over both problems; the least level of
ours is lower than that, for intervals that hold. Those of the other rivals are first guesses.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import solvers
from examples.posteriors.diagonal import Measured, Rival, Task, blurred, masked
from examples.posteriors.digit_covariance import Denoise, ResidualCovariance, measured
from examples.posteriors.digit_judge import behind, judged, said
from examples.posteriors.rivals import DAPS, DiffPIR, PiGDM, PnPDM, falling, plain
from proxlab.checkpoints import load_diffusion
from proxlab.diffusion.models import ProxDM, ScoreModel
from proxlab.diffusion.prox_mean import ProxMean
from proxlab.images.data_sets import load_digits

NOISE, BLUR = 0.1, 1.6
"""Noise of measurements, in [-1, 1]; standard deviation of the blur, pixels."""
PROBLEMS, MODELS = ("mask", "blur"), ("score-mnist", "proxdm-mnist")
DIGITS = 500
"""Test digits, each 20th; of fewer the measurements are the same."""
LEVELS = falling(6.0, 0.04, 12)
"""Levels at which covariances are measured, on `FITTED` held-out digits that tuning has not."""
FITTED = slice(1000, 1300)
TUNED = 20
CHUNK = 180
"""Images that the network is asked about at once."""
OURS = [(2.0, l) for l in (0.03, 0.05, 0.1, 0.2)] + [
    (1.0, 0.1),
    (3.0, 0.05),
    (3.0, 0.1),
    (5.0, 0.1),
]
TRIED: dict[str, list[Rival]] = {
    "PiGDM": [
        *(PiGDM(h, l, 1.0) for h in (5.0, 10.0, 20.0) for l in (0.2, 0.4)),
        PiGDM(10.0, 0.8, 1.0),
        PiGDM(10.0, 0.4, 0.5),
    ],
    "DAPS": [DAPS(h, l, r) for h in (1.0, 3.0) for l in (0.1, 0.2) for r in (0.6, 1.0)],
    "DiffPIR": [DiffPIR(h, l, w, 1.0) for h in (2.0, 5.0) for l in (0.1, 0.2) for w in (1.0, 3.0)],
    "PnP-DM": [PnPDM(h, l, i) for h in (1.0, 2.0) for l in (0.1, 0.2) for i in (1, 2)],
}
"""Eight settings of each sampler, of ours the highest level and the least."""
BEST: dict[str, Rival] = {
    "PiGDM": PiGDM(10.0, 0.2, 1.0),
    "DAPS": DAPS(1.0, 0.1, 0.6),
    "DiffPIR": DiffPIR(2.0, 0.1, 1.0, 1.0),
    "PnP-DM": PnPDM(1.0, 0.1, 2),
}


def annealed(covariance: ResidualCovariance, high: float = 2.0, low: float = 0.03) -> Rival:
    """Ours, `solvers.posterior` with a measured covariance: one call of the network a level."""

    def draw(task: Task, evaluations: int, generator: torch.Generator) -> Tensor:
        seen = task.seen
        by = solvers.LinearObservation(seen.forward, seen.forward, seen.y, seen.noise**2, tol=1e-3)
        first = plain(task, generator)
        levels = falling(high, low, evaluations)
        *_, last = solvers.posterior(
            task.denoise, by, first, levels, covariance=covariance, noise=generator
        )
        return last.x

    return draw


def denoiser(model: ProxDM | ScoreModel) -> Denoise:
    """D(x, sigma) of a score; or what a prox makes of it, see `ProxMean`."""
    return model.denoise if isinstance(model, ScoreModel) else ProxMean(model).denoise


def measure(problem: str, truth: Tensor, seeds: Sequence[int]) -> Measured:
    """One measurement of each digit [B, 1, H, W], by its own seed."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    size = truth.shape[-2:]
    if problem == "mask":
        seen = masked([torch.rand(size, generator=g) for g in generators], NOISE)
    else:
        seen = blurred(size, BLUR, NOISE)
    noise = torch.stack([torch.randn(truth.shape[1:], generator=g) for g in generators])
    return seen.of(truth, noise)


def drawn(rival: Rival, task: Task, evaluations: int, n: int) -> Tensor:
    """Samples [n, B, 1, H, W] of the posteriors of a task, a few digits at a time."""
    parts = []
    each = max(1, CHUNK // n)
    for first in range(0, len(task.seen.y), each):
        seen = task.seen.part(slice(first, first + each)).repeated(n)
        generator = torch.Generator().manual_seed(1000 + first)
        samples = rival(replace(task, seen=seen), evaluations, generator)
        parts.append(samples.unflatten(0, (n, -1)))
    return torch.cat(parts, 1)


class Ready(NamedTuple):
    """A model, and what held-out digits tell of its errors and of digits."""

    denoise: Denoise
    covariance: ResidualCovariance
    mean: Tensor
    variance: float


def ready(name: str) -> Ready:
    """A model by name, its covariances measured."""
    denoise = denoiser(load_diffusion(name))
    images = load_digits("held-out").images[FITTED] / 127.5 - 1
    covariance = measured(denoise, images, LEVELS, torch.Generator().manual_seed(5))
    return Ready(denoise, covariance, images.mean(0), float(images.var(0).mean()))


def row(on: Ready, rival: Rival, seen: Measured, truth: Tensor, evaluations: int, n: int) -> dict:
    """Figures of a sampler on measured digits."""
    task = Task(on.denoise, seen, on.mean, on.variance)
    began = time.process_time()
    with torch.no_grad():
        samples = drawn(rival, task, evaluations, n)
    return {"seconds": time.process_time() - began, **judged(samples, truth)}


def tune(on: Ready, n: int) -> None:
    """Print the energy score of each setting of each sampler, the best last."""
    truth = load_digits("held-out").images[:TUNED] / 127.5 - 1
    seen = [measure(problem, truth, range(TUNED)) for problem in PROBLEMS]
    tried = {"ours": [annealed(on.covariance, h, l) for h, l in OURS]} | TRIED
    for method, settings in tried.items():
        scored = []
        for i, rival in enumerate(settings):
            found = [row(on, rival, y, truth, 10, n) for y in seen]
            scored.append((sum(r["energy"] for r in found), i))
            print(method, OURS[i] if method == "ours" else rival, said(found[0]), said(found[1]))
        print(
            "best:", method, OURS[min(scored)[1]] if method == "ours" else settings[min(scored)[1]]
        )


def main(args: argparse.Namespace) -> None:
    """Make the rows that are not there yet, and print all."""
    some = range(0, DIGITS, DIGITS // args.digits)
    truth = load_digits("test").images[:: 10_000 // DIGITS][some] / 127.5 - 1
    rows = list(map(json.loads, args.out.read_text().splitlines())) if args.out.exists() else []
    keys = ("model", "problem", "method", "evaluations", "samples", "digits")
    done = {tuple(r[k] for k in keys) for r in rows}
    for name in args.models:
        wanted = product([name], PROBLEMS, args.methods, args.evaluations)
        wanted = [(*w, args.samples, len(truth)) for w in wanted]
        if all(key in done for key in wanted):
            continue
        on = ready(name)
        every = {"ours": annealed(on.covariance)} | BEST
        for key in (key for key in wanted if key not in done):
            seen = measure(key[1], truth, some)
            found = row(on, every[key[2]], seen, truth, key[3], args.samples)
            rows.append(dict(zip(keys, key, strict=True)) | found)
            with args.out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(*key, said(found), f"| {found['seconds']:.0f} s", flush=True)
    for r in rows:
        print(*(r[k] for k in keys), said(r), "|", behind(r, rows, DIGITS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="samplers of posteriors of digits")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--methods", nargs="+", default=["ours", *TRIED])
    parser.add_argument("--evaluations", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--digits", type=int, default=DIGITS, help="test digits")
    parser.add_argument("--samples", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("rows.jsonl"))
    parser.add_argument("--tune", action="store_true", help="print settings on held-out digits")
    chosen = parser.parse_args()
    if chosen.tune:
        tune(ready("score-mnist"), chosen.samples)
    else:
        main(chosen)
