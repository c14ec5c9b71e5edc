"""Photon counts of a microscope, deblurred: their likelihood, and what stands beside it.

    PROXLAB_DATA=... python -m examples.benchmarks.photographs.bench_counts [--out counts.png]
        [--bound] [--others]

Each image is blurred by a Gaussian of 1.6 pixels and counted, `--peaks` photons at the value 1, and
restored through `--prior` with a Gaussian data term whose constant noise is the best of a grid by
the clean image (an oracle), with quadratic weights by local variance, and by the likelihood as
`proxlab.restore` takes it by itself; by Richardson and Lucy, the number of iterations again the
best by the clean image. `--problem inpaint` leaves out half of the pixels in place of the blur, and
has the Anscombe transform in place of Richardson and Lucy. PSNR, dB, peak 1; then the same of the
root of each image, in which noise is as large in dark parts as in bright ones; then PSNR of the
pixels below `DARK` and of the others, by the mean of their squared errors.

`--bound` asks what any likelihood of these counts could gain beside this prior: each entry has the
variance that it was drawn with, which only the clean image tells, and weight and level of the prior
are the best of a grid by the clean image too. `--others` restores images that are not in the table.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

import proxlab
from examples.benchmarks.photographs.count_scenes import others, scenes
from proxlab import operators
from proxlab.images.metrics import psnr
from proxlab.operators.counts.camera import counting
from proxlab.operators.counts.local_variance import local_variance

NOISES = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Constant noise, over the root of the mean variance."""
ITERATIONS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64)
RIVAL = "Gaussian, best constant"
"""Method that the likelihood is compared with."""
BOUND_WEIGHTS = (0.35, 0.7, 1.0, 1.4)
"""Weights of the prior beside exact variances, over its default."""
DARK = 0.1
"""What lies below is dark."""
WIDTH, MISSING = 1.6, 0.5
EDGE = 16
"""Pixels that Richardson and Lucy see beyond the edges, which wrap around."""


class LocalWeights(operators.PhotonCounts):
    """Counts of a camera, taken for Gaussian of their local variance."""

    def __init__(self, camera: operators.CameraNoise):
        super().__init__(1.0, 1.0)
        self.camera = camera

    def precision(self, y: Tensor) -> Tensor:
        """One over the local variance."""
        numbers = counting(self.camera, y)
        assert numbers is not None
        return 1 / local_variance(y, numbers)


class ExactWeights(operators.PhotonCounts):
    """Counts of a camera, taken for Gaussian of the variance that each was drawn with."""

    def __init__(self, variance: Tensor):
        super().__init__(1.0, 1.0)
        self.variance = variance

    def precision(self, y: Tensor) -> Tensor:
        """One over the variance."""
        return 1 / self.variance


def operator(problem: str, noise, seed: int, shape: tuple[int, int]) -> LinearPhysics:
    """The blur, or the mask of that seed, with that noise."""
    if problem == "deblur":
        return operators.deblur(operators.gaussian_kernel(WIDTH), noise)
    draw = torch.Generator().manual_seed(seed)
    return operators.inpaint(operators.random_mask(shape, MISSING, draw), noise)


Found = dict[str, Tensor]
"""Images [B, 1, H, W] by the method that made them."""


