"""The price of half precision in a learned prox: PSNR lost and time against float32, on this CPU.

    PROXLAB_DATA=... python examples/benchmarks/bench_half.py

The prior itself refuses half precision. So its potential is called directly, with images, weights
and all that lies between in bfloat16 or float16. The filters alone are turned in float32 and then
rounded: torch solves no system in bfloat16. The images are photographs held out of bsds400.
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
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.priors.lpn.tapered_bases import Filters

LEVELS = (5, 25, 50)
FULL, HALVES = "float32", {"bfloat16": torch.bfloat16, "float16": torch.float16}


def denoise(
    potential: MixturePotential, v: Tensor, sigma: float, dtype: torch.dtype
) -> tuple[Tensor, float]:
    """The prox with everything in `dtype`, and the seconds it took."""
    scaled, s = (v / sigma).to(dtype), torch.full((len(v),), sigma, dtype=dtype)
    start = time.perf_counter()
    original = potential._filters

    def rounded(like: Tensor) -> tuple[Filters, Tensor, Tensor]:
        bank, context, coarse = original(like.float())
        return Filters(*(f.to(like) for f in bank)), context.to(like), coarse.to(like)

    potential._filters = rounded
    try:
        with torch.no_grad():
            x = potential.gradient(scaled, s)
    finally:
        del potential._filters
    return sigma * x.to(v.dtype), time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> dict[tuple[str, int], float]:
    """Print PSNR lost in dB and time as a multiple of float32's, and return the former."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5, help="held-out photographs")
    parser.add_argument("--size", type=int, default=192, help="side of the part used")
    parser.add_argument("--prior", default="lpn-gray")
    parser.add_argument("--data", type=Path, help="a folder of images; default bsds400")
    args = parser.parse_args(argv)
    prior = load(args.prior)
    if not isinstance(prior, LPN) or not isinstance(prior.potential, MixturePotential):
        parser.error(f"--prior names a network with a mixture potential, not {args.prior}")
    _, held_out = hold_out(load_gray(args.data or find_data("bsds400")))
    images = [x[: args.size, : args.size] / 255 for x in held_out[: args.images]]
    lost = {}
    print(f"{'':10}" + "".join(f"{way + ', dB lost':>20}{'time':>8}" for way in HALVES))
    for level in LEVELS:
        generator, sigma = torch.Generator().manual_seed(0), level / 255
        ways = {FULL: torch.float32, **HALVES}
        sums = {way: [0.0, 0.0] for way in ways}
        for image in images:
            clean = image[None, None]
            noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
            for way, total in sums.items():
                x, seconds = denoise(prior.potential, noisy, sigma, ways[way])
                total[0] += float(psnr(x, clean)) / len(images)
                total[1] += seconds
        line = f"sigma {level:<4d}"
        for way in HALVES:
            lost[way, level] = sums[FULL][0] - sums[way][0]
            line += f"{lost[way, level]:20.4f}{sums[way][1] / sums[FULL][1]:8.2f}"
        print(line, flush=True)
    return lost


if __name__ == "__main__":
    main()
