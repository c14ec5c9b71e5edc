"""A photograph of 12 megapixels deblurred: minutes, memory, and what the image gains.

    PROXLAB_DATA=... python -m examples.benchmarks.large.bench_megapixels
        [--height 3000] [--width 4000] [--prior lpn-color] [--tol 1e-3] [--threads 2] [--short]

The image is a mosaic of the 68 test photographs of cbsd68, on which no prior was trained, 481 x 321
pixels each, side by side as they are; where they do not suffice they come again, mirrored. Nothing
is enlarged, so the texture is that of real pixels. It is blurred by a Gaussian of 1.6 pixels,
noised by 0.01, and restored as `proxlab restore` does, in tiles that are chosen by themselves.

With --short it is three steps from the measurement, without a descent: they hold all that a whole
run holds, in a sixth of its time, and certify nothing.

    expected    minutes, as `proxlab restore` would say them before the run, by steps that it took
    seconds     of the restoration alone, checks and evidence included
    MiB         resident memory of the process at most, Python and torch included, and beyond before
    dB          PSNR of the measurement and of the result
"""

import argparse
import time
from collections.abc import Sequence
from itertools import cycle, islice
from math import ceil, nan
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import proxlab
from proxlab import operators
from proxlab.checkpoints import load
from proxlab.commands.large_image import CHECKS, timed
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_color, load_gray
from proxlab.images.metrics import psnr
from proxlab.machine import PeakMemory
from proxlab.priors.contract import Prior
from proxlab.priors.tiles.tiled_prior import TiledPrior
from proxlab.priors.tiles.within_memory import within_memory

BLUR, NOISE = 1.6, 0.01
SHORT = 3
"""Steps that hold all that evidence keeps of a large image: the first two, and the last."""


class Row(NamedTuple):
    """One restoration."""

    megapixels: float
    tiles: int
    steps: int
    expected: float
    """Seconds, foretold of a run of these steps."""
    seconds: float
    peak: float
    """MiB of the process at most; nan where the system does not tell."""
    beyond: float
    """MiB beyond what was in use before."""
    before_db: float
    after_db: float
    certified: bool


def mosaic(folder: Path, gray: bool, height: int, width: int) -> Tensor:
    """Photographs of a folder side by side, all lying down, [1, C, height, width] in [0, 1]."""
    photographs = load_gray(folder) if gray else load_color(folder)
    planes = [x[None] if x.ndim == 2 else x for x in photographs]
    lying = [x if x.shape[1] <= x.shape[2] else x.transpose(1, 2) for x in planes]
    h, w = (min(x.shape[axis] for x in lying) for axis in (1, 2))
    once = [x[:, :h, :w] for x in lying]
    mirrored = [x.flip(2) for x in once]
    across, down = ceil(width / w), ceil(height / h)
    chosen = list(islice(cycle([*once, *mirrored]), across * down))
    rows = [torch.cat(chosen[i * across : (i + 1) * across], 2) for i in range(down)]
    return torch.cat(rows, 1)[None, :, :height, :width] / 255


def measure(prior: Prior, clean: Tensor, tol: float, steps: int | None, short: bool = False) -> Row:
    """Blur, noise, restoration, and what it took. `clean` [1, C, H, W]; short: from y, without a
    descent."""
    op = operators.deblur(operators.gaussian_kernel(BLUR), noise=NOISE)
    y = op(clean, generator=torch.Generator().manual_seed(0))
    before = float(psnr(y, clean))
    shape = clean.shape
    ready = within_memory(prior, shape, y.device)
    step = timed(ready, y, op, None)
    held = clean.mul(255).round().byte()  # a quarter of its memory, while the restoration has all
    del clean
    with PeakMemory() as memory:
        start = time.perf_counter()
        result = proxlab.restore(y, op, prior, tol=tol, steps=steps, init=y if short else None)
        seconds = time.perf_counter() - start
    taken = int(result.steps[0])
    count = len(list(ready.tiles(shape[-2:]))) if isinstance(ready, TiledPrior) else 1
    peak = nan if memory.before is None else memory.before / 2**20 + (memory.peak or nan)
    return Row(
        shape[-2] * shape[-1] / 1e6,
        count,
        taken,
        CHECKS * step.data + taken * (step.prior + step.data),
        seconds,
        peak,
        nan if memory.peak is None else memory.peak,
        before,
        float(psnr(result.image, held / 255)),
        result.certified[0],
    )


def main(argv: Sequence[str] | None = None) -> Row:
    """Print what it took; return it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=3000, help="pixels")
    parser.add_argument("--width", type=int, default=4000, help="pixels")
    parser.add_argument("--prior", default="lpn-color", help="a name or a .safetensors file")
    parser.add_argument("--gray", action="store_true", help="photographs as gray levels")
    parser.add_argument("--data", type=Path, help="a folder of photographs (default: cbsd68)")
    parser.add_argument("--tol", type=float, default=1e-3, help="residual at which it stops")
    parser.add_argument("--steps", type=int, help="at most (default: 400)")
    parser.add_argument("--short", action="store_true", help="three steps, for their memory alone")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    folder = args.data or find_data("cbsd68")
    prior = load(args.prior)
    # the image is handed over, not kept: the restoration is to have the memory to itself
    steps = SHORT if args.short else args.steps
    size = args.height, args.width
    row = measure(prior, mosaic(folder, args.gray, *size), args.tol, steps, args.short)
    print(
        f"{row.megapixels:.2f} megapixels, {args.prior}, tol {args.tol:g}, {args.threads} threads\n"
        f"{row.steps} steps in {row.tiles} tiles, certified: {'yes' if row.certified else 'no'}\n"
        f"expected {row.expected / 60:.1f} minutes, took {row.seconds / 60:.1f}: "
        f"{row.seconds:.0f} s, {row.seconds / row.steps:.2f} a step\n"
        f"{row.peak:.0f} MiB at most, {row.beyond:.0f} beyond before\n"
        f"{row.before_db:.2f} -> {row.after_db:.2f} dB",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