def restored(
    args: argparse.Namespace, x: Tensor, peak: float, prior
) -> tuple[Found, dict[str, list[str]]]:
    """Images by method, each oracle's choice by image; and doubts where the run is ours."""
    camera = operators.CameraNoise(1 / peak, args.read / peak)
    shape = (x.shape[-2], x.shape[-1])
    op = operator(args.problem, camera, 1, shape)
    y = op(x, generator=torch.Generator().manual_seed(0))
    numbers = counting(camera, y)
    assert numbers is not None
    level = numbers.mean_variance(op.A(x)).sqrt()
    doubts: dict[str, list[str]] = {}

    def run(what: str, op: LinearPhysics, y: Tensor = y, **more) -> Tensor:
        begun = time.perf_counter()
        result = proxlab.restore(y, op, prior, steps=args.steps, **more)
        doubts[what] = result.doubts
        print(f"   {what}: {time.perf_counter() - begun:.0f} s", flush=True)
        return result.image

    flat = operator(args.problem, 0.0, 1, shape)
    plain = [run(f"Gaussian {share}", flat, noise=share * level) for share in NOISES]
    found = {
        "counted": y,
        RIVAL: best(plain, x),
        "Gaussian, estimated": run("Gaussian, estimated", flat, noise=estimated(y, flat)),
        "weights": run("weights", operator_with(op, LocalWeights(camera))),
        "likelihood": run("likelihood", op),
    }
    own = prior.capabilities.default_weight
    if args.bound:
        exact = operator_with(op, ExactWeights(numbers.variance(op.A(x))))
        runs = [
            run(f"exact variances, weight {w}, {what}", exact, weight=w * own, sigma=sigma)
            for w in BOUND_WEIGHTS
            for what, sigma in (("own level", None), ("level", (w * own) ** 0.5 * level))
        ]
        found["exact variances, best"] = best(runs, x)
    for w in filter(None, args.weights.split(",")):
        found[f"weight {w}"] = run(f"likelihood, weight {w}", op, weight=float(w) * own)
    if args.problem == "deblur":
        found["Richardson-Lucy, best stop"] = best(richardson_lucy(y, op), x)
    else:
        found["Anscombe"] = stabilised(y, op, camera, run)
    return found, doubts


def estimated(y: Tensor, op: LinearPhysics) -> Tensor:
    """Constant noise of each image as `noise="auto"` takes it, one photon where that is refused.

    In the dark it may be less than a step of the counts, and then no estimate is made.
    """
    found = []
    for one in y.split(1):
        try:
            found.append(proxlab.estimate_noise(one, op))
        except ValueError:
            found.append(one[one > 0].min()[None])
    return torch.cat(found)


def operator_with(op: LinearPhysics, noise) -> LinearPhysics:
    """The operator with another noise model."""
    import copy

    other = copy.copy(op)
    other._modules = dict(op._modules)
    other.noise_model = noise
    return other


def stabilised(y: Tensor, op: LinearPhysics, camera, run: Callable) -> Tensor:
    """The images by the Anscombe transform: its range made [0, 1], its noise then one number."""
    gain, read = camera.gain, camera.read
    ends = torch.tensor([0.0, 1 + 4 * gain**0.5])
    low, high = operators.anscombe(ends, gain, read).tolist()
    d = (operators.anscombe(y, gain, read) - low) / (high - low)
    image = run("Anscombe", op, d, noise=1 / (high - low))
    return operators.inverse_anscombe(low + (high - low) * image, gain, read)


def richardson_lucy(y: Tensor, op: LinearPhysics) -> list[Tensor]:
    """Images of scikit-image's deconvolution by number of iterations, edges wrapped around."""
    from skimage.restoration import richardson_lucy as deconvolved

    kernel = operators.gaussian_kernel(WIDTH).numpy()
    wide = [np.pad(one[0].double().numpy(), EDGE, mode="wrap").clip(0) for one in y]
    found = []
    for count in ITERATIONS:
        several = [deconvolved(one, kernel, num_iter=count, clip=False) for one in wide]
        inner = np.stack(several)[:, EDGE:-EDGE, EDGE:-EDGE]
        found.append(torch.from_numpy(inner).float()[:, None])
    return found


def best(several: list[Tensor], x: Tensor) -> Tensor:
    """Of each image the one nearest to x."""
    scores = torch.stack([psnr(one, x) for one in several])
    return torch.stack([several[k][b] for b, k in enumerate(scores.argmax(0).tolist())])


def stable(x: Tensor) -> Tensor:
    """The root, by which noise is as large in dark parts as in bright ones."""
    return x.clamp(min=0).sqrt()


