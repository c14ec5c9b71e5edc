"""Foreign kinds of images: what `proxlab.adapt` gains on them, or that its guard refuses.

    python -m examples.adapting [--prior lpn-gray] [--steps 80] [--noise 25]

Each kind is a picture of scikit-image, or drawn blobs. The left two thirds of each, with noise,
are what the prior is adapted to. The rest it never sees: PSNR there is before and after, by the
clean picture. "bound" is the gain of the same steps with clean targets.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from skimage import data
from torch import Tensor

import proxlab
from proxlab.adaptation import admission
from proxlab.images.metrics import psnr
from proxlab.priors.contract import Prior
from proxlab.training.config import TrainConfig
from proxlab.training.loop import Task, train
from proxlab.training.losses import balanced_squared_error
from proxlab.training.patches import NoisyPatches, Patches

SIDE = 384
"""Sides of pictures that are larger, their middles, pixels."""


def blobs() -> np.ndarray:
    """Drawn two-phase material, values 0 and 1."""
    return data.binary_blobs(SIDE, blob_size_fraction=0.05, volume_fraction=0.5, rng=0)


KINDS: dict[str, Callable[[], np.ndarray]] = {
    "blobs": blobs,
    "page": data.page,
    "text": data.text,
    "grass": data.grass,
    "brick": data.brick,
    "retina": lambda: data.retina().mean(2),
    "tissue": lambda: data.immunohistochemistry().mean(2),
    "camera man": data.camera,
}


def picture(make: Callable[[], np.ndarray]) -> Tensor:
    """[H, W] in [0, 1], at most `SIDE` a side."""
    x = torch.from_numpy(np.ascontiguousarray(make())).float()
    top, left = (max(0, (n - SIDE) // 2) for n in x.shape)
    return x[top : top + SIDE, left : left + SIDE] / (255 if x.max() > 1 else 1)


def by_clean(prior: Prior, clean: Tensor, sigma: float, steps: int) -> Prior:
    """The same training with clean targets, at the noise that the prior is then asked about."""
    model = admission.copied(prior)
    config = TrainConfig(steps=steps, batch=4, sigma_range=(sigma, sigma), ema=0.9)
    pairs = NoisyPatches(Patches([clean], min(64, *clean.shape)), config.sigma_range).draw
    groups = admission.groups(model, config.learning_rate)
    with TemporaryDirectory() as folder:
        train(Task(model, groups, pairs, balanced_squared_error), config, Path(folder) / "run")
    return model.requires_grad_(False).eval()


def row(kind: str, prior: Prior, sigma: float, steps: int) -> str:
    """A line of the table."""
    clean = picture(KINDS[kind])
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    seen = 2 * clean.shape[1] // 3
    found = proxlab.adapt(prior, [noisy[:, :seen]], sigma, steps=steps)
    y, x = noisy[None, None, :, seen:], clean[None, None, :, seen:]
    clean_one = by_clean(prior, clean[:, :seen], sigma, steps)
    before, after, bound = (
        float(psnr(p.prox(y, sigma), x)) for p in (prior, found.prior, clean_one)
    )
    told = "yes" if found.accepted else "no"
    gain = f"{1e5 * found.gain:.1f} +- {1e5 * found.error:.1f}"
    return (
        f"| {kind} | {before:.2f} | {after:.2f} | {after - before:+.2f} | {told} | {gain} | "
        f"{bound - before:+.2f} |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--noise", type=float, default=25, help="of 255")
    parser.add_argument("--kinds", default=",".join(KINDS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| kind | before, dB | after | gain | accepted | fall of squared error, 1e-5 | bound |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in args.kinds.split(","):
        print(row(name, proxlab.load(args.prior), args.noise / 255, args.steps), flush=True)
