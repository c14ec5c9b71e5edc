"""Photon counts of a microscope, deblurred: their likelihood, and what stands beside it.

    PROXLAB_DATA=... python examples/benchmarks/photographs/bench_counts.py [--out counts.png]

Each image is blurred by a Gaussian of 1.6 pixels and counted, `--peaks` photons at the value 1, and
restored through `--prior` with a Gaussian data term whose constant noise is the best of a grid by
the clean image (an oracle), with quadratic weights by local variance, and by the likelihood as
`proxlab.restore` takes it by itself; by Richardson and Lucy, the number of iterations again the
best by the clean image. `--problem inpaint` leaves out half of the pixels in place of the blur, and
has the Anscombe transform in place of Richardson and Lucy. PSNR, dB; peak 1.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

import proxlab
from examples.benchmarks.photographs.count_scenes import scenes
from proxlab import operators
from proxlab.images.metrics import psnr
from proxlab.operators.counts.camera import counting
from proxlab.operators.counts.local_variance import local_variance

NOISES = (0.4, 0.55, 0.75, 1.0, 1.4, 2.0)
"""Constant noise, over the root of the mean variance."""
ITERATIONS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 90, 128)
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


def operator(problem: str, noise, seed: int, shape: tuple[int, int]) -> LinearPhysics:
    """The blur, or the mask of that seed, with that noise."""
    if problem == "deblur":
        return operators.deblur(operators.gaussian_kernel(WIDTH), noise)
    draw = torch.Generator().manual_seed(seed)
    return operators.inpaint(operators.random_mask(shape, MISSING, draw), noise)


def restored(
    problem: str, x: Tensor, peak: float, read: float, prior, steps: int
) -> dict[str, tuple[Tensor, str]]:
    """Images by method, and a word on each."""
    camera = operators.CameraNoise(1 / peak, read)
    shape = (x.shape[-2], x.shape[-1])
    op = operator(problem, camera, 1, shape)
    y = op(x, generator=torch.Generator().manual_seed(0))
    numbers = counting(camera, y)
    assert numbers is not None
    level = float(numbers.mean_variance(op.A(x)).sqrt())

    def run(op: LinearPhysics, y: Tensor = y, **more) -> tuple[Tensor, str]:
        result = proxlab.restore(y, op, prior, steps=steps, **more)
        return result.image, "certified" if result.certified[0] else result.doubts[0]

    flat = operator(problem, 0.0, 1, shape)
    plain = [run(flat, noise=share * level) for share in NOISES]
    found = {
        "counted": (y, ""),
        "Gaussian, best constant": _best(plain, x),
        "weights": run(operator_with(op, LocalWeights(camera))),
        "likelihood": run(op),
    }
    if problem == "deblur":
        found["Richardson-Lucy, best stop"] = _best(richardson_lucy(y, op), x)
    else:
        found["Anscombe"] = stabilised(y, op, camera, run)
    return found


def operator_with(op: LinearPhysics, noise) -> LinearPhysics:
    """The operator with another noise model."""
    import copy

    other = copy.copy(op)
    other._modules = dict(op._modules)
    other.noise_model = noise
    return other


def stabilised(y: Tensor, op: LinearPhysics, camera, run: Callable) -> tuple[Tensor, str]:
    """The image by the Anscombe transform: its range made [0, 1], its noise then one number."""
    gain, read = camera.gain, camera.read
    low, high = (
        float(operators.anscombe(torch.tensor(end), gain, read))
        for end in (0.0, 1.0 + 4 * gain**0.5)
    )
    d = (operators.anscombe(y, gain, read) - low) / (high - low)
    image, words = run(op, d, noise=1 / (high - low))
    return operators.inverse_anscombe(low + (high - low) * image, gain, read), words


def richardson_lucy(y: Tensor, op: LinearPhysics) -> list[tuple[Tensor, str]]:
    """Images of scikit-image's deconvolution by number of iterations, edges wrapped around."""
    from skimage.restoration import richardson_lucy as deconvolved

    kernel = operators.gaussian_kernel(WIDTH).numpy()
    wide = np.pad(y[0, 0].double().numpy(), EDGE, mode="wrap")
    found = []
    for count in ITERATIONS:
        x = deconvolved(wide.clip(0), kernel, num_iter=count, clip=False)
        inner = x[EDGE:-EDGE, EDGE:-EDGE]
        found.append((torch.from_numpy(inner.copy()).float()[None, None], f"{count} iterations"))
    return found


def _best(several: list[tuple[Tensor, str]], x: Tensor) -> tuple[Tensor, str]:
    return max(several, key=lambda one: float(psnr(one[0], x)))


def draw(path: Path, rows: dict[str, dict[str, Tensor]]) -> None:
    """Write the images as PNG, a row for each scene, black to white from 0 to 1."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wide = max(len(images) for images in rows.values())
    sheet = Figure(figsize=(2.0 * wide, 2.25 * len(rows)), layout="constrained")
    FigureCanvasAgg(sheet)
    for axes, (name, images) in zip(
        sheet.subplots(len(rows), wide, squeeze=False), rows.items(), strict=True
    ):
        clean = images["clean"]
        for ax, (method, image) in zip(axes, images.items(), strict=True):
            ax.imshow(image[0, 0].clamp(0, 1), cmap="gray", vmin=0, vmax=1)
            told = name if method == "clean" else f"{float(psnr(image, clean)):.2f} dB"
            ax.set_title(f"{method}\n{told}", size=8)
            ax.axis("off")
    sheet.savefig(path, dpi=130)


def main() -> None:
    """Restore, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", default="deblur", choices=["deblur", "inpaint"])
    parser.add_argument("--peaks", default="20,100")
    parser.add_argument("--read", type=float, default=0.0, help="photons")
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--photographs", type=int, default=3)
    parser.add_argument("--only", default="", help="scenes, by commas")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, help="PNG of the first peak")
    args = parser.parse_args()
    prior = proxlab.load(args.prior)
    chosen = scenes(args.photographs)
    if args.only:
        chosen = {name: chosen[name] for name in args.only.split(",")}
    rows: dict[str, dict[str, Tensor]] = {}
    for place, peak in enumerate(float(p) for p in args.peaks.split(",")):
        table: dict[str, list[float]] = {}
        for name, x in chosen.items():
            begun = time.perf_counter()
            found = restored(args.problem, x, peak, args.read / peak, prior, args.steps)
            scores = {m: float(psnr(image, x)) for m, (image, _) in found.items()}
            if not table:
                print(f"\npeak {peak:g} | " + " | ".join(scores) + " | gain | likelihood: doubts")
            for method, score in scores.items():
                table.setdefault(method, []).append(score)
            ahead = scores["likelihood"] - scores["Gaussian, best constant"]
            row = " | ".join(f"{score:.2f}" for score in scores.values())
            print(f"{name} | {row} | {ahead:+.2f} | {found['likelihood'][1]}", flush=True)
            print(f"   {time.perf_counter() - begun:.0f} s", flush=True)
            if place == 0:
                rows[name] = {"clean": x} | {m: image for m, (image, _) in found.items()}
        means = {m: mean(s) for m, s in table.items()}
        gain = means["likelihood"] - means["Gaussian, best constant"]
        print("mean | " + " | ".join(f"{m:.2f}" for m in means.values()) + f" | {gain:+.2f} |")
    if args.out:
        draw(args.out, rows)


if __name__ == "__main__":
    main()
