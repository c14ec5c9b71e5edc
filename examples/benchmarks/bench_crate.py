"""The cost of denoising an image: CRATE, a learned proximal network, a U-Net and a DnCNN.

    python examples/benchmarks/bench_crate.py
        [--priors crate-gray,lpn-gray] [--threads 2] [--device cuda]

The table has the seconds for a 512 x 512 image, the least of some runs, and the most memory at any
time beyond what the model and the image take, each in a process of its own. Then the seconds a
pixel at sides of 256 and 1024 over those at 512, which are 1 where cost is linear in pixels. PSNR
is measured by `bench_denoise`.
"""

import argparse
import math
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import torch

from proxlab.checkpoints import load
from proxlab.machine import PeakMemory

PRIORS = "crate-gray,crate-gray-step,crate-completion,lpn-gray,unet-gray-wide,dncnn-gray"
SIDES = (256, 512, 1024)
SIGMA = 25 / 255


class Cost(NamedTuple):
    """The cost of one prior."""

    parameters: int
    seconds: dict[int, float]
    """Seconds by the side of the image."""
    megabytes: float
    """Memory at the middle side."""


def cost(name: str, sides: Sequence[int], runs: int, threads: int, device: str) -> Cost:
    """The cost as measured in this process, which should be fresh: memory once held stays held."""
    torch.set_num_threads(threads)
    prior, generator = load(name), torch.Generator().manual_seed(0)
    if not isinstance(prior, torch.nn.Module):
        raise ValueError(f"parameters are counted, and {name} has none; choose a network")
    denoise = prior.to(device).prox
    seconds, megabytes = {}, 0.0
    for side in sides:
        image = torch.rand(1, 1, side, side, generator=generator).to(device)
        times = []
        with PeakMemory(device) as memory:
            for _ in range(runs):
                start = time.perf_counter()
                with torch.no_grad():
                    float(denoise(image, SIGMA)[0, 0, 0, 0])  # waits for the device
                times.append(time.perf_counter() - start)
        seconds[side] = min(times)
        if side == sides[len(sides) // 2]:
            megabytes = math.nan if memory.peak is None else memory.peak
    return Cost(sum(p.numel() for p in prior.parameters()), seconds, megabytes)


def main(argv: Sequence[str] | None = None) -> dict[str, Cost]:
    """Print the table; return its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--priors", default=PRIORS, help="names or .safetensors files, by commas")
    parser.add_argument("--sides", type=int, nargs=3, default=SIDES, help="the middle one leads")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    small, middle, large = args.sides
    print(f"{'':20s} parameters  s at {middle}   MB   s a pixel at {small}, {large}")
    rows = {}
    for name in args.priors.split(","):
        found = [_alone(name, sides, args) for sides in ((middle,), args.sides)]
        row = rows[name] = Cost(found[1].parameters, found[1].seconds, found[0].megabytes)
        at = row.seconds[middle] / middle**2
        ratios = [row.seconds[side] / side**2 / at for side in (small, large)]
        print(
            f"{name.split('/')[-1]:20s}{row.parameters:11,d}{row.seconds[middle]:10.3f}"
            f"{row.megabytes:5.0f}   {ratios[0]:.2f} {ratios[1]:.2f}",
            flush=True,
        )
    return rows


def _alone(name: str, sides: Sequence[int], args: argparse.Namespace) -> Cost:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(cost, name, tuple(sides), args.runs, args.threads, args.device).result()


if __name__ == "__main__":
    main()
