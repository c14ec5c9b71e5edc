"""The start and the end of restorations by an operator that proxlab does not know.

    PROXLAB_DATA=... python examples/benchmarks/operators/bench_first_estimate.py [--crops 20]

Operators written as a plain `LinearPhysics` measure crops of photographs held out of the training
set. PSNR of two first estimates: the multiple of A^T y that fits y best, and least squares around a
constant (`proxlab.operators.first_estimates`, `--steps` and `--corner` in place of its own). Then
the images that `proxlab.restore` makes of every second column from either, and `inpaint` of the
same data, which starts from means of seen pixels.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from statistics import mean
from unittest.mock import patch

import torch
from deepinv.physics import Downsampling, GaussianNoise, LinearPhysics
from torch import Tensor

import proxlab
from proxlab import operators
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_gray
from proxlab.images.metrics import psnr
from proxlab.operators import first_estimates
from proxlab.operators.first_estimates import best_multiple, smooth_least_squares
from proxlab.restoration import restoring

NOISE = 0.01


def crops(count: int, side: int) -> Tensor:
    """The middle side x side pixels of photographs, [count, 1, side, side]."""
    _, held_out = hold_out(load_gray(find_data("bsds400")))
    found = []
    for x in held_out[:count]:
        top, left = ((n - side) // 2 for n in x.shape)
        found.append(x[None, top : top + side, left : left + side] / 255)
    return torch.stack(found)


def plain(
    A: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], noise: float | None = None
) -> LinearPhysics:
    """An operator of which nothing is known but its products."""
    op = LinearPhysics(A=A, A_adjoint=adjoint)
    if noise is not None:
        op.set_noise_model(GaussianNoise(noise))
    return op


def strided(down: int, right: int, noise: float | None = None) -> LinearPhysics:
    """x[..., ::down, ::right]."""

    def adjoint(y: Tensor) -> Tensor:
        x = y.new_zeros(*y.shape[:2], down * y.shape[2], right * y.shape[3])
        x[..., ::down, ::right] = y
        return x

    return plain(lambda x: x[..., ::down, ::right], adjoint, noise)


def foreign(side: int) -> dict[str, LinearPhysics]:
    """Operators on side x side pixels."""
    generator = torch.Generator().manual_seed(0)
    half, fifth = (operators.random_mask((side, side), m, generator) for m in (0.5, 0.8))
    blur = operators.deblur(operators.gaussian_kernel(1.6))
    pixels = side * side
    matrix = torch.randn(pixels // 4, pixels, generator=generator) / math.sqrt(pixels // 4)
    return {
        "every 2nd column": strided(1, 2),
        "every 2nd pixel": strided(2, 2),
        "every 4th pixel": strided(4, 4),
        "half the pixels": plain(lambda x: half * x, lambda y: half * y),
        "a fifth of them": plain(lambda x: fifth * x, lambda y: fifth * y),
        "blur, 1.6 pixels": plain(blur.A, blur.A_adjoint),
        "Gaussian matrix": plain(
            lambda x: x.flatten(1) @ matrix.T, lambda y: (y @ matrix).view(-1, 1, side, side)
        ),
        "deepinv, bicubic 4": Downsampling((1, side, side), filter="bicubic", factor=4),
    }


def estimates(x: Tensor) -> dict[str, tuple[float, float]]:
    """Print and return the mean PSNR from A^T y and from least squares, by operator."""
    print(f"{'first estimates, dB':20s} {'A^T y':>7s} {'squares':>8s} {'squares, noise told':>20s}")
    found = {}
    for name, op in foreign(x.shape[-1]).items():
        y = op.A(x)
        y = y + NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
        before = float(psnr(best_multiple(y, op, op.A_adjoint(y)), x).mean())
        start = time.perf_counter()
        after = float(psnr(smooth_least_squares(y, op), x).mean())
        seconds = (time.perf_counter() - start) / len(x)
        op.set_noise_model(GaussianNoise(NOISE))
        told = float(psnr(smooth_least_squares(y, op), x).mean())
        found[name] = before, after
        print(f"{name:20s} {before:7.2f} {after:8.2f} {told:20.2f}   {1e3 * seconds:.0f} ms")
    return found


def ends(x: Tensor, prior_name: str, steps: int) -> tuple[float, float, float]:
    """Print and return the mean PSNR of restorations of every second column, noise 0.01."""
    prior, op = proxlab.load(prior_name), strided(1, 2, NOISE)
    mask = torch.zeros(x.shape[-2:])
    mask[:, ::2] = 1
    ours, rows = operators.inpaint(mask, NOISE), []
    for i, truth in enumerate(x.split(1)):
        y = op(truth)
        with patch.object(restoring, "start", lambda y, op: best_multiple(y, op, op.A_adjoint(y))):
            before = proxlab.restore(y, op, prior, steps=steps)
        after = proxlab.restore(y, op, prior, steps=steps)
        inpainted = proxlab.restore(op.A_adjoint(y), ours, prior, steps=steps)
        results = before, after, inpainted
        rows.append([float(psnr(r.image, truth)) for r in results])
        print(f"image {i}:", *(f"{p:.2f}" for p in rows[-1]), "dB;", end=" ")
        print(*(int(r.steps) for r in results), "steps")
    before, after, inpainted = (mean(column) for column in zip(*rows, strict=True))
    print(f"restored by {prior_name}, dB: from A^T y {before:.2f}, from least squares", end=" ")
    print(f"{after:.2f}, inpaint on the same data {inpainted:.2f}")
    return before, after, inpainted


def main(argv: Sequence[str] | None = None) -> dict[str, tuple[float, ...]]:
    """Print both tables; the figures by name."""
    parser = argparse.ArgumentParser(description="where restorations start, and end")
    parser.add_argument("--crops", type=int, default=20, help="photographs for the estimates")
    parser.add_argument("--restored", type=int, default=3, help="of them, to restore")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--max-steps", type=int, default=400, help="of a restoration")
    parser.add_argument("--steps", type=int, default=first_estimates.LEAST_SQUARES_STEPS)
    parser.add_argument("--corner", type=float, default=first_estimates.CORNER)
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    x = crops(args.crops, args.side)
    with (
        patch.object(first_estimates, "LEAST_SQUARES_STEPS", args.steps),
        patch.object(first_estimates, "CORNER", args.corner),
    ):
        figures: dict[str, tuple[float, ...]] = dict(estimates(x))
        if args.restored:
            figures["ends"] = ends(x[: args.restored], args.prior, args.max_steps)
    return figures


if __name__ == "__main__":
    main()
