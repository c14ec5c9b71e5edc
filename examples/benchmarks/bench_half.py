"""What half precision would cost a learned prox: PSNR lost and time against float32, on this CPU.

    PROXLAB_DATA=... python examples/benchmarks/bench_half.py

The prior itself refuses half precision, so its potential is called below that door, with images,
weights and all that lies between in bfloat16 or float16 (the filters alone are turned in float32
and then rounded: torch solves no system in bfloat16). Images: photographs held out of bsds400.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import hold_out, load_gray
from proxlab.images.metrics import psnr
from proxlab.priors.lpn.network import LPN

LEVELS = (5, 25, 50)


def denoise(prior: LPN, v: Tensor, sigma: float, dtype: torch.dtype) -> tuple[Tensor, float]:
    """The prox with everything in `dtype`, and the seconds it took."""
    scaled, s = (v / sigma).to(dtype), torch.full((len(v),), sigma, dtype=dtype)
    start = time.perf_counter()
    potential, original = prior.potential, prior.potential._filters
    potential._filters = lambda like: _rounded(original(like.float()), like.dtype)
    try:
        with torch.no_grad():
            x = potential.gradient(scaled, s)
    finally:
        del potential._filters
    return sigma * x.to(v.dtype), time.perf_counter() - start


def _rounded(filters, dtype: torch.dtype):
    """Tensors in nested tuples, in `dtype`."""
    if isinstance(filters, Tensor):
        return filters.to(dtype)
    parts = [_rounded(part, dtype) for part in filters]
    return type(filters)(*parts) if hasattr(filters, "_fields") else tuple(parts)


def main(argv: Sequence[str] | None = None) -> dict[tuple[str, int], float]:
    """Print PSNR lost in dB and time as a multiple of float32's, and return the former."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5, help="held-out photographs")
    parser.add_argument("--size", type=int, default=192, help="side of the part used")
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--data", type=Path, help="a folder of images; default bsds400")
    args = parser.parse_args(argv)
    prior = load(args.prior)
    _, held_out = hold_out(load_gray(args.data or find_data("bsds400")))
    images = [x[: args.size, : args.size] / 255 for x in held_out[: args.images]]
    lost = {}
    ways = ("bfloat16", "float16")
    print(f"{'':10}" + "".join(f"{way + ', dB lost':>20}{'time':>8}" for way in ways))
    for level in LEVELS:
        generator, sigma = torch.Generator().manual_seed(0), level / 255
        sums = {way: [0.0, 0.0] for way in ("float32", *ways)}
        for image in images:
            clean = image[None, None]
            noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
            for way, total in sums.items():
                x, seconds = denoise(prior, noisy, sigma, getattr(torch, way))
                total[0] += float(psnr(x, clean)) / len(images)
                total[1] += seconds
        line = f"sigma {level:<4d}"
        for way in ways:
            lost[way, level] = sums["float32"][0] - sums[way][0]
            line += f"{lost[way, level]:20.4f}{sums[way][1] / sums['float32'][1]:8.2f}"
        print(line, flush=True)
    return lost


if __name__ == "__main__":
    main()
