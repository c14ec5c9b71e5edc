"""deepinv's own samplers of posteriors on digits: DPS, DiffPIR and DDRM beside ours.

    PROXLAB_DATA=... python -m examples.posteriors.digit_deepinv --out deepinv.jsonl

The tasks, the denoiser and the judge are those of `examples.posteriors.digits`; the operators are
deepinv's `Inpainting` and `BlurFFT`, whose singular values DDRM asks for. deepinv's images are in
[0, 1], ours in [-1, 1], so that its noise is half of ours.

For each number of evaluations the setting of each sampler is chosen among eight, by the energy
score of both problems on held-out digits; ours keeps the one setting of `digits`. Calls of the
network are counted as they are made; a product with its Jacobian, one for each call of DPS, is not
among them and costs as much as two more. deepinv's DiffPIR throws its last call away.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from deepinv import sampling
from deepinv.models import Denoiser
from deepinv.optim import L2
from deepinv.physics import BlurFFT, DecomposablePhysics, GaussianNoise, Inpainting
from torch import Tensor

from examples.posteriors import digits
from examples.posteriors.diagonal import Measured, Rival, Task
from examples.posteriors.digit_covariance import Denoise
from examples.posteriors.rivals import falling
from proxlab.images.data_sets import load_digits

Sampler = Callable[[Denoiser, Tensor, DecomposablePhysics], Tensor]


class UnitDenoiser(Denoiser):
    """The denoiser of images in [-1, 1] as deepinv calls it, for images in [0, 1]."""

    def __init__(self, denoise: Denoise):
        super().__init__()
        self.denoise = denoise

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x, sigma), sigma the same for all images."""
        level = float(torch.as_tensor(sigma).flatten()[0])
        return (self.denoise(2 * x.float() - 1, 2 * level) + 1) / 2


class Counted:
    """A denoiser that counts the images it is asked about."""

    def __init__(self, denoise: Denoise):
        self.denoise, self.images = denoise, 0

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.images += len(x)
        return self.denoise(x, sigma)


