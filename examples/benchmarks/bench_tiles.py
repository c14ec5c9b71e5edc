"""A large image through tiles: the cost, the savings, and the seams that too small a margin leaves.

    PROXLAB_DATA=... python examples/benchmarks/bench_tiles.py
        [--priors lpn-gray] [--size 1024] [--side 512]

The image is a mosaic of photographs of bsds400 with noise 25/255. The columns of the table are

    reach           pixels
    pixels          computed for one of the image, here and for a tile inside a larger image
    s, MB           seconds of the processor (of all threads of the process) and memory beyond what
                    the prior and the image take, for the whole and for tiles, each in a process of
                    its own
    errors          of tiles, largest and at the seams (`proxlab.seam_error`), with the prior's
                    reach and with half of it
"""

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from math import ceil, nan
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_gray
from proxlab.machine import PeakMemory
from proxlab.tiled import SeamError, Tiled, compared

PRIORS = "lpn-gray,dncnn-gray,unet-gray-wide,crate-gray"
SIGMA = 25 / 255


class Row(NamedTuple):
    """One prior, whole and in tiles."""

    reach: int
    cost: float
    """Pixels computed for one of the image."""
    seconds: tuple[float, float]
    """Seconds of the whole, and in tiles."""
    megabytes: tuple[float, float]
    """Memory of the whole, and in tiles."""
    error: SeamError
    half: SeamError
    """Error with half the reach."""


def mosaic(photographs: Sequence[Tensor], size: int) -> Tensor:
    """uint8 images [h, w] side by side, all lying down, as [1, 1, size, size] in [0, 1]."""
    lying = [x if x.shape[0] <= x.shape[1] else x.T for x in photographs]
    h, w = (min(x.shape[axis] for x in lying) for axis in (0, 1))
    across, down = ceil(size / w), ceil(size / h)
    rows = [
        torch.cat([lying[(i * across + j) % len(lying)][:h, :w] for j in range(across)], 1)
        for i in range(down)
    ]
    return torch.cat(rows)[None, None, :size, :size] / 255


def prox(
    name: str, v: Tensor, side: int | None, reach: int | None, threads: int
) -> tuple[Tensor, float, float]:
    """The prox, whole or in tiles, its seconds and its MB of memory, in this process."""
    torch.set_num_threads(threads)
    prior = load(name)
    if side is not None:
        prior = Tiled(prior, side, reach=reach)
    with PeakMemory() as memory, torch.no_grad():
        start = time.process_time()
        x = prior.prox(v, SIGMA)
        seconds = time.process_time() - start
    return x, seconds, nan if memory.peak is None else memory.peak


def alone(*words) -> tuple[Tensor, float, float]:
    """`prox` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(prox, *words).result()


def measure(name: str, v: Tensor, side: int, threads: int) -> Row:
    """One line of the table."""
    tiled = Tiled(load(name), side)
    half = Tiled(load(name), side, reach=tiled.reach // 2)
    found = []
    for words in ((None, None), (side, None), (side, half.reach)):
        found.append(alone(name, v, *words, threads))
    (whole, *plain), (x, *through), (worse, *_) = found
    return Row(
        tiled.reach,
        tiled.cost(v.shape[-2:]),
        (plain[0], through[0]),
        (plain[1], through[1]),
        compared(tiled, v, whole, x),
        compared(half, v, whole, worse),
    )


def main(argv: Sequence[str] | None = None) -> dict[str, Row]:
    """Print the table; return its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--priors", default=PRIORS, help="names or .safetensors files, by commas")
    parser.add_argument("--size", type=int, default=1024, help="side of the image, pixels")
    parser.add_argument("--side", type=int, default=512, help="of the cores of tiles")
    parser.add_argument("--data", type=Path, help="a folder of photographs; default bsds400")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    clean = mosaic(load_gray(args.data or find_data("bsds400")), args.size)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    print(f"{args.size} x {args.size} pixels, cores of {args.side}, {args.threads} threads")
    print(
        f"{'':16s}reach  pixels inside  s whole  tiles  MB whole  tiles  largest    seams", end=""
    )
    print("  half: largest    seams  elsewhere")
    rows = {}
    for name in args.priors.split(","):
        row = rows[name] = measure(name, clean + SIGMA * noise, args.side, args.threads)
        inside = ((args.side + 2 * row.reach) / args.side) ** 2
        print(
            f"{Path(name).stem:16s}{row.reach:5d}{row.cost:8.2f}{inside:7.2f}"
            f"{row.seconds[0]:9.2f}{row.seconds[1]:7.2f}"
            f"{row.megabytes[0]:10.0f}{row.megabytes[1]:7.0f}"
            f"{row.error.largest:9.1e}{row.error.seams:9.1e}"
            f"{row.half.largest:15.1e}{row.half.seams:9.1e}{row.half.elsewhere:11.1e}",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    main()
