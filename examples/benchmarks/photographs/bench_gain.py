"""Gain and read noise read off photographs of a simulated detector, beside the truth.

    PROXLAB_DATA=... python -m examples.benchmarks.photographs.bench_gain
        [--sets set12,bsd68] [--photons 30,100,1000,10000] [--read 0,2,5]

White is so many photons, so the gain is one over that; the read noise is in photons, and counts are
not rounded. A row has the share of images whose gain is within 10 % and, in brackets, the median of
estimate over truth; of the read noise the median, in photons; and how many were refused.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from deepinv.physics import Denoising
from torch import Tensor

from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_gray
from proxlab.operators.estimates.photon_transfer import estimate_gain

NEAR = 0.1
"""Error that counts as near, over the gain."""
Found = list[tuple[float, float]]
"""Gain over truth and read noise in photons of each image; 0, 0 of one that was refused."""


def detected(x: Tensor, photons: float, read: float, seed: int) -> Tensor:
    """The image x, in [0, 1], as a detector sees it to which white is so many photons."""
    rng = torch.Generator().manual_seed(seed)
    counts = torch.poisson(photons * x, rng)
    return (counts + read * torch.randn(x.shape, generator=rng, dtype=x.dtype)) / photons


def estimates(clean: Sequence[Tensor], photons: float, read: float) -> Found:
    """What is found of each image [1, 1, H, W]."""
    found = []
    for i, x in enumerate(clean):
        try:
            curve = estimate_gain(detected(x, photons, read, i), Denoising())
            found.append((float(curve.gain) * photons, float(curve.read_noise) * photons))
        except ValueError:
            found.append((0.0, 0.0))
    return found


def main(argv: Sequence[str] | None = None) -> dict[tuple[str, float, float], Found]:
    """Print the table; what was found by set, photons and read noise."""
    parser = argparse.ArgumentParser(description="gain read off photographs")
    parser.add_argument("--sets", default="set12,bsd68", help="names in PROXLAB_DATA, or folders")
    parser.add_argument("--photons", default="30,100,1000,10000", help="of white, by commas")
    parser.add_argument("--read", default="0,2,5", help="read noise, photons, by commas")
    args = parser.parse_args(argv)
    table = {}
    print("set         photons   read   gain within 10 %   read noise, photons   refused")
    for name in args.sets.split(","):
        images = load_gray(name if Path(name).is_dir() else find_data(name))
        clean = [x[None, None].double() / 255 for x in images]
        for photons in map(float, args.photons.split(",")):
            for read in map(float, args.read.split(",")):
                found = estimates(clean, photons, read)
                table[Path(name).name, photons, read] = found
                told = [pair for pair in found if pair[0]] or [(0.0, 0.0)]
                near = sum(abs(gain - 1) <= NEAR for gain, _ in found) / len(found)
                print(
                    f"{Path(name).name:12s}{photons:7g}{read:7g}{100 * near:8.0f} % "
                    f"({median(gain for gain, _ in told):.3f}){median(r for _, r in told):18.2f}"
                    f"{sum(not gain for gain, _ in found):14d}",
                    flush=True,
                )
    return table


if __name__ == "__main__":
    main()