def physics_of(seen: Measured) -> DecomposablePhysics:
    """deepinv's operator for measurements of images in [0, 1]."""
    noise = GaussianNoise(seen.noise / 2)
    height, width = seen.y.shape[-2:]
    if not seen.in_frequency:
        size: Any = (1, height, width)  # which deepinv has as tuple[int]
        return Inpainting(size, mask=seen.gain, noise_model=noise)
    centre = ((height - 1) // 2, (width - 1) // 2)
    spread = torch.fft.irfft2(seen.gain, s=(height, width)).roll(centre, (0, 1))
    kernel = spread[: 2 * centre[0] + 1, : 2 * centre[1] + 1]  # of odd sides, so that it has one
    return BlurFFT((1, height, width), filter=kernel[None, None], noise_model=noise)


def by_deepinv(
    task: Task, generator: torch.Generator, sampler: Sampler, alone: bool = False
) -> Tensor:
    """Draws like y in [-1, 1]; `alone`: one call for each mask, for a sampler that takes one."""
    seen = task.seen
    groups: list[slice | Tensor] = [slice(None)]
    if alone and not seen.in_frequency:
        masks, which = seen.gain.unique(dim=0, return_inverse=True)
        groups = [(which == i).nonzero().flatten() for i in range(len(masks))]
    x = torch.empty_like(seen.y)
    with torch.random.fork_rng(devices=[]):  # they draw from the generator that all share
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        for group in groups:
            gain = seen.gain if seen.in_frequency else seen.gain[group]
            part = Measured(gain, seen.in_frequency, seen.y[group], seen.noise)
            y = (part.y + 1) / 2 if seen.in_frequency else gain * (part.y + 1) / 2
            physics = physics_of(part if not alone or seen.in_frequency else part.part(slice(1)))
            x[group] = sampler(UnitDenoiser(task.denoise), y, physics).float()
    return 2 * x - 1


@dataclass(frozen=True)
class DPS:
    """Settings: the weight of the data and the form of their pull, see deepinv's class."""

    weight: float
    guidance: str

    def __call__(self, task: Task, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws like y."""

        def sampler(denoiser: Denoiser, y: Tensor, physics: DecomposablePhysics) -> Tensor:
            draw = sampling.DPS(  # of n times the last is 0, where it asks nothing
                denoiser, num_steps=evaluations + 1, weight=self.weight, guidance=self.guidance
            )
            return draw(y, physics)

        return by_deepinv(task, generator, sampler)


@dataclass(frozen=True)
class DiffPIR:
    """Settings: lambda and zeta of deepinv's class, the weight of the prior and fresh noise."""

    prior: float
    fresh: float

    def __call__(self, task: Task, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws like y."""

        def sampler(denoiser: Denoiser, y: Tensor, physics: DecomposablePhysics) -> Tensor:
            draw = sampling.DiffPIR(
                denoiser,
                L2(),
                sigma=task.seen.noise / 2,
                max_iter=evaluations,
                zeta=self.fresh,
                lambda_=self.prior,
            )
            return draw(y, physics)

        return by_deepinv(task, generator, sampler)


@dataclass(frozen=True)
class DDRM:
    """Settings: the highest level, the least (0: in equal steps), and eta of deepinv's class."""

    high: float
    low: float
    eta: float

    def __call__(self, task: Task, evaluations: int, generator: torch.Generator) -> Tensor:
        """Draws like y."""
        levels = torch.linspace(self.high, 0, evaluations).tolist()
        if self.low:
            levels = list(falling(self.high, self.low, evaluations))

        def sampler(denoiser: Denoiser, y: Tensor, physics: DecomposablePhysics) -> Tensor:
            return sampling.DDRM(denoiser, levels, eta=self.eta)(y.clone(), physics)

        return by_deepinv(task, generator, sampler, alone=True)


LEVELS = ((1.0, 0.0), (2.0, 0.0), (1.0, 0.02), (3.0, 0.02))
TRIED: dict[str, list[Rival]] = {
    "DiffPIR": [DiffPIR(p, f) for p in (1.0, 3.0, 7.0, 15.0) for f in (0.3, 1.0)],
    "DDRM": [DDRM(*level, eta) for level in LEVELS for eta in (0.85, 1.0)],
    "DPS": [DPS(w, "norm") for w in (10.0, 30.0, 100.0, 300.0)]
    + [DPS(w, "annealed") for w in (0.3, 1.0, 3.0, 10.0)],
}
"""Eight settings of each, as ours had."""
HEAD = "| problem | sampler | calls | ms | PSNR | 50 / 80 % | spread / error | energy | digits | |"
KEYS = ("problem", "method", "evaluations", "digits")


def tuned(on: digits.Ready, method: str, evaluations: int, shape: tuple[int, int]) -> Rival:
    """The best setting on held-out digits; shape: the number of these and of samples of each."""
    truth = load_digits("held-out").images[: shape[0]] / 127.5 - 1
    seen = [digits.measure(problem, truth, range(shape[0])) for problem in digits.PROBLEMS]
    scores = []
    for rival in TRIED[method]:
        found = [digits.row(on, rival, y, truth, evaluations, shape[1]) for y in seen]
        scores.append(sum(r["energy"] for r in found))
        print(evaluations, rival, *(f"{r['energy']:.3f}" for r in found), flush=True)
    lost = float("inf")  # a sampler that diverges has no score
    return min(
        zip(scores, TRIED[method], strict=True), key=lambda s: s[0] if s[0] == s[0] else lost
    )[1]


def judged(on: digits.Ready, rival: Rival, key: Sequence, samples: int) -> dict:
    """Figures of a sampler on test digits, with calls of the network for each sample counted."""
    problem, _, evaluations, count = key
    some = range(0, digits.DIGITS, digits.DIGITS // count)
    truth = load_digits("test").images[:: 10_000 // digits.DIGITS][some] / 127.5 - 1
    counted = Counted(on.denoise)
    seen = digits.measure(problem, truth, some)
    found = digits.row(on._replace(denoise=counted), rival, seen, truth, evaluations, samples)
    drawn = samples * len(truth)
    found["psnr"] = sum(found["psnr"]) / len(truth)
    return found | {"calls": counted.images / drawn, "seconds": found["seconds"] / drawn}


def said(r: dict) -> str:
    """A row of the table."""
    half, most = (f"{100 * r['coverage'][level]:.0f}" for level in ("0.5", "0.8"))
    figures = f"{r['psnr']:.2f} | {half} / {most} % | {r['spread']:.2f} | {r['energy']:.2f}"
    cost = f"{r['calls']:g} | {1000 * r['seconds']:.0f}"
    return (
        f"| {r['problem']} | {r['method']} | {cost} | {figures} | {r['digits']} | {r['setting']} |"
    )


def main(args: argparse.Namespace) -> None:
    """Make the rows that are not there yet, then print all."""
    rows = list(map(json.loads, args.out.read_text().splitlines())) if args.out.exists() else []
    done = {tuple(r[k] for k in KEYS) for r in rows}
    on = digits.ready("score-mnist")
    for evaluations, method in product(args.evaluations, args.methods):
        keys = [(problem, method, evaluations, args.digits) for problem in digits.PROBLEMS]
        keys = [key for key in keys if key not in done]
        if not keys:
            continue
        rival = digits.annealed(on.covariance)
        if method != "ours":
            rival = tuned(on, method, evaluations, (args.held_out, args.tuning_samples))
        for key in keys:
            found = judged(on, rival, key, args.samples)
            setting = "" if method == "ours" else str(rival)
            row = dict(zip(KEYS, key, strict=True)) | found | {"setting": setting}
            with args.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(json.loads(json.dumps(row)))
            print(said(rows[-1]), flush=True)
    print(
        "| problem | sampler | calls | ms | PSNR | 50 / 80 % | spread / error | energy | digits |"
    )
    for r in sorted(rows, key=lambda r: (r["problem"], r["evaluations"], r["method"])):
        print(said(r))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="deepinv's samplers of posteriors of digits")
    parser.add_argument("--methods", nargs="+", default=["ours", *TRIED])
    parser.add_argument("--evaluations", type=int, nargs="+", default=[10, 20, 100])
    parser.add_argument("--digits", type=int, default=100, help="test digits")
    parser.add_argument("--samples", type=int, default=9)
    parser.add_argument("--held-out", type=int, default=digits.TUNED)
    parser.add_argument("--tuning-samples", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("deepinv.jsonl"))
    main(parser.parse_args())
