"""What a PSF costs that was measured, and a blur that was estimated, against the true one.

    PROXLAB_DATA=... python -m examples.benchmarks.photographs.bench_psf psf
        [--prior lpn-gray] [--side 128] [--images 12] [--level 0.01] [--frames 1]
    PROXLAB_DATA=... python -m examples.benchmarks.photographs.bench_psf width [--no-restore]

`psf`: Set12, blurred by each of three shapes with noise 0.01, is restored with the true kernel, and
with that which `operators.psf` makes of a picture of it: 36 x 40 pixels, 2.3 and -1.6 pixels off
the middle, on a pedestal of 5 % of the peak, with noise of --level of the peak. "left as it is" is
the same picture cut to odd sides and divided by its sum, which is all that a kernel needs.

`width`: photographs held out of bsds400 (every 20th) and Set12 are blurred by Gaussians, mirrored
at their edges, noise 0.01. Median of the estimated widths, their mean error and 90th percentile;
then the same images (their middle), restored with the estimated width, against the true one.
"""

import argparse
from collections.abc import Callable, Sequence
from statistics import mean, median

import numpy as np
import torch
from torch import Tensor

import proxlab
from proxlab import operators
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_gray
from proxlab.images.metrics import psnr
from proxlab.priors.contract import Prior

NOISE = 0.01
PICTURE, OFF = (36, 40), (2.3, -1.6)
"""Size of the picture of a PSF, and where it is in it, pixels down and right of the middle."""
PEDESTAL = 0.05
"""Background of that picture, over its peak."""
FINE = 9
"""Points across a pixel by which shapes with sharp edges are averaged over it."""
WIDTHS = (0.8, 1.6, 3.0)
Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Brightness of a PSF so many pixels down and right of its centre."""


def gaussian(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The Gaussian of 1.6 pixels."""
    return np.exp(-(down**2 + right**2) / (2 * 1.6**2))


