"""What half precision would cost a learned prox: PSNR lost and time against float32, on this CPU.

    PROXLAB_DATA=... python examples/bench_half.py

The prior itself refuses half precision, so its potential is called below that door, with images,
weights and all that lies between in bfloat16 or float16 (the filters alone are turned in float32
and then rounded: torch's matrix exponential of a bfloat16 matrix is nan). "products" rounds to
bfloat16 only what enters the mixture's two matrix products, as a GPU would; the rest is float32 and
nothing is gained in time, for it is emulated. Images: photographs held out of bsds400.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.data import hold_out, load_gray
from proxlab.datasets import find_data
from proxlab.lpn import LPN
from proxlab.metrics import psnr
from proxlab.mixture import Mixture

LEVELS = (5, 25, 50)


@contextmanager
def rounded_products() -> Iterator[None]:
    """Mixture.forward with the factors of its two products rounded to bfloat16."""
    original = Mixture.forward

    def forward(self, energies: Tensor, sigma: Tensor, want_value: bool = False):
        def cut(x: Tensor) -> Tensor:
            return x.bfloat16().to(energies.dtype)

        gains, bias, t = self._at(sigma, energies)
        scores = cut(gains / (2 * t)) @ cut(energies) + bias
        return cut(gains.transpose(1, 2)) @ cut(scores.softmax(1)), None

    Mixture.forward = forward
    try:
        yield
    finally:
        Mixture.forward = original


def denoise(prior: LPN, v: Tensor, sigma: float, dtype: torch.dtype) -> tuple[Tensor, float]:
    """The prox with everything in `dtype`, and the seconds it took."""
    scaled, s = (v / sigma).to(dtype), torch.full((len(v),), sigma, dtype=dtype)
    start = time.perf_counter()
    potential, original = prior.potential, prior.potential._filters
    potential._filters = lambda like: [f.to(like.dtype) for f in original(like.float())]
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
    _, held_out = hold_out(load_gray(args.data or find_data("bsds400")))
    images = [x[: args.size, : args.size] / 255 for x in held_out[: args.images]]
    lost = {}
    ways = ("bfloat16", "float16", "products")
    print(f"{'':10}" + "".join(f"{way + ', dB lost':>20}{'time':>8}" for way in ways))
    for level in LEVELS:
        generator, sigma = torch.Generator().manual_seed(0), level / 255
        sums = {way: [0.0, 0.0] for way in ("float32", *ways)}
        for image in images:
            clean = image[None, None]
            noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
            for way, total in sums.items():
                dtype = torch.float32 if way == "products" else getattr(torch, way)
                if way == "products":
                    with rounded_products():
                        x, seconds = denoise(prior, noisy, sigma, dtype)
                else:
                    x, seconds = denoise(prior, noisy, sigma, dtype)
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