def by_brightness(clean: Tensor, found: Found) -> None:
    """Print PSNR of dark and of bright pixels, of all scenes together."""
    print("\n| pixels | " + " | ".join(found) + " |")
    print("| --- |" + " --- |" * len(found))
    dark = clean < DARK
    for name, where in ((f"below {DARK:g}", dark), ("others", ~dark)):
        errors = [float((image - clean)[where].square().mean()) for image in found.values()]
        share = float(where.float().mean())
        scores = " | ".join(f"{-10 * math.log10(error):.2f}" for error in errors)
        print(f"| {name}, {share:.0%} | {scores} |", flush=True)


def draw(path: Path, names: list[str], clean: Tensor, found: Found) -> None:
    """Write the images as PNG, a row for each scene, black to white from 0 to 1."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = {"clean": clean} | found
    sheet = Figure(figsize=(2.0 * len(columns), 2.2 * len(names)), layout="constrained")
    FigureCanvasAgg(sheet)
    grid = sheet.subplots(len(names), len(columns), squeeze=False)
    for b, name in enumerate(names):
        for ax, (method, images) in zip(grid[b], columns.items(), strict=True):
            ax.imshow(images[b, 0].clamp(0, 1), cmap="gray", vmin=0, vmax=1)
            score = float(psnr(images[b : b + 1], clean[b : b + 1])) if method != "clean" else 0.0
            ax.set_title(f"{method}\n" + (f"{score:.2f} dB" if score else name), size=7.5)
            ax.axis("off")
    sheet.savefig(path, dpi=130)


def table(title: str, names: list[str], clean: Tensor, found: Found) -> None:
    """Print PSNR by scene and method, their means, and how far the likelihood is ahead."""
    scores = {method: psnr(images, clean).tolist() for method, images in found.items()}
    ahead = [a - b for a, b in zip(scores["likelihood"], scores[RIVAL], strict=True)]
    print(f"\n| {title} | " + " | ".join(scores) + " | gain |")
    print("| --- |" + " --- |" * (len(scores) + 1))
    for b, name in enumerate(names):
        print(f"| {name} | " + " | ".join(f"{s[b]:.2f}" for s in scores.values()), end="")
        print(f" | {ahead[b]:+.2f} |")
    means = " | ".join(f"{mean(s):.2f}" for s in scores.values())
    print(f"| mean | {means} | {mean(ahead):+.2f} |", flush=True)


def main() -> None:
    """Restore, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", default="deblur", choices=["deblur", "inpaint"])
    parser.add_argument("--peaks", default="20,100")
    parser.add_argument("--read", type=float, default=0.0, help="photons")
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--photographs", type=int, default=2)
    parser.add_argument("--only", default="", help="scenes, by commas")
    parser.add_argument("--weights", default="", help="shares of the prior's default, by commas")
    parser.add_argument("--bound", action="store_true", help="beside exact variances")
    parser.add_argument("--others", action="store_true", help="images outside of the table")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--out", type=Path, help="PNG of the first peak")
    args = parser.parse_args()
    prior = proxlab.load(args.prior)
    chosen = others() if args.others else scenes(args.photographs)
    names = args.only.split(",") if args.only else list(chosen)
    clean = torch.cat([chosen[name] for name in names])
    for place, peak in enumerate(float(p) for p in args.peaks.split(",")):
        found, doubts = restored(args, clean, peak, prior)
        table(f"peak {peak:g}, PSNR", names, clean, found)
        by_brightness(clean, found)
        roots = {method: stable(images) for method, images in found.items()}
        table(f"peak {peak:g}, PSNR of the root", names, stable(clean), roots)
        for name, doubt in zip(names, doubts["likelihood"], strict=True):
            print(f"{name}: " + (f"not certified, {doubt}" if doubt else "certified"), flush=True)
        if args.out and place == 0:
            draw(args.out, names, clean, found)


if __name__ == "__main__":
    main()