def defocus(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A disc of 3 pixels' radius: a lens out of focus."""
    return (np.hypot(down, right) < 3).astype(float)


def motion(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A line of 9 pixels, 1 wide, at 30 degrees."""
    along, across = 0.866 * right + 0.5 * down, 0.866 * down - 0.5 * right
    return ((np.abs(along) < 4.5) & (np.abs(across) < 0.5)).astype(float)


SHAPES: dict[str, Shape] = {"Gaussian 1.6": gaussian, "defocus 3": defocus, "motion 9": motion}


def sampled(shape: Shape, size: tuple[int, int], at: tuple[float, float]) -> np.ndarray:
    """The shape over pixels, `at` so many down and right of the middle.

    The Gaussian is taken at their centres, as `gaussian_kernel` is, others are averaged over them.
    """
    fine = 1 if shape is gaussian else FINE
    inside = (np.arange(fine) - (fine - 1) / 2) / fine
    rows, columns = (
        ((np.arange(n) - (n - 1) / 2 - off)[:, None] + inside).ravel()
        for n, off in zip(size, at, strict=True)
    )
    values = shape(rows[:, None], columns[None])
    return values.reshape(size[0], fine, size[1], fine).mean((1, 3))


def picture(shape: Shape, level: float, frames: int, seed: int = 0) -> np.ndarray:
    """Pictures of the shape as a camera would take them, [N, H, W]; each a little elsewhere."""
    rng, made = np.random.default_rng(seed), []
    for n in range(frames):
        at = OFF if n == 0 else tuple(rng.uniform(-4, 4, 2))
        clean = sampled(shape, PICTURE, at)
        peak = clean.max()
        made.append(clean + PEDESTAL * peak + level * peak * rng.standard_normal(PICTURE))
    return np.stack(made)


def true_kernel(shape: Shape) -> Tensor:
    """The shape in the middle of 21 x 21 pixels."""
    kernel = sampled(shape, (21, 21), (0.0, 0.0))
    return torch.from_numpy(kernel / kernel.sum())


def as_it_is(shown: np.ndarray) -> Tensor:
    """The first picture, cut to odd sides, over its sum: what is asked of a kernel, and no more."""
    odd = shown[0][: shown.shape[1] - 1 + shown.shape[1] % 2, : shown.shape[2] - 1]
    return torch.from_numpy(odd / odd.sum())


def middles(images: Sequence[Tensor], side: int) -> Tensor:
    """Their middle side x side pixels, [N, 1, side, side] in [0, 1]."""
    found = []
    for x in images:
        top, left = ((n - side) // 2 for n in x.shape)
        found.append(x[None, top : top + side, left : left + side] / 255)
    return torch.stack(found)


def restored(x: Tensor, true: Tensor, taken: Sequence[Tensor], prior: Prior) -> list[list[float]]:
    """PSNR of each image blurred by `true`, and restored with each kernel that is taken."""
    op = operators.deblur(true, NOISE)
    found = [[] for _ in range(len(taken) + 1)]
    for n, one in enumerate(x.split(1)):
        y = op(one, generator=torch.Generator().manual_seed(n))
        found[0].append(float(psnr(y, one)))
        for k, kernel in enumerate(taken, 1):
            image = proxlab.restore(y, operators.deblur(kernel, NOISE), prior).image
            found[k].append(float(psnr(image, one)))
    return found


def bench_psf(args: argparse.Namespace) -> dict[str, list[list[float]]]:
    """Print what measured kernels cost; return PSNR by shape."""
    prior = proxlab.load(args.prior)
    x = middles(load_gray(find_data("set12"))[: args.images], args.side)
    print(f"Set12, {len(x)} images, middle {args.side} x {args.side}, {args.prior}, noise {NOISE}")
    print("shape          blurred  true   measured  left as it is   loss mean, largest")
    table = {}
    for name in args.shapes.split(","):
        shown = picture(SHAPES[name], args.level, args.frames)
        found = operators.psf(shown)
        kernels = [true_kernel(SHAPES[name]), found.kernel, as_it_is(shown)]
        table[name] = restored(x, kernels[0], kernels, prior)
        lost = [a - b for a, b in zip(table[name][1], table[name][2], strict=True)]
        told = "  ".join(f"{mean(row):6.2f}" for row in table[name])
        print(f"{name:13}  {told}   {mean(lost):6.3f} {max(lost):6.3f}\n  {found}", flush=True)
    return table


def estimated(images: Sequence[Tensor], width: float, told: bool) -> list[float]:
    """Width estimated of each image, blurred whole, mirrored at its edges."""
    op = operators.deblur(operators.gaussian_kernel(width), NOISE, boundary="reflect")
    found = []
    for n, x in enumerate(images):
        y = op(x[None, None] / 255, generator=torch.Generator().manual_seed(n))
        found.append(float(proxlab.blur_width(y, NOISE if told else None).width))
    return found


def bench_width(args: argparse.Namespace) -> dict[tuple[str, float], list[float]]:
    """Print how far estimated widths are off, and what that costs; return the widths."""
    sets = {
        "bsds400": list(hold_out(load_gray(find_data("bsds400")))[1])[: args.images],
        "Set12": load_gray(find_data("set12"))[: args.images],
    }
    prior = None if args.no_restore else proxlab.load(args.prior)
    print("images       noise      true  median  error mean  90th percentile  loss mean, largest")
    table = {}
    for (name, images), told in [(s, t) for s in sets.items() for t in (True, False)]:
        for width in WIDTHS:
            found = estimated(images, width, told)
            errors = [abs(w / width - 1) for w in found]
            line = f"{name:8} {len(images):3}  {'told' if told else 'estimated':9}  {width:4}"
            line += f"  {median(found):6.2f}  {100 * mean(errors):6.1f} %"
            line += f"  {100 * float(np.quantile(errors, 0.9)):12.1f} %"
            if prior is not None and told:
                lost = losses(middles(images, args.side), width, found, prior)
                line += f"  {mean(lost):14.2f} {max(lost):6.2f} dB"
            print(line, flush=True)
            if told:
                table[name, width] = found
    return table


def losses(x: Tensor, width: float, found: Sequence[float], prior: Prior) -> list[float]:
    """PSNR with the true width less that with each image's estimated one."""
    true = operators.gaussian_kernel(width)
    lost = []
    for one, estimate in zip(x.split(1), found, strict=True):
        rows = restored(one, true, [true, operators.gaussian_kernel(estimate)], prior)
        lost.append(rows[1][0] - rows[2][0])
    return lost


def main(argv: Sequence[str] | None = None) -> dict:
    """Print one of the tables; return it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["psf", "width"])
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--side", type=int, default=128, help="pixels of what is restored")
    parser.add_argument("--images", type=int, default=20, help="of each set, at most")
    parser.add_argument("--level", type=float, default=0.01, help="noise of the picture, of a peak")
    parser.add_argument("--frames", type=int, default=1, help="pictures that are averaged")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--no-restore", action="store_true", help="widths alone")
    args = parser.parse_args(argv)
    return bench_psf(args) if args.part == "psf" else bench_width(args)


if __name__ == "__main__":
    main()
