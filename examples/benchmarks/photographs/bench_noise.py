"""Noise read off photographs and scans: how often it is within 10 % of the truth.

    PROXLAB_DATA=... python -m examples.benchmarks.photographs.bench_noise
        [--sets set12,bsd68] [--levels 2,5,10,25,50] [--blurs 0,1.6]
        [--estimators proxlab,covariance,wavelets] [--scans 19] [--halve]

Photographs get white noise of a level / 255, as they are and after a Gaussian blur that wraps
around. Beside `proxlab.estimate_noise` stand deepinv's `PatchCovarianceNoiseEstimator` (Chen, Zhu,
Heng 2015) and scikit-image's `estimate_sigma` (the median of wavelet details, Donoho and Johnstone
1994; it needs PyWavelets). The scans are the test slices of chests from 60 and 200 views, their
noise in image units times pixels. A row has the share of images within 10 % and, in brackets, the
median of estimate over truth. An estimator that refuses an image, or fails, has not found it.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from deepinv.models import PatchCovarianceNoiseEstimator
from deepinv.physics import Denoising, LinearPhysics
from torch import Tensor

from proxlab import operators
from proxlab.images.data_sets import find_data
from proxlab.images.folders import load_ct, load_gray
from proxlab.operators.estimates.noise_level import estimate_noise

NEAR = 0.1
"""Error that counts as near, over the noise."""
SCAN_LEVELS = (0.1, 0.25, 0.5, 1.0, 2.0)
Estimator = Callable[[Tensor, LinearPhysics], float]


def wavelets(y: Tensor, op: LinearPhysics) -> float:
    """Estimate of scikit-image."""
    from skimage.restoration import estimate_sigma

    return float(estimate_sigma(y[0, 0].numpy()))


ESTIMATORS: dict[str, Estimator] = {
    "proxlab": lambda y, op: float(estimate_noise(y, op)),
    "covariance": lambda y, op: float(PatchCovarianceNoiseEstimator()(y)),
    "wavelets": wavelets,
}


def ratios(
    estimate: Estimator, clean: Sequence[Tensor], op: LinearPhysics, noise: float
) -> list[float]:
    """Estimate over truth of each image [1, 1, H, W], 0 where there is none."""
    found = []
    for i, x in enumerate(clean):
        y = op.A(x)
        y = y + noise * torch.randn(y.shape, generator=torch.Generator().manual_seed(i))
        try:
            found.append(estimate(y, op) / noise)
        except (ValueError, RuntimeError):
            found.append(0.0)
    return found


def share(found: Sequence[float]) -> float:
    """Share of estimates that are near.

    >>> from examples.benchmarks.photographs.bench_noise import share
    >>> share([1.0, 1.09, 1.11, 0.0])
    0.5
    """
    return sum(abs(ratio - 1) <= NEAR for ratio in found) / len(found)


def blurred(width: float) -> LinearPhysics:
    """A Gaussian blur, or none of width 0."""
    return operators.deblur(operators.gaussian_kernel(width)) if width else Denoising()


def rows(args: argparse.Namespace) -> Iterator[tuple[str, str, list[list[float]]]]:
    """Measurement, estimator, and the ratios at each level."""
    names = args.estimators.split(",")
    levels = [float(level) / 255 for level in args.levels.split(",")]
    for folder in args.sets.split(",") if args.sets else ():
        images = load_gray(folder if Path(folder).is_dir() else find_data(folder))
        clean = [x[None, None] / 255 for x in images]
        for blur in map(float, args.blurs.split(",")):
            for name in names:
                what = f"{Path(folder).name}, " + (f"blur {blur:g}" if blur else "as it is")
                found = (ratios(ESTIMATORS[name], clean, blurred(blur), s) for s in levels)
                yield what, name, list(found)
    if not args.scans:
        return
    slices = load_ct(args.folder or find_data("ct/test"))
    chosen = sorted({i * len(slices) // args.scans for i in range(args.scans)})
    clean = [slices[i][None, None] for i in chosen]
    if args.halve:
        clean = [F.avg_pool2d(x, 2) for x in clean]
    for views in (60, 200):
        op = operators.ct(clean[0].shape[-1], views)
        for name in names:
            found = (ratios(ESTIMATORS[name], clean, op, s) for s in SCAN_LEVELS)
            yield f"CT of {views} views", name, list(found)


def main(argv: Sequence[str] | None = None) -> dict[tuple[str, str], list[list[float]]]:
    """Print the table; its ratios by measurement and estimator, a list for each level."""
    parser = argparse.ArgumentParser(description="noise read off photographs")
    parser.add_argument("--sets", default="set12,bsd68", help="names in PROXLAB_DATA, or folders")
    parser.add_argument("--levels", default="2,5,10,25,50", help="of 255, by commas")
    parser.add_argument("--blurs", default="0,1.6", help="widths, pixels")
    parser.add_argument("--estimators", default=",".join(ESTIMATORS))
    parser.add_argument("--scans", type=int, default=19, help="slices, 0 for none")
    parser.add_argument("--halve", action="store_true", help="slices of half as many pixels a side")
    parser.add_argument("--folder", type=Path, help="slices (default: ct/test of PROXLAB_DATA)")
    args = parser.parse_args(argv)
    table, head = {}, ""
    for what, name, found in rows(args):
        levels = [str(s) for s in SCAN_LEVELS] if what[:2] == "CT" else args.levels.split(",")
        if levels != head:
            print(f"{'':34s}" + "".join(f"{level:>14s}" for level in levels))
            head = levels
        told = (f"{100 * share(part):5.0f} % ({median(part):.3f})" for part in found)
        print(f"{what:22s}{name:12s}" + "".join(told), flush=True)
        table[what, name] = found
    return table


if __name__ == "__main__":
    main()
